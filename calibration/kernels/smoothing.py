"""Box filters, along rows and down columns; their cost does not depend on their width."""

import numpy as np

from coldframe.calibration.kernels.compiling import F32, kernel


@kernel
def box_along_rows(plane: F32, reach: int, boxes: F32) -> None:
    """Write the mean of each pixel and its neighbours in the same row; pixels beyond the edges count as 0.

    Parameters
    ----------
    plane
        Shape (rows, columns).
    reach
        Number of neighbours on each side.
    boxes
        Output, same shape.
    """
    rows, columns = plane.shape
    scale = 1.0 / (2 * reach + 1)
    for y in range(rows):
        total = 0.0
        for x in range(min(reach, columns)):
            total += plane[y, x]
        for x in range(columns):
            if x + reach < columns:
                total += plane[y, x + reach]
            if x > reach:
                total -= plane[y, x - reach - 1]
            boxes[y, x] = np.float32(total * scale)


@kernel
def box_down_columns(plane: F32, reach: int, boxes: F32) -> None:
    """Write the mean of each pixel and its neighbours in the same column; see `box_along_rows`."""
    rows, columns = plane.shape
    scale = 1.0 / (2 * reach + 1)
    totals = np.zeros(columns, np.float64)
    for y in range(min(reach, rows)):
        for x in range(columns):
            totals[x] += plane[y, x]
    for y in range(rows):
        if y + reach < rows:
            for x in range(columns):
                totals[x] += plane[y + reach, x]
        if y > reach:
            for x in range(columns):
                totals[x] -= plane[y - reach - 1, x]
        for x in range(columns):
            boxes[y, x] = np.float32(totals[x] * scale)
