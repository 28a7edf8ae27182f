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

from collections.abc import Callable, Iterator
from dataclasses import replace

from coldframe.capture.steps import CoolStep, NoiseTarget, ShootStep, SkyMasterStep, SkyStep, Step, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.config.tables.sets import FrameSet


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
        noise_target=None if isinstance(frame_set.count, int) else NoiseTarget(frame_set.count, *frame_set.bounds),
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
