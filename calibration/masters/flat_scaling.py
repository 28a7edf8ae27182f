"""Scaling of flat frames to one level, so that changes in illumination neither hide nor create outliers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import flats
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.histogram import LEVELS
from coldframe.calibration.measuring.statistics import central_region, median_of_counts
from coldframe.calibration.stacking.stack import Stack
from coldframe.errors import ColdframeError

REFERENCE_LEVEL = 16384
"""The common level of all flats; it leaves room in 16 bits for pixels four times as bright as the central region."""

LOWEST_RESPONSE = 0.01
"""Smallest response, as a fraction of the central region's response, of pixels with enough signal to divide by."""

LOWEST_LEVEL_ADU = 1.0

X_TRANS = "XTRANS"
"""The name of Fujifilm's 6x6 array in headers; some programs write the 36 letters of its pattern instead."""

_BAYER_PERIOD = 2
_X_TRANS_PERIOD = 6


class NoSignalError(ColdframeError):
    """A flat frame shows no signal above its dark flat."""


class FlatScaler:
    """A scaler that brings flat frames to one level before they are combined.

    The dark is subtracted from each frame. The result is multiplied by `REFERENCE_LEVEL` divided by the frame's level,
    which is the median of the central region, and is rounded to 16 bits. With a colour filter array, each of the four
    positions in the 2x2 pattern has its own level. The rounding adds noise of 0.29 to values of about 16,384. For flats
    with up to 300,000 electrons per pixel, this is less than 1 % of the photon noise. The result does not depend on
    where the pattern begins, so frames of any region of the sensor are treated in the same way. For X-Trans arrays, all
    pixels share one level, on the assumption that the colour of the illumination does not drift within a set.

    Parameters
    ----------
    dark
        float32, shape (height, width): master dark flat or bias, ADU; or a single level for all pixels.
    cfa_pattern
        Colour filter array, such as "RGGB"; None for a monochrome sensor. See `cfa_period`.

    Raises
    ------
    ValueError
        If the pattern is unknown.
    """

    def __init__(self, dark: NDArray[np.float32] | float, cfa_pattern: str | None = None) -> None:
        self._dark = dark
        self._period = cfa_period(cfa_pattern)
        self._scaled = np.empty((0, 0), np.uint16)

    def scale(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Return a flat frame scaled to `REFERENCE_LEVEL`, in a buffer that the next call overwrites.

        Parameters
        ----------
        pixels
            uint16, shape (height, width).

        Raises
        ------
        NoSignalError
            If the level above the dark is below 1 ADU.
        ValueError
            If the dark has a different shape.
        """
        return self.scale_by(self.factors(pixels), pixels)

    def scale_by(self, factors: NDArray[np.float32], pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Subtract the dark from a flat frame and multiply the result by the given `factors`; see `scale`."""
        if self._scaled.shape != pixels.shape:
            self._scaled = np.empty(pixels.shape, np.uint16)
        flats.scale_signals(pixels, self._dark_for(pixels.shape), factors, self._scaled)
        return self._scaled

    def factors(self, pixels: NDArray[np.uint16] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the factors that scale a flat frame, after subtraction of the dark, to `REFERENCE_LEVEL`.

        Parameters
        ----------
        pixels
            uint16 or float32, shape (height, width).

        Returns
        -------
        NDArray[np.float32]
            Shape (2, 2): by row and column of the colour filter array's pattern.

        Raises
        ------
        NoSignalError
            If the level above the dark is below 1 ADU.
        ValueError
            If the dark has a different shape.
        """
        dark = self._dark_for(pixels.shape)
        region = central_region(pixels.shape)
        factors = np.empty((2, 2), np.float32)
        # Only 2x2 patterns have a level for each position; the central region begins on an even row and column.
        for row, column, phase in _phases(self._period if self._period == _BAYER_PERIOD else 1):
            level = _level(pixels[region][phase], dark[region][phase])
            if level < LOWEST_LEVEL_ADU:
                raise NoSignalError(f"the flat's level is {level:.1f} ADU above its dark: no light reached the sensor")
            factors[row:, column:] = REFERENCE_LEVEL / level
        return factors

    def _dark_for(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if isinstance(self._dark, float | int):
            self._dark = np.full(shape, self._dark, np.float32)
        if self._dark.shape != shape:
            raise ValueError(f"a dark of shape {self._dark.shape} cannot be subtracted from a flat of shape {shape}")
        return self._dark


def mean_level_adu(factors: Sequence[NDArray[np.float32]]) -> float:
    """Return the mean level of flats above their dark in the brightest colour, ADU.

    Parameters
    ----------
    factors
        Factors of each frame, shape (2, 2) each, in any order; see `FlatScaler.factors`.
    """
    brightest = (REFERENCE_LEVEL / float(each.min()) for each in factors)
    return math.fsum(brightest) / len(factors)  # `fsum` rounds only once, so the order of the frames does not matter


def with_dark_noise(
    stack: Stack, dark_uncertainty: NDArray[np.float32], factors: Sequence[NDArray[np.float32]]
) -> Stack:
    """Return the stack of scaled flats, with the error of their dark added to its uncertainty.

    All frames share the same dark, so the error of the dark neither averages out nor appears in the scatter of the
    frames. For any number of frames, the error that enters the mean is this error multiplied by the mean factor.

    Parameters
    ----------
    stack
        The stack of frames from `FlatScaler`.
    dark_uncertainty
        float32, shape (height, width), ADU: standard error of the dark; 0 or NaN where it is unknown.
    factors
        Factors of each frame, shape (2, 2) each, in any order.
    """
    # `fsum` rounds only once, at the end, so the result does not depend on the order of the frames.
    mean_factors = [
        [math.fsum(column) / len(factors) for column in zip(*row, strict=True)] for row in zip(*factors, strict=True)
    ]
    uncertainty = np.empty_like(stack.uncertainty)
    for row, column, phase in _phases(_BAYER_PERIOD):
        shared = np.nan_to_num(dark_uncertainty[phase]) * np.float32(mean_factors[row][column])
        uncertainty[phase] = np.sqrt(stack.uncertainty[phase] ** 2 + shared**2)
    return replace(stack, uncertainty=uncertainty)


def flat_response(stack: Stack, cfa_pattern: str | None = None) -> tuple[Stack, NDArray[np.bool_]]:
    """Turn the stack of scaled flats into the master flat by normalising it.

    Parameters
    ----------
    stack
        The stack of frames from `FlatScaler`.
    cfa_pattern
        Colour filter array, as for `FlatScaler`.

    Returns
    -------
    response
        The normalised stack. Its mean over all pixels with signal is 1; with a colour filter array, the mean is 1 for
        each position in the pattern. Pixels without signal have a value of 1 and an uncertainty of 0, so that dividing
        by them changes nothing.
    dead
        bool, shape (height, width): True where the response is below 0.01 of the central region's response.
    """
    mean = stack.mean / np.float32(REFERENCE_LEVEL)
    uncertainty = stack.uncertainty / np.float32(REFERENCE_LEVEL)
    dead = mean < LOWEST_RESPONSE
    for _, _, phase in _phases(cfa_period(cfa_pattern)):
        alive = ~dead[phase]
        norm = np.float32(mean[phase].mean(where=alive, dtype=np.float64)) if alive.any() else np.float32(1)
        mean[phase] /= norm
        uncertainty[phase] /= norm
    mean[dead] = 1
    uncertainty[dead] = 0
    # Rounding is insignificant for flats, whose noise spans many steps.
    return replace(stack, mean=mean, uncertainty=uncertainty, rounding_adu2=0.0), dead


def cfa_period(cfa_pattern: str | None) -> int:
    """Return the period of a colour filter array in rows and columns: 1 for mono, 2 for Bayer, 6 for X-Trans.

    Raises
    ------
    ValueError
        If the pattern is of any other kind.
    """
    if cfa_pattern is None:
        return 1
    if cfa_pattern in BAYER_PATTERNS:
        return _BAYER_PERIOD
    name, _, _ = cfa_pattern.partition("+")  # the text after "+" gives the pattern's origin
    if name == X_TRANS or (len(name) == _X_TRANS_PERIOD**2 and set(name) == set("RGB")):
        return _X_TRANS_PERIOD
    raise ValueError(
        f"colour filter array {cfa_pattern[:40]!r}: only 2x2 patterns, such as RGGB, and X-Trans are supported"
    )


def _phases(period: int) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Yield each position in a pattern: row, column, and the slice of all pixels at this position."""
    for row in range(period):
        for column in range(period):
            yield row, column, (slice(row, None, period), slice(column, None, period))


def _level(pixels: NDArray[np.uint16] | NDArray[np.float32], dark: NDArray[np.float32]) -> float:
    """Return the median signal of a region above its dark, ADU."""
    if pixels.dtype != np.uint16:
        return float(np.median(pixels - dark))
    counts = np.zeros(LEVELS, np.uint32)
    flats.count_signals(cast("NDArray[np.uint16]", pixels), dark, counts)
    return _median_within_step(counts.astype(np.int64))


def _median_within_step(counts: NDArray[np.int64]) -> float:
    """Return the median of rounded values, interpolated within the rounding step (the median of grouped data).

    The values within a step are assumed to be distributed evenly. Without the interpolation, the level would jump by
    whole ADU from frame to frame.
    """
    step = int(median_of_counts(counts))
    if counts[step] == 0:
        return median_of_counts(counts)
    below = int(counts[:step].sum())
    return step - 0.5 + (int(counts.sum()) / 2 - below) / int(counts[step])
