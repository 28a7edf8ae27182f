"""Measurement of a frame: level, noise, saturation, histogram and a small preview."""

from dataclasses import dataclass
from functools import reduce
from math import ceil

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import histograms
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.histogram import LEVELS, LevelHistogram, histogram_of
from coldframe.calibration.threads import parallel_map, parts_of

FULL_SCALE_ADU = LEVELS - 1

LOWEST_FULL_SCALE_ADU = 4000
"""Lowest level at which a frame can be saturated. Astronomical cameras have at least 12 bits, so a peak at a lower
level indicates low noise, not saturation."""

CONVERTER_TOPS_ADU = (4095, 8191, 16383, 32767)
"""Highest values of 12- to 15-bit ADCs in unscaled files."""

CONVERTER_TOP_PIXELS = 4
"""Smallest number of pixels at the highest value of an ADC, with no pixels above it, that reveals this ADC. In a frame
that is not saturated, these are hot pixels."""

CONVERTER_TOP_LEVELS = 64
"""Number of levels below the highest value of the ADC; each of them must have less than a quarter as many pixels."""

COARSEST_STEP_ADU = 256
"""Step of 8-bit values scaled to 16 bits."""

STEP_LEVELS = 16
"""Smallest number of occupied levels that reveals the ADC step; the chance that 16 levels are all even is 1 in
65,536."""

DIFFERENCE_ROWS = 256
"""Number of rows sampled for the noise; on 26 MP, they yield 800,000 differences, and the error of the noise is 0.1
%."""

SIGMA_PER_MAD = 1.4826
"""Standard deviation of a normal distribution divided by its median absolute deviation."""

CHANNEL_ROWS = 256
"""Number of rows of filter-array cells sampled for the level of a channel: 400,000 pixels on 26 MP."""

_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class ChannelLevel:
    """Median of the pixels of one colour in the central region, ADU."""

    colour: str
    level_adu: float


@dataclass(frozen=True, slots=True)
class FrameStatistics:
    """Statistics of one frame, in ADU.

    Attributes
    ----------
    level_adu
        Median of the central region (the middle half of each axis).
    median_adu, mean_adu
        Median and mean of the whole frame.
    noise_adu
        Standard deviation of a pixel in the central region, from second differences (a - 2 b + c) of pixels two columns
        apart, so that neither vignetting nor the colours of a filter array contribute. Differences beyond five times
        the 68th percentile of their magnitudes (hot pixels, cosmic rays) are excluded. Noise common to a whole row is
        not included.
    minimum_adu, maximum_adu
        Extremes of the whole frame.
    saturated_fraction
        Fraction of the central region's pixels at or above the saturation level.
    saturation_adu
        Saturation level: the given level, or the level at which the histogram is cut off, or the highest value that the
        ADC steps allow in 16 bits.
    channels
        Level of each colour of the filter array, in the order of its pattern; empty without a filter array.
    """

    level_adu: float
    median_adu: float
    mean_adu: float
    noise_adu: float
    minimum_adu: int
    maximum_adu: int
    saturated_fraction: float
    saturation_adu: int = FULL_SCALE_ADU
    channels: tuple[ChannelLevel, ...] = ()

    @property
    def brightest_adu(self) -> float:
        """Level of the brightest channel or, without channels, of all pixels."""
        return max((channel.level_adu for channel in self.channels), default=self.level_adu)

    @property
    def faintest_adu(self) -> float:
        """Level of the faintest channel or, without channels, of all pixels."""
        return min((channel.level_adu for channel in self.channels), default=self.level_adu)


@dataclass(frozen=True, slots=True, eq=False)
class FrameMeasurement:
    """Statistics of a frame, and the histogram from which they are derived.

    Attributes
    ----------
    statistics
        Statistics of the frame.
    counts
        Number of pixels of the whole frame at each level: int64, shape (65536,).
    """

    statistics: FrameStatistics
    counts: NDArray[np.int64]

    def histogram(self) -> LevelHistogram:
        """Return the histogram for display."""
        return histogram_of(self.counts)


def measure(
    pixels: NDArray[np.uint16], saturation_adu: int | None = None, cfa_pattern: str | None = None
) -> FrameMeasurement:
    """Measure the level, noise, saturation and histogram of a frame.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    saturation_adu
        Level at or above which a pixel counts as saturated; None to determine it from the frame; see
        `saturation_level`.
    cfa_pattern
        Colours of the upper left 2x2 pixels, such as "RGGB", whose levels are measured separately. None for mono and
        for arrays of a different size.

    Returns
    -------
    FrameMeasurement
        Statistics and histogram.

    Raises
    ------
    ValueError
        If the frame has no pixels, or is not two-dimensional.
    """
    if pixels.ndim != 2 or pixels.size == 0:  # noqa: PLR2004 - two-dimensional
        raise ValueError(f"a frame needs two dimensions and at least one pixel, not the shape {pixels.shape}")
    rows, columns = central_region(pixels.shape)
    edges = np.linspace(0, len(pixels), parts_of(pixels.size) + 1).astype(int).tolist()

    def count(top: int, bottom: int) -> NDArray[np.int64]:
        counts = np.zeros((2, 2, LEVELS), np.uint32)
        histograms.count_levels(
            pixels[top:bottom], rows.start - top, rows.stop - top, columns.start, columns.stop, counts[0], counts[1]
        )
        return (counts[:, 0] + counts[:, 1]).astype(np.int64)

    outside, central = reduce(np.add, parallel_map(count, edges[:-1], edges[1:]))
    whole = outside + central
    levels = occupied(whole)
    if saturation_adu is None:
        saturation_adu = saturation_level(central, whole)
    statistics = FrameStatistics(
        level_adu=median_of_counts(central),
        median_adu=median_of_counts(whole),
        mean_adu=float(whole[levels] @ levels) / pixels.size,
        noise_adu=_pixel_noise(pixels, rows, columns),
        minimum_adu=int(levels[0]),
        maximum_adu=int(levels[-1]),
        saturated_fraction=float(central[saturation_adu:].sum() / central.sum()),
        saturation_adu=saturation_adu,
        channels=channel_levels(pixels, cfa_pattern),
    )
    return FrameMeasurement(statistics, whole)


def central_region(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the middle half of each axis, starting at an even row and column.

    An even start keeps the phase of a colour filter array. Axes shorter than eight pixels are used in full.
    """
    height, width = shape
    return _middle_half(height), _middle_half(width)


def _middle_half(size: int) -> slice:
    if size < 8:  # noqa: PLR2004 - as documented
        return slice(0, size)
    start = size // 4 // 2 * 2
    return slice(start, size - start)


def median_of_counts(counts: NDArray[np.int64]) -> float:
    """Return the median of a histogram with one bin per value, as np.median defines it."""
    levels = occupied(counts)
    cumulative = counts[levels].cumsum()
    size = int(cumulative[-1])
    lower, upper = levels[np.searchsorted(cumulative, [(size - 1) // 2, size // 2], side="right")].tolist()
    return float(lower + upper) / 2


def occupied(counts: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the occupied bins of a histogram; usually only a few hundred of them are."""
    return np.flatnonzero(counts != 0)  # six times as fast as for numbers


def saturation_level(central: NDArray[np.int64], whole: NDArray[np.int64]) -> int:
    """Return the level at which a histogram is cut off or, without a cutoff, the highest level that its steps allow.

    Signal spreads over many levels, so an unclipped histogram thins out towards its top. The histogram is cut off if
    its highest level contains at least one pixel in a thousand and at least four times as many pixels as the next lower
    occupied level. In a frame far from saturation, hot pixels that reach the highest value of an ADC with fewer than 16
    bits reveal the saturation level.

    Parameters
    ----------
    central, whole
        Number of pixels of the central region and of the whole frame at each level: int64, shape (65536,).
    """
    levels = occupied(central)
    top = int(levels[-1])
    below = int(central[levels[-2]]) if levels.size > 1 else 0
    piled = central[top] * 1000 >= central.sum() and central[top] >= 4 * below
    if piled and top >= LOWEST_FULL_SCALE_ADU:
        return top
    highest = int(occupied(whole)[-1])
    crowd = CONVERTER_TOP_PIXELS * (1 + whole[max(0, highest - CONVERTER_TOP_LEVELS) : highest].max(initial=0))
    if highest in CONVERTER_TOPS_ADU and whole[highest] >= crowd:
        return highest
    return FULL_SCALE_ADU - FULL_SCALE_ADU % converter_step(whole)


def converter_step(counts: NDArray[np.int64]) -> int:
    """Return the ADC step in the values of a file: 16 for 12-bit data scaled to 16 bits, 1 for unscaled data."""
    levels = occupied(counts)
    if levels.size < STEP_LEVELS:
        return 1
    bits = int(np.bitwise_or.reduce(levels))
    return min(bits & -bits, COARSEST_STEP_ADU)


def channel_levels(pixels: NDArray[np.uint16], cfa_pattern: str | None) -> tuple[ChannelLevel, ...]:
    """Return the median of each colour in the central region, from sampled rows; empty without a Bayer array."""
    if cfa_pattern not in BAYER_PATTERNS or min(pixels.shape) < 2:  # noqa: PLR2004 - 2x2 pixels
        return ()
    rows, columns = central_region(pixels.shape)
    step = 2 * max(1, (rows.stop - rows.start) // 2 // CHANNEL_ROWS)
    counts = {colour: np.zeros(LEVELS, np.int64) for colour in cfa_pattern}
    for site, colour in enumerate(cfa_pattern):
        down, across = divmod(site, 2)
        sample = pixels[rows.start + down : rows.stop : step, columns.start + across : columns.stop : 2]
        counts[colour] += np.bincount(sample.reshape(-1), minlength=LEVELS)
    return tuple(ChannelLevel(colour, median_of_counts(counted)) for colour, counted in counts.items())


def _pixel_noise(pixels: NDArray[np.uint16], rows: slice, columns: slice) -> float:
    """Estimate the standard deviation of a pixel from second differences of pixels two columns apart.

    The variance of each difference is 1 + 4 + 1 times the variance of a pixel.
    """
    height = rows.stop - rows.start
    sampled = np.arange(rows.start, rows.stop, -(-height // DIFFERENCE_ROWS))
    counts = np.zeros(2 * LEVELS, np.int64)
    histograms.count_curvatures(pixels, sampled, columns.start, columns.stop, counts)
    differences = occupied(counts)
    if not differences.any():
        return 0.0
    smallest = differences[differences > 0][0]
    cumulative = counts[differences].cumsum()
    quantile = differences[np.searchsorted(cumulative, ceil(0.6827 * cumulative[-1]))]
    # If most pixels are equal (noise below the quantisation step), the step is the scale of the noise.
    kept = differences[differences <= 5 * max(quantile, smallest)]
    return float(np.sqrt(kept.astype(np.float64) ** 2 @ counts[kept] / counts[kept].sum() / 6))


def preview(pixels: NDArray[np.uint16], rows: int = 64, columns: int = 96) -> NDArray[np.uint8]:
    """Return a small picture of a frame, with stretched contrast.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    rows, columns
        Largest size of the picture. The picture keeps the frame's aspect ratio and is never larger than the frame.

    Returns
    -------
    NDArray[np.uint8]
        Means of square blocks; from blocks with more than eight rows and columns, eight of each are sampled. 0 is the
        first percentile of the blocks, and 255 is the 99th; a frame without contrast becomes mid-grey.
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
    """Return the positions along an axis that represent its blocks: all in a small block, pairs in a large one."""
    if block <= _SAMPLES:
        within = np.arange(block)
    else:
        pairs = np.arange(0, _SAMPLES // 2) * (block // _SAMPLES) * 2
        within = np.stack([pairs, pairs + 1], axis=1).reshape(-1)
    blocks = np.arange(max(1, size // block)) * block
    return np.minimum(np.add.outer(blocks, within).reshape(-1), size - 1)
