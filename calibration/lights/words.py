"""The calibration of whole lights, band by band, to 16-bit integers or to floating-point numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import lights
from coldframe.calibration.lights.arithmetic import F32, Correction, Mask, check_shape
from coldframe.calibration.lights.pixels import LightPixels, Pixels

PEDESTAL_STEP_ADU = 100
"""Step of the pedestals that are chosen automatically for 16-bit results."""

MOST_PEDESTAL_ADU = 1000
"""Largest pedestal that is chosen automatically; a larger pedestal would reduce the range of all pixels because of a
few hot pixels in the dark."""


def pedestal_for(lowest_adu: float) -> int:
    """Return the smallest multiple of 100 ADU, from 100 to 1000, that keeps all pixels above zero if possible."""
    needed = -(lowest_adu // PEDESTAL_STEP_ADU) * PEDESTAL_STEP_ADU
    return int(min(max(needed, PEDESTAL_STEP_ADU), MOST_PEDESTAL_ADU))


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A calibrated light in 16 bits.

    Attributes
    ----------
    pixels
        uint16, shape (height, width): the signal plus the pedestal.
    pedestal_adu
        The level that was added to every pixel.
    below, above
        Numbers of pixels clipped at 0 and at 65,535.
    """

    pixels: NDArray[np.uint16]
    pedestal_adu: float
    below: int
    above: int


def to_words(
    pixels: LightPixels,
    planes: Correction,
    bad: Mask | None,
    pedestal_adu: float | None,
    into: NDArray[np.uint16] | None = None,
) -> Words:
    """Calibrate one light and round it to 16 bits, without a floating-point array of its size.

    Parameters
    ----------
    pixels
        As for `calibrate`.
    planes
        The planes of the light's recipe; their variances are not used.
    bad
        bool, shape (height, width): pixels whose signal is set to zero; None if there are none.
    pedestal_adu
        Level to add; None to add a level that keeps the pixels above zero (see `pedestal_for`).
    into
        uint16, contiguous, same shape: the array for the result; None to use a new array.

    Raises
    ------
    MismatchError
        If the shape of the masters differs from that of the light.
    """
    check_shape(pixels.shape, planes)
    words = np.empty(pixels.shape, np.uint16) if into is None else into

    def round_all(added: float) -> tuple[int, int, int]:
        counts = np.zeros(3, np.int64)
        for rows, arrays in _flat_bands(pixels, planes, bad):
            counts += lights.calibrate_to_words(*arrays, -PEDESTAL_STEP_ADU, added, words[rows].reshape(-1))
        lower, below, above = counts.tolist()
        return lower, below, above

    # Hardly any light needs more than the smallest pedestal, so this pedestal is tried before the lowest signal is
    # known.
    added = PEDESTAL_STEP_ADU if pedestal_adu is None else pedestal_adu
    lower, below, above = round_all(added)
    if pedestal_adu is None and lower:
        added = pedestal_for(min(lights.lowest_signal(*arrays) for _, arrays in _flat_bands(pixels, planes, bad)))
        _, below, above = round_all(added)
    return Words(words, added, below, above)


def to_floats(pixels: LightPixels, planes: Correction, bad: Mask | None, pedestal_adu: float | None) -> F32:
    """Calibrate one light without its uncertainty: float32, shape (height, width); see `to_words`."""
    check_shape(pixels.shape, planes)
    signal = np.empty(pixels.shape, np.float32)
    for rows, arrays in _flat_bands(pixels, planes, bad):
        lights.calibrate_to_floats(*arrays, pedestal_adu or 0, signal[rows].reshape(-1))
    return signal


def _flat_bands(
    pixels: LightPixels, planes: Correction, bad: Mask | None
) -> Iterator[tuple[slice, tuple[Pixels, F32, F32, Mask]]]:
    """Yield the rows of each band and, as one-dimensional arrays, its pixels, its planes and its bad pixels."""
    for rows, band in pixels.bands():
        flags = np.zeros(0, np.bool_) if bad is None else bad[rows].reshape(-1)
        yield rows, (band.reshape(-1), planes.subtracted[rows].reshape(-1), planes.response[rows].reshape(-1), flags)
