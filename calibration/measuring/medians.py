"""The exact median of many values, several times as fast as `np.median`."""

import numpy as np
from numpy.typing import NDArray

SAMPLED = 20_000
"""Approximate number of values that are sorted to estimate the median."""

REACH_SIGMA = 5
"""Distance of the bounds from the estimated median, in standard errors of its rank; one is sqrt(SAMPLED) / 2."""

LARGEST_SORTED = 500_000
"""Number of values up to which `np.median` is fast enough."""


def median(values: NDArray[np.float32]) -> np.float32:
    """Return the same value as `np.median`.

    A sample determines two bounds around the median. Only the values between them are sorted; the values below the
    lower bound are counted. If the median turns out to be outside the bounds, `np.median` is used.

    Parameters
    ----------
    values
        At least one value, in a two-dimensional array.
    """
    if values.size <= LARGEST_SORTED:
        return np.float32(np.median(values))
    # An odd step in both directions covers every colour of a filter array.
    step = int((values.size / SAMPLED) ** 0.5) | 1
    sample = np.sort(values[::step, ::step], axis=None)
    reach = int(REACH_SIGMA * sample.size**0.5 / 2) + 1
    middle = sample.size // 2
    low, high = sample[max(middle - reach, 0)], sample[min(middle + reach, sample.size - 1)]
    below = values.size - int(np.count_nonzero(values >= low))
    inside = values[(values >= low) & (values <= high)]
    ranks = [(values.size - 1) // 2 - below, values.size // 2 - below]
    if ranks[0] < 0 or ranks[1] >= inside.size or np.isnan(values.min()):
        return np.float32(np.median(values))
    return np.float32(np.partition(inside, ranks)[ranks].mean())
