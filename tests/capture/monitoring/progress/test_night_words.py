"""The words for moments that the recorded nights do not contain."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from coldframe.capture.events.kinds import NightPaused, NightStarted, Notice, TemperatureRead
from coldframe.capture.events.values import PlannedStep, Severity, StepType
from coldframe.capture.monitoring.progress.night_words import activity_of, clock, ending, verdict_of
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.dashboard.test_dashboard import DUSK


@pytest.mark.parametrize("estimate_s", [math.nan, math.inf, 1e300, -1e300])
def test_an_invalid_estimate_gives_no_end(estimate_s: float) -> None:
    state = DashboardState()
    step = PlannedStep(1, "dark", FrameKind.DARK, None, 5, 1.0, estimate_s, StepType.SHOOT)
    state.apply(NightStarted(DUSK, "/n", "Camera", None, None, 10, 10, (step,)))
    assert ending(state, DUSK) == "done at an unknown time"


def night() -> DashboardState:
    state = DashboardState()
    step = PlannedStep(1, "dark", FrameKind.DARK, None, 5, 1.0, 9.0, StepType.SHOOT)
    state.apply(NightStarted(DUSK, "/n", "Camera", None, None, 10, 10, (step,)))
    return state


def test_many_warnings_hide_no_error() -> None:
    state = night()
    state.apply(Notice(DUSK, Severity.ERROR, "the panel gave no light"))
    for _ in range(45):
        state.apply(Notice(DUSK, Severity.WARNING, "rejected"))
    assert verdict_of(state, DUSK).words == "Errors, continuing"
    assert "the panel gave no light" in next(line.text for line in state.problems)
    assert state.problems.total == 46


def test_all_warnings_are_counted() -> None:
    state = night()
    for _ in range(45):
        state.apply(Notice(DUSK, Severity.WARNING, "rejected"))
    assert verdict_of(state, DUSK).words == "Running, 45 warnings"
    assert len(list(state.problems)) == 40


def test_a_silent_night_is_not_well_until_its_next_event() -> None:
    state = night()
    state.apply(TemperatureRead(DUSK, None, None, None))
    later = DUSK + timedelta(hours=5)
    state.apply(NightPaused(DUSK))
    assert verdict_of(state, later).words.startswith("Paus")
    state.fall_silent()
    assert verdict_of(state, later).words == "No news since 02:10"
    assert activity_of(state, later).is_halted
    assert not state.is_reading_current
    state.apply(TemperatureRead(later, -10.0, -10.0, 40.0))
    assert verdict_of(state, later).words.startswith("Paus")
    assert state.is_reading_current


def test_times_of_other_nights_have_a_date() -> None:
    assert clock(DUSK, DUSK + timedelta(hours=10)) == "02:10:00"
    assert clock(DUSK, DUSK + timedelta(days=3), "%H:%M") == "02:10 on 22 November"
    # Such a time has no equivalent in a time zone to the west.
    now = DUSK.astimezone(timezone(timedelta(hours=-5)))
    assert clock(datetime(1, 1, 1, tzinfo=UTC), now) == "an unknown time"
