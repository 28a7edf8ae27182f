"""The uncertainty of a combined value, derived from the scatter of its kept values and calibrated with normal noise.

Clipping also removes the wings of clean samples: the kept values scatter less than the noise, and their mean scatters
more than the mean of the whole sample. Moreover, a scatter computed from few values is itself uncertain. Errors in
units of this scatter are not normally distributed; without clipping, they follow Student's t. The Guide to the
Expression of Uncertainty in Measurement (Supplement 1, JCGM 101:2008, 6.4.9) uses the standard deviation of Student's t
as the standard uncertainty of a mean: the standard error times the square root of (n - 1) / (n - 3), so that the square
of error over uncertainty is 1 on average. This module extends the rule to clipped means.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIAL_VALUES = 1 << 18
"""Number of random values in a trial, which takes 20 ms and has a precision of a few parts in 1,000."""

TRIAL_SAMPLES = 4096
"""Smallest number of samples in a trial, which the median needs; they may contain at most 16 times as many values."""

FEWEST_FOR_CHI_SQUARE = 8
"""With fewer frames, clipping sometimes leaves two or three values, whose mean chi-square does not exist."""


class Trial(NamedTuple):
    """Comparison of combined normal samples with their standard errors, in units of the variance of a single value.

    Attributes
    ----------
    frames
        Size of each sample.
    true
        Variance of the combined value.
    suggested
        Mean of the squared standard error from the scatter of the kept values.
    suggested_of_one
        Mean of the product of the squared standard error and the number of kept values.
    chi_square
        Mean of the squared error divided by the squared standard error; it does not exist for three frames or fewer.
    """

    frames: int
    true: float
    suggested: float
    suggested_of_one: float
    chi_square: float

    @property
    def correction(self) -> float:
        """Squared standard uncertainty divided by squared standard error, rounded to be the same on all machines.

        For eight or more frames, this is the mean chi-square. For four to seven frames, it is the ratio of the
        variances times the factor of Student's distribution. For fewer frames, it is the ratio alone.
        """
        if self.frames >= FEWEST_FOR_CHI_SQUARE:
            return round(self.chi_square, 3)
        return round(student_variance(self.frames) * self.true / self.suggested, 3)

    @property
    def noise_fraction(self) -> float:
        """Variance of the combined value divided by the mean squared standard uncertainty."""
        return round(self.true / (self.suggested * self.correction), 3)

    @property
    def frame_fraction(self) -> float:
        """Variance of single values divided by the mean of squared standard uncertainty times number of kept values."""
        return round(1 / (self.suggested_of_one * self.correction), 3)


def student_variance(frames: int) -> float:
    """Return the variance of the mean's error in units of the standard error; 1 if it does not exist (n < 4)."""
    return (frames - 1) / (frames - 3) if frames > 3 else 1.0  # noqa: PLR2004 - as documented


def trial_samples(frames: int) -> NDArray[np.uint16]:
    """Return normal samples, uint16, shape (frames, samples).

    Their sigma is 2,000, which makes the quantisation insignificant.
    """
    random = np.random.Generator(np.random.SFC64(frames))
    count = max(TRIAL_VALUES // frames, min(TRIAL_SAMPLES, 16 * TRIAL_VALUES // frames))
    normal = random.standard_normal((frames, count), dtype=np.float32)
    return np.clip(np.rint(normal * 2000 + 32768), 0, 65535).astype(np.uint16)


def trial_result(
    samples: NDArray[np.uint16],
    value: NDArray[np.float32],
    standard_error: NDArray[np.float32],
    counts: NDArray[np.uint16],
) -> Trial:
    """Return the result of a method's trial on `trial_samples`.

    Mean and sigma of a normal sample are independent of every statistic that does not depend on location and scale
    (Basu's theorem). Two statistics of this kind are the distance d of the combined value from the mean of all values,
    and the standard error e, both in units of s, the scatter of all values. Therefore the variance of the combined
    value is exactly sigma^2 (1/n + mean d^2), and the mean chi-square is the mean of ((n - 1) / (n - 3) / n + d^2) /
    e^2. The only noise of the trial in the result is thus the noise of d, which is small, and of e, which varies
    little.

    Parameters
    ----------
    samples
        uint16, shape (frames, samples), at least two frames.
    value, standard_error, counts
        Shape (samples,): the combined values, their standard errors and the numbers of kept values.
    """
    frames = len(samples)
    known = standard_error > 0  # unknown for a single kept value, 0 for equal values
    wide = samples[:, known].astype(np.float64)
    variance = wide.var(axis=0, ddof=1)
    moved = (value[known] - wide.mean(axis=0)) ** 2 / variance
    estimated = standard_error[known].astype(np.float64) ** 2 / variance
    return Trial(
        frames,
        1 / frames + float(moved.mean()),
        float(estimated.mean()),
        float((estimated * counts[known]).mean()),
        float(((student_variance(frames) / frames + moved) / estimated).mean()),
    )
