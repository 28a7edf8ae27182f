"""The pictures of a set of lights: its background, a light before and after calibration, and the sensor's pattern.

Pictures consist of the means of square blocks of pixels, so their size does not depend on the size of the sensor.
"""

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.thinned_masters import line_residuals
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.capture.monitoring.report.contents import Stretch
from coldframe.capture.monitoring.report.pixels import stretched

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

WIDTH = 480
"""Maximum width of a picture, in blocks."""

MOST_LIGHTS = 24
"""Maximum number of lights from which the background is computed."""

BACKGROUND_PERCENT = 0.5, 99.0
"""Percentiles of the background that are shown as black and white; brighter blocks contain stars."""

GREYS = 128
FIXED_SIGMA = 4.0
"""Deviation that is shown as white in the sensor map, in standard deviations of the map; its opposite is black."""


class SetPictures:
    """The pictures of a set, collected while its lights are read.

    Parameters
    ----------
    mosaic
        Colour filter array of the lights; None for monochrome lights.
    """

    def __init__(self, mosaic: str | None) -> None:
        self._mosaic = mosaic if mosaic in BAYER_PATTERNS else None
        self._backgrounds: list[F32] = []
        self._rows: list[F64] = []
        self._columns: list[F64] = []
        self._before: F32 | None = None
        self.shape = (0, 0)

    def watch(self, pixels: NDArray[np.uint16] | F32, signal: F32) -> None:
        """Add a light: its pixels as stored in the file, and as calibrated; shape (height, width)."""
        if self._before is None:
            self._before = self._shrunk(pixels)
            self.shape = (signal.shape[0], signal.shape[1])
        if len(self._backgrounds) < MOST_LIGHTS:
            self._backgrounds.append(self._shrunk(signal))
            period = 1 if self._mosaic is None else 2
            self._rows.append(line_pattern(signal, 1, period))
            self._columns.append(line_pattern(signal, 0, period))

    def _shrunk(self, plane: NDArray[np.uint16] | F32) -> F32:
        """Return the means of blocks: float32, shape (rows, columns), or (rows, columns, 3) for colours."""
        if self._mosaic is None:
            return block_means(plane, _side(plane.shape, 1))
        side = _side(plane.shape, 2) // 2
        plane = plane[: plane.shape[0] // 2 * 2, : plane.shape[1] // 2 * 2]
        sites = [block_means(plane[site // 2 :: 2, site % 2 :: 2], side) for site in range(4)]
        pattern = self._mosaic
        colours = [np.mean([sites[site] for site in range(4) if pattern[site] == each], axis=0) for each in "RGB"]
        return np.stack(colours, axis=-1).astype(np.float32)

    @property
    def lights(self) -> int:
        """Number of lights in the background."""
        return len(self._backgrounds)

    @property
    def background_adu(self) -> F32:
        """Median of the lights, ADU."""
        return np.asarray(np.median(np.array(self._backgrounds), axis=0), np.float32)

    def background(self) -> U8:
        """Return the median of the lights, stretched."""
        return picture(self.background_adu)

    def before(self) -> U8:
        """Return the first light as stored in its file, stretched."""
        assert self._before is not None
        return picture(self._before)

    def after(self) -> U8:
        """Return the first light after calibration, stretched."""
        return picture(self._backgrounds[0])

    def line_patterns(self) -> tuple[F64, F64]:
        """Return the residuals of rows and columns, averaged over lights, ADU: float64, shapes (height,), (width,)."""
        return np.mean(self._rows, axis=0), np.mean(self._columns, axis=0)

    def profiles(self) -> tuple[F64, F64]:
        """Return the relative deviation of the median of each row and column from the median of the background."""
        grey = self.background_adu
        if grey.ndim == 3:  # noqa: PLR2004 - the third axis is the colour
            grey = (grey / np.median(grey, axis=(0, 1))).mean(axis=-1)
        level = float(np.median(grey)) or 1.0
        return (
            np.median(grey, axis=1).astype(np.float64) / level - 1,
            np.median(grey, axis=0).astype(np.float64) / level - 1,
        )


def line_pattern(signal: F32, axis: int, period: int) -> F64:
    """Return the difference of each line from the mean of four lines of the same colours, ADU.

    Parameters
    ----------
    signal
        A calibrated light, ADU: float32, shape (height, width).
    axis
        1 for rows, 0 for columns.
    period
        Distance between pixels of the same colour.
    """
    pattern = np.full(signal.shape[1 - axis], np.nan)
    for line in range(period):
        phases = [(line, other) if axis == 1 else (other, line) for other in range(period)]
        residuals = [line_residuals(signal[down::period, across::period], axis) for down, across in phases]
        pattern[line::period] = np.mean(residuals, axis=0)
    return pattern


def _side(shape: tuple[int, ...], period: int) -> int:
    """Return the side of a block in pixels, a multiple of the period."""
    side = max(-(-shape[1] // WIDTH), period)
    return side + side % period


def block_means(plane: NDArray[np.uint16] | F32, side: int) -> F32:
    """Return the means of complete blocks of `side` x `side` pixels; NaN values are ignored."""
    height, width = (size // side * side for size in plane.shape)
    blocks = plane[:height, :width].reshape(height // side, side, width // side, side)
    if np.issubdtype(plane.dtype, np.floating) and np.isnan(plane).any():
        known = np.isfinite(blocks)
        total = np.where(known, blocks, 0).sum(axis=(1, 3))
        count = known.sum(axis=(1, 3))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def picture(means: F32) -> U8:
    """Return means stretched to grey levels or colours, each colour separately."""
    if means.ndim == 2:  # noqa: PLR2004 - grey
        return _stretched(means)
    return np.stack([_stretched(means[..., colour]) for colour in range(3)], axis=-1)


def _stretched(means: F32) -> U8:
    black, white = (float(each) for each in np.nanpercentile(means, BACKGROUND_PERCENT))
    return stretched(np.nan_to_num(means, nan=black).astype(np.float64), Stretch(black, white), GREYS)


def fixed_picture(relative: F32) -> tuple[U8, float]:
    """Return the map of the sensor's fixed structures as a picture, and the value that is shown as white.

    Parameters
    ----------
    relative
        Fixed structures relative to the sky: float32, shape (rows, columns); NaN (shown as grey) if unknown.
    """
    means = block_means(relative, max(-(-relative.shape[1] // WIDTH), 1))
    known = means[np.isfinite(means)]
    spread = float(1.4826 * np.median(np.abs(known - np.median(known)))) if known.size else 0.0
    limit = FIXED_SIGMA * spread or 1e-6
    return stretched(np.nan_to_num(means).astype(np.float64), Stretch(-limit, limit), GREYS), limit
