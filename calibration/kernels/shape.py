"""The kernel of `frame_shape`, which sums the pixels of each cell."""

import numpy as np

from coldframe.calibration.kernels.compiling import I64, U16, kernel

MOST_SUMMED = 1 << 16
"""Number of 16-bit values whose sum always fits in 32 bits."""


@kernel
def sum_cells(pixels: U16, edges: I64, low: int, high: int, sums: I64) -> int:
    """Add up the pixels of each cell, after limiting them to the bounds; return the bitwise OR of all pixels.

    Parameters
    ----------
    pixels
        Shape (height, width).
    edges
        Columns at which cells begin and end, shape (cells + 1,).
    low, high
        The bounds, from 0 to 65535.
    sums
        Shape (height // 2, cells), zeroed by the caller; each cell is two rows high.
    """
    bits = np.uint16(0)
    lowest, highest = np.uint16(low), np.uint16(high)
    for pair in range(sums.shape[0]):
        for row in (pixels[2 * pair], pixels[2 * pair + 1]):
            bits = np.uint16(bits | all_bits(row))
            for cell in range(sums.shape[1]):
                for begin in range(edges[cell], edges[cell + 1], MOST_SUMMED):
                    end = min(begin + MOST_SUMMED, edges[cell + 1])
                    sums[pair, cell] += limited_sum(row[begin:end], lowest, highest)
    return int(bits)


@kernel
def all_bits(row: U16) -> np.uint16:
    """Return the bitwise OR of the values of a row."""
    bits = np.uint16(0)
    for i in range(row.size):
        # Numba computes with 64 bits. Without this conversion, a vector would hold only a quarter as many values.
        bits = np.uint16(bits | row[i])
    return bits


@kernel
def limited_sum(row: U16, lowest: np.uint16, highest: np.uint16) -> np.uint32:
    """Return the sum of up to `MOST_SUMMED` values of a row, after limiting them to the bounds."""
    total = np.uint32(0)
    for i in range(row.size):
        total = np.uint32(total + np.uint32(min(max(row[i], lowest), highest)))
    return total
