"""Types that several tables use, with their bounds."""

from typing import Annotated

from pydantic import AfterValidator, Field

from coldframe.config.section import Name


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    low, high = pair
    if not low < high:
        raise ValueError("two numbers, the smaller first")
    return pair


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("one or more different names")
    return names


DifferentNames = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_different)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Fractions = Annotated[tuple[Fraction, Fraction], Field(strict=False), AfterValidator(_ascending)]
Exposure = Annotated[float, Field(gt=0, le=7200)]
Exposures = Annotated[tuple[Exposure, Exposure], Field(strict=False), AfterValidator(_ascending)]
Gain = Annotated[float, Field(ge=-1_000, le=1_000_000)]
Binning = Annotated[int, Field(ge=1, le=16)]
Setpoint = Annotated[float, Field(ge=-100, le=40)]
Setpoints = Annotated[tuple[Setpoint, ...], Field(strict=False)]
RotatorAngle = Annotated[float, Field(ge=0, lt=360)]
