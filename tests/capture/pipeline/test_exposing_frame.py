"""One exposure with foreign changes to settings, temperatures, thermometers, and a deadline."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import ExposureStarted, Notice
from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.exposing_frame import FrameExposer
from coldframe.capture.rig.temperature import cool
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.camera import Frame, Thermals
from coldframe.devices.rig import Rig
from coldframe.simulators.devices import simulated_rig
from tests.capture.contexts import READOUT, START, context_in
from tests.nights.nights import tiny

pytestmark = pytest.mark.looptime


class Camera:
    """A simulated camera that counts orders, and shoots the frames whose numbers are in `changed` at another gain."""

    def __init__(self, inner: Any, changed: tuple[int, ...] = ()) -> None:
        self.inner, self.changed = inner, changed
        self.exposures = self.orders = 0
        self.offset_c = 0.0
        self.read_at_s: float | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def apply(self, settings: ReadoutSettings) -> ReadoutSettings:
        self.orders += 1
        applied: ReadoutSettings = await self.inner.apply(settings)
        return applied

    def thermals(self) -> Thermals:
        now: Thermals = self.inner.thermals()
        assert now.sensor_c is not None
        read_at_s = now.read_at_s if self.read_at_s is None else self.read_at_s
        return replace(now, sensor_c=now.sensor_c + self.offset_c, read_at_s=read_at_s)

    async def set_setpoint(self, setpoint_c: float) -> None:
        await self.inner.set_setpoint(setpoint_c)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.exposures += 1
        frame: Frame = await self.inner.expose(kind, exposure_s)
        if self.exposures in self.changed:
            return replace(frame, settings=replace(frame.settings, gain=10))
        return frame


class Delivered(DeliveredFrames):
    """Remembers all frames that it got."""

    def __init__(self, context: NightContext) -> None:
        super().__init__(context, 1)
        self.got: list[tuple[Frame, str | None]] = []

    def add(self, frame: Frame, filter_name: str | None) -> None:
        self.got.append((frame, filter_name))
        super().add(frame, filter_name)


async def exposing(
    folder: Path, setpoint_c: float | None = None, changed: tuple[int, ...] = ()
) -> tuple[FrameExposer, Camera, Delivered, NightContext, list[Any]]:
    rig = simulated_rig(tiny(load_rig("small")), NightClock(START).now)
    await rig.connect()
    camera = Camera(rig.camera, changed)
    context, seen = context_in(folder, rig=Rig(camera, rig.panel, rig.wheel))
    if setpoint_c is not None:
        await cool(context, setpoint_c)
    delivered = Delivered(context)
    exposer = FrameExposer(context, 1, FrameKind.DARK, READOUT, setpoint_c, delivered=delivered)
    return exposer, camera, delivered, context, seen


async def test_settings_are_ordered_once_and_again_after_another_program_changed_them(tmp_path: Path) -> None:
    exposer, camera, delivered, _, seen = await exposing(tmp_path, changed=(3,))
    faults = [(await exposer.expose(1.0, "L")).fault for _ in range(5)]
    assert [fault is None for fault in faults] == [True, True, False, True, True]
    assert "gain=10" in str(faults[2])
    assert camera.orders == 2
    assert [name for _, name in delivered.got] == ["L"] * 5, "the bad one, too, is delivered"
    assert any("is another program using the camera" in event.text for event in seen if isinstance(event, Notice))


async def test_a_sensor_that_is_warm_during_the_exposure_is_a_fault(tmp_path: Path) -> None:
    exposer, camera, delivered, _, _ = await exposing(tmp_path, -10.0)
    asyncio.get_running_loop().call_later(20.0, lambda: setattr(camera, "offset_c", 3.0))
    asyncio.get_running_loop().call_later(25.0, lambda: setattr(camera, "offset_c", 0.0))
    shot = await exposer.expose(60.0, None)
    assert "the sensor was at" in str(shot.fault)
    assert [frame for frame, _ in delivered.got] == [shot.frame]
    assert (await exposer.expose(1.0, None)).fault is None


async def test_a_silent_thermometer_is_a_fault(tmp_path: Path) -> None:
    exposer, camera, _, _, _ = await exposing(tmp_path, -10.0)
    camera.read_at_s = camera.thermals().read_at_s
    assert (await exposer.expose(1.0, None)).fault is None
    assert "even after polling the driver" in str((await exposer.expose(90.0, None)).fault)


async def test_the_start_is_that_of_the_exposure_not_of_the_wait_for_the_sensor(tmp_path: Path) -> None:
    exposer, camera, _, context, seen = await exposing(tmp_path, -10.0)
    camera.offset_c = 3.0
    asyncio.get_running_loop().call_later(100.0, lambda: setattr(camera, "offset_c", 0.0))
    shot = await exposer.expose(1.0, None)
    (started,) = [event for event in seen if isinstance(event, ExposureStarted)]
    assert shot.began_s == pytest.approx((started.at - START).total_seconds())
    assert shot.began_s > 100.0
    assert context.clock.elapsed_s() - shot.began_s < 5.0


async def test_nothing_is_exposed_that_would_end_after_the_deadline(tmp_path: Path) -> None:
    exposer, camera, delivered, context, _ = await exposing(tmp_path)
    late = replace(context, deadline=START + timedelta(seconds=30))
    exposer = FrameExposer(late, 1, FrameKind.DARK, READOUT, None, delivered=delivered)
    await exposer.expose(10.0, None)
    with pytest.raises(StepFailedError, match="the time is up"):
        await exposer.expose(25.0, None)
    assert camera.exposures == 1
