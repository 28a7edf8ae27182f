"""What happens during a night, as values: journal, dashboard and telemetry live on these and on nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.statistics import FrameStatistics
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState


class NightOutcome(StrEnum):
    """How a night ended."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"


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
    """The plan stands and the rig is connected."""

    folder: str
    camera: str
    panel: str | None
    wheel: str | None
    width: int
    height: int
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class NightEnded(Event):
    """The last event of every night."""

    outcome: NightOutcome
    summary: str


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
        Median of the central region, and the bias level below it.
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
    """The tuner found its exposure."""

    step: int
    filter: str | None
    exposure_s: float
    brightness: int | None
    tests: int


@dataclass(frozen=True, slots=True)
class FrameAccepted(Event):
    """A frame is durable on disk and counted in its set, as number `index` from 1."""

    step: int
    index: int
    path: str
    exposure_s: float
    sensor_c: float | None
    statistics: FrameStatistics


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

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; it gets every later event."""
        self._subscribers.append(subscriber)

    def publish(self, event: Event) -> None:
        """Hand `event` to all subscribers."""
        for subscriber in self._subscribers:
            subscriber(event)
