"""The levels of a frame's odd and even lines, which interlaced readout and flickering lamps make unequal.

The four positions of a 2x2 cell are measured separately, because a colour filter array makes them unequal as well.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.statistics import central_region

SAMPLED_CELL_ROWS = 128
"""Approximate number of rows of 2x2 cells that are sampled."""

LARGEST_COLUMN_PART = 0.3
"""Difference between columns, relative to the difference between lines, above which a filter array is assumed."""


@dataclass(frozen=True, slots=True, eq=False)
class LineLevels:
    """Mean levels of the four positions in the 2x2 cells of a frame's central region.

    Attributes
    ----------
    levels_adu
        Mean level by parity of row and column: float64, shape (2, 2).
    pixels
        Number of pixels in each mean.
    """

    levels_adu: NDArray[np.float64]
    pixels: int

    def error_adu(self, noise_adu: float) -> float:
        """Return the standard error of the difference between even and odd lines for the given noise of one pixel."""
        return noise_adu / sqrt(self.pixels)

    def odd_excess(self, bias_adu: float, mosaic: str | None) -> float | None:
        """Return the relative excess of the odd lines (the first, third, ... of the file) over the even lines.

        Parameters
        ----------
        bias_adu
            Bias level.
        mosaic
            Bayer array, such as "RGGB", of which only the green pixels are compared; None for mono. If no array is
            declared, but the columns differ almost as much as the lines, an array is assumed to be the cause, and the
            result is None. It is also None for arrays of other kinds, and if there is no signal above the bias.
        """
        signal_adu = self.levels_adu - bias_adu
        if signal_adu.min() <= 0:
            return None
        if mosaic is not None:
            if mosaic not in BAYER_PATTERNS:
                return None
            odd, even = signal_adu[0, mosaic.index("G", 0, 2)], signal_adu[1, mosaic.index("G", 2) - 2]
            return float(odd / even) - 1
        lines, columns = (float(np.log(signal_adu).mean(axis=axis) @ (1.0, -1.0)) for axis in (1, 0))
        crossed = float(np.log(signal_adu[0, 0] * signal_adu[1, 1] / signal_adu[0, 1] / signal_adu[1, 0])) / 2
        alone = max(abs(columns), abs(crossed)) < LARGEST_COLUMN_PART * abs(lines)
        return float(np.expm1(lines)) if alone else None


def line_levels(pixels: NDArray[np.uint16], bounds_adu: tuple[float, float] = (0.0, 65535.0)) -> LineLevels:
    """Measure the levels of a frame's odd and even lines.

    Parameters
    ----------
    pixels
        uint16, shape (height, width), at least 2 x 2 pixels.
    bounds_adu
        Values are limited to these bounds, so that hot pixels have no more weight than other pixels.
    """
    rows, columns = central_region(pixels.shape)
    step = 2 * max(1, (rows.stop - rows.start) // 2 // SAMPLED_CELL_ROWS)
    even = pixels[rows.start : rows.stop - 1 : step, columns]
    odd = pixels[rows.start + 1 : rows.stop : step, columns]
    low, high = (min(max(round(bound), 0), 65535) for bound in bounds_adu)
    levels = [
        [float(np.clip(lines[:, first::2], low, high).mean(dtype=np.float64)) for first in (0, 1)]
        for lines in (even, odd)
    ]
    return LineLevels(np.array(levels), even[:, 0::2].size)
