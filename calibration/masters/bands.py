"""The bands of rows in which the planes of masters are read and computed, in several threads."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]

_ROWS_AT_ONCE = 96
"""Number of rows in a band: a few megabytes of a large master, and a multiple of the usual sampling step of masters."""


def bands_of(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the bands of rows in which masters are read."""
    for top in range(0, shape[0], _ROWS_AT_ONCE):
        yield slice(top, min(top + _ROWS_AT_ONCE, shape[0]))


def fill(plane: F32 | NDArray[np.bool_], rows_of: Callable[[slice], F32 | NDArray[np.bool_]]) -> None:
    """Fill a plane band by band, in several threads."""

    def read(rows: slice) -> None:
        plane[rows] = rows_of(rows)

    list(parallel_map(read, bands_of(plane.shape)))


def gathered_rows(
    shape: tuple[int, ...], rows_of: Callable[[slice], F32], wanted: NDArray[np.intp] | None = None
) -> F32:
    """Compute rows of a plane in several threads, and return them.

    Parameters
    ----------
    shape
        Height and width of the plane.
    rows_of
        Function that returns a range of rows: float32, shape (rows, width).
    wanted
        The rows to return, in ascending order; None for all.
    """
    if wanted is None:
        wanted = np.arange(shape[0])
    found = np.empty((wanted.size, shape[1]), np.float32)

    def take(band: slice) -> None:
        first, last = np.searchsorted(wanted, (band.start, band.stop))
        if first < last:
            top = int(wanted[first])
            found[first:last] = rows_of(slice(top, int(wanted[last - 1]) + 1))[wanted[first:last] - top]

    list(parallel_map(take, bands_of(shape)))
    return found
