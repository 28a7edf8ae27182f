"""The kernel of `frame_shape`, which sums the pixels of each cell."""

import numpy as np

from coldframe.calibration.kernels.compiling import I64, U16, kernel


@kernel
def sum_cells(pixels: U16, edges: I64, low: int, high: int, sums: I64) -> int:
    """Add up the pixels of each cell, limited to the bounds; return the bitwise OR of all pixels.

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
            for cell in range(sums.shape[1]):
                total = np.uint32(0)
                for value in row[edges[cell] : edges[cell + 1]]:
                    bits |= value
                    total += np.uint32(min(max(value, lowest), highest))
                sums[pair, cell] += total
    return int(bits)
