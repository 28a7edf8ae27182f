# ruff: noqa: PLR0917 - keyword arguments slow down calls to compiled functions noticeably on small frames
"""Histograms of pixel values and of their second differences."""

import numpy as np

from coldframe.calibration.kernels.compiling import I64, U16, U32, kernel


@kernel
def count_levels(pixels: U16, top: int, bottom: int, left: int, right: int, outside: U32, inside: U32) -> None:
    """Count the values inside and outside a rectangle, in one pass over the frame.

    Parameters
    ----------
    pixels
        Shape (height, width).
    top, bottom, left, right
        Rows and columns of the rectangle; `bottom` and `right` are excluded.
    outside, inside
        Shape (2, 65536), zeroed by the caller: one histogram for even and one for odd columns. Neighbouring pixels
        often have the same value, and incrementing the same bin twice in a row stalls the processor.
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
    """Count the values of one row from column `start` up to `stop`."""
    even, odd = counts[0], counts[1]
    pairs_end = start + (stop - start) // 2 * 2
    for x in range(start, pairs_end, 2):
        even[row[x]] += 1
        odd[row[x + 1]] += 1
    if pairs_end < stop:
        even[row[pairs_end]] += 1


@kernel
def count_curvatures(pixels: U16, rows: I64, left: int, right: int, counts: I64) -> None:
    """Count the absolute second differences of pixels two columns apart, in selected rows.

    Parameters
    ----------
    pixels
        Shape (height, width).
    rows
        Indices of the rows.
    left, right
        Range of columns; `right` is excluded.
    counts
        Shape (131072,), zeroed by the caller.
    """
    for y in rows:
        row = pixels[y]
        for x in range(left, right - 4):
            ends = np.int64(row[x]) + np.int64(row[x + 4])
            counts[abs(ends - 2 * np.int64(row[x + 2]))] += 1
