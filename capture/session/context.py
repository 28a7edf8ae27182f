"""What every part of a night works with."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coldframe.capture.clock import NightClock, clock_text
from coldframe.capture.events.kinds import Event, Notice, Severity, SkippedBy, Topic
from coldframe.capture.events.stream import EventStream
from coldframe.capture.judging.thermometer import FrozenReading
from coldframe.capture.session.retry_budget import Retries
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.config.settings import Settings
from coldframe.devices.rig import Device, Rig
from coldframe.errors import ColdframeError


class StepFailedError(ColdframeError):
    """A step of the night cannot be done; the text says why, and the steps that do not need it go on."""


class StepSkippedError(StepFailedError):
    """A step was not tried, or not finished, for a reason that is no failure: `skipped_by`."""

    def __init__(self, reason: str, skipped_by: SkippedBy = SkippedBy.MISSING_PREREQUISITE) -> None:
        super().__init__(reason)
        self.skipped_by = skipped_by


@dataclass(slots=True)
class Lamp:
    """What is known of the panel's lamp: `is_dark` while it was put out, its cover closed, and nothing done since."""

    is_dark: bool = False


@dataclass(slots=True)
class Announced:
    """What people were told already: the step of the wall clock, in seconds."""

    clock_step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NightContext:
    """The rig, what is wanted of it, where things go, and by when the last frame must be in (None: no matter).

    Of the frames that an earlier run of the night has saved, those that belong to a set count in it.
    """

    settings: Settings
    rig: Rig
    folder: NightFolder
    events: EventStream
    clock: NightClock
    retries: Retries
    saved: SavedFrames
    steering: Steering
    deadline: datetime | None = None
    lamp: Lamp = field(default_factory=Lamp)
    readings: FrozenReading = field(default_factory=FrozenReading)
    announced: Announced = field(default_factory=Announced)

    @property
    def devices(self) -> tuple[Device, ...]:
        """All of the rig, but for what the present set goes on without."""
        return tuple(device for device in self.rig.devices if not self.can_do_without(device.name))

    def can_do_without(self, device: str) -> bool:
        """Tell whether the present set goes on without a device that works no more; a panel must be known as dark."""
        panel = self.rig.panel
        if panel is not None and device == panel.name and (not self.lamp.is_dark or panel.state().lit):
            return False
        return self.retries.breakers.is_left_out(device)

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

    def publish(self, event: Event) -> None:
        """Publish an event."""
        self.events.publish(event)

    def notice(self, severity: Severity, text: str, *, will_retry: bool = False, topic: Topic | None = None) -> None:
        """Publish a notice."""
        self.events.publish(Notice(self.clock.now(), severity, text, will_retry, topic))
