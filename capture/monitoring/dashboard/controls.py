"""The keys of the dashboard. They change the view, show help, and send commands to the night.

This module performs no I/O.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coldframe.capture.events.kinds import NightStarted
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.messages import Command, Request

MESSAGE_STAYS = timedelta(seconds=8)
"""Time for which a message is shown in place of the keys."""

TAB = "\t"


class View(StrEnum):
    """The views of the dashboard."""

    OVERVIEW = "overview"
    PLAN = "plan"
    TUNING = "tuning"
    FRAME = "frame"
    LOG = "log"


VIEWS = tuple(View)

SendCommand = Callable[[Command], str | None]
"""A function that sends a command to the night, and returns the answer, or None if the answer will follow later."""


@dataclass(slots=True)
class Controls:
    """The choices that the user makes with the keyboard, and the messages for the user.

    Attributes
    ----------
    send
        Function that sends a command to the night.
    close
        Function that closes the dashboard; None if the dashboard stays open until the night ends.
    allows_commands
        Whether the night accepts commands. If it does not, the command keys are hidden.
    note
        A line above the keys, shown until it is cleared.
    question
        Question that asks for confirmation of a command; empty if no command is pending.
    """

    send: SendCommand
    close: Callable[[], None] | None = None
    allows_commands: bool = True
    note: str = ""
    view: View = View.OVERVIEW
    is_help_shown: bool = False
    question: str = ""
    _pending: Command | None = None
    _pending_for: NightStarted | None = None
    _message: str = ""
    _message_until: datetime | None = None

    def show_message(self, text: str, now: datetime) -> None:
        """Show a message for `MESSAGE_STAYS`."""
        self._message, self._message_until = printable(text), now + MESSAGE_STAYS

    def message(self, now: datetime) -> str:
        """Return the message to show now, or an empty string."""
        return self._message if self._message_until is not None and now < self._message_until else ""

    def press(self, key: str, state: DashboardState, now: datetime) -> None:
        """Handle a key press."""
        self._message = ""
        self.withdraw_outdated_question(state)
        if self._pending is not None:
            self._answer(key, now)
        elif key == "?" or self.is_help_shown:
            self.is_help_shown = not self.is_help_shown
        elif key == TAB:
            self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
        elif key in "12345":
            self.view = VIEWS[int(key) - 1]
        elif key == "q":
            self._quit(now)
        else:
            self._request(key.lower(), state, now)

    def withdraw_outdated_question(self, state: DashboardState) -> None:
        """Withdraw a question about a night that is over or out of contact; no later night may get the answer."""
        if self._pending_for is not state.night or state.ended is not None or state.lost_at is not None:
            self._pending, self.question = None, ""

    def _answer(self, key: str, now: datetime) -> None:
        command, self._pending, self.question = self._pending, None, ""
        assert command is not None
        if key.lower() == "y":
            self._send(command, now)
        else:
            self.show_message("cancelled", now)

    def _quit(self, now: datetime) -> None:
        if self.close is None:
            self.show_message("the dashboard stays open until the night ends; press a or Ctrl-C to end the night", now)
        else:
            self.close()

    def _request(self, key: str, state: DashboardState, now: datetime) -> None:
        self._pending_for = state.night
        match key:
            case "s" | "a" if not self.allows_commands:
                self._send(
                    Command(Request.ABORT if key == "a" else Request.SKIP), now
                )  # the answer is the reason for the refusal
            case "p":
                self._send(Command(Request.RESUME if state.paused else Request.PAUSE), now)
            case "s" if (step := state.step) is not None:
                # The command contains the number of the step, because the next step may begin before the user answers.
                self._pending = Command(Request.SKIP, step.planned.number)
                self.question = f"Skip {printable(step.planned.title)} and keep its frames so far?"
            case "s":
                self.show_message("no step is under way", now)
            case "a":
                self._pending = Command(Request.ABORT)
                self.question = "End the night now and make the rig safe?"
            case _:
                pass

    def _send(self, command: Command, now: datetime) -> None:
        if answer := self.send(command):
            self.show_message(answer, now)
