"""A second client meddles with stock drivers, and clocks are wrong: each costs at most one frame, and no night."""

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from astropy.io import fits

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.errors import DeviceError
from tests.indi.conftest import StartServer
from tests.indi.servers import (
    CAMERA,
    HOST,
    Indiserver,
    Run,
    dark_set,
    indiserver,
    started_night,
    wait_until_exposing,
)
from tests.indi.test_camera import connected, is_exposing
from tests.indi.test_real_faults import PHASES, STOCK, journalled, raw, wait_for_phase
from tests.patience import block_until, until

pytestmark = pytest.mark.indi

EXPOSURE_S = 3.0

MEDDLING: dict[str, tuple[tuple[str, ...], str]] = {
    "longer": (("CCD_EXPOSURE.CCD_EXPOSURE_VALUE=7",), "another client started an exposure of 7 s"),
    "slightly-longer": (
        ("CCD_EXPOSURE.CCD_EXPOSURE_VALUE=3.6",),
        r"exposure of 3\.6 s instead of 3 s|another client started an exposure during",
    ),
    "impossible": (("CCD_EXPOSURE.CCD_EXPOSURE_VALUE=99999",), "out of bounds"),
    "aborted": (("CCD_ABORT_EXPOSURE.ABORT=On",), "aborted by another client"),
    "compressed": (("CCD_COMPRESSION.INDI_ENABLED=On",), r"compressed by another client \(CCD_COMPRESSION\)"),
    "cut": (("CCD_FRAME.X=40;Y=60;WIDTH=400;HEIGHT=300",), "cropped to 400 x 300 pixels at 40, 60 by another client"),
    "binned": (("CCD_BINNING.HOR_BIN=2;VER_BIN=2",), "binned 2 x 2 by another client"),
    "disconnected": (("CONNECTION.DISCONNECT=On",), "another client or the driver disconnected it"),
    "reconnected": (("CONNECTION.DISCONNECT=On", "CONNECTION.CONNECT=On"), "disconnected it"),
}
"""Assignments to properties of the camera, and a pattern of the error."""


def meddle(server: Indiserver, assignments: tuple[str, ...]) -> None:
    for each in assignments:
        server.set(f"{CAMERA}.{each}")


@pytest.mark.parametrize(("assignments", "words"), MEDDLING.values(), ids=MEDDLING)
async def test_meddling_with_an_exposure_costs_one_frame(
    stock: Indiserver, assignments: tuple[str, ...], words: str
) -> None:
    async with connected(stock) as camera:
        await camera.apply(ReadoutSettings(gain=7.0, offset=300.0))
        await camera.expose(FrameKind.DARK, 0.2)
        exposing = asyncio.create_task(camera.expose(FrameKind.DARK, EXPOSURE_S))
        await until(lambda: is_exposing(camera))
        await asyncio.to_thread(meddle, stock, assignments)
        with pytest.raises(DeviceError, match=words):
            await exposing
        frame = await camera.expose(FrameKind.DARK, EXPOSURE_S)
    assert frame.header["EXPTIME"] == EXPOSURE_S
    assert frame.pixels.shape == (1024, 1280)
    assert frame.settings == ReadoutSettings(gain=7.0, offset=300.0, binning=1)


def test_an_alert_left_by_another_client_harms_no_night(stock: Indiserver, tmp_path: Path) -> None:
    stock.set(f"{CAMERA}.CONNECTION.CONNECT=On")
    meddle(stock, MEDDLING["impossible"][0])
    block_until(lambda: stock.state(f"{CAMERA}.CCD_EXPOSURE") == "Alert")
    with started_night(stock, tmp_path, dark_set(0.5, count=3), local=True) as run:
        code, said = run.wait()
    assert code == 0, said
    assert len(raw(run, "darks")) == 3


NIGHTS = {"bias": "compressed", "dark ": "longer", "dark flat": "binned", "flat": "disconnected"}
"""By phase of the night: the meddling."""


def meddled_night(phase: str, kind: str, place: Path) -> tuple[int, str, Run]:
    """Run a night in which another client changes the camera in the given phase."""
    with ExitStack() as resources:
        server = resources.enter_context(indiserver(place / "home"))
        server.see_everything()
        run = resources.enter_context(started_night(server, place, STOCK.sets, local=True, night=STOCK.night))
        wait_for_phase(run, phase)
        if phase.startswith("dark"):
            wait_until_exposing(server, run.process)
        meddle(server, MEDDLING[kind][0])
        code, said = run.wait()
        return code, said, run


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[tuple[int, str, Run]]]]:
    """Run the nights at the same time, because they mostly wait."""
    with ThreadPoolExecutor(len(NIGHTS)) as pool:
        yield {
            phase: pool.submit(meddled_night, phase, kind, tmp_path_factory.mktemp("night"))
            for phase, kind in NIGHTS.items()
        }


def assert_all_frames_are_as_planned(code: int, said: str, run: Run) -> None:
    assert code == 0, said
    frames = {folder: raw(run, folder) for folder in ("biases", "darks", "dark-flats", "flats")}
    assert [len(paths) for paths in frames.values()] == [5, 3, 4, 4], said
    headers = [[fits.getheader(path) for path in paths] for paths in frames.values()]
    assert [len({(each["EXPTIME"], each["GAIN"], each["XBINNING"]) for each in folder}) for folder in headers] == [
        1
    ] * 4
    assert {each["EXPTIME"] for each in headers[1]} == {1.5}
    for each in (header for folder in headers for header in folder):
        assert (each["NAXIS1"], each["NAXIS2"]) == (1280, 1024)


@pytest.mark.parametrize("phase", NIGHTS)
def test_a_night_survives_another_client(nights: dict[str, Future[tuple[int, str, Run]]], phase: str) -> None:
    assert_all_frames_are_as_planned(*nights[phase].result())


@pytest.mark.deep
@pytest.mark.parametrize("kind", MEDDLING)
def test_a_night_survives_another_client_in_each_phase(tmp_path: Path, kind: str) -> None:
    with ThreadPoolExecutor(len(PHASES)) as pool:
        places = [tmp_path / phase.strip().replace(" ", "-") for phase in PHASES]
        for ended in pool.map(meddled_night, PHASES, [kind] * len(PHASES), places):
            assert_all_frames_are_as_planned(*ended)


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs the Debian package faketime")
@pytest.mark.parametrize("clock_s", [-1.5, -30.0])
def test_a_chained_server_with_a_slow_clock_loses_no_frame(
    start_server: StartServer, tmp_path: Path, clock_s: float
) -> None:
    driver = tmp_path / "slow_clock_ccd"
    driver.write_text(f"#!/bin/sh\nFAKETIME_DONT_FAKE_MONOTONIC=1 exec faketime -f '{clock_s}s' indi_simulator_ccd\n")
    driver.chmod(0o755)
    far = start_server(str(driver))
    near = start_server(f"{CAMERA}@{HOST}:{far.port}", *STOCK.drivers[1:])
    sets = '[[sets]]\nkind = "bias"\ncount = 5\n' + dark_set(0.5, count=3)
    with started_night(near, tmp_path / "night", sets, local=True) as run:
        code, said = run.wait()
    assert code == 0, said
    assert not list((run.night / "quarantine").glob("*.fits"))
    notices = [event["text"] for event in journalled(run) if event["event"] == "notice"]
    (seen,) = (text for text in notices if "clock is" in text)
    assert abs(float(seen.partition("clock is ")[2].partition(" s ")[0]) + clock_s) < 1
    darks = [fits.getheader(path) for path in raw(run, "darks")]
    assert [each["EXPTIME"] for each in darks] == [0.5] * 3
