# ruff: noqa: FBT001, PLR0917 - calling a compiled function with keywords costs more than a small tile
"""The loops of the column sort, compiled by Numba. Importing this module is slow: do so where it is first used.

A band holds the same pixels of all frames: shape (frames, pixels), uint16 or float32 in the machine's byte order. It is
worked off in tiles. Each tile is copied into a scratch of one row per frame that stays in the processor's cache, the
columns are sorted by a network of comparators, each of which takes whole rows, and the statistic of each column
follows. Sums are taken of deviations from one value of the column, so that they are exact for integers (64 bits hold
them up to 32,767 frames) and lose nothing for floats, whatever the level.

Clipping rejects nothing from most columns. Which these are is found out for a whole tile at once, in vector code; only
the others are looked at one by one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.live import F32, U16, clip_pixel, keep_clean, kernel, standard_error

TILE = 256
"""Pixels sorted together: with 50 frames of 16 bits the scratch takes 27 KiB."""

STRIDE = TILE + 16
"""Distance of the scratch's rows: off the powers of two, where rows would compete for the same places in the cache."""

ENDS = 6
"""Values at each end of a column that are looked at first."""

LAST_KEPT = 4
"""Values of a column that clipping about the median never rejects."""

WINSORIZED_AT = 1.5
CONSISTENCY = 1.134
CONVERGED = 0.0005
MOST_WINSORIZINGS = 50

Columns = NDArray[Any]
"""Of uint16 or float32; with these go sums of int64 or float64."""

Sums = NDArray[Any]
Variances = NDArray[np.float64]
Flags = NDArray[np.bool_]
Pairs = NDArray[np.int32]


@kernel
def decode_words(words: U16, flip: int) -> int:
    """Turn big-endian words into pixels in place; return 32,768 or more if any word had its sign bit set.

    `flip` is 32768 to turn the sign bit over, 0 to leave it. The array is flat.
    """
    seen = np.uint16(0)
    turned = np.uint16(flip)
    for i in range(words.size):
        word = np.uint16((words[i] << 8) | (words[i] >> 8))
        seen |= word
        words[i] = word ^ turned
    return seen  # type: ignore[return-value] # int, once compiled


@kernel
def scale_words(pixels: U16, dark: F32, scales: F32, first: int, width: int) -> None:
    """Bring pixels of a flat frame to the common scale in place, as `kernels.scale_signals` does for whole frames.

    Parameters
    ----------
    pixels, dark
        Flat, from the frame's pixel number `first` on.
    scales
        Shape (2, 2): by row and column of the filter array's pattern.
    width
        Of the frame.
    """
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    begin = 0
    while begin < pixels.size:
        row, column = divmod(first + begin, width)
        end = min(begin + width - column, pixels.size)
        even, odd = scales[row % 2, column % 2], scales[row % 2, 1 - column % 2]
        part, dark_part = pixels[begin:end], dark[begin:end]
        for x in range(part.size):
            scale = odd if x & 1 else even
            value = (np.float32(part[x]) - dark_part[x]) * scale + half
            part[x] = np.uint16(np.int32(min(max(value, zero), top)))
        begin = end


@kernel
def scale_values(pixels: F32, dark: F32, scales: F32, first: int, width: int) -> None:
    """Bring pixels of a flat frame to the common scale, as `scale_words` does, without rounding."""
    for i in range(pixels.size):
        row, column = divmod(first + i, width)
        pixels[i] = (pixels[i] - dark[i]) * scales[row % 2, column % 2]


# ---- one tile ----
#
# `columns` is the scratch, flat. `sums` has a row for each of what is named here; its type is int64 for integers and
# float64 for floats.

TOTAL, SQUARE, INNER_TOTAL, INNER_SQUARE, SUMS = 0, 1, 2, 3, 4
"""Rows of the sums: of all values the sum and the sum of squares, and the same without some values at each end."""


@kernel
def row_of(columns: Columns, number: int, size: int) -> Columns:
    """Return a row of the scratch."""
    return columns[number * STRIDE : number * STRIDE + size]


@kernel
def copy(values: Columns, into: Columns) -> None:
    """Copy a row: that it fits need not be checked, which would take seconds to compile."""
    for i in range(into.size):
        into[i] = values[i]


@kernel
def load(band: Columns, begin: int, end: int, flip: int | None, columns: Columns) -> None:
    """Copy the pixels from `begin` to `end` into the scratch, words as they come from the file turned into pixels.

    `flip` is 32768 to turn the sign bit of big-endian words over, 0 to leave it; None if they are pixels already.
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
    """Sort each eight rows, then order rows by pairs: the first takes the smaller and the second the larger values."""
    for first in range(0, frames - 7, 8):
        sort_eight(columns[first * STRIDE :], size)
    for pair in range(network.shape[0]):
        smaller, larger = row_of(columns, network[pair, 0], size), row_of(columns, network[pair, 1], size)
        for i in range(size):
            one, other = smaller[i], larger[i]
            smaller[i] = min(one, other)
            larger[i] = max(one, other)


@kernel
def spread(columns: Columns, first: int, last: int, size: int, ordered: bool) -> float:
    """Return by how much values of a column differ at most in the rows from `first` to `last`."""
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
def sort_eight(rows: Columns, size: int) -> None:
    """Sort the first eight rows, by the fewest comparators, 19: the values of a column stay in registers meanwhile.

    Knuth, The Art of Computer Programming 3, 2nd edition, section 5.3.4.
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
    """Return the smaller value, then the larger one."""
    return min(one, other), max(one, other)


@kernel
def add_up(columns: Columns, frames: int, size: int, trim: int, near: float, sums: Sums, ordered: bool) -> None:
    """Sum up the columns' deviations from their row number frames // 2, and the squares of these.

    In the inner sums the `trim` first and last rows are missing. Where no two values of a column, but for some at the
    ends, differ by more than `near`, 32 bits hold their sums; it is negative for floats.
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
    """Add the deviations of some rows to the first, and their squares to the second of two sums."""
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
    """Do what `add_rows` does where 32 bits hold the sums: four rows at a time, the rest one by one."""
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
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Average all values of each column."""
    origin = row_of(columns, frames // 2, value.size)
    total, square = sums[TOTAL], sums[SQUARE]
    for i in range(value.size):
        value[i] = mean_of(frames, total[i], total.dtype.type(origin[i]), pedestal)
        uncertainty[i] = standard_error(frames, total[i], square[i], scatter_correction)
        counts[i] = frames


# What clipping needs of the columns of a tile: their ends, variances, and from which of them it rejects nothing.


@kernel
def find_ends(columns: Columns, frames: int, ends: Sums) -> None:
    """Take the deviations of the smallest and the largest value."""
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
    """Find the columns of which no value lies further from the median than kappa times the root of their variance."""
    low, high = row_of(columns, 0, whole.size), row_of(columns, frames - 1, whole.size)
    lower, upper = row_of(columns, (frames - 1) // 2, whole.size), row_of(columns, frames // 2, whole.size)
    for i in range(whole.size):
        twice = float(lower[i]) + float(upper[i])
        farthest = max(twice - 2 * float(low[i]), 2 * float(high[i]) - twice)
        whole[i] = (frames <= LAST_KEPT) | (farthest * farthest <= 4 * kappa_squared * variances[i])


@kernel
def find_variances(frames: int, sums: Sums, variances: Variances) -> None:
    """Take the variance (ddof 1) of each column."""
    total, square = sums[TOTAL], sums[SQUARE]
    for i in range(variances.size):
        variances[i] = variance_of(frames, total[i], square[i])


@kernel
def find_winsorized_variances(columns: Columns, frames: int, sums: Sums, step: float, variances: Variances) -> None:
    """Take what `winsorized_variance` takes, of each column; `variances` gives those that are not winsorized."""
    size = variances.size
    origin, work = row_of(columns, frames // 2, size), np.empty((6, size))
    center, sigma, lower, upper, drawn, squares = work[0], work[1], work[2], work[3], work[4], work[5]
    settled = np.zeros(size, np.bool_)
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
def draw_in(
    columns: Columns,
    frames: int,
    origin: Columns,
    lower: Variances,
    upper: Variances,
    drawn: Variances,
    squares: Variances,
) -> None:
    """Correct sums of deviations and of their squares for values that are drawn in to the bounds."""
    size = origin.size
    for frame in range(frames):
        row, outside = row_of(columns, frame, size), 0
        for i in range(size):
            deviation = float(row[i]) - float(origin[i])
            bound = max(deviation, lower[i])
            outside += bound > deviation
            drawn[i] += bound - deviation
            squares[i] += bound * bound - deviation * deviation
        if outside == 0:
            break
    for frame in range(frames - 1, -1, -1):
        row, outside = row_of(columns, frame, size), 0
        for i in range(size):
            deviation = float(row[i]) - float(origin[i])
            bound = min(deviation, upper[i])
            outside += bound < deviation
            drawn[i] += bound - deviation
            squares[i] += bound * bound - deviation * deviation
        if outside == 0:
            break


# ---- one column ----
#
# The values of a sorted column count from its row number frames // 2, the origin. Of them those from `first` to `last`
# are kept; `total` and `square` are their sum and sum of squares.


@kernel
def mean_of(kept: int, total: float, origin: float, pedestal: int) -> np.float32:
    """Return the mean from the sum of deviations; for integers it is rounded once."""
    return np.float32((total + kept * (origin - pedestal)) / kept)


@kernel
def variance_of(kept: int, total: float, square: float) -> float:
    """Return the variance (ddof 1)."""
    return float(kept * square - total * total) / (float(kept) * (kept - 1))


@kernel
def twice_median(columns: Columns, first: int, last: int, i: int, origin: int) -> int:
    """Return twice the median, a whole number for integers."""
    kind = type(origin)
    lower: int = kind(columns[(first + last - 1) // 2 * STRIDE + i]) - origin
    upper: int = kind(columns[(first + last) // 2 * STRIDE + i]) - origin
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
    """Reject, the farthest first, what lies further from half of `twice` than half the square root of `limit`."""
    kind = type(origin)
    while last - first > LAST_KEPT:
        low = kind(columns[first * STRIDE + i]) - origin
        high = kind(columns[(last - 1) * STRIDE + i]) - origin
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
    """Return the variance of the values drawn in to 1.5 sigma until sigma settles, made consistent for normal ones."""
    kind = type(origin)
    count = last - first
    weight = float(count) * (count - 1)
    sigma = np.sqrt(variance_of(count, total, square))
    lower = float(kind(columns[first * STRIDE + i]) - origin)
    upper = float(kind(columns[(last - 1) * STRIDE + i]) - origin)
    inner, end = first, last
    inside, inside_squares = float(total), float(square)
    for _ in range(MOST_WINSORIZINGS):
        reach = WINSORIZED_AT * sigma
        low, high = median - reach, median + reach
        if step > 0:
            low, high = np.floor(low + 0.5), np.floor(high + 0.5)
        lower, upper = max(lower, low), min(upper, high)
        while inner < end:
            value = float(kind(columns[inner * STRIDE + i]) - origin)
            if value >= lower:
                break
            inside -= value
            inside_squares -= value * value
            inner += 1
        while end > inner:
            value = float(kind(columns[(end - 1) * STRIDE + i]) - origin)
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


# ---- whole bands: one kernel for each statistic ----
#
# Parameters that they share: `flip` as for `load`; `near` as for `add_up`; `sums` is scratch of shape (SUMS, TILE);
# `network` completes `sort_rows` for the rows that the statistic needs; `pedestal` is subtracted from the result;
# `scatter_correction` is that of `kernels.standard_error`; `value`, `uncertainty` and `counts` are flat and written.


@kernel
def take_means(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Average all values of each column."""
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        add_up(columns, frames, end - begin, 0, near, sums, False)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_correction, means, errors, numbers)


@kernel
def take_medians(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Pairs,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Take the median of each column, for an even number that between the two middle values."""
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, end - begin, network)
        add_up(columns, frames, end - begin, 0, near, sums, False)
        medians, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_correction, medians, errors, numbers)
        lower, upper = row_of(columns, (frames - 1) // 2, end - begin), row_of(columns, frames // 2, end - begin)
        for i in range(end - begin):
            twice = sums.dtype.type(lower[i]) + sums.dtype.type(upper[i])
            medians[i] = np.float32((twice - 2 * pedestal) / 2)


@kernel
def clip_about_means(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Pairs,
    trim: int,
    correction: float,
    kappa_squared: float,
    floor_squared: float,
    iterations: int,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip about the mean and average; `Clipping` tells the rule, and `kernels.clip_pixel` decides."""
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    ascending, descending = np.empty(frames, sums.dtype), np.empty(frames, sums.dtype)
    flags, outermost = np.empty(TILE, np.bool_), np.empty((2, TILE), sums.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, end - begin, network)
        add_up(columns, frames, end - begin, trim, near, sums, True)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_correction, means, errors, numbers)
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
            origin = sums.dtype.type(columns[frames // 2 * STRIDE + i])
            # Few values are rejected as a rule; only where it takes more is the whole column looked at.
            reach = min(frames, ENDS)
            kept = 0
            while kept == 0:
                for rank in range(reach):
                    ascending[rank] = sums.dtype.type(columns[rank * STRIDE + i]) - origin
                    descending[rank] = sums.dtype.type(columns[(frames - 1 - rank) * STRIDE + i]) - origin
                kept, total, square = clip_pixel(
                    ascending,
                    descending,
                    reach,
                    frames,
                    sums[TOTAL, i],
                    sums[SQUARE, i],
                    trim,
                    correction,
                    kappa_squared,
                    floor_squared,
                    iterations,
                )
                reach = frames
            means[i] = mean_of(kept, total, origin, pedestal)
            errors[i] = standard_error(kept, total, square, scatter_correction)
            numbers[i] = kept


@kernel
def clip_about_medians(
    band: Columns,
    flip: int | None,
    sums: Sums,
    near: float,
    network: Pairs,
    kappa_squared: float,
    step: float,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip about the median and average; `MedianClipping` and `Winsorizing` tell the rules.

    `step` is negative where sigma is that of the values as they are; where they are winsorized it is 1 if the bounds
    are rounded to whole numbers, 0 if not.
    """
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    scratch, flags = np.empty(TILE), np.empty(TILE, np.bool_)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, flip, columns)
        sort_rows(columns, frames, end - begin, network)
        add_up(columns, frames, end - begin, 0, near, sums, True)
        means, errors, numbers = value[begin:end], uncertainty[begin:end], counts[begin:end]
        average(columns, frames, sums, pedestal, scatter_correction, means, errors, numbers)
        variances, whole = scratch[: end - begin], flags[: end - begin]
        find_variances(frames, sums, variances)
        if step >= 0:
            find_winsorized_variances(columns, frames, sums, step, variances)
        find_whole_about_medians(columns, frames, variances, kappa_squared, whole)
        for i in range(whole.size):
            if whole[i]:
                continue
            origin, variance = sums.dtype.type(columns[frames // 2 * STRIDE + i]), variances[i]
            first, last, total, square = 0, frames, sums[TOTAL, i], sums[SQUARE, i]
            while True:
                before = last - first
                twice = twice_median(columns, first, last, i, origin)
                limit = 4 * kappa_squared * variance
                first, last, total, square = reject_ends(columns, first, last, i, origin, twice, limit, total, square)
                if last - first == before or last - first <= LAST_KEPT:
                    break
                variance = variance_of(last - first, total, square)
                if step >= 0:
                    half = 0.5 * twice_median(columns, first, last, i, origin)
                    variance = winsorized_variance(columns, first, last, i, origin, half, step, total, square)
            means[i] = mean_of(last - first, total, origin, pedestal)
            errors[i] = standard_error(last - first, total, square, scatter_correction)
            numbers[i] = last - first
