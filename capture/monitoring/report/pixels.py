"""A look at the pixels of a master, or of any frame: figures, histogram, pictures in which its faults can be seen.

Files are read a band of rows at a time, so a look takes little memory however large the sensor is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.measuring.statistics import BAYER_PATTERNS, SIGMA_PER_MAD, central_region
from coldframe.capture.monitoring.report.contents import Histogram, MasterLook, Shades

BINS = 96
DETAIL_PIXELS = 96
"""Longer side of the rectangle in the middle that is shown pixel by pixel; it has the frame's aspect."""

GREYS = 64
"""Shades of the whole picture: more are not told apart by eye, and make its file larger."""

SAMPLE = 1 << 20
"""Pixels from which levels and scatter are taken, at most."""

_BAND_ROWS = 256
WHOLE_PERCENT = 0.5, 99.7
"""Of the block means: black and white of the whole picture."""

TOP_PERCENT = 99.99
"""Where the histogram ends; hot pixels beyond are in its last bin."""

DARK_SIGMAS, PLAIN_SIGMAS, BRIGHT_SIGMAS = 4.0, 5.0, 12.0
"""Black of the detail is so far below its median; white as far above as its hottest pixel, within the other two."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Figures of an image, and its pictures.

    Attributes
    ----------
    figures
        What goes into the report.
    whole
        uint8, ``(height, width)``: means of square blocks, stretched.
    detail
        uint8: the middle of the image at 100 %, stretched so that noise and hot pixels show.
    """

    figures: MasterLook
    whole: NDArray[np.uint8]
    detail: NDArray[np.uint8]


def look_at(path: Path, largest_width: int) -> Look:
    """Look at an image file.

    Parameters
    ----------
    path
        Of a master or a frame; compressed ones are unpacked for as long as it takes.
    largest_width
        Of the whole picture, pixels.

    Raises
    ------
    FrameFileError
        If it cannot be read, or is no plane image.
    OSError
        If there is no room for an unpacked copy.
    """
    with TemporaryDirectory(prefix="coldframe-") as folder:
        return look(open_image(path, Path(folder)), largest_width)


def look(image: ImageFile, largest_width: int) -> Look:
    """Look at an image that is open; see `look_at`."""
    sample = _sample(image)
    low, median, high = (float(each) for each in np.percentile(sample, [0, 50, TOP_PERCENT]))
    minimum, maximum, counts = _counted(image, low, high if high > low else low + 1)
    whole = block_means(image, largest_width)
    middle = _middle(image)
    detail = detail_shades(middle)
    height, width = image.shape
    figures = MasterLook(
        width=width,
        height=height,
        minimum=minimum,
        median=median,
        maximum=maximum,
        histogram=Histogram(low, high if high > low else low + 1, tuple(counts.tolist())),
        whole=_whole_shades(whole),
        detail=detail,
    )
    return Look(figures, stretched(whole, figures.whole, GREYS), stretched(middle, detail, 256))


def detail_shades(middle: NDArray[np.float64]) -> Shades:
    """Return black and white for the middle of an image, by its own noise."""
    median = float(np.median(middle))
    sigma = float(np.median(np.abs(middle - median))) * SIGMA_PER_MAD or float(middle.std()) or 1.0
    hottest = (float(middle.max()) - median) / sigma
    return Shades(median - DARK_SIGMAS * sigma, median + min(max(hottest, PLAIN_SIGMAS), BRIGHT_SIGMAS) * sigma)


def level_of(image: ImageFile) -> float:
    """Return the median of the central region, as `FrameStatistics.level_adu`."""
    rows, columns = central_region(image.shape)
    return float(np.median(image.rows(rows.start, rows.stop)[:, columns]))


def stretched(values: NDArray[np.float64], shades: Shades, greys: int) -> NDArray[np.uint8]:
    """Return values as greys, 0 for black and 255 for white; an image without contrast comes out mid-grey."""
    span = shades.white - shades.black
    if span <= 0:
        return np.full(values.shape, 128, np.uint8)
    steps = np.clip((values - shades.black) / span * greys, 0, greys - 1).astype(np.uint8)
    pixels: NDArray[np.uint8] = (steps.astype(np.uint16) * 255 // (greys - 1)).astype(np.uint8)
    return pixels


def block_means(image: ImageFile, largest_width: int) -> NDArray[np.float64]:
    """Return the means of square blocks, at most `largest_width` across; a rest at the edges is left out.

    A block of more than one pixel is of whole cells of a 2x2 filter array.
    """
    block = _block(image, largest_width)
    block += block % 2 if block > 1 else 0
    rows = [
        band.reshape(len(band) // block, block, -1, block).mean(axis=(1, 3)) for band in _whole_blocks(image, block)
    ]
    return np.concatenate(rows)


def block_colours(image: ImageFile, largest_width: int, pattern: str) -> NDArray[np.float64]:
    """Return the means of red, green and blue in square blocks, shape (height, width, 3); see `block_means`.

    Parameters
    ----------
    image
        With at least one cell of its filter array.
    largest_width
        In blocks.
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
    """Return an image as a picture: greys, or colours (each stretched by itself) where `pattern` is a Bayer array's."""
    if pattern not in BAYER_PATTERNS or min(image.shape) < 2:  # noqa: PLR2004 - one cell
        means = block_means(image, largest_width)
        return stretched(means, _whole_shades(means), 256)
    colours = np.moveaxis(block_colours(image, largest_width, pattern), -1, 0)
    return np.stack([stretched(each, _whole_shades(each), 256) for each in colours], axis=-1)


def _whole_shades(means: NDArray[np.float64]) -> Shades:
    black, white = (float(each) for each in np.percentile(means, WHOLE_PERCENT))
    return Shades(black, white)


def _block(image: ImageFile, largest_width: int) -> int:
    """Return the side of the smallest blocks that are few enough, and no larger than the image."""
    return max(min(-(-image.shape[1] // largest_width), min(image.shape) // 2), 1)


def _whole_blocks(image: ImageFile, block: int) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of an image, some blocks at a time; a rest at its right and lower edge is left out."""
    height, width = (size // block * block for size in image.shape)
    rows = max(_BAND_ROWS // block, 1) * block
    for top in range(0, height, rows):
        yield image.rows(top, min(top + rows, height))[:, :width]


def _bands(image: ImageFile) -> Iterator[NDArray[np.float64]]:
    for top in range(0, image.shape[0], _BAND_ROWS):
        yield image.rows(top, min(top + _BAND_ROWS, image.shape[0]))


def _sample(image: ImageFile) -> NDArray[np.float64]:
    """Return some of the pixels, spread over the image."""
    stride = max(1, image.shape[0] * image.shape[1] // SAMPLE)
    # An odd stride meets all columns, and all colours of a filter array.
    stride += 1 - stride % 2
    return np.concatenate([band.reshape(-1)[::stride] for band in _bands(image)])


def _counted(image: ImageFile, low: float, high: float) -> tuple[float, float, NDArray[np.int64]]:
    """Return minimum, maximum and histogram of all pixels."""
    counts = np.zeros(BINS, np.int64)
    minimum, maximum = np.inf, -np.inf
    for band in _bands(image):
        minimum, maximum = min(minimum, float(band.min())), max(maximum, float(band.max()))
        counts += np.histogram(np.clip(band, low, high), BINS, (low, high))[0]
    return minimum, maximum, counts


def _middle(image: ImageFile) -> NDArray[np.float64]:
    height, width = image.shape
    scale = min(DETAIL_PIXELS / max(height, width), 1.0)
    tall, wide = max(round(height * scale), 1), max(round(width * scale), 1)
    top, left = (height - tall) // 2, (width - wide) // 2
    return image.rows(top, top + tall)[:, left : left + wide]
