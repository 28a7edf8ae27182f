"""The choice of the dark that fits uncooled lights best, judging by the hot pixels that it would leave in them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coldframe.calibration.diagnosis.uncooled.thermometer import SIGNIFICANT, DarkThermometer, Measured
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup

CONTRADICTION_C = 1.5
"""Largest difference between the temperatures from hot pixels and from headers that measurement errors explain. The
dark current of real sensors doubles every 5 to 7 C; this uncertainty alone changes a difference of 5 C by 1 C."""


@dataclass(frozen=True, slots=True)
class DarkChoice:
    """The dark to subtract from uncooled lights.

    Attributes
    ----------
    proposed
        The dark that the headers propose.
    dark
        The dark that fits best.
    first, measured
        Temperature of the lights relative to `proposed` and to `dark`, respectively; None if it cannot be measured from
        the hot pixels.
    is_compared
        False if no light could be compared with the dark, because none is readable or their size differs from the
        dark's.
    dark_c
        Temperature of `dark` according to its header, C; None if unknown.
    stated_c
        Temperature of the lights minus that of `dark` according to the headers, C; None if unknown.
    """

    proposed: Path
    dark: Path
    first: Measured | None
    measured: Measured | None
    is_compared: bool = True
    dark_c: float | None = None
    stated_c: float | None = None

    @property
    def outcome(self) -> Hashable:
        """Key that is equal for choices whose lights can be handled together."""
        return self.proposed, self.dark, self.measured is None, self.is_compared, self.is_refused

    @property
    def is_refused(self) -> bool:
        """True if the hot pixels show that not even the best dark fits.

        The measured difference must exceed the tolerance significantly. If the headers state that the dark fits, the
        difference must exceed the tolerance by `CONTRADICTION_C` as well.
        """
        if self.measured is None:
            return False
        limit_c = Tolerances().uncooled_c
        if self.stated_c is not None and abs(self.stated_c) <= limit_c:
            limit_c += CONTRADICTION_C
        return abs(self.measured.warmer_c) - SIGNIFICANT * self.measured.error_c > limit_c

    @property
    def is_contradicted(self) -> bool:
        """True if the headers contradict the hot pixels."""
        if self.measured is None or self.stated_c is None:
            return False
        tolerance_c = max(CONTRADICTION_C, SIGNIFICANT * self.measured.error_c)
        return abs(self.stated_c - self.measured.warmer_c) > tolerance_c


def choose_dark(
    thermometer: DarkThermometer, lights: Mapping[Path, FrameSetup], proposed: Path, darks: Mapping[Path, FrameSetup]
) -> DarkChoice:
    """Choose the dark whose temperature is nearest to that of the lights, judging by the hot pixels.

    Parameters
    ----------
    thermometer
        Thermometer that compares the pixels.
    lights
        Setups, by path, of lights of about the same temperature, after overscan subtraction.
    proposed
        The dark proposed by the headers of the lights.
    darks
        Setups, by path, of all darks that fit in every respect other than temperature.

    Raises
    ------
    FrameFileError
        If the proposed dark cannot be read.
    """
    paths, overscan = list(lights), next(iter(lights.values())).overscan
    found = thermometer.measure(paths, [proposed], overscan)
    first = found.get(proposed)
    if first is None:
        return DarkChoice(proposed, proposed, None, None, is_compared=proposed in found)
    measured = {proposed: first}
    if first.is_noticeable:
        others = [dark for dark in _candidates(first, proposed, darks) if thermometer.is_readable(dark)]
        more = thermometer.measure(paths, others, overscan)
        measured |= {dark: each for dark, each in more.items() if each is not None}
    dark = min(measured, key=lambda path: (abs(measured[path].warmer_c), path != proposed))
    dark_c = darks[dark].temperature_c if dark in darks else None
    return DarkChoice(
        proposed, dark, first, measured[dark], dark_c=dark_c, stated_c=_stated_c(list(lights.values()), dark_c)
    )


def _candidates(first: Measured, proposed: Path, darks: Mapping[Path, FrameSetup]) -> list[Path]:
    """Return darks that may fit better than the proposed one: the nearest, and those of unknown temperature."""
    proposed_c = darks[proposed].temperature_c if proposed in darks else None
    others = [path for path in darks if path != proposed]
    if proposed_c is None:
        return others
    known = {path: setup.temperature_c for path, setup in darks.items() if setup.temperature_c is not None}
    nearest = min(known, key=lambda path: (abs(known[path] - proposed_c - first.warmer_c), path != proposed, path))
    return [path for path in others if path == nearest or path not in known]


def _stated_c(lights: Sequence[FrameSetup], dark_c: float | None) -> float | None:
    known = [setup.temperature_c for setup in lights if setup.temperature_c is not None]
    return None if dark_c is None or not known else float(np.median(known)) - dark_c
