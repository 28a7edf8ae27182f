"""The effect of rounding to whole ADC steps on the uncertainty of combined values.

Rounding adds an error that is uniformly distributed within one step, with a variance of step^2 / 12 (W. F. Sheppard,
Proceedings of the London Mathematical Society 29, 353, 1898). If the noise is larger than half a step, the errors of
several frames are independent, contribute to the scatter of the values, and average out. With smaller noise, all frames
are rounded in nearly the same way, and the error remains in the mean. The median of rounded values is always a rounded
value itself, or the mean of two.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.stacking.stack import Stack

LARGEST_NOISE_STEPS = 0.5
"""Noise, in steps, above which the error that remains in a mean is neglected, because it is below 0.002 steps."""

SAMPLED_PIXELS = 50_000
"""Number of pixels from which the typical noise is determined."""


def rounding_variance(step_adu: float) -> float:
    """Return the variance of the rounding error of a value that is rounded to whole steps, ADU^2."""
    return step_adu**2 / 12


def rounding_of_median(step_adu: float, frames: int, correction: float) -> float:
    """Return the variance to add to the squared uncertainty that the scatter of the values yields for their median.

    The median of rounded values is the rounded median. Its error is that of the median of exact values, plus one
    rounding error. The scatter of the values already contains the variance of rounding, which must not count twice.

    Parameters
    ----------
    step_adu
        Step between neighbouring levels.
    frames
        Number of values.
    correction
        Squared uncertainty of the median divided by the squared standard error of the mean.
    """
    if frames < 3:  # noqa: PLR2004 - the median of two values is their mean
        return 0.0
    return rounding_variance(step_adu) * max(1 - correction / frames, 0.0)


def with_rounding(stack: Stack, step_adu: float, corrections: NDArray[np.float64]) -> Stack:
    """Return the stack after adding, to the uncertainty of its means, the rounding error that does not average out.

    This error matters only if the noise is below half a step. The noise is derived from about 50,000 pixels spread over
    the frame; without noise, the error is that of a single rounding, however many frames are combined.

    Parameters
    ----------
    stack
        Means of whole frames; medians, whose uncertainty already includes rounding, are returned unchanged.
    step_adu
        Step between neighbouring levels, ADU; 0 for floating-point frames.
    corrections
        The factors in the squared uncertainty of the stack, by number of kept values.
    """
    if step_adu == 0 or stack.frames < 2 or stack.rounding_adu2 > 0:  # noqa: PLR2004 - a scatter needs two values
        return stack
    every = max(1, stack.mean.size // SAMPLED_PIXELS) | 1
    kept = stack.counts.reshape(-1)[::every]
    squared = stack.uncertainty.reshape(-1)[::every].astype(np.float64) ** 2
    variance = (squared * kept / corrections[kept])[kept > 1] / step_adu**2
    # The uncertainty has a lower limit, so values whose variance is at this limit count as free of scatter. Hot pixels
    # must not determine the typical noise.
    variance[variance < rounding_variance(1) * 1.001] = 0
    part = _part_in_means(float(np.minimum(variance, 1).mean())) if variance.size else 0.0
    if part == 0:
        return stack
    rounding_adu2 = part * step_adu**2
    uncertainty = np.sqrt(stack.uncertainty**2 + np.float32(rounding_adu2))
    return replace(stack, uncertainty=uncertainty, rounding_adu2=rounding_adu2)


def _part_in_means(variance: float) -> float:
    """Return the variance of the rounding error that is common to all frames, in steps^2, rounded to 0.00001.

    Averaged over all levels within a step, the squared error of a rounded value is sigma^2 + 1 / 12. The Fourier series
    of the rounding error gives the part that is common to all frames: the sum over k of exp(-4 pi^2 k^2 sigma^2) / (2
    pi^2 k^2) (B. Widrow and I. Kollar, Quantization Noise, 2008, chapter 4). The rest of the squared error appears as
    scatter.

    Parameters
    ----------
    variance
        Mean variance of the values of a pixel, steps^2.
    """
    noise = np.linspace(0, LARGEST_NOISE_STEPS, 101)
    orders = np.arange(1, 200)[:, None]
    common = (np.exp(-4 * (np.pi * orders * noise) ** 2) / (2 * (np.pi * orders) ** 2)).sum(axis=0)
    scatter = noise**2 + rounding_variance(1) - common
    return round(float(np.interp(variance, scatter, common, right=0)), 5)
