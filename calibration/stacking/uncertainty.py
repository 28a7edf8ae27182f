"""The uncertainty of a combined value, derived from the scatter of its kept values and calibrated with simulated noise.

Clipping also removes some values in the wings of clean, normally distributed noise: the kept values scatter less than
the noise, and their mean scatters more than the mean of all values. Moreover, a scatter computed from few values is
itself uncertain. Errors in units of this scatter are not normally distributed; without clipping, they follow Student's
t. The Guide to the Expression of Uncertainty in Measurement (Supplement 1, JCGM 101:2008, 6.4.9) uses the standard
deviation of Student's t as the standard uncertainty of a mean: the standard error times the square root of (n - 1) / (n
- 3), so that the square of the error divided by the uncertainty is 1 on average. The root mean square of the errors is
then smaller than that of the uncertainties; their ratio is 0.85 for 8 frames and 0.93 for 15.

This module extends the rule to clipped means, separately for each number of kept values. Where clipping has removed no
value, the rule above holds exactly. Where it has removed values, the remaining values scatter too little. A single
factor for all pixels would make the uncertainty of most pixels too large for the sake of a few.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TRIAL_VALUES = 1 << 18
"""Number of random values in a trial, which takes 20 ms and has a precision of a few parts in 1,000."""

TRIAL_SAMPLES = 4096
"""Smallest number of samples in a trial, as required for the median, unless this number of samples would contain more
than 16 times `TRIAL_VALUES` values."""

FEWEST_KEPT_FOR_CHI_SQUARE = 5
"""Smallest number of kept values for which the mean chi-square is used: for three values out of a larger sample, it
does not exist; for four values, it converges too slowly."""

FEWEST_ALIKE = 100
"""Minimum number of samples with the same number of kept values for a correction; rarer samples are pooled."""


class Trial(NamedTuple):
    """Comparison of combined samples with their uncertainties, in units of the variance of a single value.

    Attributes
    ----------
    corrections
        float64, shape (frames + 1,): squared standard uncertainty divided by the squared standard error from the
        scatter of the kept values, by number of kept values; rounded so that all machines agree.
    frame_corrections
        float64, same shape: variance with which another single value is predicted, divided by the variance of the kept
        values.
    true
        Variance of the combined value.
    suggested
        Mean of the squared standard uncertainty.
    kept_scatter
        Mean variance (ddof 1) of the kept values.
    """

    corrections: NDArray[np.float64]
    frame_corrections: NDArray[np.float64]
    true: float
    suggested: float
    kept_scatter: float

    @property
    def noise_fraction(self) -> float:
        """Variance of the combined value divided by the mean squared standard uncertainty."""
        return round(self.true / self.suggested, 3)

    @property
    def frame_fractions(self) -> list[float]:
        """Variance of another single value, divided by squared standard uncertainty times number of kept values.

        The list has a factor for each number of rejected values from 0; the last factor also applies to larger numbers.
        """
        return self._by_rejected(self.frame_corrections / self.corrections)

    @property
    def scatter_fractions(self) -> list[float]:
        """Variance of the kept values, divided by its mean over all samples and then as in `frame_fractions`."""
        return self._by_rejected(1 / (self.kept_scatter * self.corrections))

    def _by_rejected(self, fractions: NDArray[np.float64]) -> list[float]:
        changes = np.flatnonzero(np.diff(self.corrections))
        fewest = int(changes[0]) if changes.size else self.corrections.size - 1
        return [round(each, 5) for each in fractions[fewest:][::-1].tolist()]


def student_variance(frames: int) -> float:
    """Return the variance of the mean's error in units of the standard error; 1 if it does not exist (n < 4)."""
    return (frames - 1) / (frames - 3) if frames > 3 else 1.0  # noqa: PLR2004 - as documented


def trial_samples(frames: int) -> NDArray[np.uint16]:
    """Return samples of normally distributed values, uint16, shape (frames, samples).

    The sigma of the values is 2,000, so the effect of rounding them is insignificant.
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
    and the standard error e, both in units of s, the scatter of all values. The number of kept values is a third such
    statistic. Therefore the variance of the combined value is exactly sigma^2 (1/n + mean d^2), and the mean
    chi-square, of all samples or of those with the same number of kept values, is the mean of ((n - 1) / (n - 3) / n +
    d^2) / e^2. The result is therefore affected only by the noise of d, which is small, and of e, which varies little.

    Parameters
    ----------
    samples
        uint16, shape (frames, samples), at least two frames.
    value, standard_error, counts
        Shape (samples,): the combined values, their standard errors and the numbers of kept values.
    """
    frames = len(samples)
    known = standard_error > 0  # unknown for a single kept value, 0 for equal values
    wide, kept = samples[:, known].astype(np.float64), counts[known]
    variance = wide.var(axis=0, ddof=1)
    moved = (value[known] - wide.mean(axis=0)) ** 2 / variance
    squared = standard_error[known].astype(np.float64) ** 2 / variance
    corrections, frame_corrections = _corrections(frames, moved, squared, kept)
    return Trial(
        corrections,
        frame_corrections,
        1 / frames + float(moved.mean()),
        float((corrections[kept] * squared).mean()),
        float((squared * kept).mean()),
    )


def _corrections(
    frames: int, moved: NDArray[np.float64], squared: NDArray[np.float64], kept: NDArray[np.uint16]
) -> NDArray[np.float64]:
    """Return both corrections by number of kept values, from d^2, e^2 and these numbers; see `trial_result`."""
    student = student_variance(frames)
    corrections = np.full((2, frames + 1), student)
    for number in np.unique(kept)[::-1].tolist():
        alike = kept == number
        enough = np.count_nonzero(alike) >= FEWEST_ALIKE
        if not enough:
            alike = kept <= number
        # For smaller numbers, which may be absent from the trial, the same corrections are assumed.
        error, scatter = squared[alike], squared[alike] * kept[alike]
        corrections[0, : number + 1] = round(_correction(student / frames + moved[alike], error, number), 3)
        corrections[1, : number + 1] = round(_correction(np.full(scatter.size, student), scatter, number), 3)
        if not enough:
            break
    corrections.flags.writeable = False
    return corrections


def _correction(true: NDArray[np.float64], estimated: NDArray[np.float64], kept: int) -> float:
    """Return the mean ratio of two variances or, if it does not exist, the ratio of their means."""
    if kept >= FEWEST_KEPT_FOR_CHI_SQUARE:
        return float((true / estimated).mean())
    return float(true.mean()) / float(estimated.mean())
