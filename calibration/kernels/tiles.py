# ruff: noqa: FBT001, PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that load, sort and sum the columns of one tile of the column sort.

`columns` is the flat scratch array. It contains a row for each frame, `STRIDE` values apart, with the tile's pixels of
that frame. Sums are taken over deviations from the origin, which is the column's value in row frames // 2. For
integers, the sums are exact, because they fit in 64 bits for up to 32,767 frames. For floats, the sums keep their
precision at any level.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.clipping import standard_error
from coldframe.calibration.kernels.compiling import F32, F64, U16, kernel

TILE = 256
"""Number of pixels to sort together; for 50 frames of 16 bits, the scratch array takes 27 KiB and fits in the L1
cache."""

STRIDE = TILE + 16
"""Distance between rows of the scratch array; a power of two would map all rows to the same lines of the cache."""

LAST_KEPT = 4
"""Number of values of a column that clipping about the median never rejects, as in Siril."""

Columns = NDArray[Any]
"""Arrays of uint16, whose sums are int64, or of float32, whose sums are float64."""

Sums = NDArray[Any]
Variances = NDArray[np.float64]
Flags = NDArray[np.bool_]
Pairs = NDArray[np.int32]


TOTAL, SQUARE, INNER_TOTAL, INNER_SQUARE, SUMS = 0, 1, 2, 3, 4
"""Number of rows of the sums: the sum and the sum of squares, each with all values and without some values at each
end."""


@kernel
def row_of(columns: Columns, number: int, size: int) -> Columns:
    """Return a row of the scratch array."""
    return columns[number * STRIDE : number * STRIDE + size]


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
def sort_rows(columns: Columns, frames: int, size: int, network: Pairs) -> None:
    """Sort the columns of a tile.

    Each group of eight rows is sorted first. `network` completes the sorting: the first row of each pair receives the
    smaller values and the second the larger ones.
    """
    for first in range(0, frames - 7, 8):
        sort_eight(columns[first * STRIDE :], size)
    for pair in range(network.shape[0]):
        smaller, larger = row_of(columns, network[pair, 0], size), row_of(columns, network[pair, 1], size)
        for i in range(size):
            one, other = smaller[i], larger[i]
            smaller[i] = min(one, other)
            larger[i] = max(one, other)


@kernel
def sort_eight(rows: Columns, size: int) -> None:
    """Sort the first eight rows with the minimum of 19 comparators; the values of a column stay in registers.

    See Knuth, The Art of Computer Programming 3, 2nd edition, section 5.3.4.
    """
    for i in range(size):
        a, b, c, d = rows[i], rows[STRIDE + i], rows[2 * STRIDE + i], rows[3 * STRIDE + i]
        e, f, g, h = rows[4 * STRIDE + i], rows[5 * STRIDE + i], rows[6 * STRIDE + i], rows[7 * STRIDE + i]
        (a, c), (b, d), (e, g), (f, h) = in_order(a, c), in_order(b, d), in_order(e, g), in_order(f, h)
        (a, e), (b, f), (c, g), (d, h) = in_order(a, e), in_order(b, f), in_order(c, g), in_order(d, h)
        (a, b), (c, d), (e, f), (g, h) = in_order(a, b), in_order(c, d), in_order(e, f), in_order(g, h)
        (c, e), (d, f) = in_order(c, e), in_order(d, f)
        (b, e), (d, g) = in_order(b, e), in_order(d, g)
        (b, c), (d, e), (f, g) = in_order(b, c), in_order(d, e), in_order(f, g)
        rows[i], rows[STRIDE + i], rows[2 * STRIDE + i], rows[3 * STRIDE + i] = a, b, c, d
        rows[4 * STRIDE + i], rows[5 * STRIDE + i], rows[6 * STRIDE + i], rows[7 * STRIDE + i] = e, f, g, h


@kernel
def in_order(one: float, other: float) -> tuple[float, float]:
    """Return the smaller of two values, then the larger."""
    return min(one, other), max(one, other)


@kernel
def spread(columns: Columns, first: int, last: int, size: int, ordered: bool) -> float:
    """Return the largest difference between two values of a column in the rows from `first` up to `last`."""
    low, high = np.empty(size, columns.dtype), np.empty(size, columns.dtype)
    copy(row_of(columns, first, size), low)
    copy(row_of(columns, last - 1, size), high)
    if not ordered:
        for frame in range(first, last):
            row = row_of(columns, frame, size)
            for i in range(size):
                low[i] = min(low[i], row[i])
                high[i] = max(high[i], row[i])
    widest = 0.0
    for i in range(size):
        widest = max(widest, float(high[i]) - float(low[i]))
    return widest


@kernel
def add_up(columns: Columns, frames: int, size: int, trim: int, near: float, sums: Sums, ordered: bool) -> None:
    """Sum the deviations of each column from its value in row frames // 2, and the squares of the deviations.

    The inner sums omit the first and the last `trim` rows. If no two values of a column, apart from some at the ends,
    differ by more than `near`, the sums are computed in 32 bits, which is faster; `near` is negative for floats.
    """
    sums[:, :size] = 0
    inner = sums[INNER_TOTAL : INNER_SQUARE + 1]
    edge = min(LAST_KEPT, (frames - 1) // 2)
    if spread(columns, edge, frames - edge, size, ordered) <= near:
        add_near_rows(columns, frames, edge, frames - edge, size, inner)
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
    """Add the deviations of a range of rows to the first of two sums, and their squares to the second."""
    origin = row_of(columns, frames // 2, size)
    total, square = sums[0], sums[1]
    for frame in range(first, last):
        values = row_of(columns, frame, size)
        for i in range(size):
            deviation = total.dtype.type(values[i]) - total.dtype.type(origin[i])
            total[i] += deviation
            square[i] += deviation * deviation


@kernel
def add_near_rows(columns: Columns, frames: int, first: int, last: int, size: int, sums: Sums) -> None:
    """Do the same as `add_rows` for sums that fit in 32 bits; add four rows at a time, and the rest one by one."""
    whole = np.int32
    origin = row_of(columns, frames // 2, size)
    near_total, near_square = np.zeros(TILE, np.int32), np.zeros(TILE, np.int32)
    fours_end = first + (last - first) // 4 * 4
    for frame in range(first, fours_end, 4):
        one, two = row_of(columns, frame, size), row_of(columns, frame + 1, size)
        three, four = row_of(columns, frame + 2, size), row_of(columns, frame + 3, size)
        for i in range(size):
            a, b = whole(one[i]) - whole(origin[i]), whole(two[i]) - whole(origin[i])
            c, d = whole(three[i]) - whole(origin[i]), whole(four[i]) - whole(origin[i])
            near_total[i] += a + b + c + d
            near_square[i] += a * a + b * b + c * c + d * d
    total, square = sums[0], sums[1]
    for i in range(size):
        total[i] += near_total[i]
        square[i] += near_square[i]
    add_rows(columns, frames, fours_end, last, size, sums)


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
