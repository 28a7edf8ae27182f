"""What to shoot, in what order: from sets to steps. Pure.

The order keeps moves and waits few and lets every master grow while its frames come in:

1. Sets of one sensor temperature stay together, in the order in which the configuration first names the temperatures.
2. Bias first: it takes moments, and its level is what the flat tuner starts from.
3. Then filter by filter: the flat's exposure is tuned, its dark flats are shot, then the flats. So the dark flats'
   master is there when the first flat arrives, and only the lamp is switched in between; nothing moves.
4. Darks last, the shortest first: they take longest, need the optical train no more, and losing some of them to dawn
   costs least.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt

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
    exposure_s
        Of darks; None where the camera (bias) or the tuner (flats, dark flats) decides.
    """

    kind: FrameKind
    count: int
    filter: str | None
    exposure_s: float | None
    readout: ReadoutSettings
    setpoint_c: float | None

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
class WarmStep:
    """Let the sensor warm up slowly and switch the cooler off."""

    goal_c: float

    @property
    def title(self) -> str:
        """Name of the step for people."""
        return "warm up"


Step = CoolStep | TuneStep | ShootStep | WarmStep


def plan_night(settings: Settings) -> tuple[Step, ...]:
    """Return the steps of a night in the order in which they are done."""
    sets = [_shoot_step(each, settings) for each in settings.sets]
    steps: list[Step] = []
    for setpoint_c in dict.fromkeys(step.setpoint_c for step in sets):
        if setpoint_c is not None:
            steps.append(CoolStep(setpoint_c))
        steps += _at_one_temperature([step for step in sets if step.setpoint_c == setpoint_c])
    if settings.cooling.at_end == "warm" and any(isinstance(step, CoolStep) for step in steps):
        steps.append(WarmStep(settings.cooling.warm_to_c))
    return tuple(steps)


def _shoot_step(frame_set: FrameSet, settings: Settings) -> ShootStep:
    return ShootStep(
        kind=frame_set.kind,
        count=frame_set.count,
        filter=frame_set.filter,
        exposure_s=frame_set.exposure_s,
        readout=frame_set.readout(settings.camera),
        setpoint_c=frame_set.setpoint(settings.camera),
    )


def _at_one_temperature(sets: list[ShootStep]) -> Iterator[Step]:
    yield from (step for step in sets if step.kind is FrameKind.BIAS)
    for flat in (step for step in sets if step.kind is FrameKind.FLAT):
        yield flat.tuning
        yield from (step for step in sets if step.kind is FrameKind.DARK_FLAT and step.tuning == flat.tuning)
        yield flat
    darks = (step for step in sets if step.kind is FrameKind.DARK)
    yield from sorted(darks, key=lambda step: step.exposure_s or 0.0)


def estimate_s(steps: Iterable[Step], settings: Settings) -> tuple[float, ...]:
    """Return the expected wall time of each step, in seconds, before anything is measured."""
    cooling = settings.cooling
    sensor_c = AMBIENT_GUESS_C
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
                estimates.append(TESTS_GUESS * (_flat_guess_s(step.filter, settings) + READOUT_GUESS_S + settle_s))
            case ShootStep():
                estimates.append(step.count * (_exposure_guess_s(step, settings) + READOUT_GUESS_S))
    return tuple(estimates)


def _exposure_guess_s(step: ShootStep, settings: Settings) -> float:
    if step.exposure_s is not None:
        return step.exposure_s
    return 0.0 if step.kind is FrameKind.BIAS else _flat_guess_s(step.filter, settings)


def _flat_guess_s(filter_name: str | None, settings: Settings) -> float:
    shortest_s, longest_s = settings.flats.for_filter(filter_name).preferred_exposure_s
    return sqrt(shortest_s * longest_s)
