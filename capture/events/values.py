"""Define the values that events carry: outcomes, causes, types of steps, and planned steps."""

from dataclasses import dataclass
from enum import StrEnum

from coldframe.config.frames import FrameKind


class NightOutcome(StrEnum):
    """Outcome of a night."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"


class AbortedBy(StrEnum):
    """Cause of an abort."""

    DISK = "disk"
    OTHER_PROGRAM = "other-program"
    INTERNAL_ERROR = "internal-error"


class StepType(StrEnum):
    """Type of work that a step of the night does."""

    COOL = "cool"
    TUNE = "tune"
    SHOOT = "shoot"
    SKY_FLATS = "sky-flats"
    SKY_MASTER = "sky-master"
    WARM = "warm"


class ExposurePurpose(StrEnum):
    """Purpose of an exposure."""

    FRAME = "frame"
    """A frame of the set."""
    TUNING = "tuning"
    """A test of the flat exposure."""
    BIAS_LEVEL = "bias-level"
    """Measurement of the bias level for flat tests."""
    CAMERA = "camera"
    """Measurement of saturation and linearity."""
    GAIN = "gain"
    """Check of whether the camera responds to a change in gain."""


class StepOutcome(StrEnum):
    """Outcome of a step."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class SkippedBy(StrEnum):
    """Who or what caused a step to be skipped."""

    USER = "user"
    TIME = "time"
    MISSING_PREREQUISITE = "missing-prerequisite"
    NIGHT_ENDED = "night-ended"


class Severity(StrEnum):
    """Severity of a notice."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Topic(StrEnum):
    """Subject of a notice, for programs that act on notices."""

    EXPOSURE = "exposure"
    LAMP = "lamp"
    LAMP_BY_HAND = "lamp-by-hand"
    COVER = "cover"
    COOLER = "cooler"
    SETPOINT = "setpoint"
    AUXILIARY = "auxiliary"
    GAIN = "gain"
    FILTER = "filter"
    INTERNAL_ERROR = "internal-error"


@dataclass(frozen=True, slots=True)
class Origin:
    """The rig of a run, and whether the run shoots all sets. A later run uses both to find the night to resume.

    Attributes
    ----------
    server
        Host name and port of the INDI server, or the name of a simulated rig; empty if unknown, as in journals from
        earlier versions.
    serial
        Serial number of the camera; empty if the driver does not report it.
    is_partial
        True if the user chose only some of the sets, so that the run does not complete the night.
    """

    server: str = ""
    serial: str = ""
    is_partial: bool = False

    def is_same_rig(self, other: "Origin") -> bool:
        """Return whether two cameras with the same name might be the same camera. Unknown values are ignored."""
        if self.serial and other.serial:
            return self.serial == other.serial
        return not self.server or not other.server or self.server == other.server


UNKNOWN_ORIGIN = Origin()
"""The origin of nights in journals from earlier versions."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One planned step of the night.

    Attributes
    ----------
    number
        Position in the night, counted from 1. Later events refer to the step by this number.
    title
        Name for display, such as "flat Ha" or "dark 300 s".
    kind
        Kind of frame; None for steps that shoot no set (cooling, tuning, combining, warming up).
    filter
        Filter of a set, a tuning or combined twilight flats; None for other steps.
    count
        Number of frames to accept.
    exposure_s
        Exposure time, seconds; None until the tuner has found it.
    estimate_s
        Expected wall time of the step, seconds.
    step_type
        Type of work that the step does.
    setpoint_c
        Sensor temperature to which a cooling step cools, degrees Celsius; None for other steps.
    rotator_deg
        Rotator angle, in degrees, of flats and of their tunings and dark flats; None if the angle does not matter.
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
    rotator_deg: float | None = None

    @property
    def light(self) -> tuple[str | None, float | None]:
        """Filter and rotator angle of flats, and of their tunings and dark flats."""
        return self.filter, self.rotator_deg
