"""A set that gets fewer frames than planned, as the log and the dashboard tell it."""

from datetime import UTC, datetime, timedelta

from coldframe.capture.events.kinds import HookEnded, NightStarted, PlannedStep, SetResized, Severity, StepType
from coldframe.capture.monitoring.progress.narrator import Narrator, severity_of
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.storage.journal import encode_event
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DARK = PlannedStep(1, "dark 300 s", FrameKind.DARK, None, 30, 300.0, 9030.0, StepType.SHOOT)
STARTED = NightStarted(AT, "/night", "Camera", None, None, 100, 100, (DARK,))
FEWER = SetResized(AT, 1, 24, 7224.0, "as the last frame must be in by 06:30")
NONE = SetResized(AT, 1, 0, 0.0, "as the last frame must be in by 06:30")


def test_it_is_a_warning_in_words() -> None:
    narrator = Narrator()
    narrator.tell(STARTED)
    told = narrator.tell(FEWER)
    assert told is not None
    assert (told.severity, told.text) == (
        Severity.WARNING,
        "dark 300 s: 24 frames, as the last frame must be in by 06:30",
    )
    left_out = narrator.tell(NONE)
    assert left_out is not None
    assert left_out.text.startswith("dark 300 s: left out, ")


def test_the_dashboard_expects_as_much_as_will_come() -> None:
    state = DashboardState()
    for event in (STARTED, FEWER):
        state.apply(event)
    assert state.steps[1].planned.count == 24
    assert state.outlook(AT).remaining_s < DARK.estimate_s
    state.apply(NONE)
    assert state.outlook(AT + timedelta(minutes=1)).remaining_s == 0
    assert 0 <= state.done_fraction(AT + timedelta(minutes=1)) <= 1


def test_a_hook_is_told_by_what_became_of_it() -> None:
    done, failed = HookEnded(AT, "park", "", "parked"), HookEnded(AT, "park", "failed with exit status 1", "")
    assert [severity_of(event) for event in (done, failed)] == [Severity.INFO, Severity.ERROR]
    narrator = Narrator()
    told = [narrator.tell(event) for event in (done, failed)]
    assert [each.text for each in told if each] == ["park: done", "park: failed with exit status 1"]
    assert '"output": "parked"' in encode_event(done)
