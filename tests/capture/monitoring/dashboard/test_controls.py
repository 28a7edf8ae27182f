"""The keys of the dashboard, and the drawing of their effects."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from coldframe.capture.events.kinds import (
    ExposureStarted,
    NightPaused,
    NightResumed,
    NightStarted,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.values import (
    PlannedStep,
    SkippedBy,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.dashboard.controls import MESSAGE_STAYS, TAB, Controls, View
from coldframe.capture.monitoring.dashboard.layout import render
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.messages import Command, Request
from coldframe.config.frames import FrameKind

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
STEPS = tuple(
    PlannedStep(number, f"dark {number} s", FrameKind.DARK, None, 30, number, 99.0, StepType.SHOOT)
    for number in range(1, 31)
)
SIZES = [(80, 24), (120, 40), (200, 50), (60, 15), (40, 8), (20, 5), (3, 2), (1, 1)]


class RecordingSender:
    """Records commands and answers them."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def __call__(self, command: Command) -> str | None:
        self.commands.append(command)
        return f"{command.request.value} it is"


@pytest.fixture
def sender() -> RecordingSender:
    return RecordingSender()


@pytest.fixture
def state() -> DashboardState:
    state = DashboardState()
    for event in (
        NightStarted(AT, "/night", "Camera", None, None, 100, 80, STEPS),
        StepStarted(AT, 3),
        ExposureStarted(AT, 3, FrameKind.DARK, 600.0),
    ):
        state.apply(event)
    return state


def drawn(state: DashboardState, controls: Controls, size: tuple[int, int] = (80, 24), now: datetime = AT) -> str:
    console = Console(width=size[0], height=size[1], force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(render(state, *size, now, controls))
    return capture.get()


def press(controls: Controls, state: DashboardState, keys: str, now: datetime = AT) -> None:
    for key in keys:
        controls.press(key, state, now)


def test_numbers_and_tab_choose_the_view(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    seen = []
    for key in "12345":
        press(controls, state, key)
        seen.append(controls.view)
    assert seen == list(View)
    for _ in range(2):
        press(controls, state, TAB)
        seen.append(controls.view)
    assert seen[-2:] == [View.OVERVIEW, View.PLAN]
    assert sender.commands == []


def test_help_is_shown_until_the_next_key(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    press(controls, state, "?")
    text = drawn(state, controls)
    assert "pause after the current frame" in text
    assert "…" not in text
    press(controls, state, "a")
    assert not controls.is_help_shown
    assert controls.question == ""
    assert sender.commands == []


def test_pausing_needs_no_confirmation_and_the_same_key_resumes(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    press(controls, state, "p")
    assert "pause it is" in drawn(state, controls)
    state.apply(NightPaused(AT))
    press(controls, state, "p")
    assert sender.commands == [Command(Request.PAUSE), Command(Request.RESUME)]


@pytest.mark.parametrize("key", ["n", "q", " ", "\x1b", "a", "s", "1"])
def test_only_y_confirms(sender: RecordingSender, state: DashboardState, key: str) -> None:
    controls = Controls(sender, close=lambda: pytest.fail("the key answered a question"))
    press(controls, state, f"a{key}")
    assert sender.commands == []
    assert "cancelled" in drawn(state, controls)
    press(controls, state, "y")
    assert sender.commands == []


@pytest.mark.parametrize("yes", ["y", "Y"])
def test_aborting_needs_confirmation(sender: RecordingSender, state: DashboardState, yes: str) -> None:
    controls = Controls(sender)
    press(controls, state, "a")
    assert "End the night now" in drawn(state, controls)
    assert sender.commands == []
    press(controls, state, yes)
    assert sender.commands == [Command(Request.ABORT)]


def test_confirmation_skips_the_set_of_the_question_and_not_its_successor(
    sender: RecordingSender, state: DashboardState
) -> None:
    controls = Controls(sender)
    press(controls, state, "s")
    assert "Skip dark 3 s" in drawn(state, controls)
    state.apply(StepStarted(AT, 4))
    press(controls, state, "y")
    assert sender.commands == [Command(Request.SKIP, 3)]


def test_nothing_is_skipped_without_a_step(sender: RecordingSender) -> None:
    controls = Controls(sender)
    press(controls, DashboardState(), "s")
    assert "no step is under way" in drawn(DashboardState(), controls)
    press(controls, DashboardState(), "y")
    assert sender.commands == []


def test_only_watchers_can_quit(sender: RecordingSender, state: DashboardState) -> None:
    closed = []
    press(Controls(sender, close=lambda: closed.append(1)), state, "q")
    assert closed == [1]
    controls = Controls(sender)
    press(controls, state, "q")
    assert "stays open until the night ends" in drawn(state, controls)
    assert sender.commands == []


def test_messages_disappear_after_some_seconds(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    controls.show_message("paused\x1b[2J after\nthis", AT)
    assert "paused [2J after this" in drawn(state, controls)
    assert "paused" not in drawn(state, controls, now=AT + MESSAGE_STAYS)


def test_keys_of_commands_are_hidden_if_they_are_not_allowed(sender: RecordingSender, state: DashboardState) -> None:
    assert "a abort" in drawn(state, Controls(sender))
    assert "abort" not in drawn(state, Controls(sender, allows_commands=False))


def test_pause_is_shown_in_words(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    state.apply(NightPaused(AT))
    assert "Pausing after this frame" in drawn(state, controls)
    later = AT + timedelta(seconds=700)
    text = drawn(state, controls, now=later)
    assert "Paused since 03:12:00" in text
    assert "no exposure until the night is resumed" in text
    assert "p resume" in text
    state.apply(NightResumed(later))
    assert "aused" not in drawn(state, controls, now=later).partition("Latest")[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("view", View)
def test_nothing_overflows(sender: RecordingSender, state: DashboardState, size: tuple[int, int], view: View) -> None:
    for keys in ("", "?", "a", "s", "p"):
        controls = Controls(sender, note="the run is gone; showing the last night, 2026-11-22", view=view)
        press(controls, state, keys)
        lines = drawn(state, controls, size).splitlines()
        assert len(lines) == size[1]
        assert all(len(line) == size[0] for line in lines)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("view", View)
def test_each_view_shows_verdict_its_name_and_the_keys(
    sender: RecordingSender, state: DashboardState, size: tuple[int, int], view: View
) -> None:
    text = drawn(state, Controls(sender, view=view), size)
    for words in ("All well", "dark 3 s", f"[{view}]", "? help", "p pause", "s skip", "a abort"):
        assert words in text


def test_question_is_withdrawn_when_its_night_is_replaced(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender)
    press(controls, state, "a")
    assert "End the night now" in drawn(state, controls)
    state.apply(NightStarted(AT + timedelta(minutes=1), "/night-2", "Camera", None, None, 100, 80, STEPS))
    assert "End the night now" not in drawn(state, controls)
    press(controls, state, "y")
    assert sender.commands == []


def test_forbidden_commands_are_sent_without_a_question(sender: RecordingSender, state: DashboardState) -> None:
    controls = Controls(sender, allows_commands=False)
    press(controls, state, "a")
    assert controls.question == ""
    assert sender.commands == [Command(Request.ABORT)]  # the answer is the reason of the refusal


def test_ending_night_shows_it_and_has_no_time_left(sender: RecordingSender, state: DashboardState) -> None:
    state.apply(StepEnded(AT, 3, StepOutcome.SKIPPED, "ended", SkippedBy.NIGHT_ENDED))
    shown = drawn(state, Controls(sender))
    assert "Ending, making the rig safe" in shown
    assert "continuing" not in shown
    assert state.outlook(AT).remaining_s == 0


def test_progress_stands_still_during_a_pause(state: DashboardState) -> None:
    state.apply(NightPaused(AT + timedelta(minutes=5)))
    before, after = (state.done_fraction(AT + timedelta(minutes=minutes)) for minutes in (5, 25))
    assert before == after > 0
    state.apply(NightResumed(AT + timedelta(minutes=25)))
    assert state.done_fraction(AT + timedelta(minutes=25)) == pytest.approx(before, rel=0.2)
