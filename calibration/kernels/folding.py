"""Kernels that fold frames into the running state of a set (add them to it), and merge two states.

The state of a band of pixels consists of the one-dimensional arrays `totals` and `squares`, and of the tails `high` and
`low`, which have the shape (k, pixels) with k up to 8. `totals` and `squares` contain the sum of each pixel's values
and the sum of their squares. The tails contain the largest values of each pixel in descending order and the smallest in
ascending order. The kernels work row by row on contiguous slices that stay in the first-level cache, in 16 or 32 bits
wherever possible, so that the compiler emits vector code.
"""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.compiling import U16, U32, kernel

FOLD_TILE = 1024
"""Number of pixels to fold at once; their slices of all rows of both tails (32 KiB) fit in the first-level cache."""

FEW = 4
"""Number of frames that are folded one after the other into each tile. The state, which is far larger than a frame, is
then read and written once for all of them; this takes half the time of folding four frames one by one."""

BATCH = 8
"""Number of frames that are folded together after the values of each pixel have been sorted."""

SORT_BATCH = (
    (0, 2), (1, 3), (4, 6), (5, 7),
    (0, 4), (1, 5), (2, 6), (3, 7),
    (0, 1), (2, 3), (4, 5), (6, 7),
    (2, 4), (3, 5),
    (1, 4), (3, 6),
    (1, 2), (3, 4), (5, 6),
)  # fmt: skip
"""The comparators that sort eight values; 19 is the minimum (Knuth, The Art of Computer Programming 3, 5.3.4)."""


@kernel
def fold(pixels: tuple[U16, ...], totals: U32, squares: NDArray[np.uint64], high: U16, low: U16) -> None:
    """Fold the flattened pixels of `FEW` frames into the state of a band, tile by tile.

    The tuple always has `FEW` arrays, so that the kernel is compiled only once. Empty arrays add nothing.
    """
    for begin in range(0, totals.size, FOLD_TILE):
        end = min(begin + FOLD_TILE, totals.size)
        for number in range(FEW):
            tile = pixels[number][begin:end]
            add_squares(tile, totals[begin:end], squares[begin:end])
            # Work from the innermost place outwards, so that each place reads its neighbour before the neighbour
            # changes.
            for rank in range(high.shape[0] - 1, 0, -1):
                push_down(tile, high[rank - 1, begin:end], high[rank, begin:end])
                push_up(tile, low[rank - 1, begin:end], low[rank, begin:end])
            keep_larger(tile, high[0, begin:end])
            keep_smaller(tile, low[0, begin:end])


@kernel
def fold_batch(pixels: tuple[U16, ...], totals: U32, squares: NDArray[np.uint64], high: U16, low: U16) -> None:
    """Fold the flattened pixels of `BATCH` frames into the state of a band.

    The eight values of each pixel are sorted first, and then merged with the pixel's tails.
    """
    tails, size = high.shape
    rows = np.empty((BATCH, FOLD_TILE), np.uint16)
    for begin in range(0, size, FOLD_TILE):
        end = min(begin + FOLD_TILE, size)
        for number in range(BATCH):
            tile = pixels[number][begin:end]
            add_squares(tile, totals[begin:end], squares[begin:end])
            rows[number, : end - begin] = tile
        for first, second in SORT_BATCH:
            order(rows[first, : end - begin], rows[second, : end - begin])
        # The sorted values ascend and the tail descends, so the element-wise maxima are the largest values of both, in
        # bitonic order; for the minima, it is the other way round.
        for rank in range(tails):
            keep_larger(rows[BATCH - tails + rank, : end - begin], high[rank, begin:end])
            keep_smaller(rows[tails - 1 - rank, : end - begin], low[rank, begin:end])
        sort_tails(high, low, begin, end)


@kernel
def merge_tails(other_high: U16, other_low: U16, high: U16, low: U16) -> None:
    """Merge the tails of another state, which must have the same length, into `high` and `low`.

    Empty places in the other tails change nothing.
    """
    tails, size = high.shape
    for begin in range(0, size, FOLD_TILE):
        end = min(begin + FOLD_TILE, size)
        for rank in range(tails):
            keep_larger(other_high[tails - 1 - rank, begin:end], high[rank, begin:end])
            keep_smaller(other_low[tails - 1 - rank, begin:end], low[rank, begin:end])
        sort_tails(high, low, begin, end)


@kernel
def sort_tails(high: U16, low: U16, begin: int, end: int) -> None:
    """Sort bitonic columns of a tile with Batcher's half-cleaners, `high` in descending and `low` in ascending order.

    If the length k is not a power of two, the tail is treated as the end of a longer tail whose other places are
    already sorted.
    """
    tails = high.shape[0]
    length = 1
    while length < tails:
        length *= 2
    missing = length - tails
    distance = length // 2
    while distance:
        for place in range(missing, length - distance):
            if place & distance == 0:
                near, far = place - missing, place + distance - missing
                order(high[far, begin:end], high[near, begin:end])
                order(low[near, begin:end], low[far, begin:end])
        distance //= 2


@kernel
def add_squares(pixels: U16, totals: U32, squares: NDArray[np.uint64]) -> None:
    """Add the values of a tile and their squares to `totals` and `squares`."""
    for i in range(pixels.size):
        value = np.uint32(pixels[i])
        totals[i] += value
        squares[i] += np.uint64(np.uint32(value * value))


@kernel
def order(smaller: U16, larger: U16) -> None:
    """Compare two rows element by element; store the smaller values in the first row, and the larger in the second."""
    for i in range(smaller.size):
        one, other = smaller[i], larger[i]
        smaller[i] = min(one, other)
        larger[i] = max(one, other)


@kernel
def push_down(pixels: U16, above: U16, row: U16) -> None:
    """Update a place in a descending tail with the new value, or with the value displaced from the place above."""
    for i in range(pixels.size):
        row[i] = max(row[i], min(above[i], pixels[i]))


@kernel
def push_up(pixels: U16, below: U16, row: U16) -> None:
    """Update a place in an ascending tail with the new value, or with the value displaced from the place below."""
    for i in range(pixels.size):
        row[i] = min(row[i], max(below[i], pixels[i]))


@kernel
def keep_larger(pixels: U16, row: U16) -> None:
    """Compare two rows element by element, and store the larger values in the second row."""
    for i in range(pixels.size):
        row[i] = max(row[i], pixels[i])


@kernel
def keep_smaller(pixels: U16, row: U16) -> None:
    """Compare two rows element by element, and store the smaller values in the second row."""
    for i in range(pixels.size):
        row[i] = min(row[i], pixels[i])
