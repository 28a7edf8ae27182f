"""Estimate the durations of a night's steps. This module performs no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import sqrt

from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.config.angles import degrees_apart
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings

READOUT_GUESS_S = 1.0
"""Time from the end of an exposure to the start of the next exposure, used until a set of this night has been timed."""

TURN_DEG_PER_S = 2.0
"""Assumed speed of a rotator. It is the speed of a slow rotator; a faster one needs less time than estimated."""

FIRST_TURN_GUESS_DEG = 90.0
"""Assumed size of the first turn, whose starting angle is unknown here. It is the mean over all starting angles."""

TESTS_GUESS = 2
AMBIENT_GUESS_C = 15.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Measured durations and temperature, or guesses before the first measurement.

    Attributes
    ----------
    sensor_c
        Sensor temperature at the start of the first ramp, degrees Celsius.
    readout_s
        Seconds from the end of an exposure to the start of the next exposure.
    flats_s
        Flat exposures found by the tuning steps so far, seconds.
    """

    sensor_c: float = AMBIENT_GUESS_C
    readout_s: float = READOUT_GUESS_S
    flats_s: Mapping[TuneStep, float] = field(default_factory=dict)


def estimate_s(steps: Iterable[Step], settings: Settings, pace: Pace | None = None) -> tuple[float, ...]:
    """Return the expected wall time of each step, in seconds."""
    known = pace or Pace()
    cooling = settings.cooling
    sensor_c = known.sensor_c
    angle_deg: float | None = None
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
        wanted_deg = _angle_deg(step)
        if wanted_deg is not None and wanted_deg != angle_deg:
            # If the first of these steps is a set, an earlier tuning has already turned the rotator.
            if angle_deg is not None or not isinstance(step, ShootStep):
                estimates[-1] += _turn_s(angle_deg, wanted_deg, settings)
            angle_deg = wanted_deg
    return tuple(estimates)


def _angle_deg(step: Step) -> float | None:
    """Return the angle to which the rotator turns for a step, in degrees; None if it does not turn for this step."""
    match step:
        case TuneStep() | SkyStep() | ShootStep(kind=FrameKind.FLAT):
            return step.rotator_deg
    return None


def _turn_s(from_deg: float | None, to_deg: float, settings: Settings) -> float:
    turn_deg = FIRST_TURN_GUESS_DEG if from_deg is None else degrees_apart(from_deg, to_deg)
    settle_s = settings.rotator.settle_s if settings.rotator else 0.0
    return turn_deg / TURN_DEG_PER_S + settle_s


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
