"""Dust shadows that the flat does not remove: shifted, rotated, larger, smaller, new or gone.

Where the flat is right, no shadow remains in the calibrated lights. Elsewhere, adding the flat's shadows to what
remains yields the true shadows in the lights. The most probable change is the one that makes the flat's shadows most
similar to the true shadows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_ratio
from coldframe.calibration.diagnosis.estimating.motes import (
    Discs,
    Motes,
    compared_discs,
    moved,
    moved_owners,
    scaled,
    turned,
)
from coldframe.calibration.diagnosis.estimating.registration import fast_size
from coldframe.calibration.diagnosis.estimating.remainder import Remainder, weighted_remainder
from coldframe.calibration.diagnosis.estimating.sensor_pattern import SensorPattern
from coldframe.calibration.diagnosis.estimating.smoothing import without_specks
from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_SHIFT = 16
"""Largest shift to look for, in bins."""

ANGLES = (*(step / 2 for step in range(1, 17)), *(-step / 2 for step in range(1, 17)), 90.0, -90.0, 180.0)
"""Rotations to look for, in degrees."""

ANGLE_ERROR = 0.25

LARGE_ANGLE = 45.0
TURNING_PART, TURNING_GAIN = 0.05, 30.0
"""The improvement in chi-square that a rotation by less than `LARGE_ANGLE` achieves is reduced by the fraction
`TURNING_PART` and by `TURNING_GAIN` before it is compared with the improvement that a shift alone achieves."""

SHIFT_ERROR, RELATIVE_SHIFT_ERROR = 0.08, 0.05
"""Two errors of a shift, one in bins and one relative to the shift, that result from the size of the bins and from
smoothing."""

SCALES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4)
"""Sizes to look for: size of the shadows in the lights, relative to those in the flat."""

LEAST_GAIN = 80.0
"""Smallest improvement in chi-square at which a change counts; see the diagnosis of clean nights in benchmarks/."""

FEWEST_ALIKE = 3
EXPLAINED = 0.6
"""A change counts if `FEWEST_ALIKE` shadows have undergone it.

If fewer shadows have, it counts only if they are at least half of the flat's shadows and if the change explains at
least the fraction `EXPLAINED` of the remainder.
"""

AFFECTED_SIGMA = 6.0
"""Significance of the remainder at a shadow above which the shadow counts as changed."""

CLEAR = 25.0
"""Difference in chi-square above which the best explanation of a shadow's remainder is clearly better than the next."""

GONE_SIGMA = 8.0
BRIGHT_SIGMA = 5.0
"""A shadow counts as gone only if the remainder at its position has a significance of more than `GONE_SIGMA`, and if
its brightness relative to the surroundings has a significance of at least `BRIGHT_SIGMA`."""

NEW_SIGMA = {1: 8.0, 2: 8.0, 3: 9.0, 5: 11.0, 8: 12.0}
"""Smallest significance at which a disc counts as a new shadow, by radius in bins. It is larger for large discs,
because large structures are more common in nebulae."""

FEWEST_OTHER = 3
"""Smallest total of gone and new shadows that is attributed to a different filter, provided that a shadow is gone."""

_MOST_BESIDE = 0.4
"""Limit, relative to the depth of a shadow, below which the difference between the remainder and the inverse of the
shadow must lie if the mote is gone."""

LEAST_ALIKE = 0.65
"""Fraction of the remainder at a shadow that must have the shape of the shadow if the mote is gone; nebulae leave
remainders of a different shape."""

_EDGE = 3
"""Smallest distance of an individual shadow from an edge, in bins; closer to it, part of the surroundings is unknown.
"""

_MOST_NEW = 20


class Change(Enum):
    """How the shadows in the lights differ from those in the flat."""

    NONE = auto()
    SHIFTED = auto()
    TURNED = auto()
    SCALED = auto()
    WEAKER = auto()
    """All shadows of the lights are weaker, or all are stronger, than those of the flat."""
    OTHER = auto()
    """The shadows of the lights differ from those of the flat, but have no change in common."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A single shadow that is missing from the flat or from the lights.

    Attributes
    ----------
    down, across
        Centre of the shadow in bins.
    radius
        Radius of the shadow in bins.
    depth
        Depth as a fraction of the surrounding level; negative if the lights are too bright there.
    significance
        Absolute depth divided by its standard error.
    """

    down: int
    across: int
    radius: int
    depth: float
    significance: float


@dataclass(frozen=True, slots=True)
class DustResult:
    """The shadows of the lights, compared with those of the flat.

    Attributes
    ----------
    change
        Kind of change that all shadows have in common.
    gain
        Improvement in chi-square that this change achieves.
    down, across
        Shift of the shadows in bins from the flat to the lights.
    angle
        Rotation in degrees, counter-clockwise if the first row is displayed at the top.
    scale
        Size of the shadows in the lights, relative to those in the flat; for WEAKER, their depth relative to those in
        the flat.
    error
        Standard error of the shift in bins, of the angle in degrees, or of the scale, depending on the change.
    new, gone
        Individual shadows that only the lights, or only the flat, contain.
    noise
        Typical standard error of a bin, relative to the sky.
    """

    change: Change
    gain: float
    down: float = 0.0
    across: float = 0.0
    angle: float = 0.0
    scale: float = 1.0
    error: float = 0.0
    new: tuple[Shadow, ...] = ()
    gone: tuple[Shadow, ...] = ()
    noise: float = 0.0


def find_dust(pattern: SensorPattern, motes: Motes) -> DustResult:
    """Compare the shadows of the lights with those of the flat."""
    seen = weighted_remainder(pattern, motes)
    best, model = _best_change(seen, motes)
    is_common = best.gain >= LEAST_GAIN and (best.change is Change.WEAKER or _is_shared(seen, motes, best, model))
    left = Remainder((seen.residual - model).astype(np.float32), seen.weight) if is_common else seen
    discs = _discs(left)
    gone = _gone_shadows(left, motes, discs)
    parts = _gone_parts(left, motes, discs, gone)
    new = _new_shadows(_discs(_without_gone(left, motes, gone)) if gone else discs)
    if not is_common:
        # Dust on a different filter casts shadows in different places, so the shadows have no change in common.
        is_other = len(gone) > 0 and len(new) + len(gone) >= FEWEST_OTHER
        best = DustResult(Change.OTHER if is_other else Change.NONE, best.gain)
    known = seen.weight > 0
    noise = float(np.median(1 / np.sqrt(seen.weight[known]))) if known.any() else 0.0
    return replace(best, new=new, gone=(*(shadow for _, shadow in gone), *parts), noise=noise)


def _is_shared(seen: Remainder, motes: Motes, best: DustResult, model: F32) -> bool:
    """Return whether this change explains most affected shadows better than no change or disappearance does."""
    changed = seen.gains_by(_owners_of_both(motes, best), model, motes.radii.size)
    gone = seen.gains_by(motes.owners, -motes.template, motes.radii.size)
    ordered = np.sort([np.zeros_like(gone), gone, changed], axis=0)
    is_clear = ordered[-1] - ordered[-2] > CLEAR
    alike = np.count_nonzero(is_clear & (changed == ordered[-1]))
    affected = is_clear & _is_affected(seen, motes)
    unlike = np.count_nonzero(affected & (changed < ordered[-1]))
    if alike <= unlike or alike < min(FEWEST_ALIKE, motes.radii.size / 2):
        return False
    return bool(alike >= FEWEST_ALIKE or best.gain >= EXPLAINED * _remainder(seen, motes))


def _owners_of_both(motes: Motes, change: DustResult) -> NDArray[np.int16]:
    """Return, for each bin, the number of its shadow in the flat or, if it has none, of its changed shadow."""
    if change.change not in {Change.SHIFTED, Change.TURNED}:
        return motes.owners
    there = moved_owners(motes.owners, change.angle, change.down, change.across)
    return np.where(motes.owners >= 0, motes.owners, there)


def _is_affected(seen: Remainder, motes: Motes) -> Mask:
    """Return, for each shadow, whether more than noise remains at its position in the flat."""
    owned = (motes.owners >= 0) & (seen.weight > 0)
    owners, count = motes.owners[owned], motes.radii.size
    squares = (seen.weight[owned] * np.square(seen.residual[owned])).astype(np.float64)
    bins = np.bincount(owners, minlength=count)
    return np.asarray(np.bincount(owners, squares, count) - bins > AFFECTED_SIGMA * np.sqrt(2 * bins))


def _best_change(seen: Remainder, motes: Motes) -> tuple[DustResult, F32]:
    none = DustResult(Change.NONE, 0.0), np.zeros_like(motes.template)
    if not motes.mask.any():
        return none
    found = [_amplitude(seen, motes)]
    # Dust on the filter can move while dust on the sensor does not. Shadows without a remainder have not moved.
    affected = motes.chosen(_is_affected(seen, motes))
    template = affected.template
    if affected.mask.any():
        true = _Correlation(seen, template)
        found += [_shift(true, template, template, 0.0)]
        found += [_scaled(seen, affected, factor) for factor in SCALES]
        found += parallel_map(lambda angle: _shift(true, template, turned(template, angle), angle), ANGLES)
    inside = [each for each in found if max(abs(each[0].down), abs(each[0].across)) < MOST_SHIFT]
    best, model = max(inside, key=lambda each: _comparable_gain(each[0]), default=none)
    if best.change in {Change.SHIFTED, Change.TURNED}:
        return _fine_shift(seen, template, best)
    return best, model


def _comparable_gain(result: DustResult) -> float:
    """Return the gain, less the amount that a rotation gains merely through its additional degree of freedom."""
    if result.change is Change.TURNED and abs(result.angle) < LARGE_ANGLE:
        return result.gain * (1 - TURNING_PART) - TURNING_GAIN
    return result.gain


def _remainder(seen: Remainder, motes: Motes) -> float:
    """Return the chi-square within the shadows, in excess of the chi-square expected for pure noise."""
    within = motes.mask & (seen.weight > 0)
    return float((seen.weight * np.square(seen.residual))[within].sum()) - np.count_nonzero(within)


def _amplitude(seen: Remainder, motes: Motes) -> tuple[DustResult, F32]:
    """Return the change in strength that all shadows have in common, and a model of the remainder that it leaves.

    The change is a mean over the individual shadows that is robust against nebulae.
    """
    amounts = [each for each in _amounts(seen, motes) if each.error > 0]
    squares = np.array([each.error**-2 for each in amounts])
    mean = robust_ratio(np.array([each.value for each in amounts]) * squares, squares)
    model = (mean.value * motes.template).astype(np.float32)
    return DustResult(Change.WEAKER, mean.significance**2, scale=1 + mean.value, error=mean.error), model


def _amounts(seen: Remainder, motes: Motes) -> list[Estimate]:
    """Return the fraction of each of the flat's shadows that remains in the lights; an error of 0 means unknown."""
    owned = motes.owners >= 0
    owners, count = motes.owners[owned], motes.radii.size
    weight, template, residual = (
        plane[owned].astype(np.float64) for plane in (seen.weight, motes.template, seen.residual)
    )
    squares = np.bincount(owners, weight * template**2, count).tolist()
    products = np.bincount(owners, weight * template * residual, count).tolist()
    return [
        Estimate(product / square, square**-0.5) if square > 0 else Estimate(0.0, 0.0)
        for product, square in zip(products, squares, strict=True)
    ]


def _scaled(seen: Remainder, motes: Motes, factor: float) -> tuple[DustResult, F32]:
    model = scaled(motes, factor) - motes.template
    return DustResult(Change.SCALED, seen.gain(model), scale=factor, error=0.025), model


def _shift(true: "_Correlation", template: F32, changed: F32, angle: float) -> tuple[DustResult, F32]:
    """Return the best shift of the (rotated) template, from its correlation with the true shadows."""
    gains = true.gains(changed)
    down, across = np.unravel_index(int(np.argmax(gains)), gains.shape)
    shift = int(down) - MOST_SHIFT, int(across) - MOST_SHIFT
    errors = [_vertex_error(gains[:, across], int(down)), _vertex_error(gains[down, :], int(across))]
    result = DustResult(
        Change.SHIFTED if angle == 0 else Change.TURNED,
        float(gains[down, across]),
        float(shift[0]),
        float(shift[1]),
        angle,
        error=float(np.hypot(errors[0], errors[1])) if angle == 0 else ANGLE_ERROR,
    )
    return result, moved(changed, *shift) - template


def _fine_shift(seen: Remainder, template: F32, best: DustResult) -> tuple[DustResult, F32]:
    """Refine the best shift by whole bins, in steps of a quarter of a bin."""
    changed = template if best.angle == 0 else turned(template, best.angle)
    steps = np.arange(-3, 4) / 4
    near = [(best.down + down, best.across + across) for down in steps for across in steps]
    fine = max(near, key=lambda each: seen.gain(moved(changed, *each) - template))
    model = moved(changed, *fine) - template
    shift = float(np.hypot(fine[0], fine[1]))
    error = (
        best.error
        if best.change is Change.TURNED
        else float(np.sqrt(best.error**2 + SHIFT_ERROR**2 + (RELATIVE_SHIFT_ERROR * shift) ** 2))
    )
    return replace(best, gain=seen.gain(model), down=float(fine[0]), across=float(fine[1]), error=error), model


class _Correlation:
    """Correlates the true shadows, whose spectra are computed only once, with changed templates."""

    def __init__(self, seen: Remainder, template: F32) -> None:
        self._shape = tuple(fast_size(size + 2 * MOST_SHIFT) for size in template.shape)
        self._true = np.fft.rfft2(seen.weight * (seen.residual + template), self._shape)
        self._weight = np.fft.rfft2(seen.weight, self._shape)
        self._constant = float((seen.weight * template * (template + 2 * seen.residual)).sum(dtype=np.float64))

    def gains(self, changed: F32) -> F32:
        """Return the gain in chi-square if `changed`, shifted by up to `MOST_SHIFT`, replaces the template.

        The result has one value for each shift.
        """
        cross = self._true * np.conj(np.fft.rfft2(changed, self._shape))
        norm = self._weight * np.conj(np.fft.rfft2(np.square(changed), self._shape))
        gains = np.fft.irfft2(2 * cross - norm, self._shape)
        steps = np.arange(-MOST_SHIFT, MOST_SHIFT + 1)
        return np.asarray(gains[np.ix_(steps, steps)] - self._constant)


def _vertex_error(gains: F32, peak: int) -> float:
    """Return the standard error, in bins, of the position of a peak, from the curvature of its gains; 1 at the edge."""
    if not 0 < peak < gains.size - 1:
        return 1.0
    curvature = gains[peak - 1] - 2 * gains[peak] + gains[peak + 1]
    return float(np.sqrt(-2 / curvature)) if curvature < 0 else 1.0


def _gone_shadows(left: Remainder, motes: Motes, discs: Discs) -> list[tuple[int, Shadow]]:
    """Return the flat's shadows that are missing from the lights, with their numbers.

    Division by the flat makes the lights too bright at these shadows.
    """
    found = []
    brightest = -discs.significance.min(axis=0)
    height, width = motes.template.shape
    for number, amount in enumerate(_amounts(left, motes)):
        down, across = (int(each) for each in motes.centres[number])
        inside = _EDGE <= down < height - _EDGE and _EDGE <= across < width - _EDGE
        near = slice(max(down - 1, 0), down + 2), slice(max(across - 1, 0), across + 2)
        if not inside or brightest[near].max() < BRIGHT_SIGMA:
            continue
        if abs(amount.value + 1) < _MOST_BESIDE and amount.significance > GONE_SIGMA:
            own = motes.owners == number
            explained = amount.significance**2 / float((left.weight * np.square(left.residual))[own].sum())
            if explained > LEAST_ALIKE:
                depth = float(motes.template[own].min())
                shadow = Shadow(down, across, int(motes.radii[number]), depth, amount.significance)
                found.append((number, shadow))
    return found


def _gone_parts(left: Remainder, motes: Motes, discs: Discs, gone: Sequence[tuple[int, Shadow]]) -> list[Shadow]:
    """Return missing shadows inside larger shadows of the flat: bright discs where the flat has dark ones.

    A disc must be about as dark in the flat as it is bright in the lights; this excludes nebulae.
    """
    if not (-discs.significance > min(NEW_SIGMA.values())).any():
        return []
    relief = compared_discs(motes.template, np.ones_like(motes.template), tuple(NEW_SIGMA), _EDGE).depth
    lacking = np.isin(motes.owners, [number for number, _ in gone])
    within = (motes.owners >= 0) & ~lacking & (left.weight > 0)
    radii = tuple(NEW_SIGMA)
    return [
        each
        for each in _most_significant(discs, np.where(within, -discs.significance, 0))
        if abs(each.depth + (own := relief[radii.index(each.radius), each.down, each.across])) < _MOST_BESIDE * own
    ]


def _without_gone(left: Remainder, motes: Motes, gone: Sequence[tuple[int, Shadow]]) -> Remainder:
    """Return the remainder without the bright traces of shadows that are gone; these traces can hide new shadows."""
    if not gone:
        return left
    lacking = np.isin(motes.owners, [number for number, _ in gone])
    return Remainder(left.residual + np.where(lacking, motes.template, 0), left.weight)


def _new_shadows(discs: Discs) -> tuple[Shadow, ...]:
    """Return shadows that only the lights have: discs that are darker than the rings around them."""
    return _most_significant(discs, discs.significance)


def _most_significant(discs: Discs, significance: F32) -> tuple[Shadow, ...]:
    """Return the discs that are significant enough; `significance` is float32, shape (radii, rows, columns)."""
    found: list[Shadow] = []
    radii = tuple(NEW_SIGMA)
    relative = significance / np.array(tuple(NEW_SIGMA.values()), np.float32)[:, None, None]
    for _ in range(_MOST_NEW):
        place = np.unravel_index(int(np.argmax(relative)), relative.shape)
        if relative[place] < 1:
            break
        size, down, across = (int(each) for each in place)
        found.append(Shadow(down, across, radii[size], float(discs.depth[place]), float(significance[place])))
        # The same shadow must not be found again through discs that overlap this one.
        reach = 2 * radii[size] + 2
        relative[:, max(down - reach, 0) : down + reach + 1, max(across - reach, 0) : across + reach + 1] = 0
    return tuple(found)


def _discs(left: Remainder) -> Discs:
    # An outdated dark leaves individual pixels that are too dark; these are not dust.
    return compared_discs(without_specks(left.residual, left.weight), left.weight, tuple(NEW_SIGMA), _EDGE)
