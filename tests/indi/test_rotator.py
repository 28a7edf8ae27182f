"""INDI's own rotator simulator, by itself and in a whole night."""

from pathlib import Path

import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.survey import Role, surveyed_server
from coldframe.devices.indi.turning.rotator import IndiRotator
from tests.indi.conftest import StartServer
from tests.indi.servers import HOST, NIGHT, STOCK_DRIVERS, Indiserver, started_night
from tests.patience import PATIENCE_S, until

pytestmark = pytest.mark.indi

PROGRAM = "indi_simulator_rotator"
ROTATOR = "Rotator Simulator"
ANGLE = f"{ROTATOR}.ABS_ROTATOR_ANGLE.ANGLE"
WITH_ROTATOR = (
    NIGHT
    + f"""
[rotator]
device = "{ROTATOR}"
settle_s = 0.0
turn_deadline_s = 120.0
"""
)
SETS = '[[sets]]\nkind = "bias"\ncount = 3\n' + "".join(
    f'[[sets]]\nkind = "{kind}"\nfilter = "Red"\ncount = 3\nrotator_deg = {angle_deg}\n'
    for angle_deg in (10.0, 350.0)
    for kind in ("flat", "dark-flat")
)


def rotator_of(link: IndiLink) -> IndiRotator:
    return IndiRotator(link, ROTATOR, turn_deadline_s=PATIENCE_S)


def shown_deg(server: Indiserver) -> float:
    return float(server.get(ANGLE))


async def test_the_stock_rotator_turns_is_moved_and_turns_back(start_server: StartServer) -> None:
    server = start_server(PROGRAM)
    async with IndiLink(HOST, server.port) as link:
        async with surveyed_server(link) as found:
            (device,) = found
        assert device.roles == (Role.ROTATOR,)
        assert device.abilities == ("angle 0 to 360 deg, now at 0 deg",)
        rotator = rotator_of(link)
        await rotator.connect()
        await rotator.turn_to(20)
        assert rotator.is_ready
        assert shown_deg(server) == pytest.approx(20)
        server.set(f"{ANGLE}=35")
        await until(lambda: not rotator.is_ready)
        await rotator.ensure_ready()
        assert rotator.is_ready
        assert shown_deg(server) == pytest.approx(20)
        await rotator.restore()
        assert shown_deg(server) == pytest.approx(0)


async def test_a_night_shoots_the_flats_of_each_angle_and_turns_the_stock_rotator_back(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(*STOCK_DRIVERS, PROGRAM)
    server.see_everything()
    server.set(f"{ROTATOR}.CONNECTION.CONNECT=On")
    with started_night(server, tmp_path, SETS, local=False, night=WITH_ROTATOR) as run:
        code, said = run.wait()
    assert code == 0, said
    assert sorted(path.name.split("_")[-2] for path in (run.night / "masters").glob("MasterFlat*")) == [
        "10deg", "350deg",
    ]  # fmt: skip
    frames = list((run.night / "flats").rglob("*.fits"))
    angles = {(float(header["CFROTANG"]), float(header["ROTATANG"])) for header in map(read_header, frames)}
    assert {wanted for wanted, _ in angles} == {10.0, 350.0}
    assert all(abs(wanted - shown) <= 0.2 for wanted, shown in angles)
    assert len(frames) == 6
    assert shown_deg(server) == pytest.approx(0)
