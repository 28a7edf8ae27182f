"""Hold the context of a night: the rig, the settings, the folder, and the state that all parts of the night share."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coldframe.capture.clock import NightClock, clock_text
from coldframe.capture.events.kinds import Event, Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity, SkippedBy, Topic
from coldframe.capture.judging.repeats import NightDigests
from coldframe.capture.judging.thermometer import FrozenReading
from coldframe.capture.planning.light_words import LightWords
from coldframe.capture.session.retry_budget import Retries
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.config.settings import Settings
from coldframe.devices.rig import Device, Rig
from coldframe.errors import ColdframeError


class StepFailedError(ColdframeError):
    """A step of the night failed. Later steps that do not depend on this step still run."""


class StepSkippedError(StepFailedError):
    """A step was not started or not finished, for a reason other than a failure.

    Attributes
    ----------
    skipped_by
        The cause of the skip.
    """

    def __init__(self, reason: str, skipped_by: SkippedBy = SkippedBy.MISSING_PREREQUISITE) -> None:
        super().__init__(reason)
        self.skipped_by = skipped_by


@dataclass(slots=True)
class Lamp:
    """Known state of the panel's lamp.

    Attributes
    ----------
    is_dark
        True from the moment when the lamp is off and the cover is closed until the next command to the panel. If the
        connection to a dark panel is lost, frames that need darkness can still be shot.
    """

    is_dark: bool = False


@dataclass(slots=True)
class Announced:
    """Facts that have already been announced, so that each fact is announced only once.

    Attributes
    ----------
    clock_step_s
        Step of the system clock that was announced last, seconds.
    doubtful_filters
        Pairs of filter names whose flats were possibly shot through the same filter.
    """

    clock_step_s: float = 0.0
    doubtful_filters: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class NightContext:
    """Everything that the parts of a night share.

    Attributes
    ----------
    settings, rig, folder, events, clock
        Configuration, hardware, files, event stream and time of the night.
    retries
        Retry budgets, breakers, and claims on the camera.
    saved
        Frames that an earlier run of this night saved. They count towards the sets to which they belong.
    steering
        The user's requests to pause, skip or abort.
    deadline
        Time by which the last frame must be complete; None if there is no deadline.
    words
        Names from the lights' headers, to be used in the headers of the calibration frames.
    is_for_lights
        True if the sets were planned for lights. Darks must then be shot at the temperature of the lights.
    lamp, readings, announced
        Shared state of the panel's lamp, the thermometer, and announcements.
    digests
        Digests of the frames that this run has judged, so that no frame is counted in two sets.
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
    words: LightWords = field(default_factory=LightWords)
    is_for_lights: bool = False
    lamp: Lamp = field(default_factory=Lamp)
    readings: FrozenReading = field(default_factory=FrozenReading)
    announced: Announced = field(default_factory=Announced)
    digests: NightDigests = field(default_factory=NightDigests)

    @property
    def devices(self) -> tuple[Device, ...]:
        """All devices of the rig except those that the current set can do without."""
        return tuple(device for device in self.rig.devices if not self.can_do_without(device.name))

    @property
    def cfa_pattern(self) -> str | None:
        """Colour filter array pattern, starting at the first pixel of unbinned frames; None if it is unknown.

        The driver reports the pattern. If it does not, the pattern comes from the headers of the lights.
        """
        features = self.rig.camera.features
        return features.cfa_pattern or self.words.pattern_of((features.height, features.width))

    def can_do_without(self, device: str) -> bool:
        """Return whether the current set can do without the device. A panel or cover must also be known to be dark."""
        covers = [each for each in (self.rig.panel, self.rig.cover) if each is not None and each.name == device]
        if covers and (not self.lamp.is_dark or any(each.state().lit for each in covers)):
            return False
        return self.retries.breakers.is_left_out(device)

    def require_time(self, exposure_s: float) -> None:
        """Raise an error if an exposure cannot end before the deadline.

        Raises
        ------
        StepFailedError
            If the exposure would end too late.
        """
        self.events.beat()
        if self.deadline is not None and self.clock.now() + timedelta(seconds=exposure_s) > self.deadline:
            raise StepFailedError(f"the time is up: the last frame had to be complete by {clock_text(self.deadline)}")

    def worked_s(self) -> float:
        """Return the seconds elapsed on the night's clock, excluding pauses."""
        return self.clock.elapsed_s() - self.steering.waited_s

    def publish(self, event: Event) -> None:
        """Publish an event."""
        self.events.publish(event)

    def notice(self, severity: Severity, text: str, *, will_retry: bool = False, topic: Topic | None = None) -> None:
        """Publish a notice."""
        self.events.publish(Notice(self.clock.now(), severity, text, will_retry, topic))
