"""Measurement of amplifier glow (light from the readout electronics at the sensor's edges) in master darks.

In a single master, glow appears only as a smooth rise towards an edge or corner. Two masters with different exposures
show whether the rise grows in proportion to the exposure, as dark current does; see `linearity`.
"""

from dataclasses import dataclass
from math import hypot, inf, isfinite, sqrt
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD

F32 = NDArray[np.float32]

BLOCKS = 16
"""Number of blocks per axis; only the middle half of the values of each block is averaged, to exclude hot pixels."""

SIGNIFICANCE = 6.0
"""Smallest excess of the brightest of the 60 edge blocks over the centre of the frame that counts as glow, in standard
errors."""

LARGEST_DEPARTURE = 0.05
"""Largest relative difference between the rates of glow at two exposures, including errors, for glow to count as
linear."""

HARMLESS_FRACTION = 0.05
"""A rise of at most this fraction of the dark signal is no reason not to scale a dark, because temperature gradients
cause similar rises."""

_FEWEST_PIXELS = 8
_FEWEST_BLOCKS = 3
_SAMPLED = 64
"""Number of rows and columns sampled per block; measuring all pixels of a large frame would take seconds."""


@dataclass(frozen=True, slots=True)
class AmpGlow:
    """The brightest block at the edge of a master dark.

    Attributes
    ----------
    amplitude_adu
        Level of the brightest edge block (a 256th of the frame) above the centre of the frame.
    error_adu
        Standard error of the amplitude, from noise and from scatter between neighbouring blocks that is not a smooth
        rise.
    level_adu
        Median level of the centre of the frame.
    block
        Row and column of the brightest block, counted from 0 in blocks; an axis has `BLOCKS` blocks, or fewer if it is
        shorter than 128 pixels.
    place
        Position as text, with the first row of the file at the top.
    """

    amplitude_adu: float
    error_adu: float
    level_adu: float
    block: tuple[int, int]
    place: str

    @property
    def significant(self) -> bool:
        """True if the amplitude exceeds `SIGNIFICANCE` standard errors."""
        return self.amplitude_adu > SIGNIFICANCE * self.error_adu

    @property
    def fraction(self) -> float:
        """Amplitude divided by the level; the level is the dark signal if the bias was subtracted."""
        return self.amplitude_adu / abs(self.level_adu) if self.level_adu else inf

    def __str__(self) -> str:
        return f"amp glow of {self.amplitude_adu:.3g} ADU {self.place}"


def measure_glow(dark: F32) -> AmpGlow:
    """Measure the brightest block at the edges of a frame.

    Parameters
    ----------
    dark
        Master dark, float32, shape (height, width), ADU. If its bias was not subtracted, a rise of the bias towards the
        edge counts as glow.
    """
    levels, errors = _blocks(dark)
    at_edge = np.ones(levels.shape, bool)
    at_edge[1:-1, 1:-1] = False
    row, column = np.unravel_index(np.argmax(np.where(at_edge, levels, -np.inf)), levels.shape)
    block = int(row), int(column)
    amplitude_adu, error_adu = _above_middle(levels, errors, block)
    level_adu = float(levels[block]) - amplitude_adu
    return AmpGlow(amplitude_adu, error_adu, level_adu, block, _place(block, levels.shape))


@dataclass(frozen=True, slots=True)
class Linearity:
    """The growth of glow from a shorter to a longer exposure.

    Attributes
    ----------
    ratio
        Rate (amplitude divided by exposure) at the longer exposure, divided by the rate at the shorter one; 1 if the
        glow is linear.
    error
        Standard error of the ratio.
    """

    ratio: float
    error: float

    @property
    def linear(self) -> bool:
        """True if the two rates agree within `LARGEST_DEPARTURE`, including errors."""
        return abs(self.ratio - 1) + 2 * self.error <= LARGEST_DEPARTURE


def linearity(short: F32, short_s: float, long: F32, long_s: float) -> Linearity:
    """Compare the glow at two exposures, in the block where the longer exposure has the most glow.

    Parameters
    ----------
    short, long
        Master darks without bias, float32, shape (height, width), ADU.
    short_s, long_s
        Exposures of the two darks.
    """
    block = measure_glow(long).block
    short_rate, _ = _above_middle(*_blocks(short / np.float32(short_s)), block)
    # In the difference of the rates, dark current that is linear in time cancels in each pixel.
    change, error = _above_middle(*_blocks(long / np.float32(long_s) - short / np.float32(short_s)), block)
    if short_rate <= 0:
        return Linearity(inf, inf)
    return Linearity(1 + change / short_rate, error / short_rate)


class DarkSignal(NamedTuple):
    """A master dark without bias (float32, shape (height, width), ADU), and its exposure (None if unknown)."""

    adu: F32
    exposure_s: float | None


class ScalingDoubt(NamedTuple):
    """The reason why scaling a dark to a different exposure may subtract the wrong amount of glow.

    Attributes
    ----------
    reason
        Description of the glow, and of how it grows with the exposure.
    error_adu
        Largest error in the block with the most glow, ADU.
    advice
        Advice on how to avoid the error.
    """

    reason: str
    error_adu: float
    advice: str


def scaling_doubt(dark: DarkSignal, scale: float, witness: DarkSignal | None) -> ScalingDoubt | None:
    """Return the reason not to scale a dark to a different exposure, or None if its glow is small or linear.

    Parameters
    ----------
    dark
        Dark to scale.
    scale
        New exposure divided by the exposure of the dark.
    witness
        Dark of the same shape with a different exposure, which shows whether the glow is linear; None if there is none.
    """
    glow = measure_glow(dark.adu)
    if not glow.significant or glow.fraction <= HARMLESS_FRACTION:
        return None
    advice = "shoot darks " + (
        f"of {dark.exposure_s * scale:g} s" if dark.exposure_s else "with the exposure of the lights"
    )
    constant_adu = abs(1 - scale) * glow.amplitude_adu  # the error if the glow does not grow at all
    if witness is None or not dark.exposure_s or not witness.exposure_s:
        reason = f"{glow} might not scale with time, and no dark of a different exposure shows that it does"
        return ScalingDoubt(reason, constant_adu, advice)
    exposed = sorted([(dark.exposure_s, dark.adu), (witness.exposure_s, witness.adu)], key=itemgetter(0))
    (short_s, short), (long_s, long) = exposed
    growth = linearity(short, short_s, long, long_s)
    if growth.linear:
        return None
    reason = (
        f"{glow} does not clearly scale with time: from {short_s:g} to {long_s:g} s its rate changes by a factor of"
        f" {growth.ratio:.3g} +- {growth.error:.2g}"
    )
    if growth.ratio <= 0 or not isfinite(growth.ratio):
        return ScalingDoubt(reason, constant_adu, advice)
    # A straight line through both exposures has a constant part. This part does not grow, but would be scaled as well.
    short_rate = glow.amplitude_adu / dark.exposure_s / (growth.ratio if dark.exposure_s == long_s else 1)
    departure = abs(growth.ratio - 1) + 2 * growth.error
    constant_part_adu = short_rate * departure * short_s * long_s / (long_s - short_s)
    return ScalingDoubt(reason, abs(1 - scale) * constant_part_adu, advice)


def _blocks(dark: F32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the midmean of each block (mean of the middle half of its values) and its standard error.

    Unlike a median, the midmean does not jump in ADC steps. The error of the midmean is the standard deviation of the
    winsorized values, divided by the kept fraction and by the square root of the number of values (J. W. Tukey and D.
    H. McLaughlin 1963, Sankhya A 25, 331).
    """
    height, width = (max(min(_FEWEST_PIXELS, size), size // BLOCKS) for size in dark.shape)
    rows, columns = dark.shape[0] // height, dark.shape[1] // width
    cut = dark[: rows * height, : columns * width].reshape(rows, height, columns, width).swapaxes(1, 2)
    # With odd steps, the sample covers every colour of a filter array.
    down, across = (max(1, size // _SAMPLED) | 1 for size in (height, width))
    values = np.sort(cut[:, :, ::down, ::across].reshape(rows, columns, -1), axis=2).astype(np.float64)
    count = values.shape[2]
    quarter = count // 4
    kept = values[:, :, quarter : count - quarter]
    winsorized = np.clip(values, kept[:, :, :1], kept[:, :, -1:])
    errors = winsorized.std(axis=2) * np.sqrt(count) / kept.shape[2]
    return kept.mean(axis=2), errors


def _above_middle(
    levels: NDArray[np.float64], errors: NDArray[np.float64], block: tuple[int, int]
) -> tuple[float, float]:
    """Return the level of a block above the centre of the plane, and its standard error; see `_blocks`."""
    middle = _middle(levels)
    return float(levels[block] - np.median(middle)), hypot(float(errors[block]), _roughness(middle))


def _middle(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blocks of the middle half of each axis."""
    rows, columns = levels.shape
    return levels[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]


def _roughness(levels: NDArray[np.float64]) -> float:
    """Return the scatter of neighbouring blocks about a slope, as the standard deviation of one block.

    The scatter is derived from second differences, whose variance is 6 times that of a block. Rows and columns are
    treated separately, because row banding appears in one direction and column banding in the other. With too few
    blocks, the result is infinite.
    """
    if min(levels.shape) < _FEWEST_BLOCKS:
        return inf
    down, across = (float(np.median(np.abs(np.diff(levels, 2, axis=axis)))) for axis in (0, 1))
    return SIGMA_PER_MAD * hypot(down, across) / sqrt(6)


def _place(block: tuple[int, int], shape: tuple[int, int]) -> str:
    down = _third(block[0], shape[0], "upper", "lower")
    across = _third(block[1], shape[1], "left", "right")
    if down and across:
        return f"in the {down} {across} corner"
    return f"at the {down or across} edge"


def _third(index: int, size: int, first: str, last: str) -> str:
    if 4 * index < size:
        return first
    return last if 4 * (index + 1) > 3 * size else ""
