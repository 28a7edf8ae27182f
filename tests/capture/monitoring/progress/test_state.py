"""The state of a night after its events."""

from datetime import UTC, datetime, timedelta

from coldframe.capture.events.kinds import (
    NightEnded,
    NightStarted,
    SetResized,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    SkippedBy,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DARK = PlannedStep(1, "dark 300 s", FrameKind.DARK, None, 30, 300.0, 9030.0, StepType.SHOOT)
STARTED = NightStarted(AT, "/night", "Camera", None, None, 100, 100, (DARK,))
FEWER = SetResized(AT, 1, 24, 7224.0, "as the last frame must be in by 06:30")
NONE = SetResized(AT, 1, 0, 0.0, "as the last frame must be in by 06:30")


def test_the_remaining_time_follows_the_size_of_a_set() -> None:
    state = DashboardState()
    for event in (STARTED, FEWER):
        state.apply(event)
    assert state.steps[1].planned.count == 24
    assert state.outlook(AT).remaining_s < DARK.estimate_s
    state.apply(NONE)
    assert state.outlook(AT + timedelta(minutes=1)).remaining_s == 0
    assert 0 <= state.done_fraction(AT + timedelta(minutes=1)) <= 1


def test_a_step_keeps_the_fields_of_its_end_until_it_starts_again() -> None:
    state = DashboardState()
    for event in (STARTED, StepStarted(AT, 1), StepEnded(AT, 1, StepOutcome.SKIPPED, "x", SkippedBy.USER)):
        state.apply(event)
    (step,) = state.missing
    assert (step.outcome, step.reason, step.skipped_by) == (StepOutcome.SKIPPED, "x", SkippedBy.USER)
    assert not state.is_stopping
    state.apply(StepStarted(AT, 1))
    assert (step.outcome, step.reason, step.skipped_by) == (None, "", None)


def test_a_step_that_the_end_of_the_night_skips_shows_that_it_is_stopping() -> None:
    state = DashboardState()
    for event in (STARTED, StepStarted(AT, 1), StepEnded(AT, 1, StepOutcome.SKIPPED, "x", SkippedBy.NIGHT_ENDED)):
        state.apply(event)
    assert state.is_stopping


def test_the_connection_of_a_night_that_has_ended_is_not_lost() -> None:
    state = DashboardState()
    state.apply(STARTED)
    state.lose()
    assert state.lost_at == AT
    state.apply(NightEnded(AT, NightOutcome.COMPLETE, "", rig_is_safe=True))
    state.lost_at = None
    state.lose()
    assert state.lost_at is None
