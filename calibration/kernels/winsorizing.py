# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""The scatter of columns whose outliers are moved to 1.5 sigma, for a whole tile or for a single column.

`Winsorizing` defines the rule. Vector code computes the scatter of whole tiles; the scatter of a single column is
computed again after each rejection.
"""

import numpy as np

from coldframe.calibration.kernels.compiling import kernel
from coldframe.calibration.kernels.masters import I32
from coldframe.calibration.kernels.tiles import SQUARE, TILE, TOTAL, Columns, Sums, Variances, row_of, variance_of

WINSORIZED_AT = 1.5
"""Distance of the bounds from the median, in sigma (Huber, Robust Statistics, 1981)."""

CONSISTENCY = 1.134
"""Factor that corrects the sigma of normally distributed values after outliers have been moved to 1.5 sigma (Huber,
ibid.)."""

CONVERGED = 0.0005
"""Relative change in sigma below which sigma has settled, as in Siril."""

MOST_WINSORIZINGS = 50
"""Largest number of times that outliers are moved and sigma is computed again."""


@kernel
def find_winsorized_variances(
    columns: Columns, frames: int, sums: Sums, near: float, step: float, variances: Variances
) -> None:
    """Replace the variance of each column of a tile with its `winsorized_variance`.

    Parameters
    ----------
    columns
        The scratch array, with sorted columns.
    frames
        Number of rows of the scratch array.
    sums
        Sums of the columns, from `add_up`.
    near
        Largest deviation of the bounds for which the sums fit in 32 bits; negative for floating-point values.
    step
        1 to round the bounds to whole numbers, 0 to keep them.
    variances
        The plain variances of the columns, which are overwritten.
    """
    size = variances.size
    origin, work = row_of(columns, frames // 2, size), np.empty((6, size))
    center, sigma, lower, upper, drawn, squares = work[0], work[1], work[2], work[3], work[4], work[5]
    narrow, settled = np.empty((4, size), np.int32), np.zeros(size, np.bool_)
    low, high = row_of(columns, 0, size), row_of(columns, frames - 1, size)
    one, other = row_of(columns, (frames - 1) // 2, size), row_of(columns, frames // 2, size)
    weight = float(frames) * (frames - 1)
    for i in range(size):
        center[i] = 0.5 * ((float(one[i]) - float(origin[i])) + (float(other[i]) - float(origin[i])))
        sigma[i] = np.sqrt(variances[i])
        lower[i], upper[i] = float(low[i]) - float(origin[i]), float(high[i]) - float(origin[i])
    for _ in range(MOST_WINSORIZINGS):
        for i in range(size):
            below, above = center[i] - WINSORIZED_AT * sigma[i], center[i] + WINSORIZED_AT * sigma[i]
            if step > 0:
                below, above = np.floor(below + 0.5), np.floor(above + 0.5)
            lower[i], upper[i] = max(lower[i], below), min(upper[i], above)
            drawn[i], squares[i] = float(sums[TOTAL, i]), float(sums[SQUARE, i])
        if step == 0 or not draw_in_near(columns, frames, near, work[2:], narrow):
            draw_in(columns, frames, origin, lower, upper, drawn, squares)
        moving = 0
        for i in range(size):
            drawn_in = CONSISTENCY * np.sqrt(max(frames * squares[i] - drawn[i] * drawn[i], 0.0) / weight)
            now_settled = abs(drawn_in - sigma[i]) <= CONVERGED * sigma[i]
            sigma[i] = sigma[i] if settled[i] else drawn_in
            settled[i] |= now_settled
            moving += not settled[i]
        if moving == 0:
            break
    for i in range(size):
        variances[i] = sigma[i] * sigma[i]


@kernel
def draw_in_near(columns: Columns, frames: int, near: float, work: Variances, narrow: I32) -> bool:
    """Do the same as `draw_in`, but in 32 bits, which is faster; return False if the results might not fit.

    Parameters
    ----------
    columns, frames
        As for `draw_in`.
    near
        Largest deviation of the bounds for which the results fit in 32 bits; negative for floating-point values.
    work
        Lower and upper bounds, which are whole numbers, and both sums.
    narrow
        Scratch array of the same shape.
    """
    if near < 0:
        return False
    widest, size = np.int32(0), narrow.shape[1]
    for i in range(size):
        narrow[0, i], narrow[1, i] = np.int32(work[0, i]), np.int32(work[1, i])
        widest = max(widest, np.int32(-narrow[0, i]), narrow[1, i])
    if widest > near:
        return False
    # The sums before the correction include outliers, so they might exceed 32 bits and wrap around. The results fit, so
    # they are exact nevertheless.
    for i in range(size):
        narrow[2, i], narrow[3, i] = np.int32(np.int64(work[2, i])), np.int32(np.int64(work[3, i]))
    draw_in(columns, frames, row_of(columns, frames // 2, size), narrow[0], narrow[1], narrow[2], narrow[3])
    for i in range(size):
        work[2, i], work[3, i] = float(narrow[2, i]), float(narrow[3, i])
    return True


@kernel
def draw_in(
    columns: Columns, frames: int, origin: Columns, lower: Sums, upper: Sums, drawn: Sums, squares: Sums
) -> None:
    """Correct the sums of deviations and of their squares for values that are moved to the bounds.

    Bounds and sums are all float64, or all int32.
    """
    size, kind = origin.size, drawn.dtype.type
    for frame in range(frames):
        row, outside = row_of(columns, frame, size), np.int32(0)
        for i in range(size):
            deviation = kind(kind(row[i]) - kind(origin[i]))
            bound = max(deviation, lower[i])
            outside = np.int32(outside + np.int32(bound > deviation))
            drawn[i] += kind(bound - deviation)
            squares[i] += kind(bound * bound - deviation * deviation)
        if outside == 0:
            break
    for frame in range(frames - 1, -1, -1):
        row, outside = row_of(columns, frame, size), np.int32(0)
        for i in range(size):
            deviation = kind(kind(row[i]) - kind(origin[i]))
            bound = min(deviation, upper[i])
            outside = np.int32(outside + np.int32(bound < deviation))
            drawn[i] += kind(bound - deviation)
            squares[i] += kind(bound * bound - deviation * deviation)
        if outside == 0:
            break


@kernel
def winsorized_variance(
    columns: Columns,
    first: int,
    last: int,
    i: int,
    origin: float,
    median: float,
    step: float,
    total: float,
    square: float,
) -> float:
    """Move outliers to 1.5 sigma repeatedly until sigma settles; return the variance, corrected with `CONSISTENCY`.

    Parameters
    ----------
    columns
        The scratch array, with sorted columns.
    first, last
        Range of rows with kept values; `last` is excluded.
    i
        Number of the column.
    origin, median
        The value from which deviations are measured, and the median as a deviation from this value.
    step
        1 to round the bounds to whole numbers, 0 to keep them.
    total, square
        Sum and sum of squares of the kept deviations.
    """
    kind = type(origin)
    count = last - first
    weight = float(count) * (count - 1)
    sigma = np.sqrt(variance_of(count, total, square))
    lower = float(kind(columns[first * TILE + i]) - origin)
    upper = float(kind(columns[(last - 1) * TILE + i]) - origin)
    inner, end = first, last
    inside, inside_squares = float(total), float(square)
    for _ in range(MOST_WINSORIZINGS):
        reach = WINSORIZED_AT * sigma
        low, high = median - reach, median + reach
        if step > 0:
            low, high = np.floor(low + 0.5), np.floor(high + 0.5)
        lower, upper = max(lower, low), min(upper, high)
        while inner < end:
            value = float(kind(columns[inner * TILE + i]) - origin)
            if value >= lower:
                break
            inside -= value
            inside_squares -= value * value
            inner += 1
        while end > inner:
            value = float(kind(columns[(end - 1) * TILE + i]) - origin)
            if value <= upper:
                break
            inside -= value
            inside_squares -= value * value
            end -= 1
        drawn = inside + (inner - first) * lower + (last - end) * upper
        drawn_squares = inside_squares + (inner - first) * lower * lower + (last - end) * upper * upper
        former = sigma
        sigma = CONSISTENCY * np.sqrt(max(count * drawn_squares - drawn * drawn, 0.0) / weight)
        if abs(sigma - former) <= CONVERGED * former:
            break
    return float(sigma * sigma)
