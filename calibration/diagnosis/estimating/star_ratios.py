"""Stars before and after a meridian flip: the only evidence that distinguishes an uneven flat from a sky gradient.

A flip rotates the camera by 180 degrees, so that each star falls on the opposite side of the sensor. An uneven flat
makes a star brighter on one side than on the other. A sky gradient adds the same level to a star and to the background
around it, and is removed with the background.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.diagnosis.estimating.registration import Place

F32 = NDArray[np.float32]

FEWEST_STARS = 20
_STAR_SIGMA = 8.0
_REACH = 2
_ISOLATED = 4
_SATURATED_ADU = 30_000.0


@dataclass(frozen=True, slots=True)
class Unevenness:
    """Relative variation of stellar flux across the field.

    Attributes
    ----------
    across, down
        Change from the left to the right edge, and from the top to the bottom edge.
    stars
        Number of stars that were compared.
    """

    across: Estimate
    down: Estimate
    stars: int


def find_unevenness(lights: Sequence[LightMeasures], places: Sequence[Place | None]) -> Unevenness | None:
    """Compare stars before and after a flip; return None without a flip or with too few stars."""
    sides: dict[bool, list[F32]] = {False: [], True: []}
    spreads: dict[bool, list[float]] = {False: [], True: []}
    for light, place in zip(lights, places, strict=True):
        if place is not None:
            level, spread = light.background_and_spread
            sides[place.is_turned].append(place.on_sky(light.bins - level))
            spreads[place.is_turned].append(float(np.median(spread)))
    if not sides[False] or not sides[True]:
        return None
    before, after = (np.mean(sides[turned], axis=0) for turned in (False, True))
    noise = [float(np.mean(spreads[turned])) / len(spreads[turned]) ** 0.5 for turned in (False, True)]
    found = _stars(before, after, _STAR_SIGMA * max(noise))
    if len(found) < FEWEST_STARS:
        return None
    y, x, first, second = found.T
    height, width = before.shape
    design = np.stack([np.ones_like(x), 2 * (x / (width - 1) - 0.5), 2 * (y / (height - 1) - 0.5)], axis=1)
    area = (2 * _REACH + 1) ** 2
    variance = area * ((noise[0] / first) ** 2 + (noise[1] / second) ** 2) + 0.01**2
    fit, covariance = robust_fit(design, np.log(first / second), 1 / variance)
    errors = np.sqrt(np.diag(covariance))
    across, down = (Estimate(float(fit[i]), float(errors[i])) for i in (1, 2))
    return Unevenness(across, down, len(found))


def _stars(before: F32, after: F32, least: float) -> NDArray[np.float64]:
    """Return isolated stars: row, column, and flux before and after the flip; float64, shape (stars, 4)."""
    both = np.nan_to_num(np.minimum(before, after))
    found = []
    order = np.argsort(both, axis=None)[::-1]
    taken = np.zeros(both.shape, np.bool_)
    for place in order[: both.size // 10]:
        y, x = (int(each) for each in np.unravel_index(place, both.shape))
        if both[y, x] < least:
            break
        if taken[y, x]:
            continue
        around = slice(max(y - _ISOLATED, 0), y + _ISOLATED + 1), slice(max(x - _ISOLATED, 0), x + _ISOLATED + 1)
        free = not taken[around].any()
        taken[around] = True
        box = slice(y - _REACH, y + _REACH + 1), slice(x - _REACH, x + _REACH + 1)
        inside = _ISOLATED <= y < both.shape[0] - _ISOLATED and _ISOLATED <= x < both.shape[1] - _ISOLATED
        if free and inside and both[y, x] < _SATURATED_ADU:
            fluxes = float(before[box].sum()), float(after[box].sum())
            if np.isfinite(fluxes).all() and min(fluxes) > 0:
                found.append((y, x, *fluxes))
    return np.array(found, np.float64).reshape(-1, 4)
