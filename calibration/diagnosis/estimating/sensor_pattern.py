"""The fixed pattern of the sensor in a set of dithered lights, separated from the structures of the sky."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import spread
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.diagnosis.estimating.registration import Place, places_of, star_light
from coldframe.calibration.diagnosis.estimating.smoothing import smoothed
from coldframe.calibration.diagnosis.estimating.stars import widened
from coldframe.calibration.kernels import sensor_and_sky as kernels
from coldframe.calibration.threads import parallel_map, thread_count

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH = 8.0
"""Standard deviation, in bins, of the Gaussian with which a plane is smoothed before the result is subtracted from it;
larger structures are not due to dust."""

DEGREE = 4
_SAMPLED = 50
_REACH_SIGMA = 6.0
_ROUNDS = 8
_STAR_SIGMA = 3.5

MOST_BRIGHT = 2.0
"""Level, relative to the sky, above which a bin is masked as part of a bright star or nebula even if most lights are
bright there. This is necessary because stars that are wider than the dithers cover the same bins in most lights. Dust
is not masked: a shadow that is removed in the wrong place never doubles the level."""

_WIDEST_STAR = 5
"""Smallest width, in bins, of a bright object that is not matched as a star: unsaturated stars are narrower."""

_WINGS = 6
"""Reach of the wings of bright stars in bins."""

_LEAST_DITHER = 1.0
"""Smallest scatter of the dithers along an axis, in bins, at which lights count as dithered. With small dithers, wide
structures of the sensor appear weaker, but nothing of the sky remains in the pattern: the first estimate of the sky
contains all structures that might belong either to the sky or to the sensor."""

_LEAST_MOVED = 2.0
"""Smallest scatter of the dithers, in bins, at which not even the wings of stars fall on the same pixels."""

_FEWEST_COMMON = 3
LEAST_OWN_STARS = 0.3
"""Fraction of the starlight that most lights do not share, above which lights are matched by this part of the starlight
alone; undithered lights share almost all of it."""

_LEAST_VARIANCE = 1e-20
_FEWEST_VALUES = 2
_FITTED = 2
"""Number of values that are derived from all lights for each bin: one of the sensor and one of the sky."""


@dataclass(frozen=True, slots=True, eq=False)
class SensorPattern:
    """Small structures that are fixed on the sensor.

    Attributes
    ----------
    relative
        Pattern relative to the sky: float32, shape (rows, columns) of bins; NaN if unknown.
    error
        Standard error of each bin, same shape.
    places
        Positions of the lights relative to the first.
    is_dithered
        True if structures of the sky could be distinguished from all structures of the sensor.
    """

    relative: F32
    error: F32
    places: tuple[Place | None, ...]
    is_dithered: bool

    @property
    def moves_stars(self) -> bool:
        """True if no star falls on the same pixels in over a third of the lights, so that the median shows no stars."""
        counts = Counter(self.places)
        return _dither(self.places) >= _LEAST_MOVED and 3 * max(counts.values()) <= len(self.places)


def high_pass(plane: F32) -> F32:
    """Return a plane minus its surroundings; NaN stays NaN and has no weight.

    A polynomial is subtracted first, because vignetting and gradients would otherwise remain near the edges, where the
    surroundings are one-sided.
    """
    known = np.isfinite(plane)
    flat = plane - _polynomial(plane, known)
    return np.asarray(flat - smoothed(flat, known, REACH), np.float32)


def _polynomial(plane: F32, known: Mask) -> F32:
    """Return the polynomial of degree `DEGREE` that fits the known bins best."""
    height, width = plane.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    powers = [(down, across) for down in range(DEGREE + 1) for across in range(DEGREE + 1 - down)]
    sample = slice(None, None, max(1, height // _SAMPLED)), slice(None, None, max(1, width // _SAMPLED))
    used = known[sample]
    terms = np.stack([np.outer(y[sample[0]] ** down, x[sample[1]] ** across)[used] for down, across in powers], axis=1)
    if used.sum() < 2 * len(powers):
        return np.zeros_like(plane)
    values = plane[sample][used]
    middle = np.median(values)
    reach = _REACH_SIGMA * spread((values - middle).astype(np.float64)) or np.inf
    amounts = np.linalg.lstsq(terms, np.clip(values, middle - reach, middle + reach), rcond=None)[0]
    table = np.zeros((DEGREE + 1, DEGREE + 1))
    for (down, across), amount in zip(powers, amounts, strict=True):
        table[down, across] = amount
    return np.polynomial.polynomial.polygrid2d(y, x, table).astype(np.float32)


def find_sensor_pattern(lights: Sequence[LightMeasures]) -> SensorPattern:
    """Return the fixed pattern of the sensor."""
    scaled, bright = zip(*map(_excess_and_bright, lights), strict=True)
    # Residuals of dust shadows are bright on one side and would be masked as stars, so the structures that most lights
    # share are subtracted first.
    common = _common(scaled)
    places = places_of(scaled)
    if not _is_dithered(places):
        # Hot pixels that the dark lacks match better than stars do, but they hide the dithers, because they are at the
        # same position in all lights.
        own = [each - common for each in scaled]
        if star_light(own) > LEAST_OWN_STARS * star_light(scaled):
            places = places_of(own)
    residuals = np.empty((len(lights), *common.shape), np.float32)
    for number, (light, excess) in enumerate(zip(lights, scaled, strict=True)):
        stars = _stars(excess - common, bright[number])
        masked = np.where(stars | ~np.isfinite(light.bins), np.nan, light.bins / light.sky_adu)
        residuals[number] = high_pass(masked.astype(np.float32))
    is_dithered = _is_dithered(places)
    mean, error = _separated(residuals, places if is_dithered or _is_turned(places) else [None] * len(places))
    return SensorPattern(mean, error, tuple(places), is_dithered)


def _excess_and_bright(light: LightMeasures) -> tuple[F32, Mask]:
    """Return the excess of bins over their background in units of its spread, and the bright bins."""
    level, noise = light.background_and_spread
    excess = ((light.bins - level) / np.maximum(noise, np.float32(1e-6))).astype(np.float32)
    # If the sky is faint or below zero, noise alone exceeds a multiple of the sky level; hence the second limit.
    least_adu = max((MOST_BRIGHT - 1) * light.sky_adu, 10 * _STAR_SIGMA * float(np.median(noise)))
    bright = light.bins - light.sky_adu > least_adu
    # The background around saturated stars and around the cores of nebulae is not known, and these wide areas would
    # match at many shifts.
    excess[widened(_wide(bright), _WINGS)] = 0
    return excess, bright


def _wide(mask: Mask) -> Mask:
    """Return the parts of a mask into which a square of `_WIDEST_STAR` bins fits."""
    reach = _WIDEST_STAR // 2
    return widened(~widened(~mask, reach), reach)


def _stars(excess: F32, bright: Mask) -> Mask:
    """Return the bins with stars and their wings.

    Parameters
    ----------
    excess
        Excess over the background and the structures that most lights share, in units of the background's spread.
    bright
        Bins so bright that they are masked even if they are bright in most lights.
    """
    return widened(excess > _STAR_SIGMA, 1) | widened(excess > 10 * _STAR_SIGMA, 3) | widened(bright, _WINGS)


def _common(scaled: Sequence[F32]) -> F32:
    """Return the structures that most lights share; zeros if there are too few lights."""
    medians = np.zeros_like(scaled[0])
    if len(scaled) >= _FEWEST_COMMON:
        lights = np.stack(scaled)

        def renew(part: slice) -> None:
            kernels.median_of_lights(lights, part.start, part.stop, medians)

        list(parallel_map(renew, _parts(len(medians))))
    return medians


def _is_dithered(places: Sequence[Place | None]) -> bool:
    """Return whether the lights shot on the same side of the pier are dithered.

    A half turn alone is not enough: each structure of the sensor would leave its negative at the opposite position.
    """
    return _dither(places) >= _LEAST_DITHER


def _dither(places: Sequence[Place | None]) -> float:
    """Return the scatter of the shifts on the same side of the pier, along the axis with more scatter.

    The result is 0 if the positions of too few lights are known.
    """
    found = [place for place in places if place is not None]
    if len(found) <= _FITTED:
        return 0.0
    sides = [[(each.down, each.across) for each in found if each.is_turned is turned] for turned in (False, True)]
    variances = [np.var(side, axis=0) * len(side) for side in sides if side]
    return float(np.sqrt(np.sum(variances, axis=0) / len(found)).max())


def _is_turned(places: Sequence[Place | None]) -> bool:
    found = [place.is_turned for place in places if place is not None]
    return len(found) > _FITTED and len(set(found)) > 1


def _separated(residuals: F32, places: Sequence[Place | None]) -> tuple[F32, F32]:
    """Return the sensor's pattern and its standard error, by estimating sensor and sky alternately.

    Parameters
    ----------
    residuals
        The small structures of each light: float32, shape (lights, rows, columns); NaN for unknown bins.
    places
        The positions of the lights.
    """
    lights, height, width = residuals.shape
    parts = _parts(height)
    table = np.array([(0, 0, 0, 0) if at is None else (at.down, at.across, at.is_turned, 1) for at in places], np.int64)
    sky, fixed, mean, weight = np.zeros((4, height, width), np.float32)
    known = int(table[:, 3].sum())
    weights = np.array([1 / max(float(np.nanvar(each)), _LEAST_VARIANCE) for each in residuals], np.float32)

    def renew_sky(part: slice) -> None:
        fewest = min(2 * _FEWEST_VALUES, known)
        kernels.mean_on_sky(residuals, fixed, weights, table, fewest, part.start, part.stop, sky)

    def renew_mean(part: slice, fewest: int = _FEWEST_VALUES) -> None:
        kernels.mean_on_sensor(residuals, sky, weights, table, fewest, part.start, part.stop, mean, weight)

    for _ in range(_ROUNDS if known else 0):
        list(parallel_map(renew_sky, parts))
        list(parallel_map(renew_mean, parts))
        fixed = np.nan_to_num(mean)
    if known > _FITTED:
        sums = np.zeros((len(parts), lights, 3))

        def add_scatter(number: int) -> None:
            part = parts[number]
            kernels.scatter_on_sensor(residuals, sky, fixed, table, part.start, part.stop, sums[number])

        list(parallel_map(add_scatter, range(len(parts))))
        number, total, squares = sums.sum(axis=0).T
        variance = squares / np.maximum(number, 1) - np.square(total / np.maximum(number, 1))
        # Nebulae are part of the sky, and therefore not noise in the sensor's pattern.
        free = (1 - _FITTED / known) / np.maximum(variance, _LEAST_VARIANCE)
        weights = np.where(table[:, 3] > 0, free, weights).astype(np.float32)
    list(parallel_map(lambda part: renew_mean(part, min(_FEWEST_VALUES, lights)), parts))
    unknown = np.float32(np.nan)
    return mean, np.where(weight > 0, 1 / np.sqrt(np.maximum(weight, _LEAST_VARIANCE)), unknown).astype(np.float32)


def _parts(size: int) -> list[slice]:
    edges = np.linspace(0, size, thread_count() + 1).astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]
