"""Compute statistics and pictures of masters and frames. The pictures are stretched so that faults are visible.

Files are read in bands of rows, so memory use does not depend on the size of the sensor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD, central_region
from coldframe.capture.monitoring.report.contents import Histogram, PixelStatistics, Stretch

BINS = 96
DETAIL_PIXELS = 96
"""Longer side of the central rectangle that is shown at 100 %. The rectangle has the aspect ratio of the frame."""

GREYS = 64
"""Number of grey levels in the picture of the whole frame. More levels would only enlarge the file."""

SAMPLE = 1 << 20
"""Maximum number of pixels from which the median and the quantiles are computed."""

_BAND_ROWS = 256
_COLOUR_COLUMNS = 32
WHOLE_PERCENT = 0.5, 99.7
"""Percentiles of the block means that are shown as black and white in the picture of the whole frame."""

TOP_PERCENT = 99.99
"""Percentile at which the histogram ends. Brighter pixels are counted in the last bin."""

DARK_SIGMAS, PLAIN_SIGMAS, BRIGHT_SIGMAS = 4.0, 5.0, 12.0
"""Limits of the black level and the white level of the detail picture, in standard deviations from the median.

Black is `DARK_SIGMAS` below the median. White is at the brightest pixel, but at least `PLAIN_SIGMAS` and at most
`BRIGHT_SIGMAS` above the median.
"""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSummary:
    """Statistics and pictures of an image.

    Attributes
    ----------
    statistics
        Values for the report.
    whole
        Picture of the whole image from the stretched means of square blocks; uint8, shape (height, width).
    detail
        Picture of the centre at 100 %, stretched so that noise and hot pixels are visible; uint8.
    """

    statistics: PixelStatistics
    whole: NDArray[np.uint8]
    detail: NDArray[np.uint8]


def summarise_file(path: Path, largest_width: int) -> ImageSummary:
    """Return the summary of an image file.

    Parameters
    ----------
    path
        Path of a master or a frame. A compressed file is unpacked temporarily.
    largest_width
        Maximum width of the picture of the whole image, in pixels.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or is not a two-dimensional image.
    OSError
        If there is not enough disk space for an unpacked copy.
    """
    with scratch_folder() as folder:
        return summarise(open_image(path, folder), largest_width)


def summarise(image: ImageFile, largest_width: int) -> ImageSummary:
    """Return the summary of an open image. See `summarise_file`."""
    sample = _sample(image)
    low, median, high = (float(each) for each in np.percentile(sample, [0, 50, TOP_PERCENT]))
    high = _histogram_end(low, high)
    minimum, maximum, counts = _counted(image, low, high)
    whole = block_means(image, largest_width)
    middle = _middle(image)
    detail = detail_stretch(middle)
    height, width = image.shape
    statistics = PixelStatistics(
        width=width,
        height=height,
        minimum=minimum,
        median=median,
        maximum=maximum,
        histogram=Histogram(low, high, tuple(counts.tolist())),
        whole=_whole_stretch(whole),
        detail=detail,
        corner_to_centre=_corner_to_centre(whole),
        colours=_colours(image),
    )
    return ImageSummary(statistics, stretched(whole, statistics.whole, GREYS), stretched(middle, detail, 256))


def _corner_to_centre(means: NDArray[np.float64]) -> float | None:
    """Return the mean of the four corners divided by the mean of the centre.

    Each of these five areas spans a tenth of the width and a tenth of the height.
    """
    down, across = (max(size // 10, 1) for size in means.shape)
    corners = [means[rows, columns] for rows in (slice(down), slice(-down, None)) for columns in _ends(across)]
    middle = means[_centred(means.shape[0], down), _centred(means.shape[1], across)]
    centre = float(middle.mean())
    return float(np.mean([corner.mean() for corner in corners])) / centre if centre > 0 else None


def _ends(width: int) -> tuple[slice, slice]:
    return slice(width), slice(-width, None)


def _centred(size: int, width: int) -> slice:
    start = (size - width) // 2
    return slice(start, start + width)


def _colours(image: ImageFile) -> tuple[float, float, float] | None:
    """Return the means of red, green and blue in the centre; None without a 2x2 colour filter array."""
    pattern = setup_of(image.header).mosaic
    if pattern not in BAYER_PATTERNS or min(image.shape) < 2:  # noqa: PLR2004 - one cell
        return None
    colours = block_colours(image, _COLOUR_COLUMNS, pattern)
    middle = colours[
        _centred(colours.shape[0], -(-colours.shape[0] // 4)), _centred(colours.shape[1], -(-colours.shape[1] // 4))
    ]
    red, green, blue = (float(each) for each in middle.mean(axis=(0, 1)))
    return red, green, blue


def _histogram_end(low: float, high: float) -> float:
    """Return the end of the histogram; a narrow range is widened until the edges of its bins are distinct numbers."""
    narrowest = 2 * BINS * float(np.spacing(max(abs(low), abs(high))))
    return high if high - low > narrowest else low + max(1.0, narrowest)


def detail_stretch(middle: NDArray[np.float64]) -> Stretch:
    """Return the stretch for the centre of an image, derived from its noise."""
    median = float(np.median(middle))
    sigma = float(np.median(np.abs(middle - median))) * SIGMA_PER_MAD or float(middle.std()) or 1.0
    hottest = (float(middle.max()) - median) / sigma
    return Stretch(median - DARK_SIGMAS * sigma, median + min(max(hottest, PLAIN_SIGMAS), BRIGHT_SIGMAS) * sigma)


def level_of(image: ImageFile) -> float:
    """Return the median of the central region, as in `FrameStatistics.level_adu`."""
    rows, columns = central_region(image.shape)
    return float(np.median(image.rows(rows.start, rows.stop)[:, columns]))


def stretched(values: NDArray[np.float64], stretch: Stretch, greys: int) -> NDArray[np.uint8]:
    """Return values as grey levels from 0 (black) to 255 (white). An image without contrast becomes mid-grey."""
    span = stretch.white - stretch.black
    if span <= 0:
        return np.full(values.shape, 128, np.uint8)
    if not np.isfinite(greys / span):  # the contrast is too small for floating-point numbers
        return np.full(values.shape, 128, np.uint8)
    with np.errstate(over="ignore"):  # infinities are white
        steps = np.clip((values - stretch.black) * (greys / span), 0, greys - 1).astype(np.uint8)
    pixels: NDArray[np.uint8] = (steps.astype(np.uint16) * 255 // (greys - 1)).astype(np.uint8)
    return pixels


def block_means(image: ImageFile, largest_width: int) -> NDArray[np.float64]:
    """Return the means of the complete square blocks of an image, at most `largest_width` blocks wide.

    A block of more than one pixel consists of whole cells of a 2x2 colour filter array.
    """
    block = _block(image, largest_width)
    block += block % 2 if block > 1 else 0
    rows = [
        band.reshape(len(band) // block, block, -1, block).mean(axis=(1, 3)) for band in _whole_blocks(image, block)
    ]
    return np.concatenate(rows)


def block_colours(image: ImageFile, largest_width: int, pattern: str) -> NDArray[np.float64]:
    """Return the means of red, green and blue in square blocks, shape (height, width, 3). See `block_means`.

    Parameters
    ----------
    image
        Image that contains at least one cell of the filter array.
    largest_width
        Maximum width of the result, in blocks.
    pattern
        One of `BAYER_PATTERNS`.
    """
    cells = -(-_block(image, largest_width) // 2)
    rows = []
    for band in _whole_blocks(image, 2 * cells):
        sites = band.reshape(len(band) // (2 * cells), cells, 2, -1, cells, 2).mean(axis=(1, 4))
        of = [[sites[:, site // 2, :, site % 2] for site in range(4) if pattern[site] == colour] for colour in "RGB"]
        rows.append(np.stack([np.mean(each, axis=0) for each in of], axis=-1))
    return np.concatenate(rows)


def picture_of(image: ImageFile, largest_width: int, pattern: str | None) -> NDArray[np.uint8]:
    """Return an image as a stretched picture, in colour if `pattern` is a Bayer pattern."""
    if pattern not in BAYER_PATTERNS or min(image.shape) < 2:  # noqa: PLR2004 - one cell
        means = block_means(image, largest_width)
        return stretched(means, _whole_stretch(means), 256)
    colours = np.moveaxis(block_colours(image, largest_width, pattern), -1, 0)
    return np.stack([stretched(each, _whole_stretch(each), 256) for each in colours], axis=-1)


def _whole_stretch(means: NDArray[np.float64]) -> Stretch:
    black, white = (float(each) for each in np.percentile(means, WHOLE_PERCENT))
    return Stretch(black, white)


def _block(image: ImageFile, largest_width: int) -> int:
    """Return the smallest side of a block, in pixels, for which at most `largest_width` blocks span the image."""
    return max(min(-(-image.shape[1] // largest_width), min(image.shape) // 2), 1)


def _whole_blocks(image: ImageFile, block: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of an image in bands of whole blocks, excluding incomplete blocks at the right and lower edges."""
    height, width = (size // block * block for size in image.shape)
    rows = max(_BAND_ROWS // block, 1) * block
    for top in range(0, height, rows):
        yield image.rows(top, min(top + rows, height))[:, :width]


def _sample(image: ImageFile) -> NDArray[np.float64]:
    """Return a sample of the pixels, spread over the image."""
    stride = max(1, image.shape[0] * image.shape[1] // SAMPLE)
    # An odd stride reaches all columns, and all colours of a filter array.
    stride += 1 - stride % 2
    # A copy, because a view would keep its whole band in memory.
    return np.concatenate([band.reshape(-1)[::stride].copy() for _, band in image.bands()])


def _counted(image: ImageFile, low: float, high: float) -> tuple[float, float, NDArray[np.int64]]:
    """Return the minimum, the maximum and the histogram of all pixels."""
    counts = np.zeros(BINS, np.int64)
    minimum, maximum = np.inf, -np.inf
    for _, band in image.bands():
        minimum, maximum = min(minimum, float(band.min())), max(maximum, float(band.max()))
        counts += np.histogram(np.clip(band, low, high), BINS, (low, high))[0]
    return minimum, maximum, counts


def _middle(image: ImageFile) -> NDArray[np.float64]:
    height, width = image.shape
    scale = min(DETAIL_PIXELS / max(height, width), 1.0)
    tall, wide = max(round(height * scale), 1), max(round(width * scale), 1)
    top, left = (height - tall) // 2, (width - wide) // 2
    return image.rows(top, top + tall)[:, left : left + wide]
