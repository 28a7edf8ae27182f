# ruff: noqa: PLR0917 - calling a compiled function with keywords costs more than a small tile
"""The loops of the column sort, compiled by Numba. Importing this module is slow: do so where it is first used.

A band holds the same pixels of all frames: shape (frames, pixels), uint16 or float32 in the machine's byte order. It is
worked off in tiles. Each tile is copied into a scratch of one row per frame that stays in the processor's cache, the
columns are sorted by a network of comparators, each of which takes whole rows, and the statistic of each column
follows. Sums are taken of deviations from one value of the column, so that they are exact for integers (64 bits hold
them up to 32,767 frames) and lose nothing for floats, whatever the level.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import F32, U16, clip_pixel, kernel, standard_error

TILE = 256
"""Pixels sorted together: with 50 frames of 16 bits the scratch takes 27 KiB."""

STRIDE = TILE + 16
"""Distance of the scratch's rows: off the powers of two, where rows would compete for the same places in the cache."""

ENDS = 8
"""Values at each end of a column that are looked at first."""

LAST_KEPT = 4
"""Values of a column that clipping about the median never rejects."""

WINSORIZED_AT = 1.5
CONSISTENCY = 1.134
CONVERGED = 0.0005
MOST_WINSORIZINGS = 50

Columns = NDArray[Any]
"""Of uint16 or float32; with these go totals of int32 or float64 and squares of int64 or float64."""

Totals = NDArray[Any]
Squares = NDArray[Any]
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


@kernel
def load(band: Columns, begin: int, end: int, columns: Columns) -> None:
    """Copy the pixels from `begin` to `end` into the scratch."""
    for frame in range(band.shape[0]):
        values = band[frame, begin:end]
        row = columns[frame * STRIDE : frame * STRIDE + values.size]
        for i in range(row.size):
            row[i] = values[i]


@kernel
def run_network(columns: Columns, size: int, network: Pairs) -> None:
    """Order rows by pairs: of each pair the first row takes the smaller and the second the larger values."""
    for pair in range(network.shape[0]):
        first, second = network[pair, 0] * STRIDE, network[pair, 1] * STRIDE
        smaller, larger = columns[first : first + size], columns[second : second + size]
        for i in range(size):
            one, other = smaller[i], larger[i]
            smaller[i] = min(one, other)
            larger[i] = max(one, other)


@kernel
def add_up(columns: Columns, frames: int, size: int, totals: Totals, squares: Squares) -> None:
    """Sum up the columns' deviations from their row number frames // 2, and the squares of these."""
    middle = frames // 2 * STRIDE
    origin = columns[middle : middle + size]
    totals[:size] = 0
    squares[:size] = 0
    for frame in range(frames):
        values = columns[frame * STRIDE : frame * STRIDE + size]
        for i in range(size):
            deviation = totals.dtype.type(values[i]) - totals.dtype.type(origin[i])
            totals[i] += deviation
            squares[i] += squares.dtype.type(deviation) * squares.dtype.type(deviation)


# ---- one column ----
#
# The values of a sorted column count from its row number frames // 2, the origin. Of them those from `first` to `last`
# are kept; `total` and `square` are their sum and sum of squares.


@kernel
def mean_of(kept: int, total: float, origin: float, pedestal: int) -> np.float32:
    """Return the mean from the sum of deviations; for integers it is rounded once."""
    return np.float32((total + kept * (origin - pedestal)) / kept)


@kernel
def twice_median(columns: Columns, first: int, last: int, i: int, origin: float) -> float:
    """Return twice the median, a whole number for integers."""
    kind = type(origin)
    lower: float = kind(columns[(first + last - 1) // 2 * STRIDE + i]) - origin
    upper: float = kind(columns[(first + last) // 2 * STRIDE + i]) - origin
    return lower + upper


@kernel
def reject_ends(
    columns: Columns,
    first: int,
    last: int,
    i: int,
    origin: float,
    twice: float,
    limit: float,
    total: float,
    square: float,
) -> tuple[int, int, float, float]:
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
    sigma = np.sqrt(float(count * square - total * total) / weight)
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
# Their last parameters are the same: `pedestal` is subtracted from the result; `scatter_correction` is that of
# `kernels.standard_error`; `value`, `uncertainty` and `counts` are flat and written.


@kernel
def take_means(
    band: Columns,
    totals: Totals,
    squares: Squares,
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
        load(band, begin, end, columns)
        add_up(columns, frames, end - begin, totals, squares)
        for i in range(end - begin):
            total, square = squares.dtype.type(totals[i]), squares[i]
            origin = squares.dtype.type(columns[frames // 2 * STRIDE + i])
            value[begin + i] = mean_of(frames, total, origin, pedestal)
            uncertainty[begin + i] = standard_error(frames, total, square, scatter_correction)
            counts[begin + i] = frames


@kernel
def take_medians(
    band: Columns,
    totals: Totals,
    squares: Squares,
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
        load(band, begin, end, columns)
        run_network(columns, end - begin, network)
        add_up(columns, frames, end - begin, totals, squares)
        lower, upper = (frames - 1) // 2 * STRIDE, frames // 2 * STRIDE
        for i in range(end - begin):
            twice = squares.dtype.type(columns[lower + i]) + squares.dtype.type(columns[upper + i])
            value[begin + i] = np.float32((twice - 2 * pedestal) / 2)
            total = squares.dtype.type(totals[i])
            uncertainty[begin + i] = standard_error(frames, total, squares[i], scatter_correction)
            counts[begin + i] = frames


@kernel
def clip_about_means(
    band: Columns,
    totals: Totals,
    squares: Squares,
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
    ascending = np.empty(frames, squares.dtype)
    descending = np.empty(frames, squares.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, columns)
        run_network(columns, end - begin, network)
        add_up(columns, frames, end - begin, totals, squares)
        for i in range(end - begin):
            origin = squares.dtype.type(columns[frames // 2 * STRIDE + i])
            # Few values are rejected as a rule; only where it takes more is the whole column looked at.
            reach = min(frames, ENDS)
            kept = 0
            while kept == 0:
                for rank in range(reach):
                    ascending[rank] = squares.dtype.type(columns[rank * STRIDE + i]) - origin
                    descending[rank] = squares.dtype.type(columns[(frames - 1 - rank) * STRIDE + i]) - origin
                kept, total, square = clip_pixel(
                    ascending,
                    descending,
                    reach,
                    frames,
                    squares.dtype.type(totals[i]),
                    squares[i],
                    trim,
                    correction,
                    kappa_squared,
                    floor_squared,
                    iterations,
                )
                reach = frames
            value[begin + i] = mean_of(kept, total, origin, pedestal)
            uncertainty[begin + i] = standard_error(kept, total, square, scatter_correction)
            counts[begin + i] = kept


@kernel
def clip_about_medians(
    band: Columns,
    totals: Totals,
    squares: Squares,
    network: Pairs,
    kappa_squared: float,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip about the median and average; `MedianClipping` tells the rule."""
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, columns)
        run_network(columns, end - begin, network)
        add_up(columns, frames, end - begin, totals, squares)
        for i in range(end - begin):
            origin = squares.dtype.type(columns[frames // 2 * STRIDE + i])
            total, square = squares.dtype.type(totals[i]), squares[i]
            first, last, before = 0, frames, 0
            while last - first != before and last - first > LAST_KEPT:
                before = last - first
                twice = twice_median(columns, first, last, i, origin)
                limit = 4 * kappa_squared * (float(before * square - total * total) / (float(before) * (before - 1)))
                first, last, total, square = reject_ends(columns, first, last, i, origin, twice, limit, total, square)
            value[begin + i] = mean_of(last - first, total, origin, pedestal)
            uncertainty[begin + i] = standard_error(last - first, total, square, scatter_correction)
            counts[begin + i] = last - first


@kernel
def clip_winsorized(
    band: Columns,
    totals: Totals,
    squares: Squares,
    network: Pairs,
    kappa_squared: float,
    step: float,
    pedestal: int,
    scatter_correction: float,
    value: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip about the median by the winsorized scatter, and average; `Winsorizing` tells the rule.

    `step` is 1 where the bounds are rounded to whole numbers, 0 where not.
    """
    frames, pixels = band.shape
    columns = np.empty(frames * STRIDE, band.dtype)
    for begin in range(0, pixels, TILE):
        end = min(begin + TILE, pixels)
        load(band, begin, end, columns)
        run_network(columns, end - begin, network)
        add_up(columns, frames, end - begin, totals, squares)
        for i in range(end - begin):
            origin = squares.dtype.type(columns[frames // 2 * STRIDE + i])
            total, square = squares.dtype.type(totals[i]), squares[i]
            first, last, before = 0, frames, 0
            while last - first != before and last - first > LAST_KEPT:
                before = last - first
                twice = twice_median(columns, first, last, i, origin)
                variance = winsorized_variance(columns, first, last, i, origin, 0.5 * twice, step, total, square)
                limit = 4 * kappa_squared * variance
                first, last, total, square = reject_ends(columns, first, last, i, origin, twice, limit, total, square)
            value[begin + i] = mean_of(last - first, total, origin, pedestal)
            uncertainty[begin + i] = standard_error(last - first, total, square, scatter_correction)
            counts[begin + i] = last - first
