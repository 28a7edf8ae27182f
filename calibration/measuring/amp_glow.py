"""Amplifier glow in master darks: light that the readout electronics shed onto the sensor from its edges.

A smooth rise towards an edge or a corner is all that one master shows of it. Whether the rise grows with the exposure
as dark current does, a single master cannot tell; two of different exposures can, see `linearity`.
"""

from dataclasses import dataclass
from math import hypot, inf, sqrt
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD

F32 = NDArray[np.float32]

BLOCKS = 16
"""Blocks along each axis, of each of which the middle half of the values is averaged: hot pixels do not matter."""

SIGNIFICANCE = 6.0
"""So many standard errors above the middle of the frame the brightest of the 60 blocks at the edges must lie."""

LARGEST_DEPARTURE = 0.05
"""Glow counts as linear where its rates at two exposures agree to this fraction, errors included."""

HARMLESS_FRACTION = 0.05
"""A rise towards the edge by so much of the dark signal may be scaled: a slope of the sensor's temperature does it."""

_FEWEST_PIXELS = 8
_FEWEST_BLOCKS = 3
_SAMPLED = 64
"""Rows and columns of a block that are looked at: the whole of a large frame would take seconds."""


@dataclass(frozen=True, slots=True)
class AmpGlow:
    """The brightest part of a master dark's edge.

    Attributes
    ----------
    amplitude_adu
        Level of the brightest block at the edge, a 256th of the frame, above that of the frame's middle.
    error_adu
        Its standard error: noise, and the scatter of neighbouring blocks that is no smooth rise.
    level_adu
        Median of the frame's middle.
    block
        Row and column of the brightest block, of `BLOCKS` each (fewer in frames below 128 pixels).
    place
        In words, the first row of the file being the upper one.
    """

    amplitude_adu: float
    error_adu: float
    level_adu: float
    block: tuple[int, int]
    place: str

    @property
    def significant(self) -> bool:
        """True where it is more than chance."""
        return self.amplitude_adu > SIGNIFICANCE * self.error_adu

    @property
    def fraction(self) -> float:
        """Amplitude over the level; of the dark signal, where bias was subtracted."""
        return self.amplitude_adu / abs(self.level_adu) if self.level_adu else inf

    def __str__(self) -> str:
        return f"amp glow of {self.amplitude_adu:.3g} ADU {self.place}"


def measure_glow(dark: F32) -> AmpGlow:
    """Measure the brightest block at a frame's edges.

    Parameters
    ----------
    dark
        float32, shape (height, width), ADU: a master dark, bias subtracted where there is one; else what rises
        towards the edge in the bias counts as glow, too.
    """
    levels, _ = _blocks(dark)
    at_edge = np.ones(levels.shape, bool)
    at_edge[1:-1, 1:-1] = False
    row, column = np.unravel_index(np.argmax(np.where(at_edge, levels, -np.inf)), levels.shape)
    block = int(row), int(column)
    amplitude_adu, error_adu = _above_middle(dark, block)
    level_adu = float(levels[block]) - amplitude_adu
    return AmpGlow(amplitude_adu, error_adu, level_adu, block, _place(block, levels.shape))


@dataclass(frozen=True, slots=True)
class Linearity:
    """How glow grows from one exposure to another.

    Attributes
    ----------
    ratio
        Rate (amplitude over exposure) of the longer exposure over that of the shorter; 1 for linear growth.
    error
        Its standard error.
    """

    ratio: float
    error: float

    @property
    def linear(self) -> bool:
        """True where the two rates are shown to agree."""
        return abs(self.ratio - 1) + 2 * self.error <= LARGEST_DEPARTURE


def linearity(short: F32, short_s: float, long: F32, long_s: float) -> Linearity:
    """Compare the glow of two exposures, at the place where the longer one glows most.

    Parameters
    ----------
    short, long
        float32, shape (height, width), ADU: master darks, bias subtracted.
    short_s, long_s
        Their exposures.
    """
    block = measure_glow(long).block
    short_rate, _ = _above_middle(short / np.float32(short_s), block)
    # In the difference of the rates all dark current cancels that is linear, pixel by pixel.
    change, error = _above_middle(long / np.float32(long_s) - short / np.float32(short_s), block)
    if short_rate <= 0:
        return Linearity(inf, inf)
    return Linearity(1 + change / short_rate, error / short_rate)


class DarkSignal(NamedTuple):
    """A master dark without its bias: float32, shape (height, width), ADU; and its exposure, None where unknown."""

    adu: F32
    exposure_s: float | None


def scaling_fault(dark: DarkSignal, scale: float, witness: DarkSignal | None) -> str | None:
    """Return why a dark must not be scaled to another exposure, None where nothing tells against it.

    Parameters
    ----------
    dark
        What is to be scaled.
    scale
        By how much.
    witness
        A dark of another exposure, of the same shape, which shows whether the glow grows with it; None without.
    """
    glow = measure_glow(dark.adu)
    if not glow.significant or glow.fraction <= HARMLESS_FRACTION:
        return None
    advice = "shoot darks " + (f"of {dark.exposure_s * scale:g} s" if dark.exposure_s else "as long as the lights")
    if witness is None or not dark.exposure_s or not witness.exposure_s:
        return f"{glow} does not scale with time, or no dark of a second exposure shows that it does: {advice}"
    exposed = sorted([(dark.exposure_s, dark.adu), (witness.exposure_s, witness.adu)], key=itemgetter(0))
    (short_s, short), (long_s, long) = exposed
    growth = linearity(short, short_s, long, long_s)
    if growth.linear:
        return None
    return (
        f"{glow} is not shown to scale with time: from {short_s:g} to {long_s:g} s its rate changes by a factor of"
        f" {growth.ratio:.3g} +- {growth.error:.2g}; {advice}"
    )


def _blocks(dark: F32) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the midmean of each block (mean of the middle half of its values), and its standard error.

    Unlike a median it does not jump by steps of the converter. Its error is that of the winsorized values over the kept
    fraction and the root of their number (J. W. Tukey and D. H. McLaughlin 1963, Sankhya A 25, 331).
    """
    height, width = (max(min(_FEWEST_PIXELS, size), size // BLOCKS) for size in dark.shape)
    rows, columns = dark.shape[0] // height, dark.shape[1] // width
    cut = dark[: rows * height, : columns * width].reshape(rows, height, columns, width).swapaxes(1, 2)
    # Odd steps meet every colour of a filter array.
    down, across = (max(1, size // _SAMPLED) | 1 for size in (height, width))
    values = np.sort(cut[:, :, ::down, ::across].reshape(rows, columns, -1).astype(np.float64), axis=2)
    count = values.shape[2]
    quarter = count // 4
    kept = values[:, :, quarter : count - quarter]
    winsorized = np.clip(values, kept[:, :, :1], kept[:, :, -1:])
    errors = winsorized.std(axis=2) * np.sqrt(count) / kept.shape[2]
    return kept.mean(axis=2), errors


def _above_middle(plane: F32, block: tuple[int, int]) -> tuple[float, float]:
    """Return by how much a block lies above the middle of a plane, and the standard error of that."""
    levels, errors = _blocks(plane)
    middle = _middle(levels)
    return float(levels[block] - np.median(middle)), hypot(float(errors[block]), _roughness(middle))


def _middle(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blocks of the middle half of each axis."""
    rows, columns = levels.shape
    return levels[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]


def _roughness(levels: NDArray[np.float64]) -> float:
    """Return by how much neighbouring blocks differ, as the standard deviation of one; a slope does not count.

    From second differences, whose variance is 6 times that of a block; down and across are told apart, since patterns
    of rows show in the one and patterns of columns in the other. Infinite where there are too few blocks to tell.
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
