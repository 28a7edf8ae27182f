"""A camera that no longer follows commands is reconnected, and its settings are restored."""

import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.errors import DeviceLostError, DeviceTimeoutError
from coldframe.devices.indi import camera as camera_module
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.link import IndiLink
from tests.devices.indi.fake_server import CAMERA, SHAPE, FakeServer, exposure, switch
from tests.patience import PATIENCE_S


async def silence(_values: dict[str, str]) -> None:
    pass


def expose_for_ever(server: FakeServer) -> None:
    async def busy(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"))

    server.answers["CCD_EXPOSURE"] = busy


async def dark(camera: IndiCamera, readout_deadline_s: float = PATIENCE_S) -> tuple[int, ...]:
    camera.readout_deadline_s = readout_deadline_s
    return (await camera.expose(FrameKind.DARK, 0.0)).pixels.shape


async def missing_dark(camera: IndiCamera) -> None:
    with pytest.raises(DeviceTimeoutError):
        await dark(camera, readout_deadline_s=0.3)


async def test_a_hanging_abort_reconnects_the_driver(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_module, "ABORT_DEADLINE_S", 0.3)
    await camera.apply(ReadoutSettings(gain=30.0))
    expose_for_ever(server)
    server.answers["CCD_ABORT_EXPOSURE"] = silence
    await missing_dark(camera)
    assert not camera.is_ready
    server.answers.clear()
    server.send(exposure("Idle"))
    server.orders.clear()
    assert await dark(camera) == SHAPE
    assert server.ordered("CONNECTION") == [{"DISCONNECT": "On"}, {"CONNECT": "On"}]
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}]


async def test_two_timeouts_in_a_row_reconnect_the_driver(server: FakeServer, camera: IndiCamera) -> None:
    expose_for_ever(server)
    for ready_afterwards in (True, False):
        await missing_dark(camera)
        assert camera.is_ready is ready_afterwards
    server.answers.clear()
    assert await dark(camera) == SHAPE
    assert camera.is_ready


async def test_a_driver_that_does_not_even_disconnect_is_lost(server: FakeServer, camera: IndiCamera) -> None:
    camera.give_up_connection()
    server.answers["CONNECTION"] = silence
    with pytest.raises(DeviceLostError, match="no longer answers"):
        await dark(camera)
    server.answers.clear()
    assert await dark(camera) == SHAPE


async def test_a_cooler_that_switches_itself_off_is_switched_on_again(
    server: FakeServer, link: IndiLink, stranger: IndiCamera
) -> None:
    server.numbers["CCD_TEMPERATURE"] = {"CCD_TEMPERATURE_VALUE": (-50, 50, 0)}
    server.switches["CCD_COOLER"] = {"COOLER_ON": False, "COOLER_OFF": True}
    await stranger.connect()
    await stranger.set_setpoint(-10.0)
    assert stranger.is_ready
    serial = link.mirror.serial
    server.send(switch("CCD_COOLER", "Ok", COOLER_ON=False, COOLER_OFF=True))
    await link.wait(CAMERA, lambda: link.mirror.serial > serial or None, PATIENCE_S, "news")
    assert not stranger.is_ready
    server.orders.clear()
    await stranger.ensure_ready()
    assert stranger.is_ready
    assert server.ordered("CCD_COOLER") == [{"COOLER_ON": "On"}]
    assert server.ordered("CCD_TEMPERATURE") == [{"CCD_TEMPERATURE_VALUE": "-10"}]
    await stranger.cooler_off()
    assert stranger.is_ready
