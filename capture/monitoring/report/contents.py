"""What the morning report tells, as values: the page and its JSON twin are written from these and from nothing else.

All times are UTC. Levels and noises are in ADU, those of master flats relative to a mean of 1.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coldframe.capture.events.kinds import Severity
from coldframe.capture.monitoring.report.time_budget import TimeBudget
from coldframe.config.frames import FrameKind

FORMAT = "coldframe-report-1"
"""Of the JSON twin; another number where a field changed its meaning."""


NOT_REACHED = "the night ended before it was done"
"""Reason of what is missing where nothing else is known."""


class NightState(StrEnum):
    """How a night stands: how it ended, or that it did not."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    BROKEN_OFF = "broken off"
    RUNNING = "running"


class SetState(StrEnum):
    """What became of a planned master."""

    MADE = "made"
    SHORT = "made from fewer frames"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The night in one sentence.

    Attributes
    ----------
    safe
        Whether the rig was left safe; None where nobody knows.
    sentence
        For people.
    """

    state: NightState
    safe: bool | None
    sentence: str


@dataclass(frozen=True, slots=True)
class FramePoint:
    """One frame of a set.

    Attributes
    ----------
    path
        Of the file, relative to the night's folder where it lies within.
    sensor_c
        Temperature of the sensor; of a rejected frame that of its file, or the last reading before.
    level_adu, noise_adu, saturated_fraction
        Of a rejected frame the journal has no figures: its level is that of its file, the others are None.
    rejected
        Why it was turned away; empty for an accepted one.
    """

    at: datetime
    path: str
    exposure_s: float | None
    sensor_c: float | None
    level_adu: float | None
    noise_adu: float | None
    saturated_fraction: float | None
    rejected: str


@dataclass(frozen=True, slots=True)
class Growth:
    """Noise of a running master; None of a single frame."""

    frames: int
    noise_adu: float | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many pixels of a master have which value.

    Attributes
    ----------
    low, high
        Edges of the first and of the last of the equal bins. Pixels below and above are counted in those.
    counts
        Pixels in each bin.
    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shades:
    """What black and white stand for in a stretched picture."""

    black: float
    white: float


@dataclass(frozen=True, slots=True)
class MasterLook:
    """What a look at a master's pixels shows.

    Attributes
    ----------
    whole, detail
        How the picture of the whole frame, and that of its middle at 100 %, are stretched.
    """

    width: int
    height: int
    minimum: float
    median: float
    maximum: float
    histogram: Histogram
    whole: Shades
    detail: Shades


@dataclass(frozen=True, slots=True)
class MasterReport:
    """A master that was written.

    Attributes
    ----------
    path
        Relative to the night's folder where it lies within.
    look
        None where the file cannot be read; `fault` says why.
    """

    path: str
    written_at: datetime
    frames: int
    level: float
    noise: float
    rejected_fraction: float
    look: MasterLook | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SetReport:
    """A planned set and what became of it.

    Attributes
    ----------
    planned
        Frames to accept, as last decided.
    reason
        Why it is missing or short, or what was decided about it; empty where there is nothing to say.
    is_reached
        False if the night ended before it came to this set.
    masters
        Usually one; of a sensor that nothing cools, one for each temperature.
    """

    title: str
    kind: FrameKind
    filter: str | None
    exposure_s: float | None
    planned: int
    accepted: int
    rejected: int
    state: SetState
    reason: str
    frames: tuple[FramePoint, ...]
    growth: tuple[Growth, ...]
    masters: tuple[MasterReport, ...]
    is_reached: bool = True


@dataclass(frozen=True, slots=True)
class TuningTest:
    """A test frame of the flat tuner."""

    exposure_s: float
    brightness: int | None
    level_adu: float
    target_adu: float
    low_adu: float
    high_adu: float
    saturated_fraction: float
    verdict: str


@dataclass(frozen=True, slots=True)
class TuningReport:
    """The search for one flat's exposure; `exposure_s` is None where none was found, and `reason` says why."""

    title: str
    filter: str | None
    tests: tuple[TuningTest, ...]
    exposure_s: float | None
    brightness: int | None
    full_scale_adu: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class CameraReport:
    """What is known of the camera at one setting after this night; see `CameraMeasured`."""

    camera: str
    gain: float | None
    e_per_adu: float | None
    read_noise_e: float | None
    saturation_adu: float | None
    full_well_e: float | None
    largest_deviation: float | None
    curve: tuple[tuple[float, float], ...]
    dark_current: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The sensor's temperature, its setpoint and the cooler's power."""

    at: datetime
    sensor_c: float | None
    setpoint_c: float | None
    power_percent: float | None


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning or an error, as it was told; `times` in a row."""

    at: datetime
    severity: Severity
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of the program over the night; without a last word `outcome` is None."""

    began: datetime
    ended: datetime
    outcome: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class NightReport:
    """A night.

    Attributes
    ----------
    folder
        As the journal names it.
    masters_made, masters_planned
        Planned sets that have a master, and all of them.
    frames_accepted, frames_rejected
        Different files; a frame that a resumed night took over counts once.
    temperature
        Thinned: of each four-hundredth of the night the coldest and the warmest reading.
    """

    verdict: Verdict
    folder: str
    camera: str
    panel: str | None
    wheel: str | None
    width: int
    height: int
    began: datetime
    ended: datetime
    runs: tuple[RunReport, ...]
    masters_made: int
    masters_planned: int
    frames_accepted: int
    frames_rejected: int
    sets: tuple[SetReport, ...]
    tunings: tuple[TuningReport, ...]
    cameras: tuple[CameraReport, ...]
    temperature: tuple[Reading, ...]
    time: TimeBudget
    remarks: tuple[Remark, ...]
