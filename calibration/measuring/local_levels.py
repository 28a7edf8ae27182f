"""Level and spread in the neighbourhood of each pixel, insensitive to individual outlying pixels."""

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import masters
from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]

BLOCK = 32
"""Side of the square blocks, in pixels: small compared with glow and vignetting, but large enough to contain 1,024
values."""

_ONE_SIGMA = 0.8413
"""Fraction of a normal distribution below its mean plus one standard deviation."""


class Rows(Protocol):
    """A plane whose rows may be computed when they are taken: an array, or an object that resembles one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""

    def __getitem__(self, rows: slice, /) -> F32:
        """Return a range of rows; several threads may call this method."""


class LocalLevels:
    """The level of a plane, and the spread of pixels above it, as functions of position.

    The level is the median of each block, interpolated linearly between the centres of blocks and extrapolated beyond
    the outermost centres, so that a gradient at the edge does not count as a deviation. The spread is the distance from
    the level to the 84th percentile of the values of each block, interpolated in the same way, but constant beyond the
    outermost centres. For a normal distribution, the spread is the standard deviation; for dark current, it includes
    the long upper tail.

    Parameters
    ----------
    plane
        float32, shape (height, width); its rows are taken once for the levels, and once more for the spreads.
    block
        Side of the blocks, in pixels.
    shared
        True to measure the blocks in several threads; False for callers that run in several threads themselves.
    """

    def __init__(self, plane: Rows, block: int = BLOCK, *, shared: bool = False) -> None:
        height, width = plane.shape
        block = min(block, height, width)
        tops, lefts = _starts(height, block), _starts(width, block)
        self._plane = plane
        self._block = block
        self._map = parallel_map if shared else map
        self._lefts = lefts
        columns, middles = np.arange(width), lefts.astype(np.float64) + (block - 1) / 2
        self._columns = {beyond: _places(columns, middles, extrapolated=beyond) for beyond in (False, True)}
        self._centres = tops.astype(np.float64) + (block - 1) / 2
        self._bands = [slice(int(top), int(top) + block) for top in tops]

    @cached_property
    def _level(self) -> F32:
        """Level of each row of blocks at each column."""

        def measure(rows: slice) -> F32:
            return self._each_column(self._plane[rows], 0.5, extrapolated=True)

        return np.array(list(self._map(measure, self._bands)))

    @cached_property
    def _spread(self) -> F32:
        """Spread of each row of blocks at each column, computed only on demand, because some callers do not need it."""
        level = self._level  # computed before the threads start; otherwise, all threads would wait for the first

        def measure(rows: slice) -> F32:
            excess = self._plane[rows] - self._at(level, rows, extrapolated=True)
            return self._each_column(excess, _ONE_SIGMA, extrapolated=False)

        return np.array(list(self._map(measure, self._bands)))

    def _each_column(self, values: F32, quantile: float, *, extrapolated: bool) -> F32:
        """Return a quantile of each block in a row of blocks, interpolated between the blocks."""
        block, lefts = self._block, self._lefts
        place = min(round(quantile * block * block), block * block - 1)
        middles = np.empty(lefts.size, np.float32)
        masters.block_quantiles(np.ascontiguousarray(values, np.float32), lefts, place, middles)
        return _between(middles, *self._columns[extrapolated])

    def level(self, rows: slice) -> F32:
        """Return the level of a range of rows; float32, shape (rows, width)."""
        return self._at(self._level, rows, extrapolated=True)

    def level_at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> F32:
        """Return the level at the given pixels; float32, shape (pixels,)."""
        before, weight = _places(rows, self._centres, extrapolated=True)
        after = np.minimum(before + 1, len(self._level) - 1)
        return np.asarray(self._level[before, columns] * (1 - weight) + self._level[after, columns] * weight)

    def spread(self, rows: slice) -> F32:
        """Return the spread of a range of rows; float32, shape (rows, width)."""
        return self._at(self._spread, rows, extrapolated=False)

    def _at(self, values: F32, rows: slice, *, extrapolated: bool) -> F32:
        place, weight = _places(np.arange(rows.start, rows.stop), self._centres, extrapolated=extrapolated)
        between = np.empty((weight.size, values.shape[1]), np.float32)
        masters.interpolate_rows(values, place, weight, between)
        return between


def _places(
    points: NDArray[np.intp], centres: NDArray[np.float64], *, extrapolated: bool
) -> tuple[NDArray[np.intp], F32]:
    """Return, for each point, the index of the last centre before it and the weight of the centre that follows."""
    if centres.size == 1:
        return np.zeros(points.shape, np.intp), np.zeros(points.shape, np.float32)
    before = np.clip(np.searchsorted(centres, points, "right") - 1, 0, centres.size - 2)
    weight = (points - centres[before]) / (centres[before + 1] - centres[before])
    return before, (weight if extrapolated else np.clip(weight, 0, 1)).astype(np.float32)


def _between(values: F32, before: NDArray[np.intp], weight: F32) -> F32:
    after = np.minimum(before + 1, len(values) - 1)
    return np.asarray(values[before] * (1 - weight) + values[after] * weight, np.float32)


def _starts(size: int, block: int) -> NDArray[np.intp]:
    """Return the starts of blocks that cover an axis; they overlap if its length is not a multiple of `block`."""
    return np.linspace(0, size - block, -(-size // block)).round().astype(np.intp)
