# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Kernels that decide which of a pixel's values (one from each frame) are kept, and average the kept values.

Sums of integers are exact. The floating-point numbers to compare are computed from these sums in a fixed order and
without fused operations, so that a master does not depend on threads, tiles or the order of the frames.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.compiling import F32, F64, I64, U16, U32, kernel
from coldframe.calibration.kernels.folding import FOLD_TILE


@kernel
def signed(value: np.unsignedinteger[Any]) -> int:
    """Return an unsigned integer as a signed one; if both kinds were mixed, Numba would compute in floating point."""
    return np.int64(value)  # type: ignore[return-value] # int, once compiled


@kernel
def squared_limit(
    kept: int, total: int, squares: int, kappa_squared: float, floor_squared: float, correction: float
) -> float:
    """Return the limit on (kept x - total)^2 max(kept - 1, 1) above which a value x is rejected.

    The comparison is |x - mean| > kappa sigma without a division. The mean is total / kept; the variance sigma^2 is
    (kept squares - total^2) / (kept (kept - 1)) (ddof 1), multiplied by `correction`, and at least `floor_squared`.
    """
    scatter = float(kept * squares - total * total)
    weight = float(max(kept - 1, 1))
    count = float(kept)
    return kappa_squared * max(correction * (count * scatter), floor_squared * (count * count * weight))


@kernel
def clip_pixel(
    ascending: I64,
    descending: I64,
    origin: int,
    reach: int,
    frames: int,
    all_total: int,
    all_squares: int,
    kept: int,
    total: int,
    squares: int,
    correction: float,
    kappa_squared: float,
    floor_squared: float,
    iterations: int,
) -> tuple[int, int, int]:
    """Decide which values of one pixel are kept; see `Clipping` for the rule.

    Parameters
    ----------
    ascending, descending
        The values of the pixel in ascending and in descending order; the first `reach` values of both arrays are known.
    origin
        The value from which the deviations in all sums are measured.
    reach
        Number of values known at each end; at least `frames` if all values are known.
    frames
        Number of values, one from each frame.
    all_total, all_squares
        Sum of the deviations of all values, and sum of their squares.
    kept, total, squares
        Number of values with which the rule starts, sum of their deviations, and sum of the squares of the deviations.
    correction, kappa_squared, floor_squared, iterations
        Parameters of the rule; see `Clipping` and `variance_correction`.

    Returns
    -------
    kept, total, squares
        Number of kept values, sum of their deviations, and sum of the squares of the deviations; `kept` is 0 if more
        values might have to be rejected than are known.
    """
    kind = type(origin)
    lower, upper = -1, -1
    for _ in range(iterations):
        limit = squared_limit(kept, total, squares, kappa_squared, floor_squared, correction)
        correction = 1.0
        weight = float(max(kept - 1, 1))
        next_total, next_squares = all_total, all_squares
        below = 0
        while below < reach:
            value = kind(ascending[below]) - origin
            distance = float(max(total - kept * value, 0))
            if distance * distance * weight <= limit:
                break
            next_total -= value
            next_squares -= value * value
            below += 1
        above = 0
        while above < reach:
            value = kind(descending[above]) - origin
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
def standard_error(kept: int, total: int, squares: int, scatter_corrections: F64, least_variance: float) -> np.float32:
    """Return the standard error of the mean of the kept values; NaN for fewer than two values.

    Parameters
    ----------
    kept, total, squares
        Number, sum and sum of squares of the kept values.
    scatter_corrections
        Factors by which the squared standard error is multiplied, by number of kept values, because clipping reduces
        the scatter; see `coldframe.calibration.stacking.uncertainty`.
    least_variance
        Lower limit of the variance of the kept values, ADU^2.
    """
    if kept < 2:  # noqa: PLR2004 - a scatter needs two values
        return np.float32(np.nan)
    count = float(kept)
    pairs = count * (count - 1.0)
    scatter = scatter_corrections[kept] * max(float(kept * squares - total * total), least_variance * pairs)
    return np.float32(np.sqrt(scatter / (count * pairs)))


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
    scatter_corrections: F64,
    least_variance: float,
    mean: F32,
    uncertainty: F32,
    counts: U16,
) -> None:
    """Clip and average the pixels of a band; write a count of 0 where `high` or `low` is too short for a decision.

    In most pixels, clipping rejects no values. Vector code finds these pixels a tile at a time; only the remaining
    pixels are clipped one by one.
    """
    tails = high.shape[0]
    # If the two tails overlap, they contain all values of the pixel.
    reach = frames if frames <= 2 * tails else tails
    ascending = np.zeros(2 * tails, np.int64)
    descending = np.zeros(2 * tails, np.int64)
    clean = np.empty(FOLD_TILE, np.bool_)
    for begin in range(0, totals.size, FOLD_TILE):
        end = min(begin + FOLD_TILE, totals.size)
        clean[:] = True
        inner, inner_squares = trimmed_sums(totals[begin:end], squares[begin:end], high, low, trim, begin)
        if iterations > 0:
            ends = low[0, begin:end], high[0, begin:end]
            kept = frames - 2 * trim
            keep_clean(ends, kept, inner, inner_squares, kappa_squared, floor_squared, correction, clean)
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
                    np.int64(0),  # type: ignore[arg-type] # int, once compiled
                    reach,
                    frames,
                    total,
                    square,
                    frames - 2 * trim,
                    inner[i - begin],
                    inner_squares[i - begin],
                    correction,
                    kappa_squared,
                    floor_squared,
                    iterations,
                )
            counts[i] = kept
            if kept > 0:
                mean[i] = np.float32(total / kept)
            uncertainty[i] = standard_error(kept, total, square, scatter_corrections, least_variance)


@kernel
def trimmed_sums(
    totals: U32, squares: NDArray[np.uint64], high: U16, low: U16, trim: int, begin: int
) -> tuple[I64, I64]:
    """Return sum and sum of squares of the values of each pixel, without the `trim` smallest and largest values."""
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
    """Clear the flags of pixels whose smallest or largest value is rejected; see `clip_pixel`."""
    smallest, largest = ends
    weight = float(max(kept - 1, 1))
    for i in range(totals.size):
        limit = squared_limit(kept, totals[i], squares[i], kappa_squared, floor_squared, correction)
        below = float(max(totals[i] - kept * totals.dtype.type(smallest[i]), 0))
        above = float(max(kept * totals.dtype.type(largest[i]) - totals[i], 0))
        clean[i] &= (below * below * weight <= limit) & (above * above * weight <= limit)
