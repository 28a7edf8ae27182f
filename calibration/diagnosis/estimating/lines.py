"""Banding by row and column.

One part of the banding is common to all lights, so masters can remove it. The other part differs from light to light.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, spread
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import BIN

F64 = NDArray[np.float64]

RETAINED = 0.5
"""Fraction of the variance of independent lines that remains after the mean and the slope of each group of four lines
are subtracted."""

_FEWEST_PIXELS = 0.2
"""A line with fewer pixels than this fraction of the usual number is left out."""

_LARGEST_SIGMA = 5.0
_FEWEST_LINES = 16


@dataclass(frozen=True, slots=True)
class LinePattern:
    """Banding by row or by column.

    Attributes
    ----------
    common_adu2
        Variance of the part of the line levels that is common to all lights, ADU^2.
    own_adu2
        Variance of the line levels of a single light in excess of the variance due to pixel noise, ADU^2; it includes
        `common_adu2`.
    alternating_adu
        Mean level of the odd lines minus that of the even lines (the first line is odd), ADU.
    alternating_spread_adu
        Standard deviation of this odd-even difference over the lights.
    correlation
        Correlation between the common pattern and the pattern of the master dark, from -1 to 1.
    """

    common_adu2: Estimate
    own_adu2: Estimate
    alternating_adu: Estimate
    alternating_spread_adu: float
    correlation: float


def find_pattern(lines: F64, pixels: F64, noise_adu: F64, of_dark: F64 | None, period: int = 1) -> LinePattern:
    """Return the banding of a set of lights.

    Nebulae and sky gradients change smoothly from line to line, so the slope of each group of four lines is subtracted.

    Parameters
    ----------
    lines
        Mean residual of each line, in ADU before division by the flat: float64, shape (lights, lines); NaN for lines
        without pixels.
    pixels
        Number of pixels in each line, same shape.
    noise_adu
        Noise of a pixel in each light: float64, shape (lights,).
    of_dark
        Residual of each line of the master dark: float64, shape (lines,); None if no dark is used.
    period
        Distance between lines of the same colours: 1 or 2.
    """
    usual = np.median(pixels)
    good = (pixels > _FEWEST_PIXELS * usual).all(axis=0) & np.isfinite(_without_slopes(lines, period)).all(axis=0)
    good &= ~_outlying(np.where(good, np.nan_to_num(lines).mean(axis=0), 0.0))
    if np.count_nonzero(good) < _FEWEST_LINES or not noise_adu.any():
        unknown = Estimate(0.0, float("inf"))
        return LinePattern(unknown, unknown, unknown, 0.0, 0.0)
    values = lines[:, good]
    odd_even = np.where(np.arange(lines.shape[1])[good] % 2 == 0, 1.0, -1.0)
    lights, count = values.shape
    alternating = 2 * (values * odd_even).mean(axis=1)
    alternated = np.where(np.arange(lines.shape[1]) % 2 == 0, 0.5, -0.5)
    flat = _without_slopes(lines - alternating[:, None] * alternated, period)[:, good]
    of_pixels = (noise_adu[:, None] ** 2 / pixels[:, good]).mean(axis=1) * RETAINED
    own = flat.var(axis=1) - of_pixels
    own_adu2 = Estimate(float(own.mean()) / RETAINED, float(flat.var(axis=1).mean() * np.sqrt(2 / (count * lights))))
    error = float(values.std(axis=1).mean() * 2 / np.sqrt(count * lights))
    mean_alternating = Estimate(float(alternating.mean()), max(error, spread(alternating) / np.sqrt(lights)))
    common = Estimate(0.0, float("inf"))
    if lights > 1:
        total = flat.sum(axis=0)
        pairs = lights * (lights - 1)
        each = (total**2 - (flat**2).sum(axis=0)) / pairs
        # Standard error if there is no common pattern. Only two of the four residuals in a group are independent after
        # the mean and the slope are subtracted. If lights are copies of each other, their line levels differ by less
        # than the pixel noise; hence the lower limit of `own_noise`.
        own_noise = max(float(flat.var(axis=1).mean()) - float(each.mean()), float(of_pixels.mean()))
        error = own_noise * np.sqrt(2 / (pairs * count * RETAINED))
        common = Estimate(float(each.mean()) / RETAINED, float(error) / RETAINED)
    correlation = 0.0
    if of_dark is not None:
        own_lines = _without_slopes(of_dark[None], period)[0, good]
        known = np.isfinite(own_lines)
        correlation = float(np.corrcoef(flat.mean(axis=0)[known], own_lines[known])[0, 1]) if known.any() else 0.0
    return LinePattern(common, own_adu2, mean_alternating, float(alternating.std()), correlation)


def _without_slopes(lines: F64, period: int) -> F64:
    """Return lines minus the slope of each group of four lines of the same colours; NaN outside complete groups."""
    whole = lines.shape[1] // (BIN * period) * BIN * period
    groups = lines[:, :whole].reshape(lines.shape[0], -1, BIN, period)
    steps = (np.arange(BIN) - (BIN - 1) / 2)[None, None, :, None]
    slopes = (groups * steps).sum(axis=2, keepdims=True) / (steps**2).sum()
    flat = np.full_like(lines, np.nan)
    flat[:, :whole] = (groups - slopes * steps).reshape(lines.shape[0], whole)
    return flat


def _outlying(values: F64) -> NDArray[np.bool_]:
    """Return a mask of outlying lines, such as defective columns, which belong in the defect map."""
    return np.asarray(np.abs(values - np.median(values)) > _LARGEST_SIGMA * max(spread(values), 1e-9))


def rows_of(lights: Sequence[LightMeasures]) -> tuple[F64, F64]:
    """Return the row residuals of all lights, and the pixel counts of rows; float64, shape (lights, height)."""
    return np.array([light.rows for light in lights]), np.array([light.row_pixels for light in lights])


def columns_of(lights: Sequence[LightMeasures]) -> tuple[F64, F64]:
    """Return the column residuals of all lights, and the pixel counts of columns; float64, shape (lights, width)."""
    return np.array([light.columns for light in lights]), np.array([light.column_pixels for light in lights])
