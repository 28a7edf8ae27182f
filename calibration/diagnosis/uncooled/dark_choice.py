"""The dark that fits lights without cooling best, by the hot pixels that it would leave in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.thermometer import residual_of
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels, find_hot
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import open_image, uint16_pixels
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import COLOUR_PERIOD
from coldframe.calibration.lights.caveats import NOTICEABLE_C
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import read_adu_master

F32 = NDArray[np.float32]

SIGNIFICANT = 5.0
"""Smallest temperature difference that counts, in its standard errors."""

LARGEST_CHANGED = 0.2
"""Largest fraction of hot pixels that may differ individually. With more, the dark belongs to another sensor, or is too
old to be a thermometer."""

MOST_LIGHTS = 5
"""Number of lights that are read for one temperature; their median leaves out stars on hot pixels."""

CONTRADICTION_C = 1.5
"""Largest difference between the hot pixels and the headers that their errors explain: the dark current doubles within
5 to 7 C, which for a difference of 5 C changes the result by 1 C."""

LARGEST_SPREAD_C = 2.0
"""Largest difference between lights that get the same dark. Stars on hot pixels and the errors of single lights explain
less."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The temperature of lights relative to a dark, by the hot pixels.

    Attributes
    ----------
    warmer_c
        Temperature of the lights minus that of the dark, C.
    error_c
        Standard error.
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

    def __str__(self) -> str:
        state = "warmer" if self.warmer_c > 0 else "colder"
        return f"{abs(self.warmer_c):.1f} +- {self.error_c:.1f} C {state} ({self.pixels:,} hot pixels)"


@dataclass(frozen=True, slots=True)
class DarkChoice:
    """The dark to subtract from lights without cooling.

    Attributes
    ----------
    dark
        The dark.
    measured
        Temperature of the lights relative to it; None if its hot pixels show none.
    remarks
        What the user should know, each as a sentence.
    refusal
        The reason why no dark fits; empty if `dark` does.
    """

    dark: Path
    measured: Measured | None
    remarks: tuple[str, ...] = ()
    refusal: str = ""


class DarkThermometer:
    """Measures lights with darks, and reads each dark only once."""

    def __init__(self) -> None:
        self._read: Callable[[Path], tuple[F32, HotPixels, int] | None] = cache(_dark)

    def measure(self, lights: Sequence[Path], dark: Path) -> Measured | None:
        """Return the temperature of lights relative to a dark; None if the hot pixels do not show it.

        Raises
        ------
        FrameFileError
            If a file cannot be read.
        """
        read = self._read(dark)
        if read is None:
            return None
        mean, hot, period = read
        found = (_hot_excess(light, mean, hot, period) for light in _spread(lights))
        excesses = [each for each in found if each is not None]
        residual = residual_of(excesses, hot) if excesses else None
        if residual is None or residual.changed > LARGEST_CHANGED:
            return None
        single = [each for excess in excesses if (each := residual_of([excess], hot)) is not None]
        warmer_c = [each.light_warmer_c for each in single]
        spread_c = max(warmer_c) - min(warmer_c)
        return Measured(residual.light_warmer_c, residual.temperature_error_c, residual.pixels, spread_c)

    def choose(self, lights: Mapping[Path, FrameSetup], proposed: Path, darks: Mapping[Path, FrameSetup]) -> DarkChoice:
        """Return the dark whose temperature is nearest to that of the lights by their hot pixels.

        Parameters
        ----------
        lights
            Setups of lights of about the same temperature, by path.
        proposed
            The dark that their headers propose.
        darks
            Setups of all darks that fit apart from their temperature, by path.

        Raises
        ------
        FrameFileError
            If a file cannot be read.
        """
        paths, dark = list(lights), proposed
        first = measured = self.measure(paths, dark)
        if first is None:
            why = "its hot pixels do not show the temperature of the lights, so only the headers were compared"
            return DarkChoice(dark, None, (f"dark {dark.name}: {why}",))
        better = _nearest(first, dark, darks)
        if better is not None and first.is_noticeable:
            again = self.measure(paths, better)
            if again is not None and abs(again.warmer_c) < abs(first.warmer_c):
                dark, measured = better, again
        assert measured is not None
        remarks = []
        if dark != proposed:
            remarks.append(
                f"dark {dark.name} replaces {proposed.name}: by the hot pixels, the lights were {first} than the latter"
            )
        if measured.spread_c > LARGEST_SPREAD_C:
            remarks.append(
                f"the lights differ by {measured.spread_c:.1f} C from each other by their hot pixels, although their "
                "headers agree: calibrate them in smaller groups"
            )
        remarks += _contradictions(lights, darks.get(dark), measured)
        if measured.is_noticeable:
            remarks.append(f"by the hot pixels, the lights were {measured} than dark {dark.name}")
        return DarkChoice(dark, measured, tuple(remarks), _refusal(darks.get(dark), measured))


def _nearest(measured: Measured, used: Path, darks: Mapping[Path, FrameSetup]) -> Path | None:
    """Return the dark whose temperature is nearest to that of the lights; None if it is the one in use."""
    used_c = darks[used].temperature_c if used in darks else None
    if used_c is None:
        return None
    known = {path: setup.temperature_c for path, setup in darks.items() if setup.temperature_c is not None}
    nearest = min(known, key=lambda path: (abs(known[path] - used_c - measured.warmer_c), path != used, path))
    return None if known[nearest] == used_c else nearest


def _contradictions(lights: Mapping[Path, FrameSetup], dark: FrameSetup | None, measured: Measured) -> list[str]:
    """Return how the headers contradict the hot pixels."""
    known = [setup.temperature_c for setup in lights.values() if setup.temperature_c is not None]
    if dark is None or dark.temperature_c is None or not known:
        return []
    stated_c = float(np.median(known)) - dark.temperature_c
    if abs(stated_c - measured.warmer_c) <= max(CONTRADICTION_C, SIGNIFICANT * measured.error_c):
        return []
    stated = f"the lights were {stated_c:+.1f} C from the dark by their headers"
    shown = f"{measured.warmer_c:+.1f} +- {measured.error_c:.1f} C by the hot pixels"
    return [f"{stated} and {shown}: a thermometer, or the exposure or ISO value of the dark, may be wrong"]


def _refusal(dark: FrameSetup | None, measured: Measured) -> str:
    limit_c = Tolerances().uncooled_c
    if abs(measured.warmer_c) - SIGNIFICANT * measured.error_c <= limit_c:
        return ""
    dark_c = None if dark is None else dark.temperature_c
    wanted = "" if dark_c is None else f" at about {dark_c + measured.warmer_c:.0f} C"
    found = f"by the hot pixels, the lights were {measured} than the nearest dark"
    return f"{found}, and the tolerance is {limit_c:g} C: shoot darks{wanted}"


def _spread(lights: Sequence[Path]) -> list[Path]:
    """Return a few lights, evenly spaced."""
    count = min(len(lights), MOST_LIGHTS)
    return [lights[round(place)] for place in np.linspace(0, len(lights) - 1, count)]


def _dark(path: Path) -> tuple[F32, HotPixels, int] | None:
    """Return the mean of a dark, its hot pixels and the period of its colours; None for arrays larger than 2 x 2."""
    master = read_adu_master(path)
    try:
        period = cfa_period(str(master.header.get("BAYERPAT", "")).strip() or None)
    except ValueError:
        return None
    if period > COLOUR_PERIOD:
        return None
    return master.mean, find_hot(master, period), period


def _hot_excess(light: Path, dark: F32, hot: HotPixels, period: int) -> F32 | None:
    """Return the excess of a dark's hot pixels in a light above the dark; None if the sizes differ."""
    from coldframe.calibration.kernels import diagnosis as kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    with scratch_folder() as folder:
        image = open_image(light, folder)
        if image.shape != dark.shape:
            return None
        try:
            pixels = uint16_pixels(image)
        except FrameFileError:
            return None
    excess = np.empty(hot.excess_adu.size, np.float32)
    kernels.excess_at(pixels.astype(np.float32) - dark, hot.places, period, excess)
    return excess
