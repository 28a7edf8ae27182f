"""The size of a set: a number of frames, or the noise that its master may add to a light."""

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
"""Minimum and maximum number of frames in a set whose size is a noise goal."""

WITH_GLOW = (40, 60)
"""Minimum and maximum number of darks for a sensor with amplifier glow."""

LOWEST_PERCENT, HIGHEST_PERCENT = 0.1, 50.0

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class LightNoise:
    """Noise and signal of a light, in the camera's ADU.

    Attributes
    ----------
    noise_adu
        Noise of a pixel in one light: the noise of the sky and the dark current, and the read noise.
    signal_adu
        Level of the sky above the bias level; None if unknown.
    """

    noise_adu: float
    signal_adu: float | None = None

    @property
    def signal_to_noise(self) -> float:
        """Signal-to-noise ratio, by which a flat's relative noise is scaled in a light; 0 if the signal is unknown."""
        return (self.signal_adu or 0.0) / self.noise_adu


@dataclass(frozen=True, slots=True)
class NoiseGoal:
    """The noise that the master of a set may add to one light.

    Attributes
    ----------
    added
        A fraction: 0.02 means that a calibrated light may have 1.02 times the noise of the uncalibrated light.
    light
        The light; None for the worst case. The worst case for darks and bias frames is a light without sky; for flats,
        it is a light that is as bright as the flats.
    """

    added: float
    light: LightNoise | None = None

    @property
    def largest_ratio(self) -> float:
        """Maximum ratio of the master's noise to the noise of a light; the two noises add in quadrature."""
        return sqrt((1 + self.added) ** 2 - 1)

    @property
    def expected_frames(self) -> int:
        """Number of good frames needed in the worst case; the noise of a mean of n frames falls as 1/sqrt(n)."""
        return ceil(1 / self.largest_ratio**2)

    def __str__(self) -> str:
        """Return the goal as written in a configuration."""
        return f"{100 * self.added:g} %"


def _written(count: int | NoiseGoal) -> int | str:
    return count if isinstance(count, int) else str(count)


@dataclass(frozen=True, slots=True)
class CountFrom:
    """A validator for counts. It accepts at least `least` frames, or a percentage, which becomes a `NoiseGoal`."""

    least: int

    def __str__(self) -> str:
        """Return the allowed values as a phrase."""
        return (
            f"a whole number from {self.least} up to {MOST_FRAMES}, or the noise that the master may add to a light, "
            f'from "{LOWEST_PERCENT:g} %" up to "{HIGHEST_PERCENT:g} %"'
        )

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that only calls `_checked`; for a union, pydantic would report an error for each type."""
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
"""Same as `SetCount`, but 0 is allowed and means no frames."""
