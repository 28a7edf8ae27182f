"""The interface between a watcher and the run that it watches, on this machine or another one."""

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
    """There is no run, for the given reason. The source continues to search for one."""

    reason: str


Update = Attached | Detached | Event | Answer


class NightSource(Protocol):
    """A run on this machine or another one. Whenever the run is lost, the source searches for the next one."""

    def updates(self) -> AsyncGenerator[Update, None]:
        """Yield updates, without end. Events and answers follow only after `Attached`."""
        ...

    def send(self, command: Command) -> str | None:
        """Send a command. Return why it cannot be sent, or None if an `Answer` will follow."""
        ...
