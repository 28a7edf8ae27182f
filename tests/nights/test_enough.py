"""Nights whose sets end when they have enough frames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.capture.events.kinds import (
    FrameAccepted,
    MasterWritten,
    NightStarted,
    Notice,
    SetResized,
)
from coldframe.capture.events.values import NightOutcome
from coldframe.config.counts import LightNoise, NoiseGoal
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import load_rig
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import Camera, Frame
from coldframe.devices.rig import Rig
from tests.nights.nights import NightRun, run_night, tiny

pytestmark = pytest.mark.looptime
SMALL = tiny(load_rig("small"))


def night_of(*sets: dict[str, object]) -> Settings:
    settings = load_settings(example_night("small"))
    return settings.model_copy(update={"sets": tuple(FrameSet.model_validate(each) for each in sets)})


class Meddled:
    """A camera that alters its frames before it delivers them."""

    def __init__(self, camera: Camera, change: Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]]) -> None:
        self._camera = camera
        self._change = change
        self._shot = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Frame:
        frame = await self._camera.expose(kind, exposure_s)
        changed = np.clip(np.rint(self._change(frame.pixels.astype(float), self._shot)), 0, 65535)
        self._shot += 1
        return replace(frame, pixels=changed.astype(np.uint16))


def meddled(change: Callable[[np.ndarray[Any, Any], int], np.ndarray[Any, Any]]) -> Callable[[Rig], Rig]:
    return lambda rig: replace(rig, camera=Meddled(rig.camera, change))


DARKS: dict[str, object] = {"kind": "dark", "count": "2 %", "exposure_s": 1.0, "setpoint_c": -5.0}


def accepted(night: NightRun) -> int:
    return len(night.of(FrameAccepted))


async def test_good_frames_meet_two_percent_with_the_planned_count(tmp_path: Path) -> None:
    night = await run_night(night_of({**DARKS, "at_most": 49}), SMALL, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    (planned,) = (step for step in night.of(NightStarted)[0].steps if step.kind is FrameKind.DARK)
    assert planned.count == accepted(night) == 25
    assert night.of(SetResized) == []


async def test_a_set_is_smaller_if_the_lights_are_noisier(tmp_path: Path) -> None:
    goal = NoiseGoal(0.02, LightNoise(noise_adu=100.0, signal_adu=1000.0))
    night = await run_night(night_of({**DARKS, "count": goal}), SMALL, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    (resized,) = night.of(SetResized)
    assert resized.count == accepted(night) == 20
    assert "% to the noise of a light" in resized.reason


async def test_a_set_continues_while_its_noise_does_not_fall_and_reports_the_cause(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    jumping = random.random((120, 160)) < 0.04
    states = np.cumsum(random.random((60, 120, 160)) < 0.08, axis=0) % 2

    def telegraph(pixels: np.ndarray[Any, Any], shot: int) -> np.ndarray[Any, Any]:
        changed: np.ndarray[Any, Any] = pixels + 60.0 * jumping * states[shot]
        return changed

    night = await run_night(night_of({**DARKS, "at_most": 35}), SMALL, tmp_path, meddled(telegraph))
    assert accepted(night) > 25
    assert any("pixels jump between levels" in event.reason for event in night.of(SetResized))
    (written,) = night.of(MasterWritten)
    assert written.frames == accepted(night)


async def test_a_set_that_misses_its_goal_reports_it_and_ends(tmp_path: Path) -> None:
    night = await run_night(night_of({**DARKS, "count": "0.5 %", "at_most": 30}), SMALL, tmp_path)
    assert accepted(night) == 30
    assert any("no further frames are shot" in notice.text for notice in night.of(Notice))


async def test_more_darks_are_shot_if_the_amplifier_glows(tmp_path: Path) -> None:
    sensor = SMALL.sensor.model_copy(update={"glow_e_per_s": 200.0})
    night = await run_night(night_of(DARKS), SMALL.model_copy(update={"sensor": sensor}), tmp_path)
    assert accepted(night) == 40
    assert any("amp glow" in event.reason for event in night.of(SetResized))


async def test_the_noise_of_sets_with_a_fixed_count_is_checked_as_well(tmp_path: Path) -> None:
    def drifting(pixels: np.ndarray[Any, Any], shot: int) -> np.ndarray[Any, Any]:
        return pixels + 0.6 * shot

    settings = night_of({**DARKS, "count": 24})
    quiet = await run_night(settings, SMALL, tmp_path / "quiet")
    assert [notice.text for notice in quiet.of(Notice) if "noise" in notice.text] == []
    night = await run_night(settings, SMALL, tmp_path / "drifting", meddled(drifting))
    assert accepted(night) == 24
    assert any("the level drifts" in notice.text for notice in night.of(Notice))
