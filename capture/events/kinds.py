"""What happens during a night, as values: journal, dashboard and telemetry live on these and on nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, TypeVar

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


class AbortedBy(StrEnum):
    """What aborted a night."""

    DISK = "disk"
    OTHER_PROGRAM = "other-program"
    INTERNAL_ERROR = "internal-error"


class StepType(StrEnum):
    """What a step of the night does."""

    COOL = "cool"
    TUNE = "tune"
    SHOOT = "shoot"
    SKY_FLATS = "sky-flats"
    SKY_MASTER = "sky-master"
    WARM = "warm"


class StepOutcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class SkippedBy(StrEnum):
    """Who or what had a step skipped."""

    USER = "user"
    TIME = "time"
    MISSING_PREREQUISITE = "missing-prerequisite"
    NIGHT_ENDED = "night-ended"


class Severity(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Topic(StrEnum):
    """The subject of a notice, for the subjects that programs care about."""

    EXPOSURE = "exposure"
    LAMP = "lamp"
    LAMP_BY_HAND = "lamp-by-hand"
    COVER = "cover"
    COOLER = "cooler"
    AUXILIARY = "auxiliary"
    GAIN = "gain"
    FILTER = "filter"
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, at a UTC time.

    Attributes
    ----------
    wire_name
        Name of the kind in the journal, on the watch socket and over MQTT; empty for an event that none of them carry.
        It is part of their format: it stays when the class is renamed.
    """

    wire_name: ClassVar[str] = ""

    at: datetime


EVENT_KINDS: dict[str, type[Event]] = {}
"""The kinds of event that journal, watch socket and MQTT carry, by their wire names."""

E = TypeVar("E", bound=Event)


def on_the_wire(name: str) -> Callable[[type[E]], type[E]]:
    """Return a decorator that registers a kind of event under its wire name."""

    def register(kind: type[E]) -> type[E]:
        assert name not in EVENT_KINDS, f"two kinds of event are called {name!r}"
        kind.wire_name = name
        EVENT_KINDS[name] = kind
        return kind

    return register


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
    step_type
        What the step does.
    setpoint_c
        Sensor temperature that a cooling step aims at, degrees Celsius; None for all others.
    """

    number: int
    title: str
    kind: FrameKind | None
    filter: str | None
    count: int
    exposure_s: float | None
    estimate_s: float
    step_type: StepType
    setpoint_c: float | None = None


@on_the_wire("night-started")
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


@on_the_wire("night-ended")
@dataclass(frozen=True, slots=True)
class NightEnded(Event):
    """The last event of every night, but for those of hooks.

    Attributes
    ----------
    summary
        For people: how the night went, and whether the rig is safe.
    rig_is_safe
        Whether the safe state was reached; None if that is not known.
    result
        The first part of the summary: how the night went, without the state of the rig.
    not_safe
        What could not be brought to the safe state, a sentence each.
    aborted_by
        What aborted the night; None if nothing did.
    """

    outcome: NightOutcome
    summary: str
    rig_is_safe: bool | None = None
    result: str = ""
    not_safe: tuple[str, ...] = ()
    aborted_by: AbortedBy | None = None


@on_the_wire("night-paused")
@dataclass(frozen=True, slots=True)
class NightPaused(Event):
    """No further exposure begins, by request, until the night is resumed; one under way goes on to its end."""


@on_the_wire("night-resumed")
@dataclass(frozen=True, slots=True)
class NightResumed(Event):
    """A paused night goes on."""


@on_the_wire("step-started")
@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step began."""

    step: int


@on_the_wire("step-ended")
@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    """A step ended; `reason` says why it was not done, `skipped_by` who or what had it skipped."""

    step: int
    outcome: StepOutcome
    reason: str = ""
    skipped_by: SkippedBy | None = None


@on_the_wire("set-resized")
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


@on_the_wire("hook-ended")
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


@on_the_wire("temperature-read")
@dataclass(frozen=True, slots=True)
class TemperatureRead(Event):
    """A reading of the sensor's temperature, in degrees Celsius."""

    sensor_c: float | None
    setpoint_c: float | None
    power_percent: float | None


@on_the_wire("cooling-progress")
@dataclass(frozen=True, slots=True)
class CoolingProgress(Event):
    """What the cooling judge says of the way to the setpoint: a sentence for people."""

    verdict: str


@on_the_wire("panel-changed")
@dataclass(frozen=True, slots=True)
class PanelChanged(Event):
    """The panel's light or cover changed."""

    lit: bool
    brightness: int | None
    cover: CoverState | None


@on_the_wire("filter-changed")
@dataclass(frozen=True, slots=True)
class FilterChanged(Event):
    """Another filter is in the beam."""

    filter: str


@on_the_wire("exposure-started")
@dataclass(frozen=True, slots=True)
class ExposureStarted(Event):
    """The shutter opened, or would have."""

    step: int
    kind: FrameKind
    exposure_s: float


@on_the_wire("flat-tested")
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


@on_the_wire("flat-tuned")
@dataclass(frozen=True, slots=True)
class FlatTuned(Event):
    """The tuner found its exposure; `full_scale_adu` is the saturation level that its band was measured against."""

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    tests: int
    full_scale_adu: float


@on_the_wire("tuning-kept")
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


@on_the_wire("pedestal-decided")
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


@on_the_wire("camera-measured")
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


@on_the_wire("frame-accepted")
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


@on_the_wire("frame-rejected")
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


@on_the_wire("master-grew")
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


@on_the_wire("master-written")
@dataclass(frozen=True, slots=True)
class MasterWritten(Event):
    """A master frame is durable on disk. `level` and `noise` in ADU, for flats relative to a mean of 1."""

    step: int
    path: str
    frames: int
    level: float
    noise: float
    rejected_fraction: float


@on_the_wire("notice")
@dataclass(frozen=True, slots=True)
class Notice(Event):
    """Something people should read.

    Attributes
    ----------
    will_retry
        True if the notice reports a failure that is retried.
    topic
        Its subject, None for most notices.
    """

    severity: Severity
    text: str
    will_retry: bool = False
    topic: Topic | None = None
