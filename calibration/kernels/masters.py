"""Kernels that compute variances from the planes of a master file, and local levels from any plane."""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels.compiling import F32, I64, kernel

I32 = NDArray[np.int32]


@kernel
def scale_squares(  # noqa: PLR0917 - keyword arguments slow down calls to compiled functions
    uncertainty: F32, counts: F32, most: float, rounding: float, factor: float, relative: F32, variance: F32
) -> None:
    """Write the squared uncertainty of a mean, multiplied by the number of its values and a factor.

    Parameters
    ----------
    uncertainty, counts
        One-dimensional arrays: the standard error of each mean, and the number of its values.
    most
        Number of values of a pixel from which none were rejected.
    rounding
        Variance to subtract from each square.
    factor
        Factor for pixels without rejected values.
    relative
        Factors relative to `factor`, by number of rejected values; the last factor also applies to all larger numbers.
    variance
        Output, same shape.
    """
    taken, first, full, zero = np.float32(rounding), np.float32(factor), np.float32(most), np.float32(0)
    last = np.float32(relative.size - 1)
    for i in range(uncertainty.size):
        square = uncertainty[i] * uncertainty[i]
        if taken > zero:
            square = max(square - taken, zero)
        variance[i] = square * (counts[i] * first)
    # In a loop of its own, this condition does not prevent vector code for the loop above.
    for i in range(uncertainty.size):
        if counts[i] != full:
            variance[i] *= relative[np.int64(min(full - counts[i], last))]


@kernel
def interpolate_rows(values: F32, before: I64, weight: F32, between: F32) -> None:
    """Interpolate linearly between the rows of an array.

    Parameters
    ----------
    values
        Shape (places, columns).
    before, weight
        For each row of the output, the index of the last place at or before it, and the weight of the place that
        follows.
    between
        Output, shape (rows, columns).
    """
    one, last = np.float32(1), values.shape[0] - 1
    for row in range(between.shape[0]):
        lower, upper = values[before[row]], values[min(before[row] + 1, last)]
        rest = one - weight[row]
        for column in range(between.shape[1]):
            between[row, column] = lower[column] * rest + upper[column] * weight[row]


@kernel
def block_quantiles(values: F32, lefts: I64, place: int, quantiles: F32) -> None:
    """Sort the values of each block and write the value at a given place; NaN is last.

    Nothing is actually sorted. The bits of floating-point numbers can be turned into integers with the same order, so
    the value is found by bisection of the range of these integers: each step counts the integers up to a limit, in
    vector code. For a thousand values, this is several times as fast as a partial sort.

    Parameters
    ----------
    values
        Contiguous, shape (rows, columns).
    lefts
        First column of each block; the blocks are squares that contain all rows.
    place
        The place in ascending order, counted from 0.
    quantiles
        Output, same size as `lefts`.
    """
    side = values.shape[0]
    keys = np.empty(side * side, np.int32)
    found = np.empty(1, np.int32)
    for block in range(lefts.size):
        for row in range(side):
            bits = values[row, lefts[block] : lefts[block] + side].view(np.int32)
            ordered_keys(bits, keys[row * side : (row + 1) * side])
        low, high = extremes(keys)
        while low < high:
            middle = (low + high) >> 1  # rounds down below zero as well
            if count_up_to(keys, np.int32(middle)) > place:
                high = middle
            else:
                low = middle + 1
        found[0] = turned(np.int32(low))
        quantiles[block] = found.view(np.float32)[0]


@kernel
def ordered_keys(bits: I32, keys: I32) -> None:
    """Turn the bits of floating-point numbers into integers with the same order; NaN of either sign is the largest."""
    for i in range(bits.size):
        key = turned(bits[i])
        keys[i] = key if key >= np.int32(-0x7F800001) else np.int32(0x7FFFFFFF)


@kernel
def extremes(keys: I32) -> tuple[int, int]:
    """Return the smallest and the largest key; unlike NumPy's functions, this loop becomes vector code."""
    low = high = keys[0]
    for i in range(keys.size):
        low = min(low, keys[i])
        high = max(high, keys[i])
    return np.int64(low), np.int64(high)  # type: ignore[return-value] # int, once compiled


@kernel
def turned(bits: np.int32) -> np.int32:
    """Turn the bits of a floating-point number into an integer with the same order, or this integer back into bits.

    Floating-point numbers consist of a sign bit and the bits of their magnitude; for negative numbers, the magnitude
    bits are inverted here.
    """
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@kernel
def count_up_to(keys: I32, limit: np.int32) -> int:
    """Return the number of keys that do not exceed a limit."""
    count = np.int32(0)
    for i in range(keys.size):
        count += np.int32(keys[i] <= limit)
    return count  # type: ignore[return-value] # int, once compiled
