"""What is ordinary in the neighbourhood of each pixel: level and spread, blind to single pixels that stand out."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

BLOCK = 32
"""Side of the square blocks, in pixels: small against amplifier glow and vignetting, and 1,024 values in each."""

_ONE_SIGMA = 0.8413
"""Fraction of a normal distribution below its mean plus one standard deviation."""


class LocalLevels:
    """The level of a plane and how far pixels spread above it, as functions of the place.

    In each block the median is taken; between the blocks' centres it is interpolated linearly, beyond the outermost it
    stays as there. The spread is the 84 % quantile of what then lies above the level in the block, interpolated alike:
    it is the standard deviation of a normal distribution, and follows the long upper tail that dark current has.

    Parameters
    ----------
    plane
        float32, shape (height, width).
    block
        Side of the blocks, in pixels.
    """

    def __init__(self, plane: F32, block: int = BLOCK) -> None:
        height, width = plane.shape
        block = min(block, height, width)
        tops, lefts = _starts(height, block), _starts(width, block)
        self._centres = tops.astype(np.float64) + (block - 1) / 2

        def each_column(values: F32, quantile: float) -> F32:
            """Return a quantile of each block of a row of blocks, interpolated between them."""
            place = min(round(quantile * block * block), block * block - 1)
            windows = np.lib.stride_tricks.sliding_window_view(values, (block, block))[0, lefts]
            middles = np.partition(windows.reshape(lefts.size, -1), place, axis=1)[:, place]
            return np.interp(np.arange(width), lefts + (block - 1) / 2, middles).astype(np.float32)

        bands = [slice(int(top), int(top) + block) for top in tops]
        self._level = np.array([each_column(plane[rows], 0.5) for rows in bands])
        self._spread = np.array([each_column(plane[rows] - self.level(rows), _ONE_SIGMA) for rows in bands])

    def level(self, rows: slice) -> F32:
        """Return the level of some rows; float32, shape (rows, width)."""
        return self._at(self._level, rows)

    def spread(self, rows: slice) -> F32:
        """Return the spread of some rows; float32, shape (rows, width)."""
        return self._at(self._spread, rows)

    def _at(self, values: F32, rows: slice) -> F32:
        place = np.interp(np.arange(rows.start, rows.stop), self._centres, np.arange(self._centres.size))
        above = place.astype(np.intp)
        below = np.minimum(above + 1, self._centres.size - 1)
        weight = (place - above).astype(np.float32)[:, None]
        return np.asarray(values[above] * (1 - weight) + values[below] * weight)


def _starts(size: int, block: int) -> NDArray[np.intp]:
    """Return where blocks begin that cover an axis; they overlap where it is no multiple of them."""
    return np.linspace(0, size - block, -(-size // block)).round().astype(np.intp)
