"""Nights with a deadline."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import (
    FrameAccepted,
    MasterWritten,
    NightStarted,
    SetResized,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.rig import Rig
from tests.nights.nights import START, NightRun, run_night, tiny

pytestmark = pytest.mark.looptime
SMALL = tiny(load_rig("small"))


def with_darks(exposure_s: float, count: int) -> Settings:
    """Return a night of the small rig with other darks."""
    settings = load_settings(example_night("small"))
    sets = tuple(
        each.model_copy(update={"exposure_s": exposure_s, "count": count}) if each.kind is FrameKind.DARK else each
        for each in settings.sets
    )
    return settings.model_copy(update={"sets": sets})


async def until(minutes: float, settings: Settings, folder: Path) -> NightRun:
    return await run_night(settings, SMALL, folder, deadline=START + timedelta(minutes=minutes))


async def test_a_night_with_enough_time_is_like_one_without_a_deadline(tmp_path: Path) -> None:
    night = await until(600, with_darks(2.0, 20), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    assert night.of(SetResized) == []


async def test_a_set_gets_as_many_frames_as_fit(tmp_path: Path) -> None:
    night = await until(30, with_darks(60.0, 30), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    (started,) = night.of(NightStarted)
    dark = next(step for step in started.steps if step.kind is FrameKind.DARK)
    resized = [event for event in night.of(SetResized) if event.step == dark.number]
    accepted = [event for event in night.of(FrameAccepted) if event.step == dark.number]
    assert 20 <= len(accepted) == resized[-1].count < 30
    # By then, the night has measured that this camera reads out faster than assumed.
    assert resized[-1].count > resized[0].count
    last = accepted[-1]
    assert START + timedelta(minutes=28) < last.at <= START + timedelta(minutes=30)


async def test_a_set_without_time_is_not_begun(tmp_path: Path) -> None:
    night = await until(15, with_darks(60.0, 30), tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    skipped = [ended for ended in night.of(StepEnded) if ended.outcome is StepOutcome.SKIPPED]
    assert len(skipped) == 1
    assert "no time for it before" in skipped[0].reason
    assert not list((night.folder / "darks").glob("*/*.fits"))
    assert len(night.of(MasterWritten)) == 5


async def test_after_the_deadline_nothing_is_shot_and_the_rig_is_made_safe(tmp_path: Path) -> None:
    night = await until(-1, with_darks(2.0, 20), tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert night.of(FrameAccepted) == []
    outcomes = [ended.outcome for ended in night.of(StepEnded)]
    assert outcomes == [StepOutcome.SKIPPED] * (len(outcomes) - 1) + [StepOutcome.DONE]


class SlowAtDarks:
    """A camera that suddenly takes a minute to deliver a dark."""

    def __init__(self, inner: Camera) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame = await self.inner.expose(kind, exposure_s)
        await asyncio.sleep(60.0 if kind is FrameKind.DARK else 0.0)
        return frame


async def test_a_set_that_takes_too_long_ends_with_the_frames_it_has(tmp_path: Path) -> None:
    settings = with_darks(60.0, 20)
    night = await run_night(
        settings,
        SMALL,
        tmp_path,
        lambda rig: Rig(SlowAtDarks(rig.camera), rig.panel, rig.wheel),
        deadline=START + timedelta(minutes=30),
    )
    assert night.outcome is NightOutcome.INCOMPLETE
    darks = [event for event in night.of(FrameAccepted) if event.exposure_s == 60]
    assert 5 <= len(darks) < 20
    assert darks[-1].at < START + timedelta(minutes=31)
    (failed,) = (ended for ended in night.of(StepEnded) if ended.outcome is StepOutcome.FAILED)
    assert "the time is up" in failed.reason
    assert f"{len(darks)} of 20 frames" in failed.reason
