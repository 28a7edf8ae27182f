"""The contents of the morning report, as dataclasses. The page and the JSON file are written from these values.

All times are UTC. Levels and noise are in ADU, or relative to a mean of 1 for master flats. The names of the fields are
part of the format of the JSON file.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from coldframe.capture.events.kinds import FlatTested, FrameAccepted, TemperatureRead
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.report.time_budget import TimeBudget
from coldframe.config.frames import FrameKind

FORMAT = "coldframe-report-1"
"""Format of the JSON file. The number at the end increases when the meaning of a field changes."""


class NightState(StrEnum):
    """State of a night: the outcome of a night that has ended, broken off without an outcome, or still running."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    BROKEN_OFF = "broken off"
    RUNNING = "running"


class SetState(StrEnum):
    """State of a planned master."""

    MADE = "made"
    SHORT = "made from fewer frames"
    MISSING = "missing"
    NOT_YET = "not shot yet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Summary of a night in one sentence.

    Attributes
    ----------
    safe
        Whether the rig was safe at the end of the night; None if unknown.
    sentence
        The summary for display.
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
        Path of the file, relative to the folder of the night if the file is in that folder.
    sensor_c
        Sensor temperature in degrees Celsius. For a rejected frame, this is the value in its file or, if the file
        contains none, the last reading before the rejection.
    level_adu, noise_adu, saturated_fraction
        Measured values. The journal does not contain them for rejected frames. The level of a rejected frame is read
        from its file, and the other values are None.
    rejected
        Reason for the rejection; empty for an accepted frame.
    """

    at: datetime
    path: str
    exposure_s: float | None
    sensor_c: float | None
    level_adu: float | None
    noise_adu: float | None
    saturated_fraction: float | None
    rejected: str

    @classmethod
    def of(cls, event: FrameAccepted, path: str) -> Self:
        """Return the report's entry for an accepted frame."""
        figures = event.statistics
        return cls(
            at=event.at,
            path=path,
            exposure_s=event.exposure_s,
            sensor_c=event.sensor_c,
            level_adu=figures.level_adu,
            noise_adu=figures.noise_adu,
            saturated_fraction=figures.saturated_fraction,
            rejected="",
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """Noise of a growing master that contains `frames` frames. The noise is None for a single frame."""

    frames: int
    noise_adu: float | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Histogram of the pixels of a master.

    Attributes
    ----------
    low, high
        Outer edges of the first and the last bin. Pixels beyond an edge are counted in the bin at that edge.
    counts
        Number of pixels in each bin. All bins have the same width.
    """

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Pixel values that a stretched picture shows as black and white."""

    black: float
    white: float


@dataclass(frozen=True, slots=True)
class PixelStatistics:
    """Statistics of the pixels of a master.

    Attributes
    ----------
    whole, detail
        Stretches of the picture of the whole frame and of the picture of its centre at 100 %.
    corner_to_centre
        Mean of the four corners divided by the centre; None if the centre has no signal.
    colours
        Means of red, green and blue in the centre; None without a 2x2 colour filter array.
    """

    width: int
    height: int
    minimum: float
    median: float
    maximum: float
    histogram: Histogram
    whole: Stretch
    detail: Stretch
    corner_to_centre: float | None = None
    colours: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class MasterReport:
    """A master that was written.

    Attributes
    ----------
    path
        Path of the file, relative to the folder of the night if the file is in that folder.
    look
        Statistics of the pixels; None if the file cannot be read, in which case `fault` contains the reason.
    judgement
        Judgement, in words, of the noise that the master adds to a light; empty if this noise is unknown.
    change
        Change since the latest master with the same settings from an earlier night, in words; empty if there is no
        earlier master, or if the two masters cannot be compared.
    """

    path: str
    written_at: datetime
    frames: int
    level: float
    noise: float
    rejected_fraction: float
    look: PixelStatistics | None = None
    fault: str = ""
    judgement: str = ""
    change: str = ""


@dataclass(frozen=True, slots=True)
class SetReport:
    """A planned set and its result.

    Attributes
    ----------
    planned
        Number of frames to accept, as revised during the night.
    reason
        Reason why the master is missing or has too few frames, or why the count was revised; otherwise empty.
    is_reached
        False if the night ended before it reached this set.
    masters
        The master of the set; for a camera without a cooler, one master for each temperature range.
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

    @property
    def is_made(self) -> bool:
        """Whether the set has a master."""
        return self.state in {SetState.MADE, SetState.SHORT}


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

    @classmethod
    def of(cls, event: FlatTested) -> Self:
        """Return the report's entry for a test frame."""
        return cls(
            exposure_s=event.exposure_s,
            brightness=event.brightness,
            level_adu=event.level_adu,
            target_adu=event.target_adu,
            low_adu=event.low_adu,
            high_adu=event.high_adu,
            saturated_fraction=event.saturated_fraction,
            verdict=printable(event.verdict),
        )


@dataclass(frozen=True, slots=True)
class TuningReport:
    """The tuning of one set of flats. If the tuning failed, `exposure_s` is None and `reason` contains the cause."""

    title: str
    filter: str | None
    tests: tuple[TuningTest, ...]
    exposure_s: float | None
    brightness: int | None
    full_scale_adu: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class CameraReport:
    """Characteristics of the camera at one gain, as known after this night. See `CameraMeasured`."""

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
class ArtifactReport:
    """An artifact that calibration leaves in the lights; see `coldframe.capture.events.verification.Artifact`."""

    kind: str
    cause: str
    size: float
    unit: str
    error: float
    significance: float
    evidence: str
    fix: str
    remedy: str


@dataclass(frozen=True, slots=True)
class LightsReport:
    """The diagnosis of lights, or of flats that were left out of their master to test it.

    Attributes
    ----------
    title
        Display name of the frames.
    sentence
        The result, and the recommended action.
    frames, filter, exposure_s, count, cleanness, masters, sky_adu, noise_adu
        Same as in `LightsVerified`.
    artifacts
        The artifacts, with the most harmful first.
    """

    title: str
    sentence: str
    frames: str
    filter: str | None
    exposure_s: float | None
    count: int
    cleanness: str
    masters: tuple[str, ...]
    artifacts: tuple[ArtifactReport, ...]
    sky_adu: float | None = None
    noise_adu: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of sensor temperature, setpoint and cooler power."""

    at: datetime
    sensor_c: float | None
    setpoint_c: float | None
    power_percent: float | None

    @classmethod
    def of(cls, event: TemperatureRead) -> Self:
        """Return the report's entry for a reading."""
        return cls(event.at, event.sensor_c, event.setpoint_c, event.power_percent)


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning or an error that was published `times` times in a row."""

    at: datetime
    severity: Severity
    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run of coldframe. `outcome` is None if the run stopped without ending the night."""

    began: datetime
    ended: datetime
    outcome: str | None
    summary: str


@dataclass(frozen=True, slots=True)
class NightReport:
    """The report of a night.

    Attributes
    ----------
    folder
        Folder of the night, as recorded in the journal.
    masters_made, masters_planned
        Number of planned sets that have a master, and number of all planned sets.
    frames_accepted, frames_rejected
        Numbers of distinct files. A frame that several runs report counts once.
    temperature
        The coldest and the warmest reading of each of 400 equal periods of the night.
    lights
        The diagnoses of the lights, and of flats that were left out of their masters to test them.
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
    lights: tuple[LightsReport, ...] = ()
