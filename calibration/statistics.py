"""What one look at a frame tells: level, noise, saturation, histogram, a small picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 65536
FULL_SCALE_ADU = LEVELS - 1

LOWEST_FULL_SCALE_ADU = 4000
"""No converter of an astronomical camera clips below 12 bits; a pile at lower levels is low noise, not saturation."""

DIFFERENCE_ROWS = 256
"""Rows from which the noise is taken: 800,000 differences on a 26 MP frame, so 0.1 % of scatter."""

_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """Figures of one frame, in ADU.

    Attributes
    ----------
    level_adu
        Median of the central region (the middle half of each axis).
    median_adu, mean_adu
        Of the whole frame.
    noise_adu
        Standard deviation of a pixel in the central region, from second differences (a - 2 b + c) of pixels two
        columns apart, so that neither vignetting nor the colours of a filter array count as noise. Differences beyond
        five times their 68 % quantile (hot pixels, cosmic rays) are left out. Noise common to the whole row is not in
        it.
    minimum_adu, maximum_adu
        Extremes of the whole frame.
    saturated_fraction
        Fraction of the central region's pixels at or above the saturation level.
    """

    level_adu: float
    median_adu: float
    mean_adu: float
    noise_adu: float
    minimum_adu: int
    maximum_adu: int
    saturated_fraction: float


@dataclass(frozen=True, slots=True, eq=False)
class FrameMeasurement:
    """Statistics of a frame, and the histogram they came from.

    Attributes
    ----------
    statistics
        The figures.
    counts
        Pixels of the whole frame at each level, int64, shape (65536,).
    """

    statistics: FrameStatistics
    counts: NDArray[np.int64]

    def histogram128(self) -> NDArray[np.int64]:
        """Return the counts in 128 equal bins from 0 to 65,535 ADU."""
        bins: NDArray[np.int64] = self.counts.reshape(128, -1).sum(axis=1)
        return bins


def measure(pixels: NDArray[np.uint16], saturation_adu: int | None = None) -> FrameMeasurement:
    """Measure a frame in one pass over its pixels.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    saturation_adu
        Level from which a pixel counts as saturated. None finds it: 65,535, or the frame's highest level where the
        central region's histogram piles up there (converters of fewer bits, drivers that clip early).

    Returns
    -------
    FrameMeasurement
        A frame without a single pixel is refused with ValueError.
    """
    from coldframe.calibration import kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    if pixels.ndim != 2 or pixels.size == 0:  # noqa: PLR2004 - a plane
        raise ValueError(f"a frame has two dimensions and at least one pixel, not the shape {pixels.shape}")
    rows, columns = central_region(pixels.shape)
    counts = np.zeros((2, 2, LEVELS), np.uint32)
    kernels.count_levels(pixels, rows.start, rows.stop, columns.start, columns.stop, counts[0], counts[1])
    outside, central = counts.sum(axis=1, dtype=np.int64)
    whole = outside + central
    occupied = np.flatnonzero(whole)
    if saturation_adu is None:
        saturation_adu = saturation_level(central)
    statistics = FrameStatistics(
        level_adu=median_of_counts(central),
        median_adu=median_of_counts(whole),
        mean_adu=float(whole @ np.arange(LEVELS)) / pixels.size,
        noise_adu=_pixel_noise(pixels, rows, columns),
        minimum_adu=int(occupied[0]),
        maximum_adu=int(occupied[-1]),
        saturated_fraction=float(central[saturation_adu:].sum() / central.sum()),
    )
    return FrameMeasurement(statistics, whole)


def central_region(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return rows and columns of the middle half of each axis, starting on an even row and column.

    An even start keeps the phase of a colour filter array. Axes of fewer than eight pixels are taken whole.
    """
    height, width = shape
    return _middle_half(height), _middle_half(width)


def _middle_half(size: int) -> slice:
    if size < 8:  # noqa: PLR2004 - as documented
        return slice(0, size)
    start = size // 4 // 2 * 2
    return slice(start, size - start)


def median_of_counts(counts: NDArray[np.int64]) -> float:
    """Return the median of the values counted in a histogram with one bin per value, as np.median defines it."""
    cumulative = counts.cumsum()
    size = int(cumulative[-1])
    lower = int(np.searchsorted(cumulative, (size - 1) // 2, side="right"))
    upper = int(np.searchsorted(cumulative, size // 2, side="right"))
    return (lower + upper) / 2


def saturation_level(counts: NDArray[np.int64]) -> int:
    """Return the level at which a histogram is cut off, 65,535 where nothing tells of a lower one.

    Light spreads over many levels, so towards its top an unclipped histogram thins out. It is cut off where its
    highest level holds at least one pixel in a thousand, and four times as many as the next occupied level below.
    """
    occupied = np.flatnonzero(counts)
    top = int(occupied[-1])
    below = int(counts[occupied[-2]]) if occupied.size > 1 else 0
    piled = counts[top] * 1000 >= counts.sum() and counts[top] >= 4 * below
    return top if piled and top >= LOWEST_FULL_SCALE_ADU else FULL_SCALE_ADU


def _pixel_noise(pixels: NDArray[np.uint16], rows: slice, columns: slice) -> float:
    """Estimate the standard deviation of a pixel from second differences of pixels two columns apart.

    Their variance is that of a pixel times 1 + 4 + 1.
    """
    from coldframe.calibration import kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    height = rows.stop - rows.start
    sampled = np.arange(rows.start, rows.stop, -(-height // DIFFERENCE_ROWS))
    counts = np.zeros(2 * LEVELS, np.int64)
    kernels.count_curvatures(pixels, sampled, columns.start, columns.stop, counts)
    differing = np.flatnonzero(counts[1:])
    if differing.size == 0:
        return 0.0
    smallest = int(differing[0]) + 1
    cumulative = counts.cumsum()
    quantile = int(np.searchsorted(cumulative, 0.6827 * cumulative[-1]))
    # Where most pixels are equal (noise below the quantisation step), the step itself is the scale.
    limit = 5 * max(quantile, smallest) + 1
    squares = np.arange(min(limit, counts.size), dtype=np.float64) ** 2
    kept = counts[:limit]
    return float(np.sqrt(squares @ kept / kept.sum() / 6))


def preview(pixels: NDArray[np.uint16], rows: int = 64, columns: int = 96) -> NDArray[np.uint8]:
    """Return a small, stretched picture of a frame.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    rows, columns
        Largest size of the picture. It keeps the frame's aspect and is never larger than the frame.

    Returns
    -------
    NDArray[np.uint8]
        Means over square blocks, of eight rows and columns each where a block has more; 0 is the 1 % and 255 the
        99 % quantile of the blocks. A frame without contrast comes out mid-grey.
    """
    height, width = pixels.shape
    block = max(1, -(-height // rows), -(-width // columns))
    if block > 1:
        block += block % 2  # whole cells of a 2x2 colour filter array
    sample = pixels[_samples(height, block)][:, _samples(width, block)]
    across = min(block, _SAMPLES)
    blocks = sample.reshape(len(sample) // across, across, -1, across).mean(axis=(1, 3))
    black, white = np.percentile(blocks, [1, 99])
    if white <= black:
        return np.full(blocks.shape, 128, np.uint8)
    stretched: NDArray[np.uint8] = np.clip((blocks - black) * (255 / (white - black)), 0, 255).astype(np.uint8)
    return stretched


def _samples(size: int, block: int) -> NDArray[np.intp]:
    """Return the positions along one axis that stand for its blocks: all of a small block, pairs from a large one."""
    if block <= _SAMPLES:
        within = np.arange(block)
    else:
        pairs = np.arange(0, _SAMPLES // 2) * (block // _SAMPLES) * 2
        within = np.stack([pairs, pairs + 1], axis=1).reshape(-1)
    blocks = np.arange(max(1, size // block)) * block
    return np.minimum(np.add.outer(blocks, within).reshape(-1), size - 1)
