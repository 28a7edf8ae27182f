"""The histogram of a frame for display, zoomed in on narrow distributions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 65536

BINS = 128
"""Number of bins of a histogram for display."""

ZOOMED_BINS_ADU = (1, 2, 4, 8, 16)
"""Widths of bins for narrow distributions, such as those of bias frames. Flats are shown over the full range, because
it matters where their levels are in this range."""

OUTSIDE = 0.0005
"""Largest fraction of pixels on either side, such as hot pixels, that a zoomed histogram may leave out."""

FILLED = 0.6
"""Largest fraction of a zoomed histogram's range that the distribution may fill."""


@dataclass(frozen=True, slots=True, eq=False)
class LevelHistogram:
    """Counts of pixels in bins of equal width.

    Attributes
    ----------
    counts
        Number of pixels in each bin: int64, shape (128,).
    first_adu
        Lowest level of the first bin.
    bin_adu
        Number of levels in each bin.
    """

    counts: NDArray[np.int64]
    first_adu: int = 0
    bin_adu: int = LEVELS // BINS


def _binned(counts: NDArray[np.int64], bin_adu: int) -> NDArray[np.int64]:
    bins: NDArray[np.int64] = counts.reshape(BINS, bin_adu).sum(axis=1)
    return bins


def _first_of_zoomed(counts: NDArray[np.int64], bin_adu: int) -> int | None:
    """Return the first level of bins that contain nearly all pixels; None if bins of this width are too narrow."""
    summed = np.cumsum(counts)
    low, high = np.searchsorted(summed, summed[-1] * np.array([OUTSIDE, 1 - OUTSIDE]))
    span = BINS * bin_adu
    if high - low > FILLED * span:
        return None
    first = (int(low + high) // 2 - span // 2) // bin_adu * bin_adu
    return min(max(first, 0), LEVELS - span)


def histogram_of(counts: NDArray[np.int64]) -> LevelHistogram:
    """Return a histogram over the full range or, for a narrow distribution, around its levels.

    Over the full range, a bias frame would be a single bar.

    Parameters
    ----------
    counts
        Number of pixels at each level: int64, shape (65536,).

    Returns
    -------
    LevelHistogram
        The counts in bins.
    """
    for bin_adu in ZOOMED_BINS_ADU:
        first = _first_of_zoomed(counts, bin_adu)
        if first is not None:
            return LevelHistogram(_binned(counts[first : first + BINS * bin_adu], bin_adu), first, bin_adu)
    return LevelHistogram(_binned(counts, LEVELS // BINS))
