"""Hot pixels as a thermometer: the fraction of the dark's hot pixels that remains in the lights, or is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log2

import numpy as np

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.measuring import HotPixels, LightMeasures

DOUBLING_C = 6.0
"""Approximate temperature difference that doubles the dark current (R. Widenhorn et al. 2002, Proc. SPIE 4669, 193)."""

FEWEST = 30
"""Smallest number of hot pixels that give a temperature."""

_CHANGED_SIGMA = 6.0
_CHANGED_FRACTION = 0.5
"""A hot pixel has changed if its residual exceeds this fraction of its excess in the dark, and the noise."""


@dataclass(frozen=True, slots=True)
class HotResidual:
    """The hot pixels of the dark in the lights.

    Attributes
    ----------
    slope
        Hot signal that remains in the lights, relative to that of the dark.
    pixels
        Number of hot pixels.
    changed
        Fraction of the hot pixels whose signal in the lights differs from that in the dark, beyond the common slope.
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
    """Return what remains of the dark's hot pixels; None if the dark has too few.

    The median over the lights leaves stars out, which dithering moves over the hot pixels.
    """
    if hot.excess_adu.size < FEWEST:
        return None
    residuals = np.median([light.hot_adu for light in lights], axis=0).astype(np.float64)
    excess = hot.excess_adu.astype(np.float64)
    level = np.median(residuals[excess <= np.quantile(excess, 0.2)])
    noise = spread(residuals[excess <= np.median(excess)] - level) or 1.0
    # The response of hot pixels flickers in proportion to their signal.
    weights = 1 / (noise**2 + (0.02 * excess) ** 2)
    design = excess[:, None]
    fit, covariance = robust_fit(design, residuals, weights)
    # The noise of the dark is part of both the excess and, with the opposite sign, the residual.
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
