"""Where a watcher gets a night from: events with their beginning and end, however they come here."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.watching.messages import Answer, Command


@dataclass(frozen=True, slots=True)
class Attached:
    """A run is there; `events` are all that has happened, the last picture included."""

    events: tuple[Event, ...]
    allows_commands: bool


@dataclass(frozen=True, slots=True)
class Detached:
    """No run is there; `reason` says why in words, and it goes on being looked for."""

    reason: str


Update = Attached | Detached | Event | Answer


class NightSource(Protocol):
    """A run somewhere, found again whenever it is lost."""

    def updates(self) -> AsyncGenerator[Update, None]:
        """Yield what is new, without end: `Attached` first or after `Detached`, then events and answers."""
        ...

    def send(self, command: Command) -> str | None:
        """Send a command; return why that is not possible, None where an `Answer` will come."""
        ...
