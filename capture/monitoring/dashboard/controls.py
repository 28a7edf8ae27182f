"""What keys do on the dashboard: other views, help, and requests to the night, grave ones after a question. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coldframe.capture.events.kinds import NightStarted
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.watching.messages import Command, Request

MESSAGE_STAYS = timedelta(seconds=8)
"""How long an answer is shown in place of the keys."""

TAB, ESCAPE = "\t", "\x1b"


class Screen(StrEnum):
    """What the dashboard shows."""

    OVERVIEW = "overview"
    PLAN = "plan"
    TUNING = "tuning"
    FRAME = "frame"
    LOG = "log"


SCREENS = tuple(Screen)

Ask = Callable[[Command], str | None]
"""Hands a request on; returns what becomes of it in words, or None where the answer comes later."""


@dataclass(slots=True)
class Controls:
    """What people at the keyboard chose, and what they are to be told.

    Attributes
    ----------
    ask
        Takes requests to the night.
    leave
        Called for the key that closes the dashboard; None where only the night's end does.
    may_ask
        Whether the night would obey: where not, its keys are not shown.
    note
        Stands above the keys until it is taken away.
    """

    ask: Ask
    leave: Callable[[], None] | None = None
    may_ask: bool = True
    note: str = ""
    screen: Screen = Screen.OVERVIEW
    is_help_shown: bool = False
    question: str = ""
    _asked: Command | None = None
    _asked_of: NightStarted | None = None
    _message: str = ""
    _message_until: datetime | None = None

    def say(self, text: str, now: datetime) -> None:
        """Show a sentence for some seconds."""
        self._message, self._message_until = printable(text), now + MESSAGE_STAYS

    def message(self, now: datetime) -> str:
        """Return the sentence to show now, empty where there is none."""
        return self._message if self._message_until is not None and now < self._message_until else ""

    def press(self, key: str, state: DashboardState, now: datetime) -> None:
        """Take a key."""
        self._message = ""
        self.forget_question_of_another(state)
        if self._asked is not None:
            self._answered(key, now)
        elif key == "?" or self.is_help_shown:
            self.is_help_shown = not self.is_help_shown
        elif key == TAB:
            self.screen = SCREENS[(SCREENS.index(self.screen) + 1) % len(SCREENS)]
        elif key in "12345":
            self.screen = SCREENS[int(key) - 1]
        elif key == "q":
            self._leave(now)
        else:
            self._request(key.lower(), state, now)

    def forget_question_of_another(self, state: DashboardState) -> None:
        """Take back a question once the night that it was about is over, or nobody tells of it any more."""
        if self._asked_of is not state.night or state.ended is not None or state.lost_at is not None:
            self._asked, self.question = None, ""

    def _answered(self, key: str, now: datetime) -> None:
        command, self._asked, self.question = self._asked, None, ""
        assert command is not None
        if key.lower() == "y":
            self._send(command, now)
        else:
            self.say("nothing was done", now)

    def _leave(self, now: datetime) -> None:
        if self.leave is None:
            self.say("the dashboard stays for as long as the night does; a, or Ctrl-C, ends the night", now)
        else:
            self.leave()

    def _request(self, key: str, state: DashboardState, now: datetime) -> None:
        self._asked_of = state.night
        match key:
            case "s" | "a" if not self.may_ask:
                self._send(Command(Request.ABORT if key == "a" else Request.SKIP), now)  # is told that it may not
            case "p":
                self._send(Command(Request.RESUME if state.paused else Request.PAUSE), now)
            case "s" if (step := state.step) is not None:
                # By its number: the set may end, and the next one begin, before the question is answered.
                self._asked = Command(Request.SKIP, step.planned.number)
                self.question = f"Skip {printable(step.planned.title)}, and keep its frames so far?"
            case "s":
                self.say("no step is under way", now)
            case "a":
                self._asked = Command(Request.ABORT)
                self.question = "End the night now, and make the rig safe?"
            case _:
                pass

    def _send(self, command: Command, now: datetime) -> None:
        if answer := self.ask(command):
            self.say(answer, now)
