"""What every part of a night works with."""

from dataclasses import dataclass

from coldframe.capture.clock import NightClock
from coldframe.capture.events import Event, EventStream, Notice, Severity
from coldframe.capture.night_folder import NightFolder
from coldframe.capture.retries import Retries
from coldframe.config.settings import Settings
from coldframe.devices.rig import Rig


class StepFailedError(Exception):
    """A step of the night cannot be done; the text says why, and the steps that do not need it go on."""


@dataclass(frozen=True, slots=True)
class NightContext:
    """The rig, what is wanted of it, and where things go."""

    settings: Settings
    rig: Rig
    folder: NightFolder
    events: EventStream
    clock: NightClock
    retries: Retries

    def tell(self, event: Event) -> None:
        """Publish an event."""
        self.events.publish(event)

    def notice(self, severity: Severity, text: str) -> None:
        """Publish something people should read."""
        self.events.publish(Notice(self.clock.now(), severity, text))
