"""The link and the camera with a server that misbehaves on purpose."""

import asyncio
import os
import signal

import numpy as np
import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.errors import (
    DeviceError,
    DeviceLostError,
    DeviceTimeoutError,
    FrameDamagedError,
    NotSupportedError,
    SettingRefusedError,
)
from coldframe.devices.indi import device
from coldframe.devices.indi.camera import IndiCamera
from coldframe.devices.indi.pixels.blob_channel import ServerAddress
from tests.devices.indi.fake_server import CAMERA, SHAPE, FakeServer, blob, exposure, fits_bytes, number
from tests.devices.test_rig_ready import seen
from tests.patience import PATIENCE_S, until

TOO_LONG_S = 4 * PATIENCE_S
"""An exposure that no test waits for."""


async def dark(camera: IndiCamera, exposure_s: float = 0.0) -> int:
    """Shoot a dark and return its level."""
    frame = await camera.expose(FrameKind.DARK, exposure_s)
    assert frame.pixels.shape == SHAPE
    return int(frame.pixels[0, 0])


def answer_exposures(server: FakeServer, *control: str, pixels: tuple[str, ...] = ()) -> None:
    async def answer(_values: dict[str, str]) -> None:
        server.send_pixels(*pixels)
        await asyncio.sleep(0.02)
        server.send(*control)

    server.answers["CCD_EXPOSURE"] = answer


async def test_a_good_frame(camera: IndiCamera) -> None:
    frame = await camera.expose(FrameKind.FLAT, 0.0)
    np.testing.assert_array_equal(frame.pixels, np.full(SHAPE, 500))
    assert (frame.camera, frame.exposure_s) == (CAMERA, 0.0)


async def test_the_ok_may_come_before_the_blob(server: FakeServer, camera: IndiCamera) -> None:
    async def answer(_values: dict[str, str]) -> None:
        server.send(exposure("Busy"), exposure("Ok"))
        await asyncio.sleep(0.2)
        server.send_pixels(blob(fits_bytes(700)))

    server.answers["CCD_EXPOSURE"] = answer
    assert await dark(camera) == 700


async def test_a_stale_ok_does_not_end_an_exposure(server: FakeServer, camera: IndiCamera) -> None:
    """The frame may arrive as late as exposure and readout together."""
    camera.readout_deadline_s = 0.1

    async def answer(_values: dict[str, str]) -> None:
        server.send(exposure("Ok"), exposure("Busy"))
        await asyncio.sleep(2 * camera.readout_deadline_s)
        server.send_pixels(blob(fits_bytes(700)))
        server.send(exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = answer
    frame = await camera.expose(FrameKind.BIAS, PATIENCE_S)  # only a bias frame may arrive early
    assert frame.pixels[0, 0] == 700


async def test_an_unrequested_frame_does_not_count(server: FakeServer, camera: IndiCamera) -> None:
    await server.deliver(blob(fits_bytes(111)), blob(b"nonsense"))
    assert await dark(camera) == 500


async def test_an_alert_raises_with_the_drivers_message(server: FakeServer, camera: IndiCamera) -> None:
    message = f'<message device="{CAMERA}" message="shutter stuck"/>'
    answer_exposures(server, message, exposure("Alert"))
    with pytest.raises(DeviceError, match=r"refused or lost the exposure \(.*shutter stuck"):
        await dark(camera)


async def test_an_abort_by_another_client_is_reported(server: FakeServer, camera: IndiCamera) -> None:
    answer_exposures(server, exposure("Busy"), exposure("Idle"))
    with pytest.raises(DeviceError, match="aborted by another"):
        await dark(camera)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (blob(fits_bytes()[:3000], size=len(fits_bytes())), "ends after 3000 of 5760 bytes"),
        (blob(fits_bytes()[:2900]), "truncated"),
        (blob(b"GIF89a" * 600), "not a FITS file"),
        (blob(fits_bytes(), ".fits.fz"), "format '.fits.fz' instead of uncompressed FITS"),
        (blob(fits_bytes(shape=(8, 6))), "sent 6 x 8 pixels instead of 8 x 6"),
        (blob(fits_bytes(), size=100), "is longer than the 100 bytes"),
        (blob(fits_bytes()).replace("AAAA", "A*A{", 1), "is not base64"),
        (blob(b""), "not FITS"),
    ],
    ids=["cut", "short", "foreign", "compressed", "turned", "long", "garbled", "empty"],
)
async def test_a_bad_frame_is_reported_and_the_next_one_is_good(
    server: FakeServer, camera: IndiCamera, bad: str, why: str
) -> None:
    answer_exposures(server, exposure("Busy"), exposure("Ok"), pixels=(bad,))
    with pytest.raises(FrameDamagedError, match=why):
        await dark(camera)
    server.answers.clear()
    assert await dark(camera) == 500


async def test_a_frame_of_another_device_is_ignored(server: FakeServer, camera: IndiCamera) -> None:
    foreign = (blob(fits_bytes(1), device="Guider"), blob(fits_bytes(2), vector="CCD2"), blob(fits_bytes(800)))
    answer_exposures(server, exposure("Busy"), exposure("Ok"), pixels=foreign)
    assert await dark(camera) == 800


async def test_a_frame_that_arrives_early_is_refused(server: FakeServer, camera: IndiCamera) -> None:
    answer_exposures(server, exposure("Busy"), exposure("Ok"), pixels=(blob(fits_bytes()),))
    with pytest.raises(FrameDamagedError, match=rf"\d+\.\d+ s after the start of a {TOO_LONG_S:g} s exposure"):
        await dark(camera, TOO_LONG_S)


@pytest.mark.parametrize("control", [(exposure("Busy"),), (exposure("Busy"), exposure("Ok"))], ids=["busy", "no-frame"])
async def test_an_exposure_that_never_ends_is_aborted(
    server: FakeServer, camera: IndiCamera, control: tuple[str, ...]
) -> None:
    answer_exposures(server, *control)
    camera.readout_deadline_s = 0.3
    with pytest.raises(DeviceTimeoutError):
        await dark(camera)
    assert server.ordered("CCD_ABORT_EXPOSURE") == [{"ABORT": "On"}]
    server.answers.clear()
    camera.readout_deadline_s = PATIENCE_S
    assert await dark(camera) == 500


@pytest.mark.parametrize("is_busy", [True, False], ids=["busy", "not-yet-busy"])
async def test_cancelling_aborts_and_re_raises(server: FakeServer, camera: IndiCamera, is_busy: bool) -> None:  # noqa: FBT001  # pytest's
    ordered = asyncio.Event()

    async def answer(_values: dict[str, str]) -> None:
        ordered.set()

    server.answers["CCD_EXPOSURE"] = answer
    exposing = asyncio.create_task(dark(camera, TOO_LONG_S))
    await ordered.wait()
    if is_busy:
        await seen(camera.link, server, exposure("Busy"))
    exposing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exposing
    assert server.ordered("CCD_ABORT_EXPOSURE") == [{"ABORT": "On"}]


async def test_a_refused_setting_raises_with_the_drivers_message(server: FakeServer, camera: IndiCamera) -> None:
    """Drivers answer with Alert; some send Ok with the old value right after it."""

    async def answer(_values: dict[str, str]) -> None:
        server.send(number("CCD_GAIN", "Alert", "no such gain", GAIN=10), number("CCD_GAIN", "Ok", GAIN=10))

    server.answers["CCD_GAIN"] = answer
    with pytest.raises(SettingRefusedError, match=r"CCD_GAIN refused GAIN 30.* \(.*no such gain"):
        await camera.apply(ReadoutSettings(gain=30.0))


async def test_a_stale_ok_does_not_confirm_a_setting(server: FakeServer, camera: IndiCamera) -> None:
    async def answer(_values: dict[str, str]) -> None:
        server.send(number("CCD_GAIN", "Ok", GAIN=10))
        await asyncio.sleep(0.3)
        server.send(number("CCD_GAIN", "Ok", GAIN=30))

    server.answers["CCD_GAIN"] = answer
    assert (await camera.apply(ReadoutSettings(gain=30.0))).gain == 30


@pytest.mark.parametrize("gain", [float("nan"), float("inf"), -1.0, 100.1])
async def test_impossible_values_are_not_sent(server: FakeServer, camera: IndiCamera, gain: float) -> None:
    with pytest.raises(SettingRefusedError, match="is outside the range 0 to 100"):
        await camera.apply(ReadoutSettings(gain=gain))
    assert server.ordered("CCD_GAIN") == []


async def test_missing_controls_are_reported(camera: IndiCamera) -> None:
    with pytest.raises(NotSupportedError, match="CCD_OFFSET"):
        await camera.apply(ReadoutSettings(offset=5.0))
    with pytest.raises(NotSupportedError, match="cannot bin"):
        await camera.apply(ReadoutSettings(binning=2))
    with pytest.raises(NotSupportedError, match="no readout mode 'fast'"):
        await camera.apply(ReadoutSettings(readout_mode="fast"))
    with pytest.raises(NotSupportedError, match="cooler"):
        await camera.set_setpoint(-10)


async def test_a_killed_link_is_noticed_and_settings_are_restored(server: FakeServer, camera: IndiCamera) -> None:
    await camera.apply(ReadoutSettings(gain=30.0))
    answer_exposures(server, exposure("Busy"))
    exposing = asyncio.create_task(dark(camera, TOO_LONG_S))
    await until(lambda: server.ordered("CCD_EXPOSURE"))
    process_id = camera.link.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(DeviceLostError, match=r"connection to the INDI server .* was lost"):
            await exposing
    server.answers.clear()
    server.orders.clear()
    assert await dark(camera) == 500
    assert server.ordered("CCD_GAIN") == [{"GAIN": "30"}]


async def test_a_server_that_comes_back_is_reconnected(server: FakeServer, camera: IndiCamera) -> None:
    await server.hang_up()
    await until(lambda: not camera.is_ready)
    await server.listen()
    assert await dark(camera) == 500


async def test_a_lost_pixel_channel_is_reopened(server: FakeServer, camera: IndiCamera) -> None:
    async def answer(_values: dict[str, str]) -> None:
        server.drop_pixels()
        server.send(exposure("Busy"), exposure("Ok"))

    server.answers["CCD_EXPOSURE"] = answer
    with pytest.raises(DeviceLostError, match=r"closed the pixel channel.*-m 1024"):
        await dark(camera)
    assert not camera.is_ready
    server.answers.clear()
    assert await dark(camera) == 500


async def test_an_absurd_blob_closes_the_channel_but_takes_no_memory(server: FakeServer, camera: IndiCamera) -> None:
    answer_exposures(server, exposure("Busy"), exposure("Ok"), pixels=(blob(b"", size=10**15),))
    with pytest.raises(DeviceLostError, match="announces 1000000000000000 bytes"):
        await dark(camera)
    server.answers.clear()
    assert await dark(camera) == 500


async def test_a_vanished_device_is_lost_at_once(server: FakeServer, camera: IndiCamera) -> None:
    answer_exposures(server, exposure("Busy"), f'<delProperty device="{CAMERA}"/>')
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(DeviceLostError, match="driver disappeared"):
            await dark(camera, TOO_LONG_S)
    assert not camera.is_ready


async def test_an_unknown_device_is_reported_with_the_known_ones(
    server: FakeServer, camera: IndiCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = IndiCamera(camera.link, "Other Camera", ServerAddress("127.0.0.1", server.port))
    monkeypatch.setattr(device, "DEFINE_DEADLINE_S", 0.1)
    with pytest.raises(DeviceTimeoutError, match=f"is not known to .* which has {CAMERA}"):
        await stranger.connect()
