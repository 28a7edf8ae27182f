"""The terminal output of a run: a dashboard, lines of text, or JSON lines."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from coldframe.capture.events.stream import EventStream, Subscriber
from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.keyboard import Keyboard
from coldframe.capture.monitoring.dashboard.terminal import Dashboard
from coldframe.capture.monitoring.progress.line_logs import JsonLog, LineLog
from coldframe.capture.monitoring.watching.messages import obey
from coldframe.capture.session.steering import Steering
from coldframe.cli.covered import can_ask, is_covered


@dataclass(frozen=True, slots=True)
class Screen:
    """The form in which a run shows its events.

    Attributes
    ----------
    wants_dashboard
        True to draw the dashboard if standard output is a terminal. Otherwise, lines of text are printed.
    wants_json
        True to print JSON lines instead of the dashboard or the lines of text.
    may_ask
        False if the run must ask no questions, because no user is waiting for the start of the night.
    """

    wants_dashboard: bool
    wants_json: bool
    may_ask: bool = False

    def lines(self) -> Subscriber:
        """Return a subscriber that prints a line for each event."""
        return JsonLog(sys.stdout) if self.wants_json else LineLog(sys.stdout)

    def line(self, text: str) -> None:
        """Print part of the result; to standard error if JSON lines are requested, so that these are not disturbed."""
        print(text, file=sys.stderr if self.wants_json else sys.stdout, flush=True)

    def notice(self, text: str) -> None:
        """Print a message that may need the user's attention."""
        with suppress(OSError):  # the terminal may be closed
            print(text, file=sys.stderr)

    async def is_covered(self) -> bool:
        """Ask whether the telescope is covered, and return the answer; True if the question cannot be asked."""
        return not (self.may_ask and can_ask()) or await is_covered()

    @asynccontextmanager
    async def shown(self, events: EventStream, steering: Steering) -> AsyncIterator[None]:
        """Show events for the duration of the block, and accept commands from the keyboard of the dashboard."""
        async with AsyncExitStack() as screen:
            subscriber = self.lines()
            if not self.wants_json and self._has_terminal():
                with suppress(OSError):  # if the terminal cannot be opened, lines of text are printed instead
                    controls = Controls(partial(obey, steering))
                    dashboard = Dashboard(sys.stdout.fileno(), controls=controls)
                    subscriber = await screen.enter_async_context(dashboard)
                    if sys.stdin is not None:
                        await screen.enter_async_context(Keyboard(sys.stdin.fileno(), dashboard.press))
            events.subscribe(subscriber)
            yield

    def _has_terminal(self) -> bool:
        return self.wants_dashboard and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
