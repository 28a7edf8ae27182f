"""Turn the configured sets into the steps of a night. This module performs no I/O.

The order minimises moves and waits, and allows each master to be combined while its frames are arriving:

1. Sets with the same setpoint stay together, in the order in which the configuration first names the setpoints.
2. Bias frames come first, because they take little time and the flat tuner needs their level.
3. Flats follow, filter by filter: tuning, dark flats, flats. The master dark flat then exists before the first flat
   arrives, and only the lamp is switched between dark flats and flats (docs/decisions/0001). Twilight flats do not wait
   for dark flats: the flats of all filters and angles come first, then dark flats that cover the exposures of these
   flats, then the masters (docs/decisions/0006).
4. Darks come last, shortest exposure first, because they take longest and losing some of them to dawn costs least.
   Without a setpoint, darks come first, because the sensor is then closest to the temperature of the lights. They still
   come last if the flats are shot in twilight or with a manual lamp.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from coldframe.capture.steps import CoolStep, NoiseTarget, ShootStep, SkyMasterStep, SkyStep, Step, WarmStep
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet

_TwilightConditions = tuple[ReadoutSettings, float | None]


def plan_night(settings: Settings) -> tuple[Step, ...]:
    """Return the steps of a night in order."""
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
    """Return the function that puts sets with the same setpoint in order and adds the tunings."""
    if settings.flats.source == "sky":
        return _in_twilight
    by_hand = settings.panel is not None and settings.panel.kind == "manual"
    return _switching_least if by_hand else _at_one_temperature


def shoot_step(frame_set: FrameSet, settings: Settings) -> ShootStep:
    """Return the step that shoots a configured set."""
    return ShootStep(
        kind=frame_set.kind,
        count=frame_set.planned_frames,
        filter=frame_set.filter,
        exposure_s=frame_set.exposure_s,
        readout=frame_set.readout(settings.camera),
        setpoint_c=frame_set.setpoint(settings.camera),
        noise_target=None if isinstance(frame_set.count, int) else NoiseTarget(frame_set.count, *frame_set.bounds),
        rotator_deg=frame_set.rotator_deg,
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
    """Order the sets with the same setpoint so that the user switches a manual lamp on and off only twice.

    In this order, the wheel goes through its filters twice. All master dark flats stay in memory until their flats are
    shot.
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
    """Order the sets with the same setpoint if the flats are shot in twilight; dark flats then belong to no filter."""
    yield from (step for step in sets if step.kind is FrameKind.BIAS)
    flats = [step for step in sets if step.kind is FrameKind.FLAT]
    dark_flats = [step for step in sets if step.kind is FrameKind.DARK_FLAT]
    twilights = dict.fromkeys(map(_twilight_conditions, flats))
    # All flats come first, because twilight does not wait for dark flats.
    for conditions in twilights:
        yield SkyStep(_of(conditions, flats), len(_of(conditions, dark_flats)))
    for conditions in twilights:
        yield from (replace(step, filter=None) for step in _of(conditions, dark_flats))
        yield from (SkyMasterStep(flat) for flat in _of(conditions, flats))
    darks = (step for step in sets if step.kind is FrameKind.DARK)
    yield from sorted(darks, key=lambda step: step.exposure_s or 0.0)


def _of(conditions: _TwilightConditions, sets: list[ShootStep]) -> tuple[ShootStep, ...]:
    return tuple(step for step in sets if _twilight_conditions(step) == conditions)


def _twilight_conditions(step: ShootStep) -> _TwilightConditions:
    """Return the settings that all twilight flats of a step share, apart from their setpoint."""
    return step.readout, step.rotator_deg
