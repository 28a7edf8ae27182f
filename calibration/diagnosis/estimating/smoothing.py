"""Gaussian smoothing of planes with gaps, by means of three box filters.

The cost does not depend on the width of the Gaussian.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import smoothing as kernels
from coldframe.calibration.threads import parallel_map, thread_count

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BOXES = 3
"""Three boxes approximate a Gaussian to within 3 % (W. M. Wells 1986, IEEE PAMI 8, 234)."""

_LEAST_WEIGHT = 1e-6

SPECK_SIGMA = 3.0
"""Largest number of standard deviations by which a bin may lie outside the range of its neighbours."""

_NEIGHBOURS = tuple((down, across) for down in range(3) for across in range(3) if (down, across) != (1, 1))


def smoothed(plane: F32, known: Mask, sigma: float) -> F32:
    """Return the weighted mean of the known pixels around each pixel; 0 where no known pixel is near.

    Parameters
    ----------
    plane
        The plane to smooth: float32, shape (rows, columns).
    known
        Mask of the known pixels: bool, same shape.
    sigma
        Standard deviation of the Gaussian, pixels.
    """
    reach = max(1, round((np.sqrt(12 * sigma**2 / _BOXES + 1) - 1) / 2))
    values = _boxed(np.where(known, plane, np.float32(0)), reach)
    weights = _boxed(known.astype(np.float32), reach)
    return np.divide(values, weights, out=np.zeros_like(values), where=weights > _LEAST_WEIGHT)


def _boxed(plane: F32, reach: int) -> F32:
    """Apply all box filters to a plane, overwriting it, and return it."""
    other = np.empty_like(plane)
    rows, columns = (_parts(size) for size in plane.shape)
    for _ in range(_BOXES):
        list(parallel_map(lambda part: kernels.box_along_rows(plane[part], reach, other[part]), rows))
        list(parallel_map(lambda part: kernels.box_down_columns(other[:, part], reach, plane[:, part]), columns))
    return plane


def _parts(size: int) -> list[slice]:
    edges = np.linspace(0, size, thread_count() + 1).astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]


def without_specks(plane: F32, weight: F32) -> F32:
    """Return a plane in which outliers among neighbouring bins, such as bins with a defective pixel, are clipped.

    Each bin is clipped to the range of its eight neighbours, excluding the lowest and the highest of them, plus a
    margin on both sides.

    Parameters
    ----------
    plane
        The plane to clip: float32, shape (rows, columns).
    weight
        Inverse variance of the bins, same shape; the margin is `SPECK_SIGMA` standard deviations.
    """
    padded = np.pad(plane, 1, mode="edge")
    height, width = plane.shape
    lowest, highest = np.full_like(plane, np.inf), np.full_like(plane, -np.inf)
    low, high = lowest.copy(), highest.copy()
    for down, across in _NEIGHBOURS:
        near = padded[down : down + height, across : across + width]
        low, lowest = np.minimum(low, np.maximum(lowest, near)), np.minimum(lowest, near)
        high, highest = np.maximum(high, np.minimum(highest, near)), np.maximum(highest, near)
    beyond = np.float32(SPECK_SIGMA) / np.sqrt(np.maximum(weight, np.float32(1e-20)))
    return np.clip(plane, low - beyond, high + beyond)
