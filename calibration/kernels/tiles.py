# ruff: noqa: FBT001, PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that load, sort and sum the columns of one tile of the column sort.

`columns` is the one-dimensional scratch array. It contains a row for each frame, `TILE` values apart, with the tile's
pixels of that frame. Sums are taken over deviations from the origin, which is the column's value in row frames // 2.
For integers, the sums are exact, because they fit in 64 bits for up to 32,767 frames. For floating-point values, the
sums of deviations keep their precision at any level.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.clipping import standard_error
from coldframe.calibration.kernels.compiling import F32, F64, U16, kernel

TILE = 288
"""Number of pixels to sort together; for 50 frames of 16 bits, the scratch array takes 28 KiB and fits in the L1 cache.

If this number were a power of two, all rows would map to the same cache lines."""

LAST_KEPT = 4
"""Number of values that clipping about the median leaves in a column at least, as in Siril."""

Columns = NDArray[Any]
"""Arrays of uint16, whose sums are int64, or of float32, whose sums are float64."""

Sums = NDArray[Any]
Variances = NDArray[np.float64]
Flags = NDArray[np.bool_]
Blocks = NDArray[np.int32]


TOTAL, SQUARE, INNER_TOTAL, INNER_SQUARE, SUMS = 0, 1, 2, 3, 4
"""Indices and number of the rows of sums: the sum and the sum of squares of all values, and the same two sums without
the trimmed values at each end."""


@kernel
def row_of(columns: Columns, number: int, size: int) -> Columns:
    """Return a row of the scratch array."""
    return columns[number * TILE : number * TILE + size]


@kernel
def copy(values: Columns, into: Columns) -> None:
    """Copy a row in a loop; a slice assignment would check the sizes with code that takes seconds to compile."""
    for i in range(into.size):
        into[i] = values[i]


@kernel
def load(band: Columns, begin: int, end: int, flip: int | None, columns: Columns) -> None:
    """Copy the pixels from `begin` up to `end` of a band into the scratch array.

    Parameters
    ----------
    band
        Shape (frames, pixels).
    begin, end
        Range of pixels; `end` is excluded.
    flip
        For big-endian words from a file: 32768 to invert the sign bit, 0 to keep it. None if the band contains decoded
        pixels.
    columns
        The scratch array, an output.
    """
    for frame in range(band.shape[0]):
        values = band[frame, begin:end]
        row = row_of(columns, frame, values.size)
        if flip is None:
            copy(values, row)
        else:
            turned = np.uint16(flip)
            for i in range(row.size):
                row[i] = np.uint16((values[i] << 8) | (values[i] >> 8)) ^ turned


@kernel
def sort_rows(columns: Columns, frames: int, network: Blocks) -> None:
    """Sort the columns of a tile, including unused columns at its end.

    Each group of eight rows is sorted first. `network` completes the sorting; see `column_sort.blocks_of`. Two blocks
    of neighbouring rows are compared row by row; the first block receives the smaller values, the second the larger.
    """
    for first in range(0, frames - 7, 8):
        sort_eight(columns[first * TILE :])
    for block in range(network.shape[0]):
        size = network[block, 2] * TILE
        smaller, larger = row_of(columns, network[block, 0], size), row_of(columns, network[block, 1], size)
        for i in range(size):
            one, other = smaller[i], larger[i]
            smaller[i] = min(one, other)
            larger[i] = max(one, other)


@kernel
def sort_eight(rows: Columns) -> None:
    """Sort the first eight rows with the minimum of 19 comparators; the values of a column stay in registers.

    See Knuth, The Art of Computer Programming 3, 2nd edition, section 5.3.4.
    """
    for i in range(TILE):
        a, b, c, d = rows[i], rows[TILE + i], rows[2 * TILE + i], rows[3 * TILE + i]
        e, f, g, h = rows[4 * TILE + i], rows[5 * TILE + i], rows[6 * TILE + i], rows[7 * TILE + i]
        (a, c), (b, d), (e, g), (f, h) = in_order(a, c), in_order(b, d), in_order(e, g), in_order(f, h)
        (a, e), (b, f), (c, g), (d, h) = in_order(a, e), in_order(b, f), in_order(c, g), in_order(d, h)
        (a, b), (c, d), (e, f), (g, h) = in_order(a, b), in_order(c, d), in_order(e, f), in_order(g, h)
        (c, e), (d, f) = in_order(c, e), in_order(d, f)
        (b, e), (d, g) = in_order(b, e), in_order(d, g)
        (b, c), (d, e), (f, g) = in_order(b, c), in_order(d, e), in_order(f, g)
        rows[i], rows[TILE + i], rows[2 * TILE + i], rows[3 * TILE + i] = a, b, c, d
        rows[4 * TILE + i], rows[5 * TILE + i], rows[6 * TILE + i], rows[7 * TILE + i] = e, f, g, h


@kernel
def in_order(one: float, other: float) -> tuple[float, float]:
    """Return the smaller of two values, then the larger."""
    return min(one, other), max(one, other)


@kernel
def spread(columns: Columns, first: int, last: int, size: int, ordered: bool) -> int:
    """Return the largest range of the integers in any column, within the rows from `first` up to `last`."""
    low, high = np.empty(size, columns.dtype), np.empty(size, columns.dtype)
    copy(row_of(columns, first, size), low)
    copy(row_of(columns, last - 1, size), high)
    if not ordered:
        for frame in range(first, last):
            row = row_of(columns, frame, size)
            for i in range(size):
                low[i] = min(low[i], row[i])
                high[i] = max(high[i], row[i])
    widest = np.int32(0)
    for i in range(size):
        widest = max(widest, np.int32(high[i]) - np.int32(low[i]))
    return int(widest)


@kernel
def add_up(columns: Columns, frames: int, size: int, trim: int, near: float, sums: Sums, ordered: bool) -> None:
    """Sum the deviations of each column from its value in row frames // 2, and the squares of the deviations.

    The inner sums omit the first and the last `trim` rows. If no two values of a column, apart from a few at the ends,
    differ by more than `near`, the sums are computed in 32 bits, which is faster; `near` is negative for floating-point
    values.
    """
    sums[:, :size] = 0
    inner = sums[INNER_TOTAL : INNER_SQUARE + 1]
    edge = min(LAST_KEPT, (frames - 1) // 2)
    if near >= 0 and spread(columns, edge, frames - edge, size, ordered) <= near:
        narrow = np.zeros((2, size), np.int32)
        add_rows(columns, frames, edge, frames - edge, size, narrow)
        for i in range(size):
            inner[0, i] += narrow[0, i]
            inner[1, i] += narrow[1, i]
    else:
        add_rows(columns, frames, edge, frames - edge, size, inner)
    add_rows(columns, frames, trim, edge, size, inner)
    add_rows(columns, frames, frames - edge, frames - trim, size, inner)
    whole = sums[TOTAL : SQUARE + 1]
    copy(sums[INNER_TOTAL, :size], sums[TOTAL, :size])
    copy(sums[INNER_SQUARE, :size], sums[SQUARE, :size])
    add_rows(columns, frames, 0, trim, size, whole)
    add_rows(columns, frames, frames - trim, frames, size, whole)


@kernel
def add_rows(columns: Columns, frames: int, first: int, last: int, size: int, sums: Sums) -> None:
    """Add the deviations of a range of rows to the first of two sums, and their squares to the second.

    Four rows are added at a time, which saves memory accesses. They are parts of one slice, because LLVM does not
    vectorize loops over many slices, which could overlap. Without the conversions, 32-bit sums would be computed in 64
    bits.
    """
    origin = row_of(columns, frames // 2, size)
    totals, squares = sums[0], sums[1]
    kind = sums.dtype.type
    fours_end = first + max(last - first, 0) // 4 * 4
    for frame in range(first, fours_end, 4):
        rows = row_of(columns, frame, 4 * TILE)
        for i in range(size):
            total, square = totals[i], squares[i]
            for row in range(4):
                deviation = kind(kind(rows[row * TILE + i]) - kind(origin[i]))
                total = kind(total + deviation)
                square = kind(square + deviation * deviation)
            totals[i], squares[i] = total, square
    for frame in range(fours_end, last):
        values = row_of(columns, frame, size)
        for i in range(size):
            deviation = kind(kind(values[i]) - kind(origin[i]))
            totals[i] += deviation
            squares[i] += kind(deviation * deviation)


@kernel
def average(
    columns: Columns,
    frames: int,
    sums: Sums,
    pedestal: int,
    scatter_corrections: F64,
    least_variance: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Average all values of each column."""
    origin = row_of(columns, frames // 2, value.size)
    total, square = sums[TOTAL], sums[SQUARE]
    for i in range(value.size):
        value[i] = mean_of(frames, total[i], total.dtype.type(origin[i]), pedestal)
        uncertainty[i] = standard_error(frames, total[i], square[i], scatter_corrections, least_variance)
        counts[i] = frames


@kernel
def mean_of(kept: int, total: float, origin: float, pedestal: int) -> np.float32:
    """Return the mean from the sum of deviations; for integers, the mean is rounded only once."""
    return np.float32((total + kept * (origin - pedestal)) / kept)


@kernel
def variance_of(kept: int, total: float, square: float) -> float:
    """Return the variance (ddof 1) from the sum of deviations and the sum of their squares."""
    return float(kept * square - total * total) / (float(kept) * (kept - 1))
