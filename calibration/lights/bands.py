"""The calibration of a light band by band: each band is complete before the next one is read, so no plane is held."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.kernels import lights
from coldframe.calibration.lights.arithmetic import F32, Correction, Mask, calibrate
from coldframe.calibration.lights.mending import FARTHEST, mend
from coldframe.calibration.lights.pixels import LightPixels, Pixels

BAND_ROWS = 256
"""Number of rows in a band. The level of the sky, for the photon noise, is averaged within a band, so this number
influences uncertainties."""

PEDESTAL_STEP_ADU = 100
"""Step of the pedestals that are chosen automatically for 16-bit results."""

MOST_PEDESTAL_ADU = 1000
"""Largest pedestal that is chosen automatically; a larger pedestal would reduce the range of all pixels because of a
few hot pixels in the dark."""


def pedestal_for(lowest_adu: float) -> int:
    """Return the smallest multiple of 100 ADU, from 100 to 1000, that keeps all pixels above zero if possible."""
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
    def reach(self) -> int:
        """Number of neighbouring rows that a row needs for the replacement of its defects; an even number."""
        if self.defects is None or self.mending_period is None:
            return 0
        return -(-FARTHEST * self.mending_period // 2) * 2

    def flat(self, rows: slice, band: Pixels) -> tuple[Pixels, F32, F32, Mask]:
        """Return as one-dimensional arrays: the raw pixels of a band, its planes and its bad pixels."""
        flags = np.zeros(0, np.bool_) if self.defects is None else self.defects.bad[rows].reshape(-1)
        planes = self.planes
        return band.reshape(-1), planes.subtracted[rows].reshape(-1), planes.response[rows].reshape(-1), flags


class Rows(NamedTuple):
    """Rows of a calibrated light.

    Attributes
    ----------
    signal
        uint16 or float32, shape (rows, width), including the pedestal.
    uncertainty
        float32, same shape: standard error of the signal; None if it was not requested.
    """

    signal: NDArray[np.uint16] | F32
    uncertainty: F32 | None

    def part(self, rows: slice) -> "Rows":
        """Return some of the rows."""
        return Rows(self.signal[rows], None if self.uncertainty is None else self.uncertainty[rows])


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
    return min(lights.lowest_signal(*method.flat(rows, band)) for rows, band in pixels.bands(BAND_ROWS))


def calibrated_bands(
    pixels: LightPixels, method: Method, pedestal_adu: float, counts: Counts
) -> Iterator[tuple[int, Rows]]:
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
    first, rows
        The number of the first row, and the rows; the next rows overwrite them. The signal of a defect that cannot be
        replaced is zero.
    """
    window = _Window(pixels.shape, method)
    for rows, band in pixels.bands(BAND_ROWS):
        space = window.space(rows)
        lower, below, above = _calibrate_signal(method, rows, band, pedestal_adu, space.signal)
        counts.lower += lower
        counts.below += below
        counts.above += above
        if space.uncertainty is not None:
            _calculate_uncertainty(method, rows, band, space.uncertainty)
        ready = window.ready(rows)
        if method.defects is not None:
            counts.unmended += _treat(method, method.defects, window, ready)
        yield ready.start, window.rows(ready)


class _Window:
    """The rows of a light that are not complete, and the complete rows whose pixels their defects still need.

    Parameters
    ----------
    shape
        Height and width of the light.
    method
        How to calibrate the light.

    Attributes
    ----------
    held
        The rows of the light that the window contains.
    """

    def __init__(self, shape: tuple[int, ...], method: Method) -> None:
        self._height, width = shape
        self._reach = method.reach
        size = BAND_ROWS + 2 * method.reach, width
        signal = cast("Pixels", np.empty(size, method.kind))
        self._rows = Rows(signal, None if method.photons is None else np.empty(size, np.float32))
        self._complete = 0
        self.held = slice(0, 0)

    def space(self, rows: slice) -> Rows:
        """Return the place for the next rows, after discarding rows that are no longer needed."""
        kept = slice(max(self._complete - self._reach, 0), rows.start)
        for plane, old in zip(self._rows, self.rows(kept), strict=True):
            if plane is not None and old is not None:
                plane[: len(old)] = old
        self.held = slice(kept.start, rows.stop)
        return self.rows(rows)

    def ready(self, rows: slice) -> slice:
        """Return the rows that can be completed after `rows` have been calibrated."""
        first = self._complete
        self._complete = rows.stop if rows.stop == self._height else rows.stop - self._reach
        return slice(first, self._complete)

    def rows(self, rows: slice) -> Rows:
        """Return rows of the light."""
        return self._rows.part(slice(rows.start - self.held.start, rows.stop - self.held.start))


def _calibrate_signal(
    method: Method, rows: slice, band: Pixels, pedestal_adu: float, signal: Pixels
) -> tuple[int, int, int]:
    """Calibrate a band, with zero as the signal of bad pixels; return the first three of `Counts`."""
    arrays, into = method.flat(rows, band), signal.reshape(-1)
    if method.kind is np.float32:
        lights.calibrate_to_floats(*arrays, pedestal_adu, cast("F32", into))
        return 0, 0, 0
    return lights.calibrate_to_words(*arrays, -PEDESTAL_STEP_ADU, pedestal_adu, cast("NDArray[np.uint16]", into))


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
        for plane in window.rows(ready):
            if plane is not None:
                plane[defects.bad[ready]] = np.nan
        return 0
    first, last = np.searchsorted(defects.places[0], (ready.start, ready.stop))
    places = defects.places[:, first:last] - np.array([[window.held.start], [0]])
    return mend(*window.rows(window.held), defects.bad[window.held], method.mending_period, places)
