"""A rotator whose driver is slow, refuses, stops elsewhere, restarts, or is moved by another client."""

import pytest

from coldframe.devices.errors import DeviceTimeoutError, NotSupportedError, SettingRefusedError
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.link import IndiLink
from coldframe.devices.indi.survey import Role, surveyed_server
from coldframe.devices.indi.turning.rotator import IndiRotator
from tests.devices.indi.fake_server import CAMERA, FakeServer, define_text, number
from tests.patience import PATIENCE_S, until

FOUND_DEG = 30.0


def angle(state: str, angle_deg: float, message: str = "") -> str:
    return number("ABS_ROTATOR_ANGLE", state, message, ANGLE=angle_deg)


@pytest.fixture
def driver(server: FakeServer) -> FakeServer:
    """Return the server with a rotator that turns in three steps."""
    server.numbers["ABS_ROTATOR_ANGLE"] = {"ANGLE": (0.0, 360.0, FOUND_DEG)}

    async def turn(values: dict[str, str]) -> None:
        wanted = float(values["ANGLE"])
        server.send(angle("Busy", FOUND_DEG), angle("Busy", (FOUND_DEG + wanted) / 2), angle("Ok", wanted + 0.05))

    server.answers["ABS_ROTATOR_ANGLE"] = turn
    return server


@pytest.fixture
async def rotator(driver: FakeServer, link: IndiLink) -> IndiRotator:
    del driver
    device = IndiRotator(link, CAMERA, tolerance_deg=0.2, turn_deadline_s=PATIENCE_S)
    await device.connect()
    return device


def commands(server: FakeServer) -> list[float]:
    return [float(values["ANGLE"]) for values in server.ordered("ABS_ROTATOR_ANGLE")]


async def test_a_turn_ends_within_the_tolerance_and_is_undone(driver: FakeServer, rotator: IndiRotator) -> None:
    assert (rotator.angle_deg, rotator.found_deg, rotator.commanded_deg) == (FOUND_DEG, FOUND_DEG, None)
    await rotator.turn_to(100)
    assert (rotator.angle_deg, rotator.found_deg, rotator.commanded_deg) == (100.05, FOUND_DEG, 100)
    await rotator.turn_to(100)  # it is there
    await rotator.restore()
    assert commands(driver) == [100, FOUND_DEG]
    assert (rotator.found_deg, rotator.commanded_deg) == (None, None)
    await rotator.restore()
    assert len(commands(driver)) == 2


async def test_a_rotator_that_was_not_turned_is_not_restored(driver: FakeServer, rotator: IndiRotator) -> None:
    driver.send(angle("Ok", 77))
    await until(lambda: rotator.angle_deg == 77)
    assert await rotator.restore() is False
    assert commands(driver) == []
    assert rotator.found_deg is None


async def test_an_earlier_runs_angle_is_restored(driver: FakeServer, rotator: IndiRotator) -> None:
    rotator.found_at(250)
    assert await rotator.restore() is True
    assert commands(driver) == [250]


async def test_a_driver_that_counts_from_minus_180_gets_angles_in_its_range(driver: FakeServer, link: IndiLink) -> None:
    driver.numbers["ABS_ROTATOR_ANGLE"] = {"ANGLE": (-180.0, 180.0, FOUND_DEG)}
    rotator = IndiRotator(link, CAMERA, turn_deadline_s=PATIENCE_S)
    await rotator.turn_to(200)
    await rotator.turn_to(100)
    assert commands(driver) == [-160, 100]
    assert rotator.is_ready


async def test_359_9_and_0_are_the_same_angle(driver: FakeServer, rotator: IndiRotator) -> None:
    driver.send(angle("Ok", 359.9))
    await until(lambda: rotator.angle_deg == 359.9)
    await rotator.turn_to(0)
    assert commands(driver) == []


async def test_a_rotator_that_does_not_arrive_is_reported_with_its_angle_and_not_turned_again(
    driver: FakeServer, link: IndiLink
) -> None:
    async def stop_short(_values: dict[str, str]) -> None:
        driver.send(angle("Busy", 40), angle("Ok", 57))  # as if another client aborted the turn

    driver.answers["ABS_ROTATOR_ANGLE"] = stop_short
    rotator = IndiRotator(link, CAMERA, turn_deadline_s=0.3)
    text = r"did not reach angle 100 deg within 0\.3 s: it reports 57 deg.*rotator\.turn_deadline_s"
    with pytest.raises(DeviceTimeoutError, match=text):
        await rotator.turn_to(100)
    await rotator.ensure_ready()
    assert commands(driver) == [100]
    assert rotator.commanded_deg is None


async def test_a_refused_angle_is_reported(driver: FakeServer, rotator: IndiRotator) -> None:
    async def refuse(_values: dict[str, str]) -> None:
        driver.send(angle("Busy", FOUND_DEG), angle("Alert", FOUND_DEG, "cable wrap"))

    driver.answers["ABS_ROTATOR_ANGLE"] = refuse
    with pytest.raises(SettingRefusedError, match=r"refused angle 100 deg.*cable wrap"):
        await rotator.turn_to(100)


async def test_an_angle_out_of_range_is_not_sent(driver: FakeServer, link: IndiLink) -> None:
    driver.numbers["ABS_ROTATOR_ANGLE"] = {"ANGLE": (0.0, 180.0, FOUND_DEG)}
    with pytest.raises(SettingRefusedError, match="outside the range 0 to 180"):
        await IndiRotator(link, CAMERA).turn_to(200)
    assert commands(driver) == []


async def test_a_move_of_another_client_is_noticed_and_undone(driver: FakeServer, rotator: IndiRotator) -> None:
    await rotator.turn_to(100)
    assert rotator.is_ready
    driver.send(angle("Busy", 90))
    await until(lambda: not rotator.is_ready)
    driver.send(angle("Ok", 12))
    await until(lambda: rotator.angle_deg == 12)
    assert not rotator.is_ready
    await rotator.ensure_ready()
    assert rotator.is_ready
    assert commands(driver) == [100, 100]


async def test_a_restarted_server_gets_the_last_angle_again_and_the_first_one_at_the_end(
    driver: FakeServer, rotator: IndiRotator
) -> None:
    await rotator.turn_to(100)
    await driver.hang_up()
    await until(lambda: not rotator.link.connected)
    await driver.listen()
    await rotator.ensure_ready()  # the new driver is at its start angle
    await rotator.restore()
    assert commands(driver) == [100, 100, FOUND_DEG]


async def test_a_device_without_an_angle_is_not_a_rotator(server: FakeServer, link: IndiLink) -> None:
    del server
    rotator = IndiRotator(link, CAMERA)
    rotator.define_deadline_s = 0.2
    with pytest.raises((NotSupportedError, DeviceTimeoutError), match="ABS_ROTATOR_ANGLE"):
        await rotator.turn_to(100)


async def test_the_survey_lists_a_rotator_with_its_range_and_angle(driver: FakeServer, link: IndiLink) -> None:
    driver.more = define_text("DRIVER_INFO", DRIVER_INTERFACE=str((1 << 1) + (1 << 12)))
    async with surveyed_server(link) as found:
        (device,) = found
    assert Role.ROTATOR in device.roles
    assert "angle 0 to 360 deg, now at 30 deg" in device.abilities
    assert IndiDevice(link, CAMERA).has_connected_driver()
