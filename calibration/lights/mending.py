"""The replacement of defective pixels with values from their good neighbours."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

FARTHEST = 5
"""Number of rings of neighbours to search; five rings suffice for the centre of a stripe of nine bad columns."""

_AT_ONCE = 1 << 16


def mend(
    signal: F32 | NDArray[np.uint16],
    uncertainty: F32 | None,
    bad: Mask,
    period: int,
    places: NDArray[np.intp] | None = None,
) -> int:
    """Replace bad pixels with the median of their good neighbours of the same colour, in place.

    The neighbours are the good pixels of the nearest ring (of 8, 16, 24, ... pixels) that contains good pixels. The
    uncertainty has two components. One is the noise of the median: its variance is pi/2 times that of a mean, which is
    exact for many neighbours and good enough for few. The other is the part of the neighbours' scatter that their
    uncertainties do not explain, because the true value of the replaced pixel might differ from its neighbours by the
    same amount.

    Parameters
    ----------
    signal
        float32 or uint16, shape (height, width); finite where pixels are good.
    uncertainty
        float32, same shape; None if it is unknown.
    bad
        bool, same shape.
    period
        Distance to the next pixel of the same colour: 1 for mono, 2 for a Bayer array.
    places
        Rows and columns of the bad pixels, shape (2, pixels); None to determine them from `bad`.

    Returns
    -------
    int
        Number of pixels without a good neighbour; these pixels remain unchanged.
    """
    if places is None:
        places = np.array(np.nonzero(bad))
    pieces = (places[:, start : start + _AT_ONCE] for start in range(0, places.shape[1], _AT_ONCE))
    return sum(_mend_some(signal, uncertainty, bad, piece, period) for piece in pieces)


def _mend_some(
    signal: F32 | NDArray[np.uint16], uncertainty: F32 | None, bad: Mask, places: NDArray[np.intp], period: int
) -> int:
    for ring in range(1, FARTHEST + 1):
        around = places[:, None] + period * _ring(ring)
        good, around = _good(bad, around)
        values = np.where(good, signal[tuple(around)], np.float32(np.nan))
        middles = _median(values, np.count_nonzero(good, axis=0))
        found = ~np.isnan(middles)
        rows, columns = places[:, found]
        signal[rows, columns] = middles[found] if signal.dtype.kind == "f" else np.rint(middles[found])
        if uncertainty is not None:
            errors = np.where(good, uncertainty[tuple(around)], np.float32(np.nan))
            uncertainty[rows, columns] = _error(values, middles, errors, good)[found]
        places = places[:, ~found]
        if not places.size:
            break
    return int(places.shape[1])


@cache
def _ring(radius: int) -> NDArray[np.intp]:
    """Return the row and column offsets of the pixels in a square ring, shape (2, 8 radius, 1)."""
    side = np.arange(-radius, radius + 1)
    down, right = (each.reshape(-1) for each in np.meshgrid(side, side, indexing="ij"))
    outer = np.maximum(abs(down), abs(right)) == radius
    return np.array([down[outer], right[outer]])[:, :, None]


def _good(bad: Mask, places: NDArray[np.intp]) -> tuple[Mask, NDArray[np.intp]]:
    """Return which places, shape (2, neighbours, pixels), are good pixels, and the places clipped to the frame."""
    rows, columns = places
    height, width = bad.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    return inside & ~bad[rows, columns], np.array([rows, columns])


def _error(values: F32, middles: F32, errors: F32, good: Mask) -> F32:
    """Return the uncertainty of the medians, computed from the neighbours' values and uncertainties; see `mend`."""
    count = np.count_nonzero(good, axis=0)
    squares = np.where(good, (values - middles) ** 2, 0).sum(axis=0)
    noise = _median(errors, count) ** 2
    structure = np.maximum(squares / np.maximum(count - 1, 1) - noise, 0)
    return np.asarray(np.sqrt(structure + np.float32(np.pi / 2) * noise / np.maximum(count, 1)))


def _median(values: F32, count: NDArray[np.intp]) -> F32:
    """Return the median of the `count` finite numbers in each column; NaN if there are none."""
    ordered = np.sort(values, axis=0)  # NaN is sorted to the end
    halves = np.maximum(count - 1, 0) // 2, count // 2
    lower, upper = (np.take_along_axis(ordered, half[None], axis=0)[0] for half in halves)
    return np.asarray((lower + upper) / 2)
