"""What to shoot, in what order: from sets to steps. Pure.

The order keeps moves and waits few and lets every master grow while its frames come in:

1. Sets of one sensor temperature stay together, in the order in which the configuration first names the temperatures.
2. Bias first: it takes moments, and its level is what the flat tuner starts from.
3. Then filter by filter: the flat's exposure is tuned, its dark flats are shot, then the flats. So the dark flats'
   master is there when the first flat arrives, and only the lamp is switched in between; nothing moves.
   Twilight cannot wait for that: there the flats of all filters come first, then dark flats over the range of exposures
   that the sky asked for, then the masters.
4. Darks last, the shortest first: they take longest, need the optical train no more, and losing some of them to dawn
   costs least. Without a setpoint they come first: a sensor that nothing holds is as warm as in the lights now, and
   not for long.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import sqrt

from coldframe.capture.planning.noise_target import Enough
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import FrameSet, Settings

READOUT_GUESS_S = 1.0
"""Time from the end of an exposure to the start of the next one, until the night has measured it."""

TESTS_GUESS = 2
AMBIENT_GUESS_C = 15.0


@dataclass(frozen=True, slots=True)
class CoolStep:
    """Bring the sensor to a temperature, degrees Celsius, and hold it."""

    setpoint_c: float

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return f"cool to {self.setpoint_c:g} C"


@dataclass(frozen=True, slots=True)
class TuneStep:
    """Find the exposure of the flats of one filter."""

    filter: str | None
    readout: ReadoutSettings
    setpoint_c: float | None

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return f"tune flat {self.filter}" if self.filter else "tune flat"


@dataclass(frozen=True, slots=True)
class ShootStep:
    """Shoot the frames of one set and make their master.

    Attributes
    ----------
    count
        Frames to accept; where there is a goal, the frames that are likely to meet it.
    exposure_s
        Of darks; None where the camera (bias) or the tuner (flats, dark flats) decides.
    enough
        The goal, None where the count is all there is to it.
    """

    kind: FrameKind
    count: int
    filter: str | None
    exposure_s: float | None
    readout: ReadoutSettings
    setpoint_c: float | None
    enough: Enough | None = None

    @property
    def title(self) -> str:
        """Name of the step for people."""
        parts = [self.kind.value.replace("-", " ")]
        if self.filter:
            parts.append(self.filter)
        if self.exposure_s is not None:
            parts.append(f"{self.exposure_s:g} s")
        return " ".join(parts)

    @property
    def tuning(self) -> TuneStep:
        """The step that finds this set's exposure, for flats and dark flats."""
        return TuneStep(self.filter, self.readout, self.setpoint_c)


@dataclass(frozen=True, slots=True)
class SkyStep:
    """Shoot the flats of all filters while twilight lasts.

    Attributes
    ----------
    flats
        One or more sets, of one readout setting and temperature.
    dark_flats
        Sets of dark flats that follow.
    """

    flats: tuple[ShootStep, ...]
    dark_flats: int

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return " ".join(["sky flats", *(flat.filter for flat in self.flats if flat.filter)])

    @property
    def count(self) -> int:
        """Frames to accept."""
        return sum(flat.count for flat in self.flats)

    @property
    def readout(self) -> ReadoutSettings:
        """Readout settings of all of them."""
        return self.flats[0].readout

    @property
    def setpoint_c(self) -> float | None:
        """Sensor temperature of all of them."""
        return self.flats[0].setpoint_c


@dataclass(frozen=True, slots=True)
class SkyMasterStep:
    """Make the master of twilight flats that were shot."""

    flat: ShootStep

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return f"combine {self.flat.title}"


@dataclass(frozen=True, slots=True)
class WarmStep:
    """Let the sensor warm up slowly and switch the cooler off."""

    goal_c: float

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return "warm up"


Step = CoolStep | TuneStep | ShootStep | SkyStep | SkyMasterStep | WarmStep


def moved(step: Step, from_c: float, to_c: float) -> Step:
    """Return a step at another sensor temperature, the same step where it was not at the first one."""
    match step:
        case ShootStep() | TuneStep() if step.setpoint_c == from_c:
            return replace(step, setpoint_c=to_c)
        case SkyStep() if step.setpoint_c == from_c:
            return replace(step, flats=tuple(replace(flat, setpoint_c=to_c) for flat in step.flats))
        case SkyMasterStep() if step.flat.setpoint_c == from_c:
            return replace(step, flat=replace(step.flat, setpoint_c=to_c))
    return step


def plan_night(settings: Settings) -> tuple[Step, ...]:
    """Return the steps of a night in the order in which they are done."""
    sets = [shoot_step(each, settings) for each in settings.sets]
    ordered = _order(settings)
    steps: list[Step] = []
    for setpoint_c in dict.fromkeys(step.setpoint_c for step in sets):
        if setpoint_c is not None:
            steps.append(CoolStep(setpoint_c))
        alike = [step for step in sets if step.setpoint_c == setpoint_c]
        steps += ordered(alike)
    if settings.cooling.at_end == "warm" and any(isinstance(step, CoolStep) for step in steps):
        steps.append(WarmStep(settings.cooling.warm_to_c))
    return tuple(steps)


def _order(settings: Settings) -> Callable[[list[ShootStep]], Iterator[Step]]:
    """Return how the sets of one temperature are put in order."""
    if settings.flats.source == "sky":
        return _in_twilight
    by_hand = settings.panel is not None and settings.panel.kind == "manual"
    return _switching_least if by_hand else _at_one_temperature


def shoot_step(frame_set: FrameSet, settings: Settings) -> ShootStep:
    """Return the step that shoots a set."""
    return ShootStep(
        kind=frame_set.kind,
        count=frame_set.planned_frames,
        filter=frame_set.filter,
        exposure_s=frame_set.exposure_s,
        readout=frame_set.readout(settings.camera),
        setpoint_c=frame_set.setpoint(settings.camera),
        enough=None if isinstance(frame_set.count, int) else Enough(frame_set.count, *frame_set.bounds),
    )


def _at_one_temperature(sets: list[ShootStep]) -> Iterator[Step]:
    darks = sorted((step for step in sets if step.kind is FrameKind.DARK), key=lambda step: step.exposure_s or 0.0)
    is_held = all(step.setpoint_c is not None for step in sets)
    yield from () if is_held else darks
    yield from (step for step in sets if step.kind is FrameKind.BIAS)
    for flat in (step for step in sets if step.kind is FrameKind.FLAT):
        yield flat.tuning
        yield from (step for step in sets if step.kind is FrameKind.DARK_FLAT and step.tuning == flat.tuning)
        yield flat
    yield from darks if is_held else ()


def _switching_least(sets: list[ShootStep]) -> Iterator[Step]:
    """Order the sets of one temperature for a light that a person switches: twice on and off, whatever the filters.

    The filters go round twice for that, and all master dark flats stay in memory until their flats are shot.
    """
    flats = [step for step in sets if step.kind is FrameKind.FLAT]
    tunings = {flat.tuning for flat in flats}
    yield from (step for step in sets if step.kind is FrameKind.BIAS)
    yield from (flat.tuning for flat in flats)
    yield from (step for step in sets if step.kind is FrameKind.DARK_FLAT and step.tuning in tunings)
    yield from flats
    darks = (step for step in sets if step.kind is FrameKind.DARK)
    yield from sorted(darks, key=lambda step: step.exposure_s or 0.0)


def _in_twilight(sets: list[ShootStep]) -> Iterator[Step]:
    """Order the sets of one temperature for flats of the sky; dark flats belong to no filter then."""
    yield from (step for step in sets if step.kind is FrameKind.BIAS)
    flats = [step for step in sets if step.kind is FrameKind.FLAT]
    for readout in dict.fromkeys(flat.readout for flat in flats):
        alike = tuple(flat for flat in flats if flat.readout == readout)
        dark_flats = [step for step in sets if step.kind is FrameKind.DARK_FLAT and step.readout == readout]
        yield SkyStep(alike, len(dark_flats))
        yield from (replace(step, filter=None) for step in dark_flats)
        yield from (SkyMasterStep(flat) for flat in alike)
    darks = (step for step in sets if step.kind is FrameKind.DARK)
    yield from sorted(darks, key=lambda step: step.exposure_s or 0.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of how long things take; before anything is measured a guess.

    Attributes
    ----------
    sensor_c
        Where the first ramp begins, degrees Celsius.
    readout_s
        Time from the end of an exposure to the start of the next one.
    flats_s
        Exposures that were found for flats.
    """

    sensor_c: float = AMBIENT_GUESS_C
    readout_s: float = READOUT_GUESS_S
    flats_s: Mapping[TuneStep, float] = field(default_factory=dict)


def estimate_s(steps: Iterable[Step], settings: Settings, pace: Pace | None = None) -> tuple[float, ...]:
    """Return the expected wall time of each step, in seconds."""
    known = pace or Pace()
    cooling = settings.cooling
    sensor_c = known.sensor_c
    estimates = []
    for step in steps:
        match step:
            case CoolStep(setpoint_c):
                estimates.append(60 * abs(sensor_c - setpoint_c) / cooling.ramp_c_per_min + cooling.dwell_s)
                sensor_c = setpoint_c
            case WarmStep(goal_c):
                estimates.append(60 * abs(goal_c - sensor_c) / cooling.warm_ramp_c_per_min)
            case TuneStep():
                settle_s = settings.panel.settle_s if settings.panel else 0.0
                estimates.append(TESTS_GUESS * (_flat_guess_s(step.filter, settings) + known.readout_s + settle_s))
            case ShootStep():
                estimates.append(step.count * (_exposure_s(step, settings, known) + known.readout_s))
            case SkyStep():
                estimates.append(
                    sum(flat.count * (_sky_guess_s(flat, settings) + known.readout_s) for flat in step.flats)
                )
            case SkyMasterStep():
                estimates.append(step.flat.count * known.readout_s)
    return tuple(estimates)


def _exposure_s(step: ShootStep, settings: Settings, pace: Pace) -> float:
    if step.exposure_s is not None:
        return step.exposure_s
    if step.kind is FrameKind.BIAS:
        return 0.0
    found_s = pace.flats_s.get(step.tuning)
    return _flat_guess_s(step.filter, settings) if found_s is None else found_s


def _sky_guess_s(flat: ShootStep, settings: Settings) -> float:
    flats = settings.flats.for_filter(flat.filter)
    return sqrt(flats.preferred_exposure_s[0] * flats.exposure_limits_s[1])


def _flat_guess_s(filter_name: str | None, settings: Settings) -> float:
    shortest_s, longest_s = settings.flats.for_filter(filter_name).preferred_exposure_s
    return sqrt(shortest_s * longest_s)
