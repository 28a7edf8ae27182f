"""Nights with faults. coldframe builds all masters that are still possible, and leaves the rig safe."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.capture.events.kinds import (
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, Severity, StepOutcome
from coldframe.capture.pipeline import delivered_frames
from coldframe.capture.shooting import set_frames
from coldframe.capture.threads import in_thread
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.errors import DeviceError, DeviceTimeoutError
from coldframe.devices.flat_panel import CoverState, FlatPanel
from coldframe.devices.rig import Rig
from tests.nights.disk import DiskFault, SimulatedDisk
from tests.nights.nights import NightRun, run_night, tiny

pytestmark = pytest.mark.looptime

SMALL = tiny(load_rig("small"))


def short() -> Settings:
    """Return the small rig's night with few frames."""
    settings = load_settings(example_night("small"))
    sets = tuple(each.model_copy(update={"count": 6}) for each in settings.sets)
    return settings.model_copy(update={"sets": sets})


def three_sets() -> Settings:
    """Return the small rig's night with five frames each of bias, dark and flat."""
    settings = short()
    wanted = [each for each in settings.sets if each.kind is not FrameKind.DARK_FLAT and each.filter in {None, "L"}]
    sets = tuple(each.model_copy(update={"count": 5}) for each in wanted)
    flats = settings.flats.model_copy(update={"pedestal": "bias"})
    return settings.model_copy(update={"sets": sets, "flats": flats})


class Wrapped:
    """A device that behaves as another one, but for what a subclass does differently."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Rigged:
    """Remembers the rig of a night, so that its state can be looked at afterwards."""

    def __init__(
        self, camera: Callable[[Camera], Any] | None = None, panel: Callable[[FlatPanel], Any] | None = None
    ) -> None:
        self._camera, self._panel = camera, panel

    def __call__(self, rig: Rig) -> Rig:
        assert rig.panel is not None
        self.plain = rig
        return Rig(
            self._camera(rig.camera) if self._camera else rig.camera,
            self._panel(rig.panel) if self._panel else rig.panel,
            rig.wheel,
        )

    def assert_safe(self) -> None:
        assert self.plain.panel is not None
        state = self.plain.panel.state()
        assert not state.lit
        assert state.cover is CoverState.CLOSED
        assert self.plain.camera.thermals().cooler_on is False


def outcomes(night: NightRun) -> list[StepOutcome]:
    return [ended.outcome for ended in night.of(StepEnded)]


class FailingOnce(Wrapped):
    """A camera whose third exposure does not come."""

    def __init__(self, inner: Camera) -> None:
        super().__init__(inner)
        self.exposures = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.exposures += 1
        if self.exposures == 3:
            raise DeviceTimeoutError(self.inner.name, "sent no frame")
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def test_one_lost_exposure_is_shot_again(tmp_path: Path) -> None:
    rigged = Rigged(camera=FailingOnce)
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.COMPLETE
    assert any("sent no frame" in notice.text for notice in night.of(Notice))
    rigged.assert_safe()


class Dead(Wrapped):
    """A camera that fails every dark."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        if kind is FrameKind.DARK:
            raise DeviceTimeoutError(self.inner.name, "sent no frame")
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def test_a_set_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    rigged = Rigged(camera=Dead)
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert len(night.of(MasterWritten)) == len(short().sets) - 1
    assert outcomes(night).count(StepOutcome.FAILED) == 1
    rigged.assert_safe()


class Unlit(Wrapped):
    """A panel that says it is lit and is not."""

    async def light_on(self, brightness: int | None = None) -> None:
        del brightness


async def test_a_panel_that_does_not_light_fails_its_flats_only(tmp_path: Path) -> None:
    rigged = Rigged(panel=Unlit)
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    ended = {event.step: event for event in night.of(StepEnded)}
    assert outcomes(night).count(StepOutcome.FAILED) == 2
    assert outcomes(night).count(StepOutcome.SKIPPED) == 4
    assert any("lamp does not respond" in event.reason for event in ended.values())
    assert len(night.of(MasterWritten)) == 2
    rigged.assert_safe()


class Stuck(Wrapped):
    """A panel that cannot be switched off, and a cover that does not move."""

    async def light_off(self) -> None:
        raise DeviceError(self.inner.name, "does not answer")


async def test_a_panel_that_cannot_be_switched_off_is_told_and_the_cooler_is_warmed_all_the_same(
    tmp_path: Path,
) -> None:
    rigged = Rigged(panel=Stuck)
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert rigged.plain.camera.thermals().cooler_on is False
    errors = [notice.text for notice in night.of(Notice) if notice.severity is Severity.ERROR]
    assert any("did not switch its lamp off" in text and "by hand" in text for text in errors)


def assert_quarantined(path: Path, reason: str) -> None:
    assert path.is_file()
    assert reason in path.with_suffix(".json").read_text("utf-8")


class Repeating(Wrapped):
    """A camera that delivers its first dark again and again, twice."""

    def __init__(self, inner: Camera) -> None:
        super().__init__(inner)
        self.first: Frame | None = None
        self.repeats = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        if kind is not FrameKind.DARK:
            return frame
        if self.first is not None and self.repeats < 2:
            self.repeats += 1
            return self.first
        self.first = self.first or frame
        return frame


async def test_a_repeated_frame_is_kept_in_quarantine_and_shot_again(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, Rigged(camera=Repeating))
    assert night.outcome is NightOutcome.COMPLETE
    rejected = night.of(FrameRejected)
    assert len(rejected) == 2
    for event in rejected:
        assert_quarantined(Path(event.path), "repeated")


async def test_a_setpoint_out_of_reach_is_replaced_by_a_warmer_one(tmp_path: Path) -> None:
    cooler = SMALL.cooler
    assert cooler is not None
    weak = SMALL.model_copy(update={"cooler": cooler.model_copy(update={"maximum_delta_c": 10.0})})
    rigged = Rigged()
    night = await run_night(short(), weak, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert night.of(MasterWritten)
    assert any("-10 C was not reached" in notice.text for notice in night.of(Notice))
    rigged.assert_safe()


async def test_a_full_disk_aborts_into_the_safe_state(tmp_path: Path) -> None:
    rigged = Rigged()
    full = DiskFault("write", errno.ENOSPC, first=100, times=1_000_000)
    with SimulatedDisk(tmp_path, [full]).watched():
        night = await run_night(short(), SMALL, tmp_path, rigged)
    assert full.met
    assert night.of(FrameAccepted)
    assert night.outcome is NightOutcome.ABORTED
    assert "disk is full" in night.events[-1].summary  # type: ignore[attr-defined]
    rigged.assert_safe()


@pytest.mark.parametrize("after_s", [5.0, 16.0, 40.0, 70.0])
async def test_a_cancelled_night_is_left_safe(tmp_path: Path, after_s: float) -> None:
    rigged = Rigged()
    night = asyncio.create_task(run_night(load_settings(example_night("small")), SMALL, tmp_path, rigged))
    await asyncio.sleep(after_s)
    night.cancel()
    with pytest.raises(asyncio.CancelledError):
        await night
    rigged.assert_safe()


async def test_a_second_cancellation_cuts_the_warm_up_short_and_leaves_the_cooler(tmp_path: Path) -> None:
    settings = load_settings(example_night("small"))
    slow = settings.model_copy(update={"cooling": settings.cooling.model_copy(update={"warm_ramp_c_per_min": 1.0})})
    rigged = Rigged()
    night = asyncio.create_task(run_night(slow, SMALL, tmp_path, rigged))
    await asyncio.sleep(30)
    night.cancel()
    await asyncio.sleep(20)
    night.cancel()
    started_s = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await night
    assert asyncio.get_running_loop().time() - started_s < 5
    assert rigged.plain.panel is not None
    assert not rigged.plain.panel.state().lit
    assert rigged.plain.camera.thermals().cooler_on is True


class FailingWhileCancelled(Wrapped):
    """A panel that fails to switch off once it was lit, as it may when everything goes wrong at a time."""

    def __init__(self, inner: FlatPanel) -> None:
        super().__init__(inner)
        self.failures = 0

    async def light_off(self) -> None:
        if self.inner.state().lit and self.failures == 0:
            self.failures += 1
            raise DeviceError(self.inner.name, "does not answer")
        await self.inner.light_off()


async def test_a_failing_device_does_not_keep_a_cancelled_night_going(tmp_path: Path) -> None:
    rigged = Rigged(panel=FailingWhileCancelled)
    night = asyncio.create_task(run_night(load_settings(example_night("small")), SMALL, tmp_path, rigged))
    for _ in range(2000):
        await asyncio.sleep(0.1)
        assert rigged.plain.panel is not None
        if rigged.plain.panel.state().lit:
            break
    night.cancel()
    with pytest.raises(asyncio.CancelledError):
        await night
    rigged.assert_safe()


class WarmingBadly(Wrapped):
    """A camera that takes no setpoint above zero: its warm-up fails."""

    async def set_setpoint(self, setpoint_c: float) -> None:
        if setpoint_c > 0:
            raise DeviceError(self.inner.name, "refused the setpoint")
        await self.inner.set_setpoint(setpoint_c)


async def test_a_failed_warm_up_still_switches_the_cooler_off_and_shows_in_the_outcome(tmp_path: Path) -> None:
    rigged = Rigged(camera=WarmingBadly)
    settings = short()
    down = settings.cooling.model_copy(update={"ramp_c_per_min": 1000.0})
    night = await run_night(settings.model_copy(update={"cooling": down}), cold(SMALL), tmp_path, rigged)
    assert rigged.plain.camera.thermals().cooler_on is False
    assert night.outcome is NightOutcome.INCOMPLETE


def cold(rig: SimulatedRig) -> SimulatedRig:
    """Return the rig on a night below zero."""
    return rig.model_copy(update={"ambient_c": -2.0})


class Broken(Wrapped):
    """A camera whose driver trips over our own code when it is to abort."""

    async def abort(self) -> None:
        raise KeyError("CCD_EXPOSURE")


async def test_a_fault_of_ours_in_the_safe_state_does_not_end_it(tmp_path: Path) -> None:
    rigged = Rigged(camera=Broken)
    night = await run_night(short(), SMALL, tmp_path, rigged)
    assert night.outcome is NightOutcome.INCOMPLETE
    rigged.assert_safe()


class Leaving(Wrapped):
    """A camera that is gone after its third dark."""

    def __init__(self, inner: Camera) -> None:
        super().__init__(inner)
        self.darks = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.darks += kind is FrameKind.DARK
        if self.darks > 5:
            raise DeviceTimeoutError(self.inner.name, "sent no frame")
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def test_what_was_delivered_before_a_set_failed_is_on_disk_and_makes_a_master(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, Rigged(camera=Leaving))
    assert night.outcome is NightOutcome.INCOMPLETE
    assert len(list((night.folder / "darks").glob("*/*.fits"))) == 5
    assert len(night.of(MasterWritten)) == len(short().sets)
    assert any("its master has 5 of 6 frames" in ended.reason for ended in night.of(StepEnded))


class Strangled(Wrapped):
    """A camera whose gain another client changes before its second dark."""

    def __init__(self, inner: Camera) -> None:
        super().__init__(inner)
        self.darks = 0

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        self.darks += kind is FrameKind.DARK
        if kind is FrameKind.DARK and self.darks == 2:
            await self.inner.apply(ReadoutSettings(gain=10, offset=50))
        frame: Frame = await self.inner.expose(kind, exposure_s)
        return frame


async def test_a_camera_set_otherwise_by_another_client_is_set_back(tmp_path: Path) -> None:
    night = await run_night(short(), SMALL, tmp_path, Rigged(camera=Strangled))
    assert night.outcome is NightOutcome.COMPLETE
    (rejected,) = night.of(FrameRejected)
    assert "gain=10" in rejected.reason


async def test_a_slow_ramp_is_no_missed_deadline(tmp_path: Path) -> None:
    settings = short()
    slow = settings.cooling.model_copy(update={"ramp_c_per_min": 3.0, "deadline_s": 60.0})
    night = await run_night(settings.model_copy(update={"cooling": slow}), SMALL, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE


async def test_limits_that_the_camera_cannot_meet_fail_the_tuning_with_a_word(tmp_path: Path) -> None:
    settings = short()
    flats = settings.flats.model_copy(update={"exposure_limits_s": (0.000001, 0.00001)})
    night = await run_night(settings.model_copy(update={"flats": flats}), SMALL, tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert len(night.of(MasterWritten)) == 2


async def slowly(work: Callable[..., Any], *args: Any) -> Any:
    """Do blocking work as on a slow disk, so that frames are on their way to it all the time."""
    await asyncio.sleep(1.0)
    return await in_thread(work, *args)


class Counted(Wrapped):
    """A camera that counts the biases it delivers, and whose frames are what `change` makes of them."""

    delivered = 0

    def change(self, frame: Frame) -> Frame:
        return frame

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame: Frame = await self.inner.expose(kind, exposure_s)
        if kind is not FrameKind.BIAS:
            return frame
        type(self).delivered += 1
        return self.change(frame)


class Wrong(Counted):
    """Says of every bias that its gain is another one."""

    def change(self, frame: Frame) -> Frame:
        return replace(frame, settings=ReadoutSettings(gain=10, offset=50))


class Glowing(Counted):
    """Delivers good biases first, then bright ones."""

    def change(self, frame: Frame) -> Frame:
        return frame if self.delivered < 11 else replace(frame, pixels=frame.pixels + np.uint16(5000 + self.delivered))


@pytest.mark.parametrize(("camera", "outcome"), [(Wrong, NightOutcome.ABORTED), (Glowing, NightOutcome.INCOMPLETE)])
async def test_a_set_that_is_given_up_loses_no_frame_on_its_way_to_the_disk(
    camera: type[Counted], outcome: NightOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivered_frames, "in_thread", slowly)
    monkeypatch.setattr(set_frames, "in_thread", slowly)
    monkeypatch.setattr(camera, "delivered", 0)
    sets = tuple(each.model_copy(update={"count": 12}) for each in short().sets if each.kind is FrameKind.BIAS)
    night = await run_night(short().model_copy(update={"sets": sets}), SMALL, tmp_path, Rigged(camera=camera))
    assert night.outcome is outcome, night.of(NightEnded)
    kept = [path for path in night.folder.rglob("bias_*.fits") if path.parent.name != "masters"]
    assert len(kept) == camera.delivered
