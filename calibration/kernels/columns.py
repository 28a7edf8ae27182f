# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small tiles
"""The statistics of the column sort, which sorts and combines the values of each pixel in all frames.

The last four kernels combine a whole band, which contains the same pixels from all frames: shape (frames, pixels),
uint16 or float32. The kernels work on one tile of a band at a time. They copy the tile into a scratch array, which has
a row for each frame and a column for each pixel, and which stays in the processor's cache. Then they sort the columns
with a network of comparators that work on whole rows, and compute the statistic of each column.

In most columns, clipping rejects no values. Vector code finds these columns a tile at a time; only the remaining
columns are clipped one by one.

Parameters that the kernels for bands share: `flip` as for `load`; `near` as for `add_up`; `sums` is a scratch array of
shape (SUMS, TILE); `network` contains the comparators with which `sort_rows` sorts the rows that the statistic needs;
`pedestal` is subtracted from the result; `scatter_corrections` and `least_variance` as for `standard_error`; `value`,
`uncertainty` and `counts` are one-dimensional outputs. For clipping, `network` sorts `reach` rows at each end; columns
in which more rows must be sorted are then sorted one by one.
"""

import numpy as np

from coldframe.calibration.kernels.clipping import clip_pixel, keep_clean, standard_error
from coldframe.calibration.kernels.compiling import F32, F64, U16, kernel
from coldframe.calibration.kernels.tiles import (
    INNER_SQUARE,
    INNER_TOTAL,
    LAST_KEPT,
    SQUARE,
    TILE,
    TOTAL,
    Blocks,
    Columns,
    Flags,
    Sums,
    Variances,
    add_up,
    average,
    load,
    mean_of,
    row_of,
    sort_rows,
    variance_of,
)
from coldframe.calibration.kernels.winsorizing import find_winsorized_variances, winsorized_variance


@kernel
def find_ends(columns: Columns, frames: int, ends: Sums) -> None:
    """Write the deviations of the smallest and the largest value of each column from its origin to `ends`."""
    size = ends.shape[1]
    low, high = row_of(columns, 0, size), row_of(columns, frames - 1, size)
    origin = row_of(columns, frames // 2, size)
    for i in range(size):
        ends[0, i] = ends.dtype.type(low[i]) - ends.dtype.type(origin[i])
        ends[1, i] = ends.dtype.type(high[i]) - ends.dtype.type(origin[i])


@kernel
def find_whole_about_medians(
    columns: Columns, frames: int, variances: Variances, kappa_squared: float, whole: Flags
) -> None:
    """Mark the columns in which no value is further from the median than kappa times the standard deviation."""
    low, high = row_of(columns, 0, whole.size), row_of(columns, frames - 1, whole.size)
    lower, upper = row_of(columns, (frames - 1) // 2, whole.size), row_of(columns, frames // 2, whole.size)
    for i in range(whole.size):
        twice = float(lower[i]) + float(upper[i])
        farthest = max(twice - 2 * float(low[i]), 2 * float(high[i]) - twice)
        whole[i] = (frames <= LAST_KEPT) | (farthest * farthest <= 4 * kappa_squared * variances[i])


@kernel
def find_variances(frames: int, sums: Sums, variances: Variances) -> None:
    """Write the variance (ddof 1) of each column to `variances`."""
    total, square = sums[TOTAL], sums[SQUARE]
    for i in range(variances.size):
        variances[i] = variance_of(frames, total[i], square[i])


@kernel
def twice_median(columns: Columns, first: int, last: int, i: int, origin: int) -> int:
    """Return twice the median of the kept rows, as a deviation from the origin; a whole number for integers."""
    kind = type(origin)
    lower: int = kind(columns[(first + last - 1) // 2 * TILE + i]) - origin
    upper: int = kind(columns[(first + last) // 2 * TILE + i]) - origin
    return lower + upper


@kernel
def reject_ends(
    columns: Columns,
    first: int,
    last: int,
    i: int,
    origin: int,
    twice: int,
    limit: float,
    total: int,
    square: int,
) -> tuple[int, int, int, int]:
    """Reject values further from the median than the limit, from the farthest inwards, until `LAST_KEPT` are left.

    Parameters
    ----------
    columns
        The scratch array, with sorted columns.
    first, last
        Range of rows with kept values; `last` is excluded.
    i
        Number of the column.
    origin
        The value from which deviations are measured.
    twice
        Twice the median, as a deviation.
    limit
        Four times the squared limit on the distance from the median.
    total, square
        Sum and sum of squares of the kept deviations.

    Returns
    -------
    first, last, total, square
        The range of rows with kept values, and the sums of the kept deviations, after the rejection.
    """
    kind = type(origin)
    while last - first > LAST_KEPT:
        low = kind(columns[first * TILE + i]) - origin
        high = kind(columns[(last - 1) * TILE + i]) - origin
        below, above = float(twice - 2 * low), float(2 * high - twice)
        if max(below, above) ** 2 <= limit:
            break
        if below > above:
            value = low
            first += 1
        else:
            value = high
            last -= 1
        total -= value
        square -= value * value
    return first, last, total, square


@kernel
def sort_column(column: Columns) -> None:
    """Sort a column by insertion, which is fast because the column is nearly sorted already."""
    for end in range(1, column.size):
        value, place = column[end], end
        while place > 0 and column[place - 1] > value:
            column[place] = column[place - 1]
            place -= 1
        column[place] = value


@kernel
def take_means(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    pedestal: int,
    scatter_corrections: F64,
    least_variance: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Average all values of each column."""
    frames, pixels = band.shape
    columns = np.empty(frames * TILE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        add_up(columns, frames, end - begin, 0, near, sums, False)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_corrections, least_variance, means, errors, numbers)


@kernel
def take_medians(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Blocks,
    rounding_variance: float,
    pedestal: int,
    scatter_corrections: F64,
    least_variance: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Compute the median of each column; for an even number of values, the mean of the two middle values.

    `rounding_variance` is added to the square of the uncertainty.
    """
    frames, pixels = band.shape
    columns = np.empty(frames * TILE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, network)
        add_up(columns, frames, end - begin, 0, near, sums, False)
        medians, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_corrections, least_variance, medians, errors, numbers)
        lower, upper = row_of(columns, (frames - 1) // 2, end - begin), row_of(columns, frames // 2, end - begin)
        for i in range(end - begin):
            twice = sums.dtype.type(lower[i]) + sums.dtype.type(upper[i])
            medians[i] = np.float32((twice - 2 * pedestal) / 2)
            errors[i] = np.float32(np.sqrt(float(errors[i]) ** 2 + rounding_variance))


@kernel
def clip_about_means(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Blocks,
    reach: int,
    trim: int,
    correction: float,
    kappa_squared: float,
    floor_squared: float,
    iterations: int,
    pedestal: int,
    scatter_corrections: F64,
    least_variance: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip each column about the mean and average it; `Clipping` defines the rule, and `clip_pixel` applies it."""
    frames, pixels = band.shape
    columns = np.empty(frames * TILE, band.dtype)
    ascending = columns.reshape(frames, TILE)
    descending = ascending[::-1]
    flags, outermost = np.empty(TILE, np.bool_), np.empty((2, TILE), sums.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, network)
        add_up(columns, frames, end - begin, trim, near, sums, True)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_corrections, least_variance, means, errors, numbers)
        whole, ends = flags[: end - begin], outermost[:, : end - begin]
        whole[:] = True
        find_ends(columns, frames, ends)
        inner, inner_squares = sums[INNER_TOTAL, : end - begin], sums[INNER_SQUARE, : end - begin]
        keep_clean(
            (ends[0], ends[1]), frames - 2 * trim, inner, inner_squares, kappa_squared, floor_squared, correction, whole
        )
        totals, squares = sums[TOTAL, : end - begin], sums[SQUARE, : end - begin]
        keep_clean((ends[0], ends[1]), frames, totals, squares, kappa_squared, floor_squared, 1.0, whole)
        for i in range(whole.size):
            if whole[i]:
                continue
            origin = sums.dtype.type(columns[frames // 2 * TILE + i])
            known, kept = reach, 0
            while kept == 0:
                kept, total, square = clip_pixel(
                    ascending[:, i],
                    descending[:, i],
                    origin,
                    known,
                    frames,
                    totals[i],
                    squares[i],
                    frames - 2 * trim,
                    inner[i],
                    inner_squares[i],
                    correction,
                    kappa_squared,
                    floor_squared,
                    iterations,
                )
                if kept == 0:
                    sort_column(ascending[:, i])
                    known = frames
            means[i] = mean_of(kept, total, origin, pedestal)
            errors[i] = standard_error(kept, total, square, scatter_corrections, least_variance)
            numbers[i] = kept


@kernel
def clip_about_medians(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Blocks,
    reach: int,
    kappa_squared: float,
    step: float,
    pedestal: int,
    scatter_corrections: F64,
    least_variance: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip each column about the median and average it; `MedianClipping` and `Winsorizing` define the rules.

    `step` is negative if the plain sigma of the values is used. For the winsorized sigma, `step` is 1 if the bounds are
    rounded to whole numbers, and 0 otherwise.
    """
    frames, pixels = band.shape
    columns = np.empty(frames * TILE, band.dtype)
    rows = columns.reshape(frames, TILE)
    scratch, flags = np.empty(TILE), np.empty(TILE, np.bool_)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, network)
        add_up(columns, frames, end - begin, 0, near, sums, True)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_corrections, least_variance, means, errors, numbers)
        variances, whole = scratch[: end - begin], flags[: end - begin]
        find_variances(frames, sums, variances)
        if step >= 0:
            find_winsorized_variances(columns, frames, sums, near, step, variances)
        find_whole_about_medians(columns, frames, variances, kappa_squared, whole)
        for i in range(whole.size):
            if whole[i]:
                continue
            origin, known, variance = sums.dtype.type(columns[frames // 2 * TILE + i]), reach, variances[i]
            first, last, total, square = 0, frames, sums[TOTAL, i], sums[SQUARE, i]
            while True:
                before = last - first
                twice = twice_median(columns, first, last, i, origin)
                limit = 4 * kappa_squared * variance
                first, last, total, square = reject_ends(columns, first, last, i, origin, twice, limit, total, square)
                if max(first, frames - last) >= known:
                    sort_column(rows[:, i])
                    known, variance = frames, variances[i]
                    first, last, total, square = 0, frames, sums[TOTAL, i], sums[SQUARE, i]
                    continue
                if last - first == before or last - first <= LAST_KEPT:
                    break
                variance = variance_of(last - first, total, square)
                if step >= 0:
                    half = 0.5 * twice_median(columns, first, last, i, origin)
                    variance = winsorized_variance(columns, first, last, i, origin, half, step, total, square)
            means[i] = mean_of(last - first, total, origin, pedestal)
            errors[i] = standard_error(last - first, total, square, scatter_corrections, least_variance)
            numbers[i] = last - first
