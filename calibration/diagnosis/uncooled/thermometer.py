"""The hot pixels of a dark as a thermometer for individual lights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.thermometer import residual_of
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels, find_hot
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.lights.arithmetic import COLOUR_PERIOD
from coldframe.calibration.lights.caveats import NOTICEABLE_C
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import read_adu_master

F32 = NDArray[np.float32]
Pixels = NDArray[np.uint16] | F32

SIGNIFICANT = 5.0
"""Smallest temperature difference, in standard errors, that is not attributed to chance."""

LARGEST_CHANGED = 0.2
"""Largest fraction of hot pixels that may differ individually. If more differ, the dark belongs to another sensor, or
it is too old to serve as a thermometer."""

MOST_LIGHTS = 5
"""Largest number of lights that are read for one temperature; their median rejects stars on hot pixels."""

_PRINTED_C = 0.05
"""Smallest standard error that is printed; a smaller one would appear as 0.0 C."""

_AROUND = np.array([(0, 0), (-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)])
"""Rows and columns of a pixel and its neighbours, relative to the pixel."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The temperature of lights relative to a dark, measured from the hot pixels.

    Attributes
    ----------
    warmer_c
        Temperature of the lights minus that of the dark, C.
    error_c
        Standard error of `warmer_c`, C.
    pixels
        Number of hot pixels.
    spread_c
        Difference between the warmest and the coldest of the lights that were read, C.
    """

    warmer_c: float
    error_c: float
    pixels: int
    spread_c: float = 0.0

    @property
    def is_noticeable(self) -> bool:
        """True if the difference is significant and large enough to matter."""
        return abs(self.warmer_c) >= max(NOTICEABLE_C, SIGNIFICANT * self.error_c)

    @property
    def error_text(self) -> str:
        """The standard error, such as " +- 0.2"; empty if it is negligible."""
        return f" +- {self.error_c:.1f}" if self.error_c >= _PRINTED_C else ""

    def __str__(self) -> str:
        state = "warmer" if self.warmer_c > 0 else "colder"
        return f"{abs(self.warmer_c):.1f}{self.error_text} C {state} ({self.pixels:,} hot pixels)"


@dataclass(frozen=True, slots=True, eq=False)
class _Dark:
    """Hot pixels of a dark with their neighbours of the same colour; measurements need no other data from the dark.

    Attributes
    ----------
    rows, columns
        Rows and columns of the hot pixels and of their neighbours: int64, shape (9, pixels).
    values
        Values of these pixels in the dark, ADU: float32, same shape.
    """

    shape: tuple[int, ...]
    hot: HotPixels
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: F32

    def excess_in(self, light: Pixels) -> F32:
        """Return the excess of each hot pixel over its neighbours, after the dark is subtracted from a light."""
        left = light[self.rows, self.columns].astype(np.float32) - self.values
        return np.asarray(left[0] - np.median(left[1:], axis=0), np.float32)


class DarkThermometer:
    """Measures the temperature of lights relative to darks; each dark is read only once.

    Parameters
    ----------
    extension
        The image to read from light files that contain several images.
    """

    def __init__(self, extension: Extension | None = None) -> None:
        self._extension = extension
        self._read: Callable[[Path], _Dark | None] = cache(_dark)

    def is_readable(self, dark: Path) -> bool:
        """Return True if a dark can be read."""
        try:
            self._read(dark)
        except FrameFileError:
            return False
        return True

    def measure(
        self, lights: Sequence[Path], darks: Iterable[Path], overscan: Overscan | None = None
    ) -> dict[Path, Measured | None]:
        """Return the temperature of the lights relative to each dark; None if its hot pixels do not show it.

        Unreadable lights are skipped. Darks that differ in size from all readable lights are missing from the result.

        Parameters
        ----------
        lights
            Lights of about the same temperature; only a few of them are read.
        darks
            The darks.
        overscan
            Overscan to subtract from the lights.

        Raises
        ------
        FrameFileError
            If a dark cannot be read.
        """
        known = {dark: self._read(dark) for dark in darks}
        excesses: dict[Path, list[F32]] = {dark: [] for dark in known}
        for light in _spread(lights):
            pixels = self._pixels(light, overscan)
            for dark, read in known.items():
                if read is not None and pixels is not None and pixels.shape == read.shape:
                    excesses[dark].append(read.excess_in(pixels))
        found = {dark: _measured(excesses[dark], read.hot) for dark, read in known.items() if read and excesses[dark]}
        return found | {dark: None for dark, read in known.items() if read is None}

    def _pixels(self, light: Path, overscan: Overscan | None) -> Pixels | None:
        """Return the pixels of a light; None if it cannot be read."""
        try:
            with scratch_folder() as folder:
                pixels = open_image(light, folder, self._extension).pixels()
        except (FrameFileError, OSError):
            return None
        return pixels if overscan is None else overscan.signal(pixels)


def _spread(lights: Sequence[Path]) -> list[Path]:
    """Return a few lights, evenly spaced."""
    count = min(len(lights), MOST_LIGHTS)
    return [lights[round(place)] for place in np.linspace(0, len(lights) - 1, count)]


def _measured(excesses: Sequence[F32], hot: HotPixels) -> Measured | None:
    residual = residual_of(excesses, hot)
    if residual is None or residual.changed > LARGEST_CHANGED:
        return None
    single = [each for excess in excesses if (each := residual_of([excess], hot)) is not None]
    warmer_c = [each.light_warmer_c for each in single]
    spread_c = max(warmer_c) - min(warmer_c)
    return Measured(residual.light_warmer_c, residual.temperature_error_c, residual.pixels, spread_c)


def _dark(path: Path) -> _Dark | None:
    """Return the hot pixels of a dark; None for filter arrays larger than 2 x 2."""
    master = read_adu_master(path)
    try:
        period = cfa_period(str(master.header.get("BAYERPAT", "")).strip() or None)
    except ValueError:
        return None
    if period > COLOUR_PERIOD:
        return None
    hot = find_hot(master, period)
    rows, columns = hot.places[:, None, :] + period * _AROUND.T[:, :, None]
    return _Dark(master.mean.shape, hot, rows, columns, master.mean[rows, columns])
