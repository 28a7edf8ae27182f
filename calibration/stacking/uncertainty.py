"""What the scatter of a pixel's kept values tells of the error of their combination: found from normal noise.

Clipping takes the wings of clean samples, too: what is kept scatters less than the noise, and its mean more than that
of the whole sample. Besides, a scatter from few values is itself uncertain, and errors in units of it are not normal
but, without clipping, distributed as Student's t. The standard deviation of that is what the Guide to the Expression of
Uncertainty in Measurement takes for the standard uncertainty of a mean (Supplement 1, JCGM 101:2008, 6.4.9): the
standard error times the square root of (n - 1) / (n - 3), so that the squares of error over uncertainty are 1 on
average. Here it is the same, with clipping as well.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIAL_VALUES = 1 << 18
"""Random values in a trial: 20 ms, a few parts in 1,000."""

TRIAL_SAMPLES = 4096
"""Samples at least, from which the median is known as well, unless they take 16 times as many values."""

FEWEST_FOR_CHI_SQUARE = 8
"""Of fewer frames clipping leaves two or three now and then, and the mean of their chi-squares does not exist."""


class Trial(NamedTuple):
    """How the combination of normal samples, each in units of its own variance, compares with its standard error.

    Attributes
    ----------
    frames
        Size of each sample.
    true
        Variance of the combined value.
    suggested
        Mean of the squared standard error from the scatter of the kept values.
    suggested_of_one
        Mean of that times the number of values kept.
    chi_square
        Mean of the squared error over the squared standard error; of three frames or fewer it does not exist.
    """

    frames: int
    true: float
    suggested: float
    suggested_of_one: float
    chi_square: float

    @property
    def correction(self) -> float:
        """Squared standard uncertainty over squared standard error, rounded to be the same on every machine.

        The mean chi-square, from 8 frames on; of four to seven what Student's distribution makes of the ratio of the
        variances; that ratio alone of fewer.
        """
        if self.frames >= FEWEST_FOR_CHI_SQUARE:
            return round(self.chi_square, 3)
        return round(student_variance(self.frames) * self.true / self.suggested, 3)

    @property
    def noise_fraction(self) -> float:
        """Variance of the combined value over the mean squared standard uncertainty."""
        return round(self.true / (self.suggested * self.correction), 3)

    @property
    def frame_fraction(self) -> float:
        """Variance of single values over the mean of squared standard uncertainty times the number of values kept."""
        return round(1 / (self.suggested_of_one * self.correction), 3)


def student_variance(frames: int) -> float:
    """Return the variance of the mean's error in units of the standard error; 1 where it does not exist (n < 4)."""
    return (frames - 1) / (frames - 3) if frames > 3 else 1.0  # noqa: PLR2004 - as documented


def trial_samples(frames: int) -> NDArray[np.uint16]:
    """Return normal samples, uint16, shape (frames, samples): of sigma 2,000, finer than any quantisation matters."""
    random = np.random.Generator(np.random.SFC64(frames))
    count = max(TRIAL_VALUES // frames, min(TRIAL_SAMPLES, 16 * TRIAL_VALUES // frames))
    normal = random.standard_normal((frames, count), dtype=np.float32)
    return np.clip(np.rint(normal * 2000 + 32768), 0, 65535).astype(np.uint16)


def tried(
    samples: NDArray[np.uint16],
    value: NDArray[np.float32],
    standard_error: NDArray[np.float32],
    counts: NDArray[np.uint16],
) -> Trial:
    """Return what a method made of `trial_samples`.

    Mean and sigma of a normal sample are independent of everything that does not depend on location and scale (Basu's
    theorem), such as the distance d from the mean of all to the combined value and the standard error e, both in units
    of s, the scatter of all. Therefore the variance of the combined value is exactly sigma^2 (1/n + mean d^2), and the
    mean chi-square is the mean of ((n - 1) / (n - 3) / n + d^2) / e^2. The noise of the trial enters by the small d
    and the little that e varies only.

    Parameters
    ----------
    samples
        uint16, shape (frames, samples), at least two frames.
    value, standard_error, counts
        Shape (samples,): the combined values, their standard errors and how many values were kept.
    """
    frames = len(samples)
    known = standard_error > 0  # not of a single kept value, nor of equal ones
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
