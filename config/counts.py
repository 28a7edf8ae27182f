"""How many frames a set shall have: a number, or what its master may add to the noise of a light."""

import re
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Annotated

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from coldframe.config.frames import FrameKind

MOST_FRAMES = 10_000

GOOD_PRACTICE = {
    FrameKind.BIAS: (100, 500),
    FrameKind.DARK: (20, 50),
    FrameKind.FLAT: (20, 40),
    FrameKind.DARK_FLAT: (20, 40),
}
"""Fewest and most frames of a set that has a goal."""

WITH_GLOW = (40, 60)
"""Of darks in which the amplifier glows."""

LOWEST_PERCENT, HIGHEST_PERCENT = 0.1, 50.0

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class LightNoise:
    """What calibration must not spoil, ADU of the camera.

    Attributes
    ----------
    noise_adu
        Of a pixel of one light, from its sky, dark current and readout together.
    signal_adu
        Level of its sky above that of a bias; None where unknown.
    """

    noise_adu: float
    signal_adu: float | None = None

    @property
    def signal_to_noise(self) -> float:
        """What the noise of a flat counts by; 0 where the signal is unknown."""
        return (self.signal_adu or 0.0) / self.noise_adu


@dataclass(frozen=True, slots=True)
class NoiseGoal:
    """A set is large enough when its master adds no more than this to the noise of one light.

    Attributes
    ----------
    added
        As a fraction: 0.02 lets the noise of a calibrated light be 1.02 times that of the light itself.
    light
        The light, where one is known. Else the worst case: a light without sky for darks and bias, one as bright as the
        flats for flats.
    """

    added: float
    light: LightNoise | None = None

    @property
    def largest_ratio(self) -> float:
        """Noise of the master over that of a light, at most: noises add in quadrature."""
        return sqrt((1 + self.added) ** 2 - 1)

    @property
    def expected_frames(self) -> int:
        """Frames that it takes in the worst case, if they are good."""
        return ceil(1 / self.largest_ratio**2)

    def __str__(self) -> str:
        """Return it as it is written in a configuration."""
        return f"{100 * self.added:g} %"


def _written(count: int | NoiseGoal) -> int | str:
    return count if isinstance(count, int) else str(count)


@dataclass(frozen=True, slots=True)
class CountFrom:
    """Checks a count: a number of frames, `least` or more, or a percentage that becomes a goal."""

    least: int

    def __str__(self) -> str:
        """Say what is allowed."""
        return (
            f"a whole number from {self.least} up to {MOST_FRAMES}, or the noise that the master may add to a light, "
            f'from "{LOWEST_PERCENT:g} %" up to "{HIGHEST_PERCENT:g} %"'
        )

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Tell pydantic to leave it all to us: the errors of its unions speak of types, and of each twice."""
        written = core_schema.plain_serializer_function_ser_schema(_written)
        return core_schema.no_info_plain_validator_function(self._checked, serialization=written)

    def _checked(self, value: object) -> int | NoiseGoal:
        if isinstance(value, NoiseGoal):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= MOST_FRAMES:
            return value
        percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if percent and LOWEST_PERCENT <= float(percent[1]) <= HIGHEST_PERCENT:
            return NoiseGoal(float(percent[1]) / 100)
        raise ValueError(str(self))


SetCount = Annotated[int | NoiseGoal, CountFrom(1)]
LightsCount = Annotated[int | NoiseGoal, CountFrom(0)]
"""0 shoots none."""
