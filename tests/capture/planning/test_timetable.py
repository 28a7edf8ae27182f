"""Revising the steps of a night as time passes."""

from datetime import UTC, datetime, timedelta

import pytest

from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.planning.timetable import Timetable
from coldframe.capture.steps import ShootStep
from tests.capture.planning.night import night

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def test_a_timetable_without_a_deadline_changes_nothing() -> None:
    table = Timetable(plan_night(night()), night())
    assert table.revise(1, NOW, -10.0) == ()
    assert table.steps == plan_night(night())


def test_a_timetable_returns_only_changed_sets() -> None:
    steps = plan_night(night())
    table = Timetable(steps, night(), NOW + timedelta(hours=5))
    first = table.revise(1, NOW, -10.0)
    assert {steps[change.number - 1].title for change in first} <= {"bias", "dark 60 s", "dark 300 s"}
    assert table.revise(1, NOW, -10.0) == ()
    assert table.steps != steps


def test_a_slow_camera_leaves_time_for_fewer_frames_and_a_fast_one_for_more() -> None:
    steps = plan_night(night())
    exposed_s = []
    for readout_s in (20.0, 1.0, 0.1):
        table = Timetable(steps, night(), NOW + timedelta(hours=5))
        table.revise(1, NOW, -10.0)
        table.learn_set(100, 0.0, 100 * readout_s)
        table.revise(3, NOW + timedelta(minutes=5), -10.0)
        left = [step for number, step in enumerate(table.steps, start=1) if not table.has_no_time(number)]
        exposed_s.append(sum(step.count * (step.exposure_s or 0) for step in left if isinstance(step, ShootStep)))
    assert exposed_s[0] < exposed_s[1] <= exposed_s[2]


def test_steps_that_no_longer_fit_have_no_time() -> None:
    steps = plan_night(night())
    table = Timetable(steps, night(), NOW + timedelta(minutes=20))
    table.revise(1, NOW, -10.0)
    late = [step.title for number, step in enumerate(steps, start=1) if table.has_no_time(number)]
    assert "dark 300 s" in late
    assert "flat L" not in late
    assert "warm up" not in late


@pytest.mark.parametrize("minutes", [0, -5])
def test_after_the_deadline_no_step_has_time(minutes: int) -> None:
    steps = plan_night(night())
    table = Timetable(steps, night(), NOW + timedelta(minutes=minutes))
    table.revise(1, NOW, -10.0)
    assert all(table.has_no_time(number) for number in range(1, len(steps)))
