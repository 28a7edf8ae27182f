"""What happens during a night, as values: journal, dashboard and telemetry live on these and on nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.masters.flat_pedestal import PedestalVerdict
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.steps import TuneStep
from coldframe.capture.tuner.panel_curve import PanelCurve
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState


class NightOutcome(StrEnum):
    """How a night ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"


NIGHT_WAS_ENDED = "the night was ended"
"""Why the step under way ended when somebody ended the night: what follows is the safe state."""


class StepOutcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class Severity(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at a UTC time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of the night as it was planned.

    Attributes
    ----------
    number
        Position in the night, from 1; names the step in later events.
    title
        For people: "flat Ha", "dark 300 s".
    kind
        Kind of frame, None for steps that shoot none (cooling, warming up).
    count
        Frames to accept.
    exposure_s
        None where the tuner has yet to find it.
    estimate_s
        Expected wall time of the step, seconds.
    """

    number: int
    title: str
    kind: FrameKind | None
    filter: str | None
    count: int
    exposure_s: float | None
    estimate_s: float


@dataclass(frozen=True, slots=True)
class NightStarted(Event):
    """The plan stands and the rig is connected; `is_resumed` where an earlier run has left frames of this night."""

    folder: str
    camera: str
    panel: str | None
    wheel: str | None
    width: int
    height: int
    steps: tuple[PlannedStep, ...]
    is_resumed: bool = False


@dataclass(frozen=True, slots=True)
class NightEnded(Event):
    """The last event of every night, but for those of hooks."""

    outcome: NightOutcome
    summary: str


@dataclass(frozen=True, slots=True)
class NightPaused(Event):
    """No further exposure begins, by request, until the night is resumed; one under way goes on to its end."""


@dataclass(frozen=True, slots=True)
class NightResumed(Event):
    """A paused night goes on."""


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step began."""

    step: int


@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    """A step ended; `reason` says why it was not done."""

    step: int
    outcome: StepOutcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SetResized(Event):
    """A set gets another number of frames than planned, because of the time that is left; 0: it is left out.

    Attributes
    ----------
    count
        Frames to accept from now on.
    estimate_s
        Expected wall time of the step, seconds.
    reason
        For people.
    """

    step: int
    count: int
    estimate_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class HookEnded(Event):
    """A command before or after the night has ended.

    Attributes
    ----------
    command
        As it was run.
    fault
        What went wrong, empty where nothing did.
    output
        The end of what it printed.
    """

    command: str
    fault: str
    output: str


@dataclass(frozen=True, slots=True)
class TemperatureRead(Event):
    """A reading of the sensor's temperature, in degrees Celsius."""

    sensor_c: float | None
    setpoint_c: float | None
    power_percent: float | None


@dataclass(frozen=True, slots=True)
class CoolingProgress(Event):
    """What the cooling judge says of the way to the setpoint: a sentence for people."""

    verdict: str


@dataclass(frozen=True, slots=True)
class PanelChanged(Event):
    """The panel's light or cover changed."""

    lit: bool
    brightness: int | None
    cover: CoverState | None


@dataclass(frozen=True, slots=True)
class FilterChanged(Event):
    """Another filter is in the beam."""

    filter: str


@dataclass(frozen=True, slots=True)
class ExposureStarted(Event):
    """The shutter opened, or would have."""

    step: int
    kind: FrameKind
    exposure_s: float


@dataclass(frozen=True, slots=True)
class FlatTested(Event):
    """A test frame of the flat tuner.

    Attributes
    ----------
    level_adu, bias_adu
        Median of the central region, of a colour camera that of its brightest channel; and the bias level below it.
    target_adu, low_adu, high_adu
        The level aimed at and the allowed band, bias included.
    verdict
        What the tuner made of it, for people.
    """

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    level_adu: float
    bias_adu: float
    target_adu: float
    low_adu: float
    high_adu: float
    saturated_fraction: float
    verdict: str


@dataclass(frozen=True, slots=True)
class FlatTuned(Event):
    """The tuner found its exposure; `full_scale_adu` is the saturation level that its band was measured against."""

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    tests: int
    full_scale_adu: float


@dataclass(frozen=True, slots=True)
class TuningKept(Event):
    """All of what a tuning found, for a run that goes on with this night: nothing else on the disk tells it.

    Attributes
    ----------
    step
        What was tuned.
    curve
        What is known of the panel's brightness now.
    """

    step: TuneStep
    tuned: Tuned
    curve: PanelCurve


@dataclass(frozen=True, slots=True)
class PedestalDecided(Event):
    """Dark flats were compared with the master bias, to tell which of the two is subtracted from flats.

    Attributes
    ----------
    step, count
        The set of dark flats, and the frames that it will have.
    filter, exposure_s
        Of the flats.
    verdict
        The numbers.
    """

    step: int
    count: int
    filter: str | None
    exposure_s: float
    verdict: PedestalVerdict


@dataclass(frozen=True, slots=True)
class CameraMeasured(Event):
    """What is known of the camera at one setting, after this night; None and empty where nothing is.

    Attributes
    ----------
    path
        The record that this night added.
    gain
        Setting, in the driver's units.
    largest_deviation
        From linearity, relative.
    curve
        Photon transfer: signal and noise, ADU.
    dark_current
        Temperature in degrees Celsius, and electrons per second.
    """

    camera: str
    path: str
    gain: float | None
    e_per_adu: float | None
    read_noise_e: float | None
    saturation_adu: float | None
    full_well_e: float | None
    largest_deviation: float | None
    curve: tuple[tuple[float, float], ...]
    dark_current: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class FrameAccepted(Event):
    """A frame is durable on disk and counted in its set, as number `index` from 1.

    `is_taken_over` where an earlier run of the night has shot it.
    """

    step: int
    index: int
    path: str
    exposure_s: float
    sensor_c: float | None
    statistics: FrameStatistics
    is_taken_over: bool = False


@dataclass(frozen=True, slots=True)
class FrameRejected(Event):
    """A frame is kept in quarantine and will be shot again."""

    step: int
    path: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class FrameShown(Event):
    """What people look at: a small picture of the last frame and its histogram. Never journalled.

    Attributes
    ----------
    picture
        uint8, at most 64 rows by 96 columns, stretched.
    histogram
        Counts in 128 equal bins from 0 to 65,535 ADU.
    """

    title: str
    picture: NDArray[np.uint8]
    histogram: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MasterGrew(Event):
    """A frame was folded into the running master.

    Attributes
    ----------
    frames
        Frames folded so far.
    noise_adu
        Median over pixels of the master's standard error; None while fewer than two frames are in.
    """

    step: int
    frames: int
    noise_adu: float | None


@dataclass(frozen=True, slots=True)
class MasterWritten(Event):
    """A master frame is durable on disk. `level` and `noise` in ADU, for flats relative to a mean of 1."""

    step: int
    path: str
    frames: int
    level: float
    noise: float
    rejected_fraction: float


@dataclass(frozen=True, slots=True)
class Notice(Event):
    """Something people should read."""

    severity: Severity
    text: str


Subscriber = Callable[[Event], None]


class EventStream:
    """Hands each event to every subscriber, in order, on the spot; subscribers return at once and never raise."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []
        self._keepers: list[Callable[[], Awaitable[None]]] = []
        self._hearers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; it gets every later event."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Hand `event` to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)

    def add_keeper(self, kept: Callable[[], Awaitable[None]]) -> None:
        """Add one who writes events down; `kept` returns once those that were published before are on the disk."""
        self._keepers.append(kept)

    async def kept(self) -> None:
        """Wait until what was published is on the disk, as far as anybody keeps it."""
        for keeper in self._keepers:
            await keeper()

    def subscribe_beats(self, hearer: Callable[[], None]) -> None:
        """Add one who hears every later beat."""
        self._hearers.append(hearer)

    def beat(self) -> None:
        """Tell that a wait goes on as it should, of which people need not read."""
        for hearer in self._hearers:
            hearer()
