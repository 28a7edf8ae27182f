"""Hot pixels as a thermometer: the fraction of their signal in the dark that remains, or is missing, in the lights.

Another test finds darks from which hot pixels were removed: many pixels are hot in the lights, but not in the dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log2

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures, middle_of, pixel_variance
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels
from coldframe.calibration.kernels import diagnosis as kernels

DOUBLING_C = 6.0
"""Approximate temperature difference that doubles the dark current (R. Widenhorn et al. 2002, Proc. SPIE 4669, 193)."""

FEWEST = 30
"""Smallest number of hot pixels from which a temperature can be derived."""

FEWEST_LIGHTS = 5
"""Smallest number of dithered lights whose median is considered free of stars."""

_LEFT_SIGMA = 8.0
_SAME_PIXEL = 0.1
"""A pixel counts as hot in the dark, too, if its excess there is at least this fraction of its excess in the lights."""

_CHANGED_SIGMA = 6.0
_CHANGED_FRACTION = 0.5
"""A hot pixel counts as changed if its residual exceeds both `_CHANGED_SIGMA` times the noise and `_CHANGED_FRACTION`
times its excess in the dark."""


@dataclass(frozen=True, slots=True)
class HotResidual:
    """What remains of the dark's hot pixels in the lights.

    Attributes
    ----------
    slope
        Remaining signal of the hot pixels in the lights, relative to their signal in the dark.
    pixels
        Number of hot pixels.
    changed
        Fraction of the hot pixels whose signal in the lights differs from that in the dark by more than the common
        slope explains.
    median_adu
        Median excess of the hot pixels in the dark, ADU.
    """

    slope: Estimate
    pixels: int
    changed: float
    median_adu: float

    @property
    def light_warmer_c(self) -> float:
        """Temperature of the lights minus that of the dark, C."""
        return DOUBLING_C * log2(max(1 + self.slope.value, 1e-3))

    @property
    def temperature_error_c(self) -> float:
        """Standard error of `light_warmer_c`, C."""
        return DOUBLING_C / log(2) * self.slope.error / max(1 + self.slope.value, 1e-3)


def find_residual(lights: Sequence[LightMeasures], hot: HotPixels) -> HotResidual | None:
    """Return the remainder of the dark's hot pixels; None if the dark has too few of them.

    The median over the lights rejects stars that dithering moves across the hot pixels.
    """
    return residual_of([light.hot_adu for light in lights], hot)


def residual_of(hot_adu: Sequence[NDArray[np.float32]], hot: HotPixels) -> HotResidual | None:
    """Return the remainder of the dark's hot pixels; None if the dark has too few of them.

    Parameters
    ----------
    hot_adu
        For each light, the excess of these pixels over their neighbours after dark subtraction, ADU.
    hot
        The hot pixels of the dark.
    """
    if hot.excess_adu.size < FEWEST:
        return None
    residuals = np.median(hot_adu, axis=0).astype(np.float64)
    excess = hot.excess_adu.astype(np.float64)
    level = np.median(residuals[excess <= np.quantile(excess, 0.2)])
    noise = spread(residuals[excess <= np.median(excess)] - level) or 1.0
    # Hot pixels flicker in proportion to their signal.
    weights = 1 / (noise**2 + (0.02 * excess) ** 2)
    design = excess[:, None]
    fit, covariance = robust_fit(design, residuals, weights)
    # The noise of the dark is part of the excess and, with the opposite sign, of the residual.
    shared = hot.error_adu**2 * float(weights.sum())
    squares = float((weights * excess**2).sum())
    slope = (float(fit[0]) * squares + shared) / (squares - shared)
    beyond = np.abs(residuals - slope * excess)
    changed = (beyond > _CHANGED_SIGMA * noise) & (beyond > _CHANGED_FRACTION * excess)
    return HotResidual(
        Estimate(slope, float(np.sqrt(covariance[0, 0]))),
        int(excess.size),
        float(changed.mean()),
        float(np.median(excess)),
    )


def fraction_lacking(lights: Sequence[LightMeasures], dark: NDArray[np.float32], period: int) -> float | None:
    """Return the fraction of pixels that are hot in dithered lights but not in their dark; None with too few lights.

    The result is 0 if the dark has at least as many hot pixels as it lacks. In this case, it is assumed that the hot
    pixels have changed over time, and that none were removed.

    Parameters
    ----------
    lights
        The lights.
    dark
        The plane that was subtracted from the lights, ADU: float32, shape (height, width).
    period
        Distance between pixels of the same colour: 1 or 2.
    """
    middles = [light.middle for light in lights if light.middle.size]
    if len(middles) < FEWEST_LIGHTS:
        return None
    left = np.median(middles, axis=0).astype(np.float32)
    own = np.ascontiguousarray(dark[middle_of(dark.shape)])
    limit = _LEFT_SIGMA * pixel_variance(left, period) ** 0.5
    in_lights, in_dark = np.zeros((2, *left.shape), np.bool_)
    kernels.find_hot_pixels(left, period, limit, in_lights)
    kernels.find_hot_pixels(own, period, limit, in_dark)
    places = np.array(np.nonzero(in_lights), np.int64)
    excess, excess_of_dark = np.empty((2, places.shape[1]), np.float32)
    kernels.excess_at(left, places, period, excess)
    kernels.excess_at(own, places, period, excess_of_dark)
    lacking = np.count_nonzero(excess_of_dark < _SAME_PIXEL * excess)
    return lacking / left.size if lacking > np.count_nonzero(in_dark) else 0.0
