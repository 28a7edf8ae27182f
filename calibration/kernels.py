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
"""Pixels handled at once: what a tile touches in one row of a tail (8 KiB) stays in the first-level cache."""

U16 = NDArray[np.uint16]
U32 = NDArray[np.uint32]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """Compile `function`, cached on disk, running without the GIL."""
    return cast("Function", njit(cache=True, nogil=True)(function))


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


@kernel
def fold(pixels: U16, totals: U32, squares: NDArray[np.uint64], high: U16, low: U16, start: int, stop: int) -> None:
    """Fold the pixels from `start` to `stop` into the running state.

    Parameters
    ----------
    pixels, totals, squares
        Flat.
    high, low
        Shape (k, pixels), the largest values in descending and the smallest in ascending order.
    """
    carried = np.empty(TILE, np.uint16)
    for begin in range(start, stop, TILE):
        end = min(begin + TILE, stop)
        tile = pixels[begin:end]
        add_squares(tile, totals[begin:end], squares[begin:end])
        carried[: end - begin] = tile
        insert_largest(carried, high, begin, end)
        carried[: end - begin] = tile
        insert_smallest(carried, low, begin, end)


@kernel
def merge_tails(other_high: U16, other_low: U16, high: U16, low: U16, start: int, stop: int) -> None:
    """Insert another state's tails; places of theirs that no value has taken yet change nothing."""
    carried = np.empty(TILE, np.uint16)
    for begin in range(start, stop, TILE):
        end = min(begin + TILE, stop)
        for rank in range(other_high.shape[0]):
            carried[: end - begin] = other_high[rank, begin:end]
            insert_largest(carried, high, begin, end)
            carried[: end - begin] = other_low[rank, begin:end]
            insert_smallest(carried, low, begin, end)


# These loops run over contiguous slices from 0 and use 16 or 32 bits where they can: so they become vector code.


@kernel
def add_squares(pixels: U16, totals: U32, squares: NDArray[np.uint64]) -> None:
    """Add a tile to its sums and sums of squares."""
    for i in range(pixels.size):
        value = np.uint32(pixels[i])
        totals[i] += value
        squares[i] += np.uint64(np.uint32(value * value))


@kernel
def insert_largest(carried: U16, high: U16, begin: int, end: int) -> None:
    """Insert one value a pixel into a tile of the largest ones; `carried` ends as what fell out."""
    for rank in range(high.shape[0]):
        row = high[rank, begin:end]
        for i in range(row.size):
            value, kept = carried[i], row[i]
            row[i] = max(value, kept)
            carried[i] = min(value, kept)


@kernel
def insert_smallest(carried: U16, low: U16, begin: int, end: int) -> None:
    """Insert one value a pixel into a tile of the smallest ones; `carried` ends as what fell out."""
    for rank in range(low.shape[0]):
        row = low[rank, begin:end]
        for i in range(row.size):
            value, kept = carried[i], row[i]
            row[i] = min(value, kept)
            carried[i] = max(value, kept)


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
    start: int,
    stop: int,
) -> None:
    """Clip and average the pixels from `start` to `stop`; the count is 0 where a tail was too short to decide."""
    tails = high.shape[0]
    # Two tails that overlap know the whole sample.
    reach = frames if frames <= 2 * tails else tails
    ascending = np.zeros(2 * tails, np.int64)
    descending = np.zeros(2 * tails, np.int64)
    for i in range(start, stop):
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
            signed(totals[i]),
            signed(squares[i]),
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
    light: U16,
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
