"""The devices within this process, under virtual time."""

import asyncio
from datetime import UTC, datetime

import looptime
import numpy as np
import pytest

from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceError, DeviceLostError, NotSupportedError, SettingRefusedError
from coldframe.devices.filter_wheel import FilterWheel
from coldframe.devices.flat_panel import CoverState, FlatPanel
from coldframe.simulators.devices import simulated_rig

pytestmark = pytest.mark.looptime

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def build(rig: SimulatedRig) -> tuple[Camera, FlatPanel, FilterWheel]:
    built = simulated_rig(rig, lambda: NOON)
    assert built.panel is not None
    assert built.wheel is not None
    await built.camera.connect()
    await built.panel.connect()
    await built.wheel.connect()
    return built.camera, built.panel, built.wheel


async def test_an_exposure_takes_its_time_and_the_readout(small: SimulatedRig) -> None:
    camera, _, _ = await build(small)
    begin_s = now_s()
    frame = await camera.expose(FrameKind.DARK, 300)
    assert now_s() - begin_s == pytest.approx(300.1, abs=0.01)
    assert frame.pixels.shape == (640, 960)
    assert frame.pixels.dtype == np.uint16
    assert (frame.exposure_s, frame.started_at, frame.camera) == (300, NOON, camera.name)
    assert frame.header["IMAGETYP"] == "Dark Frame"
    assert frame.header["DATE-OBS"] == "2026-01-02T12:00:00.000"


async def test_the_level_of_a_flat_depends_on_brightness_exposure_and_filter(small: SimulatedRig) -> None:
    camera, panel, wheel = await build(small)
    bias = np.median((await camera.expose(FrameKind.BIAS, 0.001)).pixels)

    async def level(brightness: int, exposure_s: float) -> float:
        await panel.light_on(brightness)
        return float(np.median((await camera.expose(FrameKind.FLAT, exposure_s)).pixels) - bias)

    base = await level(10, 1)
    assert await level(20, 1) == pytest.approx(2 * base, rel=0.01)
    assert await level(10, 2) == pytest.approx(2 * base, rel=0.01)
    await wheel.select("Ha")
    assert await level(10, 2) == pytest.approx(0.12 * base, rel=0.03)
    await panel.light_off()
    assert float(np.median((await camera.expose(FrameKind.FLAT, 1)).pixels) - bias) < 6


async def shoot_a_night(rig: SimulatedRig) -> list[Frame]:
    camera = simulated_rig(rig, lambda: NOON).camera
    await camera.connect()
    await camera.set_setpoint(-10)
    await asyncio.sleep(60)
    return [await camera.expose(FrameKind.DARK, 300) for _ in range(3)]


async def test_two_nights_are_identical_to_the_bit(small: SimulatedRig) -> None:
    first, second = await shoot_a_night(small), await shoot_a_night(small)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert (one.sensor_c, one.setpoint_c, one.header) == (other.sensor_c, -10, other.header)


async def test_cancelling_ends_the_exposure(small: SimulatedRig) -> None:
    camera, _, _ = await build(small)
    task = asyncio.create_task(camera.expose(FrameKind.DARK, 300))
    await asyncio.sleep(10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert (await camera.expose(FrameKind.DARK, 1)).exposure_s == 1


async def test_aborting_ends_the_exposure(small: SimulatedRig) -> None:
    camera, _, _ = await build(small)
    task = asyncio.create_task(camera.expose(FrameKind.DARK, 300))
    await asyncio.sleep(10)
    with pytest.raises(DeviceError, match="already running"):
        await camera.expose(FrameKind.DARK, 1)
    await camera.abort()
    with pytest.raises(DeviceError, match="aborted"):
        await task
    assert now_s() < 11
    await camera.abort()
    assert (await camera.expose(FrameKind.DARK, 1)).exposure_s == 1


@pytest.mark.parametrize("exposure_s", [0, -1, 1e-9, 1e9, float("nan"), float("inf")])
async def test_impossible_exposures_are_refused(small: SimulatedRig, exposure_s: float) -> None:
    camera, _, _ = await build(small)
    with pytest.raises(SettingRefusedError, match="exposure"):
        await camera.expose(FrameKind.DARK, exposure_s)


async def test_settings_are_read_back(small: SimulatedRig) -> None:
    camera, _, _ = await build(small)
    assert await camera.apply(ReadoutSettings()) == ReadoutSettings(gain=100, offset=50)
    wanted = ReadoutSettings(gain=0, offset=10, binning=2)
    assert await camera.apply(wanted) == wanted
    assert (await camera.apply(ReadoutSettings(binning=2))).gain == 0
    frame = await camera.expose(FrameKind.BIAS, 0.001)
    assert frame.pixels.shape == (320, 480)
    assert np.median(frame.pixels) == pytest.approx(4 * (20 + 100), abs=2)
    assert frame.settings == wanted


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (ReadoutSettings(gain=301), SettingRefusedError),
        (ReadoutSettings(offset=float("nan")), SettingRefusedError),
        (ReadoutSettings(binning=5), SettingRefusedError),
        (ReadoutSettings(readout_mode="Turbo"), SettingRefusedError),
    ],
)
async def test_wrong_settings_are_refused(
    small: SimulatedRig, settings: ReadoutSettings, error: type[DeviceError]
) -> None:
    camera, _, _ = await build(small)
    with pytest.raises(error):
        await camera.apply(settings)
    assert await camera.apply(ReadoutSettings()) == ReadoutSettings(gain=100, offset=50)


async def test_a_ccd_has_modes_and_overscan_but_no_gain() -> None:
    camera, _, _ = await build(load_rig("ccd-overscan"))
    assert camera.features.readout_modes == ("High Quality", "Fast")
    with pytest.raises(NotSupportedError, match="gain"):
        await camera.apply(ReadoutSettings(gain=1))
    applied = await camera.apply(ReadoutSettings(readout_mode="Fast"))
    assert applied == ReadoutSettings(readout_mode="Fast")
    begin_s = now_s()
    frame = await camera.expose(FrameKind.BIAS, 0.1)
    assert now_s() - begin_s == pytest.approx(0.1 + 8 * 0.2, abs=0.01)
    assert frame.header["BIASSEC"] == "[3327:3358,1:2504]"
    assert frame.header["TRIMSEC"] == "[1:3326,1:2504]"


async def test_without_a_cooler() -> None:
    built = simulated_rig(load_rig("uncooled"), lambda: NOON)
    assert built.wheel is None
    await built.camera.connect()
    assert built.camera.features.setpoint_c is None
    with pytest.raises(NotSupportedError, match="cooler"):
        await built.camera.set_setpoint(-10)
    with pytest.raises(NotSupportedError, match="cooler"):
        await built.camera.cooler_off()
    thermals = built.camera.thermals()
    assert thermals.sensor_c == pytest.approx(16)
    assert thermals.power_percent is None


async def test_the_cooler(small: SimulatedRig) -> None:
    camera, _, _ = await build(small)
    assert camera.thermals().cooler_on is False
    with pytest.raises(SettingRefusedError, match="setpoint"):
        await camera.set_setpoint(-273)
    await camera.set_setpoint(-10)
    await asyncio.sleep(30)
    thermals = camera.thermals()
    assert thermals.sensor_c == pytest.approx(-10, abs=0.3)
    assert (thermals.setpoint_c, thermals.cooler_on) == (-10, True)
    await camera.cooler_off()
    await asyncio.sleep(60)
    assert camera.thermals().sensor_c == pytest.approx(18, abs=0.2)


async def test_devices_must_be_connected(small: SimulatedRig) -> None:
    camera = simulated_rig(small, lambda: NOON).camera
    with pytest.raises(DeviceLostError):
        await camera.expose(FrameKind.BIAS, 1)


async def test_the_cover(small: SimulatedRig) -> None:
    _, panel, _ = await build(small)
    assert panel.state().cover is CoverState.CLOSED
    task = asyncio.create_task(panel.open_cover())
    await asyncio.sleep(0.5)
    assert panel.state().cover is CoverState.MOVING
    await task
    assert panel.state().cover is CoverState.OPEN
    assert now_s() == pytest.approx(1.5, abs=0.01)
    await panel.close_cover()
    assert panel.state().cover is CoverState.CLOSED


async def test_the_light(small: SimulatedRig) -> None:
    _, panel, _ = await build(small)
    await panel.light_on(77)
    assert (panel.state().lit, panel.state().brightness) == (True, 77)
    with pytest.raises(SettingRefusedError, match="256"):
        await panel.light_on(256)
    await panel.light_off()
    assert panel.state().lit is False


async def test_a_panel_without_a_cover() -> None:
    panel = simulated_rig(load_rig("cooled-osc"), lambda: NOON).panel
    assert panel is not None
    assert panel.state().cover is None
    with pytest.raises(NotSupportedError, match="cover"):
        await panel.open_cover()


async def test_the_wheel(small: SimulatedRig) -> None:
    _, _, wheel = await build(small)
    assert wheel.filters == ("L", "R", "G", "B", "Ha")
    task = asyncio.create_task(wheel.select("G"))
    await asyncio.sleep(0.3)
    assert wheel.current is None
    await task
    assert wheel.current == "G"
    assert now_s() == pytest.approx(0.8, abs=0.01)
    with pytest.raises(NotSupportedError, match="OIII"):
        await wheel.select("OIII")


def test_a_whole_night_takes_seconds() -> None:
    async def night() -> float:
        camera, _, _ = await build(load_rig("small"))
        await camera.set_setpoint(-10)
        for _ in range(60):
            await camera.expose(FrameKind.DARK, 300)
        return now_s()

    loop = looptime.new_event_loop(start=0)
    try:
        assert loop.run_until_complete(night()) > 5 * 3600
    finally:
        loop.close()
