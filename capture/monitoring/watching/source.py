"""The interface between a watcher and the run that it watches, on this machine or on another."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.watching.messages import Answer, Command


@dataclass(frozen=True, slots=True)
class Attached:
    """A run has been found. `events` contains all events so far, including the last picture."""

    events: tuple[Event, ...]
    allows_commands: bool


@dataclass(frozen=True, slots=True)
class Detached:
    """No run is attached, for the given reason. The source continues to search for a run.

    The source may repeat this update, so that a watcher notices other changes, such as storage that has been mounted.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Silent:
    """The run is attached, but has been silent for so long that it might have frozen."""


Update = Attached | Detached | Silent | Event | Answer


class NightSource(Protocol):
    """A source that follows a run on any machine. Whenever the run is lost, the source searches for the next run."""

    def updates(self) -> AsyncGenerator[Update, None]:
        """Yield updates indefinitely. Events and answers follow only after `Attached`."""
        ...

    def send(self, command: Command) -> str | None:
        """Send a command. Return None if an `Answer` is to follow, or the reason why the command cannot be sent."""
        ...
