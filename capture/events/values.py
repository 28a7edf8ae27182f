"""The values that events carry: outcomes, causes, types of steps, and planned steps."""

from dataclasses import dataclass
from enum import StrEnum

from coldframe.config.frames import FrameKind


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
    """Who or what caused a step to be skipped."""

    USER = "user"
    TIME = "time"
    MISSING_PREREQUISITE = "missing-prerequisite"
    NIGHT_ENDED = "night-ended"


class Severity(StrEnum):
    """Importance of a notice."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Topic(StrEnum):
    """Subject of a notice, if a program may want to act on it."""

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
class PlannedStep:
    """One planned step of the night.

    Attributes
    ----------
    number
        Position in the night, from 1. Later events refer to the step by it.
    title
        Name for display, such as "flat Ha" or "dark 300 s".
    kind
        Kind of frame, None for steps that shoot no set (cooling, tuning, combining, warming up).
    filter
        Filter of a set, of a tuning or of combined twilight flats; None otherwise.
    count
        Frames to accept.
    exposure_s
        Exposure time in seconds, None until the tuner has found it.
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
