"""Measurements of one light, on which all estimators are based.

The measurements take one pass over the pixels and little memory.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.stars import background_and_spread, local_levels, star_bins
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters
from coldframe.calibration.kernels import diagnosis as kernels
from coldframe.calibration.kernels.block_sums import BIN, SUMS
from coldframe.calibration.lights.arithmetic import Correction
from coldframe.calibration.measuring.local_levels import LocalLevels
from coldframe.calibration.threads import parallel_map, thread_count

U16 = NDArray[np.uint16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_TILES = 64
"""Largest number of tiles along a side of the sensor."""

SMALLEST_TILE = 5
"""Smallest side of a tile, in blocks."""

CUT_SIGMA = 6.0
"""A block with a residual beyond this many standard deviations is left out, because it is likely to contain a cosmic
ray, a faint star or a defect."""

MIDDLE = 512
"""Side of the central area whose pixels are kept from every light; on any sensor, it contains some hot pixels."""

_ENOUGH_COLUMNS = 2000
_STEP = 7
"""Step between sampled rows and columns; an odd step covers every colour of a filter array."""


@dataclass(frozen=True, slots=True, eq=False)
class LightMeasures:
    """The measurements of one light.

    Attributes
    ----------
    bins
        Mean of each bin of 4 x 4 pixels, ADU, with the colours scaled to a common level: float32, shape (height // 4,
        width // 4); NaN for bins in which fewer than half of the pixels are valid.
    skies_adu
        Median of each colour: float64, shape (period ** 2,).
    tiles
        Sums over the blocks of each tile: float64, shape (tile rows, tile columns, period ** 2, sums); see
        `kernels.diagnosis`.
    rows, columns
        Mean residuals of rows and columns, in ADU before division by the flat: float64, shapes (height,) and (width,);
        NaN for lines without pixels.
    row_pixels, column_pixels
        Number of pixels from which each of these means was computed.
    hot_adu
        Excess of the dark's hot pixels over their neighbours in the light, in ADU before division by the flat.
    negative
        Fraction of pixels below zero or clipped at zero.
    middle
        Pixels at the centre of the sensor after subtraction of the dark, in ADU before division by the flat: float32,
        at most `MIDDLE` rows and columns.
    levels
        Level and spread around each bin; None without `bins`.
    """

    bins: F32
    skies_adu: F64
    tiles: F64
    rows: F64
    columns: F64
    row_pixels: F64
    column_pixels: F64
    hot_adu: F32
    negative: float
    middle: F32
    levels: LocalLevels | None = None

    @property
    def background_and_spread(self) -> tuple[F32, F32]:
        """Level and spread around each bin: float32, shape of `bins`."""
        return background_and_spread(self.bins, self.levels or local_levels(self.bins))

    @property
    def sky_adu(self) -> float:
        """Mean sky level of all colours, ADU."""
        return float(self.skies_adu.mean())


class LightMeter:
    """Measures lights that are calibrated with the same masters.

    Parameters
    ----------
    masters
        The masters.
    period
        Distance between pixels of the same colour: 1 for monochrome sensors, 2 for 2 x 2 filter arrays.
    avoided
        Mask of the bins with dust shadows: bool, shape (height // 4, width // 4).
    shared
        True to divide the work on a light among threads; False for callers that measure several lights at once.
    """

    def __init__(self, masters: Masters, period: int, avoided: Mask, *, shared: bool = True) -> None:
        self._map = parallel_map if shared else map
        self._masters = masters
        self._period = period
        self._avoided = avoided
        self._hot = masters.pattern.hot
        height, width = masters.planes.subtracted.shape
        side = BIN * period
        blocks = (height // side, width // side)
        self._blocks = blocks
        self._tile = max(SMALLEST_TILE, -(-max(blocks) // MOST_TILES))
        self._tiles = tuple(-(-count // self._tile) for count in blocks)

    @cached_property
    def _defects(self) -> Mask:
        masked = self._masters.planes.masked
        found = np.zeros(self._masters.planes.subtracted.shape, np.bool_) if masked is None else masked.copy()
        found[tuple(self._hot.places)] = True
        return found

    @cached_property
    def _readout_variance(self) -> float:
        return float(np.median(self._masters.planes.dark_variance[::_STEP, ::_STEP]))

    def measure(self, signal: F32) -> LightMeasures:
        """Measure a calibrated light.

        Parameters
        ----------
        signal
            The light after subtraction of the dark and division by the flat, ADU, without a pedestal: float32, shape
            (height, width).
        """
        skies = colour_medians(signal, self._period)
        usual = float(skies.mean())
        scales = np.ones((2, 2), np.float32)
        if self._period == 2 and skies.min() > 0:  # noqa: PLR2004
            scales = (usual / skies).astype(np.float32).reshape(2, 2)
        bins = np.empty((signal.shape[0] // BIN, signal.shape[1] // BIN), np.float32)
        edges = np.linspace(0, bins.shape[0], thread_count() + 1).astype(int).tolist()

        def bin_part(first: int, last: int) -> None:
            rows = slice(first * BIN, last * BIN)
            kernels.bin_signal(signal[rows], self._defects[rows], scales, bins[first:last])

        list(self._map(bin_part, edges[:-1], edges[1:]))
        levels = local_levels(bins)
        avoided = star_bins(bins, levels) | self._avoided
        tiles = np.zeros((*self._tiles, self._period**2, SUMS))
        height, width = signal.shape
        rows = np.zeros((2, height))
        starts = np.linspace(0, self._tiles[0], thread_count() + 1).astype(int) * self._tile
        columns = np.zeros((thread_count(), 2, width))
        planes = self._masters.planes
        photon_adu2 = self._photon_variance(signal)

        def sum_part(part: int) -> None:
            kernels.sum_blocks(
                signal,
                planes.response,
                planes.response_variance,
                planes.subtracted,
                planes.dark_variance,
                self._defects,
                avoided,
                photon_adu2,
                photon_adu2 / max(usual, 1.0),
                CUT_SIGMA,
                self._period,
                int(starts[part]),
                min(int(starts[part + 1]), self._blocks[0]),
                self._tile,
                tiles,
                rows,
                columns[part],
            )

        list(self._map(sum_part, range(thread_count())))
        column_sums = columns.sum(axis=0)
        sampled = signal[::_STEP, ::_STEP]
        return LightMeasures(
            bins,
            skies,
            tiles,
            _means(rows),
            _means(column_sums),
            rows[1],
            column_sums[1],
            self._hot_excess(signal),
            float((sampled <= 0).mean()),
            self._middle(signal),
            levels,
        )

    def _middle(self, signal: F32) -> F32:
        middle = middle_of(signal.shape)
        return np.asarray(signal[middle] * self._masters.planes.response[middle], np.float32)

    def _photon_variance(self, signal: F32) -> float:
        """Return the typical variance of a pixel in excess of the variance of the dark, ADU^2.

        This variance could also be derived from the gain, but some headers state the gain in other units.
        """
        return max(pixel_variance(signal, self._period) - self._readout_variance, 0.0)

    def _hot_excess(self, signal: F32) -> F32:
        excess = np.empty(self._hot.excess_adu.size, np.float32)
        kernels.excess_at(signal, self._hot.places, self._period, excess)
        return np.asarray(excess * self._masters.planes.response[tuple(self._hot.places)], np.float32)


def calibrated_signal(pixels: U16 | F32, planes: Correction, into: F32 | None = None, *, shared: bool = True) -> F32:
    """Return a calibrated light without a pedestal, ADU: float32, same shape.

    Parameters
    ----------
    pixels
        A raw light, shape (height, width): uint16, or float32 after overscan subtraction.
    planes
        The planes of the masters.
    into
        float32, same shape: the array for the result; None for a new one.
    shared
        See `LightMeter`.
    """
    signal = np.empty(pixels.shape, np.float32) if into is None else into
    edges = np.linspace(0, len(signal), thread_count() + 1).astype(int).tolist()

    def calibrate(first: int, last: int) -> None:
        rows = slice(first, last)
        kernels.calibrate_light(pixels[rows], planes.subtracted[rows], planes.response[rows], signal[rows])

    list((parallel_map if shared else map)(calibrate, edges[:-1], edges[1:]))
    return signal


def middle_of(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the central area of a sensor; it starts at an even row and column, to preserve the order of colours."""
    rows, columns = (slice(first := max(size - MIDDLE, 0) // 4 * 2, first + MIDDLE) for size in shape)
    return rows, columns


def colour_medians(plane: F32, period: int) -> F64:
    """Return the median of each colour of a plane; float64, shape (period ** 2,)."""
    step = _STEP * period
    return np.array([np.nanmedian(plane[y::step, x::step]) for y in range(period) for x in range(period)])


def pixel_variance(signal: F32, period: int) -> float:
    """Return the typical variance of a light's pixels, ADU^2, from differences between neighbours of one colour."""
    sampled = signal[::_STEP]
    across = 2 * max(signal.shape[1] // _ENOUGH_COLUMNS, 1)
    steps = np.abs(sampled[:, 2 * period :: across] - sampled[:, : -2 * period : across])
    # The difference of two pixels has twice the variance of a pixel; stars and hot pixels hardly change the median.
    return float(1.4826 * np.nanmedian(steps)) ** 2 / 2


def _means(sums: F64) -> F64:
    means = np.full(sums.shape[1], np.nan)
    np.divide(sums[0], sums[1], out=means, where=sums[1] > 0)
    return means
