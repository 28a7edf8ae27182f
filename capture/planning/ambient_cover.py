"""Find the uncooled lights that have no dark near their temperature.

Also count the lights among them that could use darks shot tonight. This module performs no I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.frames.matching import best_master
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.planning.lights_for_rig import ShotLight, lights_text
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class AmbientCover:
    """Uncooled lights with the same exposure and readout settings.

    Attributes
    ----------
    uncovered_c
        Temperatures of the lights for which the library has no suitable dark, degrees Celsius; None for a light whose
        temperature is unknown.
    now_c
        Temperature of the sensor tonight or, if it was not read, of the newest light, degrees Celsius; None if both are
        unknown.
    limit_c
        Maximum difference between the temperatures of a light and its dark, C.
    is_newest_covered
        True if the library has a suitable dark for the newest light.
    """

    uncovered_c: tuple[float | None, ...]
    now_c: float | None
    limit_c: float
    is_newest_covered: bool

    @property
    def served(self) -> int:
        """Number of uncovered lights that could use darks shot tonight; an unknown temperature counts as fitting."""
        return sum(map(self._is_served, self.uncovered_c))

    def note(self, exposure_s: float) -> str | None:
        """Return a sentence about the temperatures for which the library has no dark.

        Return None if none of these temperatures is known, or if the newest light is uncovered and all uncovered lights
        could use darks shot tonight.
        """
        known = [each for each in self.uncovered_c if each is not None]
        served = sum(map(self._is_served, known))
        if not known or (served == len(known) and not self.is_newest_covered):
            return None
        span = " to ".join(dict.fromkeys(f"{each:.1f}" for each in (min(known), max(known))))
        verb = "has" if len(known) == 1 else "have"
        text = f"{lights_text(len(known))} of {exposure_s:g} s at {span} C {verb} no dark within {self.limit_c:g} C"
        if self.now_c is None:
            return f"{text}; the temperature of the sensor tonight is unknown"
        text += f"; darks shot now, at {self.now_c:.1f} C, fit"
        if not served:
            return f"{text} none of these lights: shoot darks on a night at their temperature"
        rest = "" if served == len(known) else "; the others need darks from a night at their temperature"
        return f"{text} {served} of these lights{rest}"

    def _is_served(self, light_c: float | None) -> bool:
        return light_c is None or self.now_c is None or abs(light_c - self.now_c) <= self.limit_c


def ambient_cover(
    group: Sequence[ShotLight], masters: Mapping[Path, FrameSetup], fresh: Tolerances, now_c: float | None
) -> AmbientCover | None:
    """Return how well the library covers the temperatures of a group of lights; None for cooled lights.

    Parameters
    ----------
    group
        Lights that need the same dark, apart from the temperature of the dark; the newest light is the last.
    masters
        Masters in the library.
    fresh
        Tolerances for the age and the temperature of masters.
    now_c
        Temperature of the sensor now; None if it was not read.
    """
    if group[0].setpoint_c is not None:
        return None
    uncovered = [each for each in group if best_master(each.setup, masters, FrameKind.DARK, fresh).path is None]
    temperatures = tuple(each.setup.temperature_c for each in uncovered)
    newest = group[-1]
    assumed_c = newest.setup.temperature_c if now_c is None else now_c
    return AmbientCover(temperatures, assumed_c, fresh.uncooled_c, newest not in uncovered)
