"""Fit a plan into the time before a deadline. This module performs no I/O.

Sets lose frames before any set is skipped. First, each set can shrink to a sensible minimum. Then the least important
sets are skipped. If time is left, it is used to enlarge the other sets again, beginning with the most important ones.
The warm-up may end after the deadline, because it does not need darkness.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from coldframe.capture.planning.estimates import Pace, estimate_s
from coldframe.capture.steps import CoolStep, ShootStep, SkyMasterStep, SkyStep, Step, TuneStep, WarmStep
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings

SMALLEST_COUNTS = {FrameKind.BIAS: 100, FrameKind.DARK: 20, FrameKind.FLAT: 20, FrameKind.DARK_FLAT: 20}
"""Smallest frame counts that still give a useful master; a set planned with fewer frames keeps its planned count."""

Counts = dict[int, int]
"""Frame counts of sets by the index of the step in the plan; a tuning has a count of 1.

Sets and tunings without an entry are skipped.
"""


def fit_before_deadline(
    steps: Sequence[Step],
    time_s: float,
    settings: Settings,
    pace: Pace,
    frames_on_disk: Callable[[ShootStep], int] = lambda _: 0,
) -> tuple[Step | None, ...]:
    """Return the steps of a plan that fit into the given time.

    Parameters
    ----------
    steps
        Steps in the order of the night. Of equally important sets, the later ones are skipped first.
    time_s
        Time until the deadline.
    settings
        Settings of the rig. `lights.first` determines whether flats or darks are skipped last. Bias sets that no flats
        need are skipped first.
    pace
        Durations of the parts of a step.
    frames_on_disk
        Function that returns the number of frames of a set that were shot by an earlier run of the same night. These
        frames take no time and are never dropped.

    Returns
    -------
    tuple
        One item per step: the unchanged step, the step with fewer frames, or None if there is no time for the step.
    """
    shot = _frames_taken(steps, frames_on_disk)

    def fits(counts: Counts) -> bool:
        missing = {index: count - shot.get(index, 0) for index, count in counts.items() if count > shot.get(index, 0)}
        return (not missing and bool(shot)) or time_needed_s(_with_counts(steps, missing), settings, pace) <= time_s

    wanted = {
        index: step.count if isinstance(step, ShootStep) else 1 for index, step in _countable_steps(steps).items()
    }
    if fits(wanted):
        return tuple(steps)
    counts: Counts = {}
    ranked = sorted((_priority(steps, indices, settings.lights.first), indices) for indices in _bundles(steps))
    for _, indices in ranked:
        at_hand = {index: min(wanted[index], shot.get(index, 0)) for index in indices}
        smallest = {index: max(at_hand[index], min(wanted[index], _smallest_count(steps[index]))) for index in indices}
        if _lost_its_bias(steps, indices, counts):
            continue
        if fits(counts | smallest):
            counts |= smallest
        elif all(at_hand.values()):
            counts |= at_hand
    for rank in dict(ranked):
        alike = [index for own, indices in ranked if own == rank for index in indices if index in counts]
        counts |= _largest(counts, wanted, alike, fits)
    return _with_counts(steps, counts)


def _largest(counts: Counts, wanted: Counts, alike: list[int], fits: Callable[[Counts], bool]) -> Counts:
    """Return the largest frame counts of the equally important sets `alike` that fit.

    All these sets get the same number of frames, except where a set already has more or was planned with fewer.
    """

    def larger(count: int) -> Counts:
        return {index: max(counts[index], min(wanted[index], count)) for index in alike}

    sizes = range(max((wanted[index] for index in alike), default=0) + 1)
    return larger(bisect_right(sizes, False, key=lambda count: not fits(counts | larger(count))) - 1)


def time_needed_s(steps: Iterable[Step | None], settings: Settings, pace: Pace) -> float:
    """Return the time until the last frame is complete, in seconds, excluding the warm-up."""
    done = [step for step in steps if step is not None and not isinstance(step, WarmStep)]
    return sum(estimate_s(done, settings, pace))


def _frames_taken(steps: Sequence[Step], frames_on_disk: Callable[[ShootStep], int]) -> Counts:
    """Return the number of frames on disk for each step; a tuning counts as done if its filter has frames on disk."""
    frames = {index: frames_on_disk(step) for index, step in enumerate(steps) if isinstance(step, ShootStep)}
    shot = {index: count for index, count in frames.items() if count}
    for indices in _bundles(steps):
        if any(index in shot for index in indices):
            shot |= {index: 1 for index in indices if isinstance(steps[index], TuneStep)}
    return shot


def _countable_steps(steps: Sequence[Step]) -> Mapping[int, ShootStep | TuneStep]:
    return {index: step for index, step in enumerate(steps) if isinstance(step, ShootStep | TuneStep)}


def _smallest_count(step: Step) -> int:
    return SMALLEST_COUNTS[step.kind] if isinstance(step, ShootStep) else 1


def _bundles(steps: Sequence[Step]) -> list[list[int]]:
    """Group the indices of steps that need each other, such as the tuning, dark flats and flats of a filter."""
    bundles: dict[object, list[int]] = {}
    for index, step in _countable_steps(steps).items():
        alone = isinstance(step, ShootStep) and step.kind in (FrameKind.BIAS, FrameKind.DARK)
        tuning = step.tuning if isinstance(step, ShootStep) else step
        bundles.setdefault(index if alone else tuning, []).append(index)
    return list(bundles.values())


def _priority(steps: Sequence[Step], indices: list[int], first: Literal["flats", "darks"]) -> int:
    """Return the rank of a bundle of steps; bundles of rank 0 are skipped last."""
    step = steps[indices[-1]]
    if isinstance(step, ShootStep) and step.kind is FrameKind.BIAS:
        return 0 if _is_subtracted(step, steps) else 3
    is_dark = isinstance(step, ShootStep) and step.kind is FrameKind.DARK
    return 1 if is_dark == (first == "darks") else 2


def _is_subtracted(bias: ShootStep, steps: Sequence[Step]) -> bool:
    """Return whether any flats need this bias because they have no dark flats."""
    if any(isinstance(step, SkyStep) and not step.dark_flats and step.readout == bias.readout for step in steps):
        return True
    shots = [step for step in steps if isinstance(step, ShootStep)]
    with_dark_flats = {step.tuning for step in shots if step.kind is FrameKind.DARK_FLAT}
    return any(
        step.kind is FrameKind.FLAT and step.readout == bias.readout and step.tuning not in with_dark_flats
        for step in shots
    )


def _lost_its_bias(steps: Sequence[Step], indices: list[int], counts: Counts) -> bool:
    """Return whether the flats of a bundle have no dark flats and their bias was skipped."""
    bundle = [step for index in indices if isinstance(step := steps[index], ShootStep)]
    readouts = {step.readout for step in bundle if step.kind is FrameKind.FLAT}
    if not readouts or any(step.kind is FrameKind.DARK_FLAT for step in bundle):
        return False
    biases = [
        index
        for index, step in enumerate(steps)
        if isinstance(step, ShootStep) and step.kind is FrameKind.BIAS and step.readout in readouts
    ]
    return bool(biases) and not any(index in counts for index in biases)


def _with_counts(steps: Sequence[Step], counts: Counts) -> tuple[Step | None, ...]:
    """Return the plan with the given frame counts. Steps that cool to a setpoint that is no longer used become None."""
    setpoints = {step.setpoint_c for index, step in _countable_steps(steps).items() if index in counts}
    setpoints |= {step.setpoint_c for step in steps if isinstance(step, SkyStep)}

    def left(index: int, step: Step) -> Step | None:
        match step:
            case CoolStep(setpoint_c):
                return step if setpoint_c in setpoints else None
            case WarmStep() | SkyStep() | SkyMasterStep():
                return step
            case ShootStep() if index in counts:
                return replace(step, count=counts[index])
        return step if index in counts else None

    return tuple(left(index, step) for index, step in enumerate(steps))
