# ruff: noqa: PLR0917 - calling a compiled function with keywords costs more than a small frame
"""Every loop over pixels, compiled by Numba. Importing this module is slow (0.7 s): do so where it is first used.

All kernels release the GIL and work on any part of the pixels, so that a few plain threads can share a frame. None
allocates more than a tile. Sums are exact integers; whatever is computed in floating point is computed from them in one
fixed order, without fused operations, so that a result never depends on threads, tiles or the order of frames.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

TILE = 4096
"""Pixels encoded at once."""

FOLD_TILE = 1024
"""Pixels folded at once: what they touch of all rows of both tails (32 KiB) stays in the first-level cache."""

U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile `function`, cached on disk, running without the GIL; divisions look for no zeros, so they vectorise."""
    return cast("Function", njit(cache=True, nogil=True, error_model="numpy")(function))


# ---- histograms ----


@kernel
def count_levels(pixels: U16, top: int, bottom: int, left: int, right: int, outside: U32, inside: U32) -> None:
    """Count the values outside and inside a rectangle, in one pass over the frame.

    Parameters
    ----------
    pixels
        Shape (height, width).
    top, bottom, left, right
        The rectangle's rows and columns, ends excluded.
    outside, inside
        Shape (2, 65536), zeroed by the caller. Even and odd columns count apart: neighbours that are alike would wait
        for each other's increment.
    """
    height, width = pixels.shape
    for y in range(height):
        row = pixels[y]
        if y < top or y >= bottom:
            count_row(row, 0, width, outside)
        else:
            count_row(row, 0, left, outside)
            count_row(row, left, right, inside)
            count_row(row, right, width, outside)


@kernel
def count_row(row: U16, start: int, stop: int, counts: U32) -> None:
    """Count the values of one row from column `start` to `stop`."""
    even, odd = counts[0], counts[1]
    pairs_end = start + (stop - start) // 2 * 2
    for x in range(start, pairs_end, 2):
        even[row[x]] += 1
        odd[row[x + 1]] += 1
    if pairs_end < stop:
        even[row[pairs_end]] += 1


@kernel
def count_curvatures(pixels: U16, rows: I64, left: int, right: int, counts: I64) -> None:
    """Count the absolute second differences of pixels two columns apart, in some rows; there are 131,072 bins."""
    for y in rows:
        row = pixels[y]
        for x in range(left, right - 4):
            ends = np.int64(row[x]) + np.int64(row[x + 4])
            counts[abs(ends - 2 * np.int64(row[x + 2]))] += 1


# ---- FITS data ----


@kernel
def encode_unsigned(pixels: U16, encoded: U16) -> tuple[int, int]:
    """Write pixels as FITS does (big-endian, BZERO 32768); return the sums of the even and of the odd 16-bit words.

    Both arrays are flat, `encoded` in the machine's little-endian words.
    """
    even = np.uint64(0)
    odd = np.uint64(0)
    paired = pixels.size // 2 * 2
    for start in range(0, paired, TILE):
        stop = min(start + TILE, paired)
        pairs = pixels[start:stop].view(np.uint32)
        written = encoded[start:stop].view(np.uint32)
        tile_even = np.uint32(0)
        tile_odd = np.uint32(0)
        for i in range(pairs.size):
            pair = np.uint32(pairs[i] ^ np.uint32(0x80008000))
            tile_even += pair & np.uint32(0xFFFF)
            tile_odd += pair >> np.uint32(16)
            high = (pair >> np.uint32(8)) & np.uint32(0x00FF00FF)
            low = (pair & np.uint32(0x00FF00FF)) << np.uint32(8)
            written[i] = high | low
        even += np.uint64(tile_even)
        odd += np.uint64(tile_odd)
    if pixels.size % 2:
        last = np.uint16(pixels[pixels.size - 1] ^ 0x8000)
        even += np.uint64(last)
        encoded[pixels.size - 1] = np.uint16((last << 8) | (last >> 8))
    return even, odd  # type: ignore[return-value] # int, once compiled


@kernel
def decode_unsigned(encoded: U16, offset: int, pixels: U16) -> int:
    """Turn big-endian 16-bit words into pixels; return 32,768 or more if any word had its sign bit set.

    Parameters
    ----------
    encoded
        Flat, big-endian words read as little-endian ones.
    offset
        32768 for unsigned data (BZERO 32768), 0 for plain signed data.
    pixels
        Flat, written.
    """
    seen = np.uint16(0)
    flip = np.uint16(offset)
    for i in range(encoded.size):
        word = np.uint16((encoded[i] << 8) | (encoded[i] >> 8))
        seen |= word
        pixels[i] = word ^ flip
    return seen  # type: ignore[return-value] # int, once compiled


# ---- the running state ----
#
# Of a band of pixels: `totals` and `squares` are flat, `high` and `low` have shape (k, pixels) with k up to 8, the
# largest values in descending and the smallest in ascending order. What follows runs row by row over contiguous slices
# that stay in the first-level cache, in 16 or 32 bits where it can: so it becomes vector code.

BATCH = 8
"""Frames that are folded together: the state goes through the processor once for all of them."""

SORT_BATCH = (
    (0, 2), (1, 3), (4, 6), (5, 7),
    (0, 4), (1, 5), (2, 6), (3, 7),
    (0, 1), (2, 3), (4, 5), (6, 7),
    (2, 4), (3, 5),
    (1, 4), (3, 6),
    (1, 2), (3, 4), (5, 6),
)  # fmt: skip
"""The fewest comparators, 19, that sort eight values (Knuth, The Art of Computer Programming 3, section 5.3.4)."""


@kernel
def fold(pixels: U16, totals: U32, squares: NDArray[np.uint64], high: U16, low: U16) -> None:
    """Fold one frame's pixels, flat, into the state of a band."""
    for begin in range(0, pixels.size, FOLD_TILE):
        end = min(begin + FOLD_TILE, pixels.size)
        tile = pixels[begin:end]
        add_squares(tile, totals[begin:end], squares[begin:end])
        # From the innermost place outwards: each takes its new value or what its neighbour has to give.
        for rank in range(high.shape[0] - 1, 0, -1):
            push_down(tile, high[rank - 1, begin:end], high[rank, begin:end])
            push_up(tile, low[rank - 1, begin:end], low[rank, begin:end])
        keep_larger(tile, high[0, begin:end])
        keep_smaller(tile, low[0, begin:end])


@kernel
def fold_batch(pixels: tuple[U16, ...], totals: U32, squares: NDArray[np.uint64], high: U16, low: U16) -> None:
    """Fold `BATCH` frames' pixels, each flat, into the state of a band: sorted first, then merged with the tails."""
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
        # One run rises, the other falls: place by place the larger values are the largest of both, and bitonic.
        for rank in range(tails):
            keep_larger(rows[BATCH - tails + rank, : end - begin], high[rank, begin:end])
            keep_smaller(rows[tails - 1 - rank, : end - begin], low[rank, begin:end])
        sort_tails(high, low, begin, end)


@kernel
def merge_tails(other_high: U16, other_low: U16, high: U16, low: U16) -> None:
    """Merge another state's tails, as long as these; places of theirs that no value has taken yet change nothing."""
    tails, size = high.shape
    for begin in range(0, size, FOLD_TILE):
        end = min(begin + FOLD_TILE, size)
        for rank in range(tails):
            keep_larger(other_high[tails - 1 - rank, begin:end], high[rank, begin:end])
            keep_smaller(other_low[tails - 1 - rank, begin:end], low[rank, begin:end])
        sort_tails(high, low, begin, end)


@kernel
def sort_tails(high: U16, low: U16, begin: int, end: int) -> None:
    """Bring bitonic columns of a tile into order, `high` descending and `low` ascending, by Batcher's half-cleaners.

    A length k that is not a power of two is taken as the end of one: what would stand before it is in place already.
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
    """Add a tile to its sums and sums of squares."""
    for i in range(pixels.size):
        value = np.uint32(pixels[i])
        totals[i] += value
        squares[i] += np.uint64(np.uint32(value * value))


@kernel
def order(smaller: U16, larger: U16) -> None:
    """Compare two rows place by place; the smaller values go into the first, the larger ones into the second."""
    for i in range(smaller.size):
        one, other = smaller[i], larger[i]
        smaller[i] = min(one, other)
        larger[i] = max(one, other)


@kernel
def push_down(pixels: U16, above: U16, row: U16) -> None:
    """Let a place in a descending tail take the new value, or what the value pushes out of the place above."""
    for i in range(pixels.size):
        row[i] = max(row[i], min(above[i], pixels[i]))


@kernel
def push_up(pixels: U16, below: U16, row: U16) -> None:
    """Let a place in an ascending tail take the new value, or what the value pushes out of the place below."""
    for i in range(pixels.size):
        row[i] = min(row[i], max(below[i], pixels[i]))


@kernel
def keep_larger(pixels: U16, row: U16) -> None:
    """Put the larger of two values into the second row."""
    for i in range(pixels.size):
        row[i] = max(row[i], pixels[i])


@kernel
def keep_smaller(pixels: U16, row: U16) -> None:
    """Put the smaller of two values into the second row."""
    for i in range(pixels.size):
        row[i] = min(row[i], pixels[i])


# ---- the decision ----


@kernel
def signed(value: np.unsignedinteger[Any]) -> int:
    """Return an unsigned number as a signed one; mixing the two would turn both into floats."""
    return np.int64(value)  # type: ignore[return-value] # int, once compiled


@kernel
def squared_limit(
    kept: int, total: int, squares: int, kappa_squared: float, floor_squared: float, correction: float
) -> float:
    """Return the bound on (kept x - total)^2 max(kept - 1, 1) beyond which x is rejected.

    With mean = total / kept and the variance (ddof 1) = (kept squares - total^2) / (kept (kept - 1)), multiplied by
    `correction` and at least `floor_squared`, the bound says the same as |x - mean| > kappa sigma without dividing.
    """
    scatter = float(kept * squares - total * total)
    weight = float(max(kept - 1, 1))
    count = float(kept)
    return kappa_squared * max(correction * (count * scatter), floor_squared * (count * count * weight))


@kernel
def clip_pixel(
    ascending: I64,
    descending: I64,
    reach: int,
    frames: int,
    all_total: int,
    all_squares: int,
    trim: int,
    correction: float,
    kappa_squared: float,
    floor_squared: float,
    iterations: int,
) -> tuple[int, int, int]:
    """Decide which values of one pixel are kept; see `Clipping` for the rule.

    Parameters
    ----------
    ascending, descending
        The sample from its lower and its upper end; `reach` values of each are known.

    Returns
    -------
    kept, total, squares
        Number, sum and sum of squares of the kept values; kept is 0 where more values would have to be rejected than
        are known.
    """
    kept, total, squares = frames - 2 * trim, all_total, all_squares
    for rank in range(trim):
        small, large = ascending[rank], descending[rank]
        total -= small + large
        squares -= small * small + large * large
    lower, upper = -1, -1
    for _ in range(iterations):
        limit = squared_limit(kept, total, squares, kappa_squared, floor_squared, correction)
        correction = 1.0
        weight = float(max(kept - 1, 1))
        next_total, next_squares = all_total, all_squares
        below = 0
        while below < reach:
            value = ascending[below]
            distance = float(max(total - kept * value, 0))
            if distance * distance * weight <= limit:
                break
            next_total -= value
            next_squares -= value * value
            below += 1
        above = 0
        while above < reach:
            value = descending[above]
            distance = float(max(kept * value - total, 0))
            if distance * distance * weight <= limit:
                break
            next_total -= value
            next_squares -= value * value
            above += 1
        if reach < frames and max(below, above) == reach:
            return 0, 0, 0
        kept, total, squares = frames - below - above, next_total, next_squares
        if below == lower and above == upper:
            break
        lower, upper = below, above
    return kept, total, squares


@kernel
def standard_error(kept: int, total: int, squares: int, scatter_correction: float) -> np.float32:
    """Return the standard error of the mean of the kept values; NaN where their scatter is not known.

    `scatter_correction` is the factor on its square by which clipping made the scatter too small.
    """
    if kept < 2:  # noqa: PLR2004 - a scatter needs two
        return np.float32(np.nan)
    scatter = scatter_correction * float(kept * squares - total * total)
    count = float(kept)
    return np.float32(np.sqrt(scatter / (count * count * (count - 1.0))))


@kernel
def combine_pixels(
    frames: int,
    totals: U32,
    squares: NDArray[np.uint64],
    high: U16,
    low: U16,
    trim: int,
    correction: float,
    kappa_squared: float,
    floor_squared: float,
    iterations: int,
    scatter_correction: float,
    mean: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip and average the pixels of a band; the count is 0 where a tail was too short to decide.

    Of most pixels no value is rejected; that is found tile by tile in vector code, and only the others are looked at
    one by one.
    """
    tails = high.shape[0]
    # Two tails that overlap know the whole sample.
    reach = frames if frames <= 2 * tails else tails
    ascending = np.zeros(2 * tails, np.int64)
    descending = np.zeros(2 * tails, np.int64)
    clean = np.empty(FOLD_TILE, np.bool_)
    for begin in range(0, totals.size, FOLD_TILE):
        end = min(begin + FOLD_TILE, totals.size)
        clean[:] = True
        if iterations > 0:
            tile_totals, tile_squares = trimmed_sums(totals[begin:end], squares[begin:end], high, low, trim, begin)
            ends = low[0, begin:end], high[0, begin:end]
            kept = frames - 2 * trim
            keep_clean(ends, kept, tile_totals, tile_squares, kappa_squared, floor_squared, correction, clean)
        if iterations > 1:
            tile_totals, tile_squares = trimmed_sums(totals[begin:end], squares[begin:end], high, low, 0, begin)
            keep_clean(ends, frames, tile_totals, tile_squares, kappa_squared, floor_squared, 1.0, clean)
        for i in range(begin, end):
            kept, total, square = frames, signed(totals[i]), signed(squares[i])
            if not clean[i - begin]:
                for rank in range(tails):
                    ascending[rank] = low[rank, i]
                    descending[rank] = high[rank, i]
                for rank in range(tails, reach):
                    ascending[rank] = high[frames - 1 - rank, i]
                    descending[rank] = low[frames - 1 - rank, i]
                kept, total, square = clip_pixel(
                    ascending,
                    descending,
                    reach,
                    frames,
                    total,
                    square,
                    trim,
                    correction,
                    kappa_squared,
                    floor_squared,
                    iterations,
                )
            counts[i] = kept
            if kept > 0:
                mean[i] = np.float32(total / kept)
            uncertainty[i] = standard_error(kept, total, square, scatter_correction)


@kernel
def trimmed_sums(
    totals: U32, squares: NDArray[np.uint64], high: U16, low: U16, trim: int, begin: int
) -> tuple[I64, I64]:
    """Return sums and sums of squares of a tile's values without the `trim` largest and smallest of each pixel."""
    total, square = totals.astype(np.int64), squares.astype(np.int64)
    for rank in range(trim):
        small, large = low[rank, begin : begin + total.size], high[rank, begin : begin + total.size]
        for i in range(total.size):
            one, other = np.int64(small[i]), np.int64(large[i])
            total[i] -= one + other
            square[i] -= one * one + other * other
    return total, square


@kernel
def keep_clean(
    ends: tuple[U16, U16],
    kept: int,
    totals: I64,
    squares: I64,
    kappa_squared: float,
    floor_squared: float,
    correction: float,
    clean: NDArray[np.bool_],
) -> None:
    """Clear the marks of pixels whose smallest or largest value is rejected; see `clip_pixel`."""
    smallest, largest = ends
    weight = float(max(kept - 1, 1))
    for i in range(totals.size):
        limit = squared_limit(kept, totals[i], squares[i], kappa_squared, floor_squared, correction)
        below = float(max(totals[i] - kept * totals.dtype.type(smallest[i]), 0))
        above = float(max(kept * totals.dtype.type(largest[i]) - totals[i], 0))
        clean[i] &= (below * below * weight <= limit) & (above * above * weight <= limit)


# ---- flats ----


@kernel
def count_signals(pixels: U16, dark: F32, counts: U32) -> None:
    """Count the values of a region minus its dark, rounded and clipped to 16 bits, into 65,536 zeroed bins."""
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            signal = np.float32(pixels[y, x]) - dark[y, x] + half
            counts[np.int64(min(max(signal, zero), top))] += 1


@kernel
def scale_signals(pixels: U16, dark: F32, scales: F32, scaled: U16) -> None:
    """Write (pixels - dark) times the scale of their place in the 2x2 pattern, rounded and clipped to 16 bits.

    `scales` has shape (2, 2): rows and columns of the pattern.
    """
    half, zero, top = np.float32(0.5), np.float32(0), np.float32(65535)
    for y in range(pixels.shape[0]):
        row, dark_row, scaled_row = pixels[y], dark[y], scaled[y]
        even, odd = scales[y % 2, 0], scales[y % 2, 1]
        for x in range(row.size):
            scale = odd if x & 1 else even
            value = (np.float32(row[x]) - dark_row[x]) * scale + half
            scaled_row[x] = np.uint16(np.int32(min(max(value, zero), top)))


# ---- lights ----


@kernel
def calibrate_pixels(
    light: U16 | F32,
    subtracted: F32,
    response: F32,
    dark_variance: F32,
    response_variance: F32,
    adu_per_e: float,
    signal: F32,
    uncertainty: F32,
) -> None:
    """Write (light - subtracted) / response and its standard error; see `Correction` for the planes. All are flat."""
    zero, photon = np.float32(0), np.float32(adu_per_e)
    for i in range(light.size):
        level = np.float32(light[i]) - subtracted[i]
        divided = level / response[i]
        variance = dark_variance[i] + photon * max(level, zero)
        signal[i] = divided
        uncertainty[i] = np.sqrt(variance / (response[i] * response[i]) + divided * divided * response_variance[i])


@kernel
def quantise(signal: F32, pedestal: float, pixels: U16) -> tuple[int, int]:
    """Write signal + pedestal, rounded and clipped to 16 bits; return how many were clipped below and above."""
    added, zero, top = np.float32(pedestal), np.float32(0), np.float32(65535)
    below = 0
    above = 0
    for i in range(signal.size):
        value = np.rint(signal[i] + added)
        below += value < zero
        above += value > top
        pixels[i] = np.uint16(np.int32(min(max(value, zero), top)))
    return below, above
