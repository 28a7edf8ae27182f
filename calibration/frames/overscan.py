"""Subtraction and trimming of the overscan, whose unexposed pixels record the bias level of each line.

In the header, BIASSEC is the section of the overscan strip, and TRIMSEC or DATASEC is the section of the image.
Sections are 1-based and include both ends, according to NOAO's conventions (FITS keyword dictionary,
https://noirlab.edu/science/).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD
from coldframe.calibration.stacking.stack import Stack
from coldframe.errors import ColdframeError

Header = Mapping[str, HeaderValue]
Method = Literal["row", "smooth"]
OverscanChoice = Literal["none", "row", "smooth"]
Pixels = NDArray[np.uint16] | NDArray[np.float32]

PEDESTAL_ADU = 1024
"""Level added to corrected frames so that noise is not clipped at zero; it is far larger than any read noise."""

STEPS_PER_ADU = 1024
"""Number of steps in one ADU; levels are whole numbers of steps, so that sums do not depend on the order of frames."""

KAPPA = 4.0
"""Values more than this many sigma from the median of their line are excluded as cosmic rays or trailed charge."""

SMOOTHED_LINES = 101
"""Number of lines to which the parabola is fitted."""

STRAY_SIGMA = 5.0
"""A level that is more than this many sigma from the running median of the levels is replaced by this median."""

_NEIGHBOURS = 51
_SECTION = re.compile(r"\[(\d{1,6}):(\d{1,6}),(\d{1,6}):(\d{1,6})\]")
_NO_SECTION = frozenset({"", "N/A", "NONE", "UNKNOWN", "[0:0,0:0]"})
_LONGEST_SHOWN = 40
_SHORTEST_WINDOW = 5
_METHODS: tuple[Method, ...] = ("row", "smooth")
_OF_THE_WHOLE_CHIP = frozenset({"BIASSEC", "TRIMSEC", "DATASEC", "CCDSEC"})


class OverscanError(ColdframeError):
    """The sections in a header are inconsistent; the message names the sections and the reason."""


class Section(NamedTuple):
    """A rectangle in a frame, in rows and columns counted from 0; the end indices are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    def __str__(self) -> str:
        return f"[{self.left + 1}:{self.right},{self.top + 1}:{self.bottom}]"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the section."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Slices of the section's rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Sections(NamedTuple):
    """Locations of overscan and image in a frame.

    Attributes
    ----------
    strip
        The overscan.
    kept
        The image, which remains after trimming.
    """

    strip: Section
    kept: Section

    @property
    def beside(self) -> bool:
        """True if the strip is to the left or right of the image; False if it is above or below the image.

        A strip to the left or right yields a level for each row; a strip above or below yields a level for each column.
        """
        return self.strip.right <= self.kept.left or self.strip.left >= self.kept.right


class Corrected(NamedTuple):
    """A frame after subtraction and trimming of its overscan.

    Attributes
    ----------
    pixels
        Kept section of the frame, minus the level in whole ADU, plus `PEDESTAL_ADU`; uint16 or float32 like the frame.
    rest
        Remainder of each line's level after rounding: int32, shape (height,) or (width,), in steps of 1 /
        `STEPS_PER_ADU` ADU.
    """

    pixels: Pixels
    rest: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Overscan:
    """The method for subtracting the overscan of a frame.

    The level of a line is the mean of the line's pixels in the strip, excluding values more than `KAPPA` sigma from the
    median of the line; sigma is derived from the median absolute deviation of the whole strip. With the method "row",
    this level is subtracted. The error of the level (the read noise divided by the square root of the strip's width)
    then appears as a stripe along the line. With the method "smooth", a level that deviates by more than 5 sigma from
    the running median of 51 lines is first replaced by this median. The level that is then subtracted is taken from a
    parabola fitted to the levels of the 101 surrounding lines or, at the ends, of the outermost 101 lines (A. Savitzky
    and M. Golay 1964, Analytical Chemistry 36, 1627). The error of the parabola is 0.15 times the error of the level of
    a single line.

    Attributes
    ----------
    sections
        Location of the overscan.
    method
        "row" or "smooth".
    """

    sections: Sections
    method: Method

    def __str__(self) -> str:
        return f"{self.method} {self.sections.strip}"

    @property
    def cards(self) -> list[Card]:
        """Header cards that describe the subtraction."""
        return [
            Card("OVERSCAN", str(self), "method and section of the subtraction"),
            Card("TRIM", str(self.sections.kept), "part of the raw frame that was kept"),
        ]

    def level_steps(self, pixels: Pixels) -> NDArray[np.int32]:
        """Return the level of each line of the kept section, in steps of 1 / `STEPS_PER_ADU` ADU.

        Parameters
        ----------
        pixels
            Whole frame, shape (height, width).
        """
        strip, kept = self.sections
        if self.sections.beside:
            levels = _levels(pixels[kept.top : kept.bottom, strip.left : strip.right])
        else:
            levels = _levels(pixels[strip.top : strip.bottom, kept.left : kept.right].T)
        if self.method == "smooth":
            levels = _smoothed(levels)
        return np.rint(levels * STEPS_PER_ADU).astype(np.int32)

    def correct(self, pixels: Pixels) -> Corrected:
        """Return a frame after subtracting and trimming its overscan.

        Parameters
        ----------
        pixels
            Whole frame, uint16 or float32, shape (height, width).
        """
        steps = self.level_steps(pixels)
        whole = (steps + STEPS_PER_ADU // 2) // STEPS_PER_ADU
        lowered = self._lines(whole - PEDESTAL_ADU)
        kept = pixels[self.sections.kept.slices]
        rest = steps - whole * STEPS_PER_ADU
        if pixels.dtype == np.uint16:
            return Corrected(np.clip(kept.astype(np.int32) - lowered, 0, 65535).astype(np.uint16), rest)
        return Corrected(kept - lowered.astype(np.float32), rest)

    def correct_words(self, pixels: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Return a raw frame without its overscan, and the remainder of each line's level; see `correct`."""
        corrected, rest = self.correct(pixels)
        return corrected.astype(np.uint16, copy=False), rest

    def signal(self, pixels: Pixels) -> NDArray[np.float32]:
        """Return the kept section of a frame minus its level, in ADU as float32; see `correct` for the parameters."""
        levels = self.level_steps(pixels).astype(np.float64) / STEPS_PER_ADU
        return np.asarray(pixels[self.sections.kept.slices] - self._lines(levels), np.float32)

    def restored(self, stack: Stack, rests: Iterable[NDArray[np.int32]]) -> Stack:
        """Return the stack of corrected frames after subtracting the pedestal and the remainders left by rounding.

        The remainders are averaged over all frames, including frames whose value at a pixel was rejected; the resulting
        error is below half an ADU times the rejected fraction.

        Parameters
        ----------
        stack
            Stack of frames returned by `correct`; the frames must not be flats.
        rests
            Remainders of each frame, in any order.
        """
        total = np.sum(list(rests), axis=0, dtype=np.int64)
        lines: NDArray[np.float64] = PEDESTAL_ADU + np.asarray(total, np.float64) / (stack.frames * STEPS_PER_ADU)
        extra = self._lines(lines)
        return replace(stack, mean=(stack.mean - extra).astype(np.float32))

    def _lines(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values, one per line, in a shape that can be added to the kept section."""
        return values[:, None] if self.sections.beside else values[None, :]


def sections_of(header: Header, shape: tuple[int, int]) -> Sections | None:
    """Return the location of a raw frame's overscan, or None if the header declares no overscan.

    Parameters
    ----------
    header
        Untrusted header of the frame.
    shape
        Height and width of the frame.

    Raises
    ------
    OverscanError
        If the sections are malformed or lie outside the frame, or if the strip does not lie along a whole side of the
        image.
    """
    strip = _section(header, "BIASSEC", shape)
    if strip is None:
        return None
    kept = _section(header, "TRIMSEC", shape) or _section(header, "DATASEC", shape)
    if kept is None:
        raise OverscanError(f"the header has BIASSEC {strip}, but no TRIMSEC or DATASEC: the image section is unknown")
    beside = strip.right <= kept.left or strip.left >= kept.right
    across = strip.bottom <= kept.top or strip.top >= kept.bottom
    covers_rows = strip.top <= kept.top and strip.bottom >= kept.bottom
    covers_columns = strip.left <= kept.left and strip.right >= kept.right
    if not (beside and covers_rows) and not (across and covers_columns):
        raise OverscanError(f"BIASSEC {strip} does not lie along a whole side of TRIMSEC {kept}")
    return Sections(strip, kept)


def subtracted_of(header: Header) -> Overscan | None:
    """Return the overscan subtraction that the header of a coldframe master declares, or None."""
    method, _, strip = str(header.get("OVERSCAN", "")).partition(" ")
    where = _SECTION.fullmatch(strip), _SECTION.fullmatch(str(header.get("TRIM", "")))
    for known in _METHODS:
        if known == method and where[0] is not None and where[1] is not None:
            return Overscan(Sections(_counted_from_0(where[0]), _counted_from_0(where[1])), known)
    return None


def corrected_header(header: Header, overscan: Overscan) -> dict[str, HeaderValue]:
    """Return the header of a raw frame, adapted to its kept section and without the sections of the whole chip."""
    kept = overscan.sections.kept
    cards = {keyword: value for keyword, value in header.items() if keyword not in _OF_THE_WHOLE_CHIP}
    moved: list[tuple[str, int]] = [("CRPIX1", -kept.left), ("CRPIX2", -kept.top)]
    if "BAYERPAT" in cards or "COLORTYP" in cards:
        cards = {"XBAYROFF": 0, "YBAYROFF": 0} | cards
        moved += [("XBAYROFF", kept.left), ("YBAYROFF", kept.top)]
    for keyword, by in moved:
        value = cards.get(keyword)
        if isinstance(value, int | float):
            cards[keyword] = value + by
    return cards


def corrected_copy(image: ImageFile, overscan: Overscan, folder: Path) -> tuple[ImageFile, NDArray[np.int32]]:
    """Write a copy of a frame without its overscan into a folder; return the copy and the remainders left by rounding.

    The copy keeps the header of the whole frame. 8- and 16-bit frames become 16-bit frames; all other frames become
    32-bit floats. See `Overscan.correct`.

    Raises
    ------
    FrameFileError
        If the frame cannot be read.
    """
    pixels, rest = overscan.correct(image.pixels())
    whole = pixels.dtype == np.uint16
    words = (pixels.astype(np.uint16) ^ BZERO).astype(">u2") if whole else pixels.astype(">f4")
    with NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(words.data)
    bits, zero = (16, BZERO) if whole else (-32, 0)
    shape = overscan.sections.kept.shape
    return ImageFile(image.path, Path(file.name), 0, shape, bits, zero, 1, image.header), rest


def _section(header: Header, keyword: str, shape: tuple[int, int]) -> Section | None:
    text = "".join(str(header.get(keyword, "")).split())
    if text.upper() in _NO_SECTION:
        return None
    height, width = shape
    across, _, down = text.strip("[]").partition(",")
    # IRAF and NOAO write * for a whole axis.
    whole = f"[{across if across != '*' else f'1:{width}'},{down if down != '*' else f'1:{height}'}]"
    numbers = _SECTION.fullmatch(whole if "*" in text else text)
    if numbers is None:
        raise OverscanError(f"{keyword} {_shown(text)} is not of the form [x1:x2,y1:y2]")
    section = _counted_from_0(numbers)
    if not (0 <= section.left < section.right <= width and 0 <= section.top < section.bottom <= height):
        raise OverscanError(f"{keyword} {text} is not within the frame of {width} x {height} pixels")
    return section


def _shown(text: str) -> str:
    """Shorten untrusted text so that it fits on one line."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def _counted_from_0(numbers: re.Match[str]) -> Section:
    left, right, top, bottom = (int(number) for number in numbers.groups())
    return Section(top - 1, bottom, left - 1, right)


def _levels(strip: Pixels) -> NDArray[np.float64]:
    """Return the clipped mean of each row of a strip."""
    values = strip.astype(np.float64)
    off = values - np.median(values, axis=1, keepdims=True)
    # If most values of a line are equal, its noise is of the order of one ADC step.
    sigma = max(SIGMA_PER_MAD * float(np.median(np.abs(off))), _step_adu(strip) / 2)
    levels: NDArray[np.float64] = np.mean(values, axis=1, where=np.abs(off) <= KAPPA * sigma)
    return levels


def _step_adu(strip: Pixels) -> int:
    """Return the largest power of two that divides all values, such as 16 for 12-bit data scaled to 16 bits."""
    if strip.dtype.kind == "f":
        return 1
    bits = int(np.bitwise_or.reduce(strip, axis=None))
    return bits & -bits or 1


def _smoothed(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the levels smoothed along the strip, as `Overscan` describes."""
    levels = _without_strays(levels)
    window = min(SMOOTHED_LINES, levels.size - 1 + levels.size % 2)
    if window < _SHORTEST_WINDOW:
        return np.full_like(levels, levels.mean())
    basis = np.vander(np.linspace(-1, 1, window), 3)
    fit = basis @ np.linalg.pinv(basis)
    half = window // 2
    return np.concatenate(
        [
            fit[:half] @ levels[:window],
            np.convolve(levels, fit[half][::-1], "valid"),
            fit[half + 1 :] @ levels[-window:],
        ]
    )


def _without_strays(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    half = min(_NEIGHBOURS, levels.size) // 2
    around = np.lib.stride_tricks.sliding_window_view(np.pad(levels, half, mode="symmetric"), 2 * half + 1)
    running = np.median(around, axis=1)
    off = np.abs(levels - running)
    return np.where(off > STRAY_SIGMA * SIGMA_PER_MAD * np.median(off), running, levels)
