"""The calibration of a light band by band: each band is complete before the next one is read, so no plane is held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.kernels import lights
from coldframe.calibration.lights.arithmetic import F32, Correction, Mask, calibrate
from coldframe.calibration.lights.mending import FARTHEST, mend
from coldframe.calibration.lights.pixels import LightPixels, Pixels

_BAND_ROWS = 128
"""Number of rows in a band, which stays in the processor's cache."""

_SKY_ROWS = 256
"""Number of rows in a band for the uncertainty; the level of the sky, for the photon noise, is averaged within it."""

PEDESTAL_STEP_ADU = 100
"""Step of the pedestals that are chosen automatically for 16-bit results."""

MOST_PEDESTAL_ADU = 1000
"""Largest such pedestal; a larger one would reduce the range of all pixels because of a few hot pixels in the dark."""


def pedestal_for(lowest_adu: float) -> int:
    """Return the smallest pedestal that keeps all pixels above zero, as a multiple of 100 ADU from 100 to 1000."""
    needed = -(lowest_adu // PEDESTAL_STEP_ADU) * PEDESTAL_STEP_ADU
    return int(min(max(needed, PEDESTAL_STEP_ADU), MOST_PEDESTAL_ADU))


@dataclass(frozen=True, slots=True)
class Photons:
    """The properties of a light that determine its photon noise.

    Attributes
    ----------
    e_per_adu
        Electrons per ADU; None omits photon noise from the uncertainty.
    period
        Distance between pixels of the same colour; see `calibrate`.
    """

    e_per_adu: float | None
    period: int


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """How to calibrate the bands of a light.

    Attributes
    ----------
    planes
        The planes of the light's recipe; their variances are used only for the uncertainty.
    kind
        Type of the signal: float32, or uint16 to round to 16 bits.
    defects
        Pixels to treat as defective; None for none.
    mending_period
        Distance between pixels of the same colour, for the replacement of defects; None to set them to NaN.
    photons
        The photon noise, for the uncertainty; None for no uncertainty.
    """

    planes: Correction
    kind: type[np.uint16 | np.float32]
    defects: BadPixels | None = None
    mending_period: int | None = 1
    photons: Photons | None = None

    @property
    def kinds(self) -> list[type[np.uint16 | np.float32]]:
        """Types of the signal and, if it is requested, of the uncertainty."""
        return [self.kind] if self.photons is None else [self.kind, np.float32]

    @property
    def band_rows(self) -> int:
        """Number of rows in a band."""
        return _BAND_ROWS if self.photons is None else _SKY_ROWS

    @property
    def reach(self) -> int:
        """Number of neighbouring rows that a row needs for the replacement of its defects; an even number."""
        if self.defects is None or self.mending_period is None:
            return 0
        return -(-FARTHEST * self.mending_period // 2) * 2

    def flat(self, rows: slice, band: Pixels) -> tuple[Pixels, F32, F32, Mask]:
        """Return as flat arrays: the raw pixels of a band, its planes and its bad pixels."""
        flags = np.zeros(0, np.bool_) if self.defects is None else self.defects.bad[rows].reshape(-1)
        planes = self.planes
        return band.reshape(-1), planes.subtracted[rows].reshape(-1), planes.response[rows].reshape(-1), flags


@dataclass(slots=True)
class Counts:
    """Numbers of pixels.

    Attributes
    ----------
    lower
        Pixels with a signal that the smallest automatic pedestal would not keep above zero; only for 16 bits.
    below, above
        Pixels clipped at 0 and at 65,535.
    unmended
        Defects without a good neighbour.
    """

    lower: int = 0
    below: int = 0
    above: int = 0
    unmended: int = 0


def lowest_signal(pixels: LightPixels, method: Method) -> float:
    """Return the lowest signal of a light, ADU."""
    return min(lights.lowest_signal(*method.flat(rows, band)) for rows, band in pixels.bands(method.band_rows))


def calibrated_bands(
    pixels: LightPixels, method: Method, pedestal_adu: float, counts: Counts
) -> Iterator[tuple[int, list[Pixels]]]:
    """Yield the calibrated rows of a light in ascending order, an even number at a time except at the end.

    Parameters
    ----------
    pixels
        The raw light: uint16, or float32 after subtraction of the overscan; its shape is that of the planes.
    method
        How to calibrate it.
    pedestal_adu
        Level to add to the signal.
    counts
        Receives the numbers of pixels.

    Yields
    ------
    first, planes
        The number of the first row, and the rows of the signal and, if requested, of its uncertainty. The next rows
        overwrite them. The signal of a defect that cannot be replaced is zero.
    """
    window = _Window(pixels.shape, method)
    for rows, band in pixels.bands(method.band_rows):
        signal, *others = window.space(rows)
        _calibrate_signal(method, rows, band, pedestal_adu, signal, counts)
        for uncertainty in others:
            _calculate_uncertainty(method, rows, band, uncertainty)
        ready = window.ready(rows)
        if method.defects is not None:
            counts.unmended += _treat(method, method.defects, window, ready)
        yield ready.start, window.planes(ready)


class _Window:
    """The rows of the planes of a light that are not complete, and the complete rows that mending still needs.

    Parameters
    ----------
    shape
        Height and width of the light.
    method
        How to calibrate the light.
    """

    def __init__(self, shape: tuple[int, ...], method: Method) -> None:
        self._height, width = shape
        self._reach = method.reach
        rows = method.band_rows + 2 * method.reach
        self._arrays: list[Pixels] = [np.empty((rows, width), kind) for kind in method.kinds]
        self._complete = 0
        self.held = slice(0, 0)
        """The rows of the light that the window contains."""

    def space(self, rows: slice) -> list[Pixels]:
        """Return the places for the next rows of each plane, after discarding rows that are no longer needed."""
        kept = slice(max(self._complete - self._reach, 0), rows.start)
        for array, old in zip(self._arrays, self.planes(kept), strict=True):
            array[: len(old)] = old
        self.held = slice(kept.start, rows.stop)
        return self.planes(rows)

    def ready(self, rows: slice) -> slice:
        """Return the rows that can be completed after `rows` have been calibrated."""
        first = self._complete
        self._complete = rows.stop if rows.stop == self._height else rows.stop - self._reach
        return slice(first, self._complete)

    def planes(self, rows: slice) -> list[Pixels]:
        """Return rows of the light in each plane."""
        return [array[rows.start - self.held.start : rows.stop - self.held.start] for array in self._arrays]


def _calibrate_signal(
    method: Method, rows: slice, band: Pixels, pedestal_adu: float, signal: Pixels, counts: Counts
) -> None:
    """Calibrate a band, with zero as the signal of bad pixels."""
    into = signal.reshape(-1)
    if method.kind is np.float32:
        lights.calibrate_to_floats(*method.flat(rows, band), pedestal_adu, into)
        return
    lower, below, above = lights.calibrate_to_words(*method.flat(rows, band), -PEDESTAL_STEP_ADU, pedestal_adu, into)
    counts.lower += lower
    counts.below += below
    counts.above += above


def _calculate_uncertainty(method: Method, rows: slice, band: Pixels, uncertainty: F32) -> None:
    """Write the standard error of a band."""
    assert method.photons is not None
    known = band
    if method.defects is not None:  # defects become NaN, so that they do not influence their neighbours' photon noise
        known = band.astype(np.float32)
        np.copyto(known, np.nan, where=method.defects.bad[rows])
    calibrate(known, method.planes.band(rows), method.photons.e_per_adu, method.photons.period, uncertainty)


def _treat(method: Method, defects: BadPixels, window: _Window, ready: slice) -> int:
    """Replace the defects in the rows that are ready, or set them to NaN; return the number of unreplaced defects."""
    if method.mending_period is None:
        for plane in window.planes(ready):
            plane[defects.bad[ready]] = np.nan
        return 0
    first, last = np.searchsorted(defects.places[0], (ready.start, ready.stop))
    places = defects.places[:, first:last] - np.array([[window.held.start], [0]])
    signal, *others = window.planes(window.held)
    uncertainty = others[0] if others else None
    return mend(signal, uncertainty, defects.bad[window.held], method.mending_period, places)
