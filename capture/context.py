"""What every part of a night works with."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from coldframe.capture.clock import NightClock, clock_text
from coldframe.capture.events import Event, EventStream, Notice, Severity
from coldframe.capture.night_folder import NightFolder
from coldframe.capture.retries import Retries
from coldframe.capture.steering import Steering
from coldframe.config.settings import Settings
from coldframe.devices.rig import Rig


class StepFailedError(Exception):
    """A step of the night cannot be done; the text says why, and the steps that do not need it go on."""


class StepSkippedError(StepFailedError):
    """A step was not tried, because what it builds on is missing."""


@dataclass(frozen=True, slots=True)
class NightContext:
    """The rig, what is wanted of it, where things go, and by when the last frame must be in (None: no matter)."""

    settings: Settings
    rig: Rig
    folder: NightFolder
    events: EventStream
    clock: NightClock
    retries: Retries
    steering: Steering
    deadline: datetime | None = None

    def require_time(self, exposure_s: float) -> None:
        """Do nothing if an exposure can end before the deadline.

        Raises
        ------
        StepFailedError
            It cannot.
        """
        self.events.beat()
        if self.deadline is not None and self.clock.now() + timedelta(seconds=exposure_s) > self.deadline:
            raise StepFailedError(f"the time is up: the last frame was to be in by {clock_text(self.deadline)}")

    def worked_s(self) -> float:
        """Return the seconds since the night's clock started, without those for which it was paused."""
        return self.clock.elapsed_s() - self.steering.waited_s

    def tell(self, event: Event) -> None:
        """Publish an event."""
        self.events.publish(event)

    def notice(self, severity: Severity, text: str) -> None:
        """Publish something people should read."""
        self.events.publish(Notice(self.clock.now(), severity, text))
