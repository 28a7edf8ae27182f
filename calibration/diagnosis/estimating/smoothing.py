"""Gaussian smoothing of planes with gaps, by three box filters, whose cost does not depend on the width."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_BOXES = 3
"""Three boxes approximate a Gaussian to 3 % (W. M. Wells 1986, IEEE PAMI 8, 234)."""


def smoothed(plane: F32, known: Mask, sigma: float) -> F32:
    """Return the weighted mean of the known pixels around each pixel; 0 where none is known.

    Parameters
    ----------
    plane
        float32, shape (rows, columns).
    known
        bool, same shape.
    sigma
        Standard deviation of the Gaussian, pixels.
    """
    reach = max(1, round((np.sqrt(12 * sigma**2 / _BOXES + 1) - 1) / 2))
    values = np.where(known, plane, 0).astype(np.float64)
    weights = known.astype(np.float64)
    for _ in range(_BOXES):
        for axis in (0, 1):
            values, weights = _box(values, reach, axis), _box(weights, reach, axis)
    result = np.divide(values, weights, out=np.zeros_like(values), where=weights > 1e-6)  # noqa: PLR2004
    return result.astype(np.float32)


def _box(plane: NDArray[np.float64], reach: int, axis: int) -> NDArray[np.float64]:
    """Return the sums over 2 * reach + 1 neighbours along an axis, divided by their number; 0 beyond the edges."""
    size = plane.shape[axis]
    sums = np.cumsum(plane, axis=axis)
    last = np.minimum(np.arange(size) + reach, size - 1)
    first = np.arange(size) - reach - 1
    upper = np.take(sums, last, axis=axis)
    lower = np.take(sums, np.maximum(first, 0), axis=axis)
    shape = [1, 1]
    shape[axis] = size
    lower = lower * (first >= 0).reshape(shape)
    return np.asarray((upper - lower) / (2 * reach + 1))
