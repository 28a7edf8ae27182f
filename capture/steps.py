"""Define the steps of a night as plain values that events, shooting and storage share. This module performs no I/O."""

from dataclasses import dataclass, replace

from coldframe.config.counts import GOOD_PRACTICE, WITH_GLOW, NoiseGoal
from coldframe.config.frames import FrameKind, ReadoutSettings


@dataclass(frozen=True, slots=True)
class NoiseTarget:
    """The noise that a set's master must reach, and the bounds of the set's frame count.

    Attributes
    ----------
    goal
        Noise that the master may add to the noise of one light.
    at_least, at_most
        Bounds of the frame count.
    """

    goal: NoiseGoal
    at_least: int
    at_most: int

    @property
    def most(self) -> int:
        """Largest frame count to which the set may grow."""
        return max(self.at_most, WITH_GLOW[1]) if self.has_default_dark_bounds else self.at_most

    @property
    def has_default_dark_bounds(self) -> bool:
        """True if the user left the bounds of darks at their defaults, which rise if the amplifier glows."""
        return (self.at_least, self.at_most) == GOOD_PRACTICE[FrameKind.DARK]


@dataclass(frozen=True, slots=True)
class CoolStep:
    """A step that brings the sensor to the setpoint, in degrees Celsius, and holds it there."""

    setpoint_c: float

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        return f"cool to {self.setpoint_c:g} C"


@dataclass(frozen=True, slots=True)
class TuneStep:
    """A step that finds the exposure of the flats of one filter, at one rotator angle if the rotator is used."""

    filter: str | None
    readout: ReadoutSettings
    setpoint_c: float | None
    rotator_deg: float | None = None

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        return " ".join(["tune flat", *([self.filter] if self.filter else []), *angle_words(self.rotator_deg)])


@dataclass(frozen=True, slots=True)
class ShootStep:
    """A step that shoots the frames of one set and makes their master.

    Attributes
    ----------
    count
        Number of frames to accept; with a noise target, the number expected to reach the target.
    exposure_s
        Exposure of darks; None if the camera (bias) or the tuner (flats, dark flats) determines the exposure.
    noise_target
        Noise at which the set ends; None if the set ends at its frame count.
    rotator_deg
        Rotator angle of flats and their dark flats, degrees; None to leave the rotator where it is.
    """

    kind: FrameKind
    count: int
    filter: str | None
    exposure_s: float | None
    readout: ReadoutSettings
    setpoint_c: float | None
    noise_target: NoiseTarget | None = None
    rotator_deg: float | None = None

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        parts = [self.kind.value.replace("-", " ")]
        if self.filter:
            parts.append(self.filter)
        if self.exposure_s is not None:
            parts.append(f"{self.exposure_s:g} s")
        return " ".join([*parts, *angle_words(self.rotator_deg)])

    @property
    def without_count(self) -> "ShootStep":
        """The step without its numbers of frames, for comparing sets regardless of how many frames they have."""
        return replace(self, count=0, noise_target=None)

    @property
    def shares_frames(self) -> bool:
        """True for dark flats of one rotator angle whose frames can also be used for other angles.

        This requires a setpoint, because without it, the temperature of the sensor can differ between two sets.
        """
        is_of_angle = self.kind is FrameKind.DARK_FLAT and self.rotator_deg is not None
        return is_of_angle and self.setpoint_c is not None

    @property
    def tuning(self) -> TuneStep:
        """The step that finds the exposure of this set of flats or dark flats."""
        return TuneStep(self.filter, self.readout, self.setpoint_c, self.rotator_deg)


@dataclass(frozen=True, slots=True)
class SkyStep:
    """A step that shoots the flats of all filters while twilight lasts.

    Attributes
    ----------
    flats
        One or more sets with the same readout settings, setpoint and rotator angle.
    dark_flats
        Number of dark-flat sets that follow.
    """

    flats: tuple[ShootStep, ...]
    dark_flats: int

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        filters = (flat.filter for flat in self.flats if flat.filter)
        return " ".join(["sky flats", *filters, *angle_words(self.rotator_deg)])

    @property
    def count(self) -> int:
        """Number of frames to accept."""
        return sum(flat.count for flat in self.flats)

    @property
    def readout(self) -> ReadoutSettings:
        """Readout settings of all flats."""
        return self.flats[0].readout

    @property
    def setpoint_c(self) -> float | None:
        """Setpoint of all flats, degrees Celsius."""
        return self.flats[0].setpoint_c

    @property
    def rotator_deg(self) -> float | None:
        """Rotator angle of all flats, degrees; None to leave the rotator where it is."""
        return self.flats[0].rotator_deg


@dataclass(frozen=True, slots=True)
class SkyMasterStep:
    """A step that makes the master of the twilight flats of one filter."""

    flat: ShootStep

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        return f"combine {self.flat.title}"


@dataclass(frozen=True, slots=True)
class WarmStep:
    """A step that warms the sensor up slowly and switches the cooler off."""

    goal_c: float

    @property
    def title(self) -> str:
        """Name of the step for the user."""
        return "warm up"


Step = CoolStep | TuneStep | ShootStep | SkyStep | SkyMasterStep | WarmStep


def angle_words(rotator_deg: float | None) -> list[str]:
    """Return the words of a title that state the rotator angle; an empty list if there is no angle."""
    return [] if rotator_deg is None else [f"at {rotator_deg:g} deg"]


def replace_setpoint(step: Step, from_c: float, to_c: float | None, *, moves_darks: bool = True) -> Step:
    """Return the step with setpoint `to_c` if its setpoint is `from_c`, otherwise the unchanged step.

    Parameters
    ----------
    step
        The step.
    from_c, to_c
        Old and new setpoint, degrees Celsius; None for no setpoint.
    moves_darks
        False to leave darks unchanged. Unlike other frames, darks must have the same temperature as the lights.
    """
    match step:
        case ShootStep(kind=FrameKind.DARK) if not moves_darks:
            return step
        case ShootStep() | TuneStep() if step.setpoint_c == from_c:
            return replace(step, setpoint_c=to_c)
        case SkyStep() if step.setpoint_c == from_c:
            return replace(step, flats=tuple(replace(flat, setpoint_c=to_c) for flat in step.flats))
        case SkyMasterStep() if step.flat.setpoint_c == from_c:
            return replace(step, flat=replace(step.flat, setpoint_c=to_c))
    return step
