"""The shape of a frame: its level as a function of position, in enough detail to show banding and light leaks.

A cell covers two rows, so that the colours of a filter array average out, and a sixteenth of the columns. Effects
common to whole rows (a camera's row noise, a lamp's flicker under a rolling shutter) therefore remain separate from
other effects.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import shape
from coldframe.calibration.threads import parallel_map, parts_of

F64 = NDArray[np.float64]

COLUMNS = 16
"""Number of columns in a shape; frames narrower than 128 pixels have fewer."""

LEAST_COMMON = 0.5
"""Smallest fraction of the variance that both halves of a frame share if bands extend across the whole frame."""

LEAST_CELL_PIXELS = 8
LEAST_ROWS = 8
LEAST_COLUMNS = 3
"""Smallest number of columns to which a pattern is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameShape:
    """Mean levels of the cells of a frame.

    Attributes
    ----------
    levels_adu
        Mean level of each cell: float64, shape (height // 2, columns).
    cell_pixels
        Number of pixels in the smallest cell.
    size
        Height and width of the frame.
    step_adu
        Largest power of two that divides all values: 16 for 12-bit values scaled to 16 bits.
    """

    levels_adu: F64
    cell_pixels: int
    size: tuple[int, int]
    step_adu: int

    @property
    def mean_adu(self) -> float:
        """Mean of all cells."""
        return float(self.levels_adu.mean())


def frame_shape(pixels: NDArray[np.uint16], bounds_adu: tuple[float, float] = (0.0, 65535.0)) -> FrameShape:
    """Return the shape of a frame.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    bounds_adu
        Values are limited to these bounds, so that hot pixels and cosmic rays have no more weight than other pixels.
        Only shapes with equal bounds are comparable.

    Raises
    ------
    ValueError
        If the frame has fewer than two rows or eight columns.
    """
    height, width = pixels.shape
    cells = min(COLUMNS, width // LEAST_CELL_PIXELS)
    if height < 2 or cells == 0:  # noqa: PLR2004 - a pair of rows
        raise ValueError(f"a frame of {width} x {height} pixels is too small for a shape")
    edges = np.linspace(0, width // 2, cells + 1).astype(np.int64) * 2
    low, high = (min(max(round(bound), 0), 65535) for bound in bounds_adu)
    sums = np.zeros((height // 2, cells), np.int64)
    parts = np.linspace(0, height // 2, parts_of(pixels.size) + 1).astype(int).tolist()

    def add_up(top: int, bottom: int) -> int:
        return shape.sum_cells(pixels[2 * top : 2 * bottom], edges, low, high, sums[top:bottom])

    bits = 0
    for found in parallel_map(add_up, parts[:-1], parts[1:]):
        bits |= found
    pixels_of = 2 * np.diff(edges)
    return FrameShape(sums / pixels_of, int(pixels_of.min()), (height, width), (bits & -bits) or 1)


# ---- smooth patterns ----

FAINT_PART = 0.4
"""If the contrast of a pattern in one direction is less than this fraction of its contrast in the other direction, only
the other direction is used to describe the pattern."""

DEGREES = ((1, 0), (2, 0), (0, 1), (0, 2), (1, 1))
"""Degrees of the components of a smooth pattern, along columns (down) and along rows (across)."""


@dataclass(frozen=True, slots=True, eq=False)
class SmoothPattern:
    """A smooth difference between two shapes, expressed as a mean plus planes and parabolas with zero mean.

    Attributes
    ----------
    mean_adu
        Mean of the difference.
    amounts_adu, errors_adu
        Amount of each component in `DEGREES` (components have a root mean square of 1), and its standard error:
        float64, shape (5,).
    size
        Rows and columns of the shapes.
    """

    mean_adu: float
    amounts_adu: F64
    errors_adu: F64
    size: tuple[int, int]

    @property
    def significances(self) -> F64:
        """Amounts in standard errors; float64, shape (5,)."""
        found: F64 = np.abs(self.amounts_adu) / np.maximum(self.errors_adu, 1e-12)
        return found

    @property
    def amplitude_adu(self) -> float:
        """Root mean square of the pattern, excluding its mean."""
        return float(np.sqrt((self.amounts_adu**2).sum()))

    def reversed(self) -> "SmoothPattern":
        """Return the pattern of the difference with the opposite sign."""
        return SmoothPattern(-self.mean_adu, -self.amounts_adu, self.errors_adu, self.size)

    @property
    def brightest(self) -> str:
        """Position of the maximum as text: "on the left side", "in the upper right corner" or "in the middle"."""
        pattern = np.tensordot(self.amounts_adu, _components(self.size), axes=1)
        down = np.array([band.mean() for band in np.array_split(pattern, 3)])
        across = np.array([band.mean() for band in np.array_split(pattern, 3, axis=1)])
        edge = ("upper", "", "lower")[int(np.argmax(down))] if np.ptp(down) > FAINT_PART * np.ptp(across) else ""
        side = ("left", "", "right")[int(np.argmax(across))] if np.ptp(across) > FAINT_PART * np.ptp(down) else ""
        if edge and side:
            return f"in the {edge} {side} corner"
        return f"on the {edge or side} side" if edge or side else "in the middle"


def smooth_pattern(difference_adu: F64) -> SmoothPattern:
    """Fit planes and parabolas to the difference of two shapes.

    The components are products of Legendre polynomials up to the second degree. Their errors are derived from the
    difference itself. For components that depend only on the row, differences between successive row means are used.
    For the other components, differences between successive rows of each column are used, after the row means are
    removed. Row noise is therefore not mistaken for a pattern.

    Parameters
    ----------
    difference_adu
        float64, shape (rows, columns), at least eight rows and three columns.

    Raises
    ------
    ValueError
        If the shape is too small.
    """
    rows, columns = difference_adu.shape
    if not is_large_enough(difference_adu.shape):
        raise ValueError(f"{rows} rows of {columns} columns are too few for a pattern")
    row_means = difference_adu.mean(axis=1)
    row_error = _scatter(row_means) / sqrt(rows)
    # Removing the row means uses one degree of freedom per row.
    cell_noise = _scatter(difference_adu - row_means[:, None]) * sqrt(columns / (columns - 1))
    cell_error = cell_noise / sqrt(difference_adu.size)
    amounts = np.tensordot(_components(difference_adu.shape), difference_adu, axes=2) / difference_adu.size
    errors = np.array([row_error if across == 0 else cell_error for _, across in DEGREES])
    return SmoothPattern(float(difference_adu.mean()), amounts, errors, (rows, columns))


def is_large_enough(shape: tuple[int, ...]) -> bool:
    """Return whether a shape has enough rows and columns to fit a pattern and its errors."""
    return shape[0] >= LEAST_ROWS and shape[1] >= LEAST_COLUMNS


def _components(size: tuple[int, ...]) -> F64:
    """Return the components of a pattern, each with a root mean square of 1: float64, shape (5, rows, columns)."""
    down, across = (_legendre(each) for each in size)
    shapes = np.array([np.outer(down[i], across[j]) for i, j in DEGREES])
    scaled: F64 = shapes / np.sqrt((shapes**2).mean(axis=(1, 2), keepdims=True))
    return scaled


def _scatter(values: F64) -> float:
    """Return the standard deviation along the first axis, ignoring slow changes (von Neumann et al. 1941)."""
    return float(np.sqrt((np.diff(values, axis=0) ** 2).mean() / 2))


def _legendre(size: int) -> tuple[F64, F64, F64]:
    """Return the first three Legendre polynomials over an axis, with zero mean except for the first."""
    place = (np.arange(size) + 0.5) / size * 2 - 1
    square = place**2
    return np.ones(size), place, square - square.mean()


# ---- bands ----


@dataclass(frozen=True, slots=True)
class Bands:
    """The bands by which the illumination of one flat differs from that of another flat.

    Attributes
    ----------
    relative
        Root mean square, over the rows, of the relative signal that is common to a row, for one of the two flats.
    significance
        Significance of the square of `relative`, in standard errors.
    level_ratio
        Signal of the first flat divided by that of the second.
    are_across
        True if the left and the right half have the same bands, as with flicker under a rolling shutter. A moving
        shadow, in contrast, changes the rows in only one part of the frame.
    """

    relative: float
    significance: float
    level_ratio: float
    are_across: bool = True


def bands_between(one: FrameShape, other: FrameShape, bias_adu: float) -> Bands:
    """Return the bands by which two flats with the same settings differ; fixed patterns cancel.

    Parameters
    ----------
    one, other
        Shapes of equal size, large enough for a `smooth_pattern`, of frames that are lit in every cell.
    bias_adu
        Bias level.
    """
    ratio = (one.levels_adu - bias_adu) / (other.levels_adu - bias_adu)
    level_ratio = float(ratio.mean())
    smooth = smooth_pattern(ratio / level_ratio)
    residual = ratio / level_ratio - 1 - np.tensordot(smooth.amounts_adu, _components(ratio.shape), axes=1)
    rows, columns = residual.shape
    profile = residual.mean(axis=1)
    cell_noise = _scatter(residual - profile[:, None]) * sqrt(columns / (columns - 1))
    by_chance = cell_noise**2 / columns
    excess = float(profile.var()) - by_chance
    significance = excess / (by_chance * sqrt(2 / rows)) if by_chance > 0 else 0.0
    left, right = residual[:, : columns // 2].mean(axis=1), residual[:, columns // 2 :].mean(axis=1)
    common = float(np.mean((left - left.mean()) * (right - right.mean())))
    # The bands of the two flats are independent, so their difference has twice the variance of the bands of one flat.
    return Bands(sqrt(max(excess, 0.0) / 2), significance, level_ratio, common > LEAST_COMMON * excess)
