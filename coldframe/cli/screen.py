"""The terminal output of a run: a dashboard, lines of text, or JSON lines."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from coldframe.capture.events.stream import EventStream, Subscriber
from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.keyboard import Keyboard
from coldframe.capture.monitoring.dashboard.terminal import Dashboard
from coldframe.capture.monitoring.progress.line_logs import JsonLog, LineLog
from coldframe.capture.monitoring.watching.messages import obey
from coldframe.capture.session.steering import Steering


@dataclass(frozen=True, slots=True)
class Screen:
    """The form in which a run shows its events.

    Attributes
    ----------
    wants_dashboard
        Draw the dashboard if stdout is a terminal; lines of text if it is not.
    wants_json
        Print JSON lines instead.
    """

    wants_dashboard: bool
    wants_json: bool

    def lines(self) -> Subscriber:
        """Return a subscriber that prints a line for each event."""
        return JsonLog(sys.stdout) if self.wants_json else LineLog(sys.stdout)

    @property
    def report_output(self) -> TextIO:
        """The stream for the path of the report; it never carries JSON lines."""
        return sys.stderr if self.wants_json else sys.stdout

    @asynccontextmanager
    async def shown(self, events: EventStream, steering: Steering) -> AsyncIterator[None]:
        """Show events for the duration of the block, and accept commands from the keyboard of the dashboard."""
        async with AsyncExitStack() as screen:
            subscriber = self.lines()
            if not self.wants_json and self._has_terminal():
                with suppress(OSError):  # a terminal that cannot be opened still gets lines
                    controls = Controls(partial(obey, steering))
                    dashboard = Dashboard(sys.stdout.fileno(), controls=controls)
                    subscriber = await screen.enter_async_context(dashboard)
                    if sys.stdin is not None:
                        await screen.enter_async_context(Keyboard(sys.stdin.fileno(), dashboard.press))
            events.subscribe(subscriber)
            yield

    def _has_terminal(self) -> bool:
        return self.wants_dashboard and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
