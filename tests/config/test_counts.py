"""Counts of frames, given as numbers or as noise goals."""

from typing import Any

import pytest
from pydantic import ValidationError

from coldframe.config.counts import NoiseGoal
from coldframe.config.frames import FrameKind
from coldframe.config.tables.sets import FrameSet, LightsSettings


def frame_set(**values: Any) -> FrameSet:
    return FrameSet.model_validate({"kind": "dark", "exposure_s": 60.0} | values)


def test_a_percentage_is_a_goal_within_good_practice() -> None:
    goal = frame_set(count="2 %")
    assert (goal.count, goal.bounds, goal.planned_frames) == (NoiseGoal(0.02), (20, 50), 25)
    assert frame_set(count="0.5%").planned_frames == 50
    assert frame_set(count="10 %").planned_frames == 20
    bias = FrameSet(kind=FrameKind.BIAS, count=NoiseGoal(0.02))
    assert (bias.bounds, bias.planned_frames) == ((100, 500), 100)


def test_bounds_can_be_set() -> None:
    assert frame_set(count="2 %", at_least=5).bounds == (5, 50)
    assert frame_set(count="2 %", at_most=10).bounds == (10, 10)
    assert frame_set(count="2 %", at_least=80).bounds == (80, 80)


@pytest.mark.parametrize("count", [0, 10_001, True, 2.0, "2", "60 %", "0.01 %", "-2 %", "2 %%", None, {"noise": 0.02}])
def test_other_values_are_refused_with_the_allowed_ones(count: object) -> None:
    with pytest.raises(ValidationError, match=r"a whole number from 1 up to 10000, or the noise"):
        frame_set(count=count)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"count": 30, "at_least": 20}, "found 20 with count = 30"),
        ({"count": "2 %", "at_least": 30, "at_most": 20}, "found 30; allowed: up to at_most = 20"),
    ],
)
def test_contradicting_bounds_are_refused(values: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        frame_set(**values)


def test_counts_for_lights_may_be_zero() -> None:
    lights = LightsSettings.model_validate({"bias": 0, "dark": "1 %"})
    assert (lights.bias, lights.dark) == (0, NoiseGoal(0.01))


def test_a_goal_is_written_as_it_was_configured() -> None:
    dumped = frame_set(count="2.5 %").model_dump()
    assert dumped["count"] == "2.5 %"
    assert FrameSet.model_validate(dumped) == frame_set(count="2.5 %")
