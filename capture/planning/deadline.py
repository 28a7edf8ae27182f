"""What of a plan can be done before a deadline. Pure.

Frames go before sets: each set may shrink to what good practice asks for at least before any set is left out, and what
time is left over makes sets larger again, the important ones first. The warm-up comes after the deadline: it needs no
darkness.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from coldframe.capture.planning.estimates import Pace, estimate_s
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings

LEAST_COUNTS = {FrameKind.BIAS: 100, FrameKind.DARK: 20, FrameKind.FLAT: 20, FrameKind.DARK_FLAT: 20}
"""The smallest sets of good practice; one that was to be smaller stays as it was."""

Counts = dict[int, int]
"""Frames of steps, by their places in the plan; a step that is not in it is left out."""


def fit_before_deadline(
    steps: Sequence[Step],
    time_s: float,
    settings: Settings,
    pace: Pace,
    frames_on_disk: Callable[[ShootStep], int] = lambda _: 0,
) -> tuple[Step | None, ...]:
    """Return what of a plan fits into a time.

    Parameters
    ----------
    steps
        In the order in which they are done; of sets that are equally important the earlier ones are kept.
    time_s
        Until the deadline.
    settings
        `lights.first` says whether flats or darks are kept longest. Bias goes first, unless it is what is subtracted
        from flats.
    pace
        How long things take.
    frames_on_disk
        Tells how many frames of a set an earlier run of the night has shot: they take no time, and are never left out.

    Returns
    -------
    tuple
        For each step the same, or one with fewer frames, or None where there is no time for it.
    """
    shot = _shot(steps, frames_on_disk)

    def fits(counts: Counts) -> bool:
        missing = {place: count - shot.get(place, 0) for place, count in counts.items() if count > shot.get(place, 0)}
        return (not missing and bool(shot)) or time_needed_s(_cut(steps, missing), settings, pace) <= time_s

    wanted = {place: step.count if isinstance(step, ShootStep) else 1 for place, step in _frames(steps).items()}
    if fits(wanted):
        return tuple(steps)
    counts: Counts = {}
    ranked = sorted((_rank(steps, places, settings.lights.first), places) for places in _bundles(steps))
    for _, places in ranked:
        at_hand = {place: min(wanted[place], shot.get(place, 0)) for place in places}
        smallest = {place: max(at_hand[place], min(wanted[place], _least(steps[place]))) for place in places}
        if _lacks_bias(steps, places, counts):
            continue
        if fits(counts | smallest):
            counts |= smallest
        elif all(at_hand.values()):
            counts |= at_hand
    for rank in dict(ranked):
        alike = [place for own, places in ranked if own == rank for place in places if place in counts]
        counts |= _largest(counts, wanted, alike, fits)
    return _cut(steps, counts)


def _largest(counts: Counts, wanted: Counts, alike: list[int], fits: Callable[[Counts], bool]) -> Counts:
    """Return the largest counts that fit, for sets alike, which get equally many frames."""

    def larger(count: int) -> Counts:
        return {place: max(counts[place], min(wanted[place], count)) for place in alike}

    sizes = range(max((wanted[place] for place in alike), default=0) + 1)
    return larger(bisect_right(sizes, False, key=lambda count: not fits(counts | larger(count))) - 1)


def time_needed_s(steps: Iterable[Step | None], settings: Settings, pace: Pace) -> float:
    """Return how long steps take until the last frame is in, so without the warm-up."""
    done = [step for step in steps if step is not None and not isinstance(step, WarmStep)]
    return sum(estimate_s(done, settings, pace))


def _shot(steps: Sequence[Step], frames_on_disk: Callable[[ShootStep], int]) -> Counts:
    """Return the frames that are on the disk already, and which tunings those of flats tell of."""
    frames = {place: frames_on_disk(step) for place, step in enumerate(steps) if isinstance(step, ShootStep)}
    shot = {place: count for place, count in frames.items() if count}
    for places in _bundles(steps):
        if any(place in shot for place in places):
            shot |= {place: 1 for place in places if isinstance(steps[place], TuneStep)}
    return shot


def _frames(steps: Sequence[Step]) -> Mapping[int, ShootStep | TuneStep]:
    return {place: step for place, step in enumerate(steps) if isinstance(step, ShootStep | TuneStep)}


def _least(step: Step) -> int:
    return LEAST_COUNTS[step.kind] if isinstance(step, ShootStep) else 1


def _bundles(steps: Sequence[Step]) -> list[list[int]]:
    """Return the places of steps that are of no use without each other: a filter's tuning, dark flats and flats."""
    bundles: dict[object, list[int]] = {}
    for place, step in _frames(steps).items():
        alone = isinstance(step, ShootStep) and step.kind in (FrameKind.BIAS, FrameKind.DARK)
        tuning = step.tuning if isinstance(step, ShootStep) else step
        bundles.setdefault(place if alone else tuning, []).append(place)
    return list(bundles.values())


def _rank(steps: Sequence[Step], places: list[int], first: Literal["flats", "darks"]) -> int:
    """Return how important a bundle is: 0 is kept longest."""
    step = steps[places[-1]]
    if isinstance(step, ShootStep) and step.kind is FrameKind.BIAS:
        return 0 if _is_subtracted(step, steps) else 3
    is_dark = isinstance(step, ShootStep) and step.kind is FrameKind.DARK
    return 1 if is_dark == (first == "darks") else 2


def _is_subtracted(bias: ShootStep, steps: Sequence[Step]) -> bool:
    """Tell whether a flat has only this bias to be subtracted from it."""
    if any(isinstance(step, SkyStep) and not step.dark_flats and step.readout == bias.readout for step in steps):
        return True
    shots = [step for step in steps if isinstance(step, ShootStep)]
    cared_for = {step.tuning for step in shots if step.kind is FrameKind.DARK_FLAT}
    return any(
        step.kind is FrameKind.FLAT and step.readout == bias.readout and step.tuning not in cared_for for step in shots
    )


def _lacks_bias(steps: Sequence[Step], places: list[int], counts: Counts) -> bool:
    """Tell whether a bundle's flats have nothing to be subtracted from them, as their bias was left out."""
    bundle = [step for place in places if isinstance(step := steps[place], ShootStep)]
    readouts = {step.readout for step in bundle if step.kind is FrameKind.FLAT}
    if not readouts or any(step.kind is FrameKind.DARK_FLAT for step in bundle):
        return False
    biases = [
        place
        for place, step in enumerate(steps)
        if isinstance(step, ShootStep) and step.kind is FrameKind.BIAS and step.readout in readouts
    ]
    return bool(biases) and not any(place in counts for place in biases)


def _cut(steps: Sequence[Step], counts: Counts) -> tuple[Step | None, ...]:
    """Return the plan with these counts, and without the setpoints that no frame needs any more."""
    setpoints = {step.setpoint_c for place, step in _frames(steps).items() if place in counts}
    setpoints |= {step.setpoint_c for step in steps if isinstance(step, SkyStep)}

    def left(place: int, step: Step) -> Step | None:
        match step:
            case CoolStep(setpoint_c):
                return step if setpoint_c in setpoints else None
            case WarmStep() | SkyStep() | SkyMasterStep():
                return step
            case ShootStep() if place in counts:
                return replace(step, count=counts[place])
        return step if place in counts else None

    return tuple(left(place, step) for place, step in enumerate(steps))
