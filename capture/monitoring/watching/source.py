"""The interface between a watcher and the run that it watches, wherever that is."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.watching.messages import Answer, Command


@dataclass(frozen=True, slots=True)
class Attached:
    """A run has been found; `events` are all events so far, including the last picture."""

    events: tuple[Event, ...]
    allows_commands: bool


@dataclass(frozen=True, slots=True)
class Detached:
    """There is no run, for the given reason. The source continues to look for one."""

    reason: str


Update = Attached | Detached | Event | Answer


class NightSource(Protocol):
    """A run on this machine or another one, which is found again whenever it is lost."""

    def updates(self) -> AsyncGenerator[Update, None]:
        """Yield updates, without end; events and answers follow only after `Attached`."""
        ...

    def send(self, command: Command) -> str | None:
        """Send a command; return why that is not possible, or None if an `Answer` will follow."""
        ...
