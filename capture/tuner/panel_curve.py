"""Model the measured relation between a panel's brightness setting and its light. This module performs no I/O."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

LEAST_SLOPE = 0.02
"""Smallest slope of log light against log brightness; a horizontal curve could not be inverted."""

STEEPEST_SLOPE = 5.0
"""Largest slope that is used in an extrapolation."""


@dataclass(frozen=True, slots=True)
class PanelCurve:
    """Relative light as a function of brightness, linear on logarithmic axes between and beyond its points.

    Without points, light is proportional to brightness. The shape is a property of the panel, so points from one filter
    are valid for all other filters.

    Attributes
    ----------
    points
        Pairs of brightness (above zero) and light, both increasing; `through` ensures this.
    """

    points: tuple[tuple[int, float], ...] = ()

    @classmethod
    def through(cls, light: Mapping[int, float]) -> Self:
        """Return a rising curve through measured points. Points that are too low because of noise are raised."""
        points: list[tuple[int, float]] = []
        for brightness, measured in sorted(light.items()):
            if points:
                last, floor = points[-1]
                points.append((brightness, max(measured, floor * (brightness / last) ** LEAST_SLOPE)))
            else:
                points.append((brightness, measured))
        return cls(tuple(points))

    def extended(self, light: Mapping[int, float]) -> "PanelCurve":
        """Return the curve through the new points and, elsewhere, through the old points after rescaling."""
        if not light:
            return self
        # Match the scales where the old curve is best known: at a shared point, otherwise at the nearest points.
        reference = min(light, key=lambda new: min((abs(math.log(new / old)) for old, _ in self.points), default=0.0))
        scale = light[reference] / self.light(reference)
        return PanelCurve.through({brightness: scale * old for brightness, old in self.points} | dict(light))

    def light(self, brightness: float) -> float:
        """Return the light at the given brightness, which must be above zero."""
        return _on_line([(float(b), light) for b, light in self.points], brightness, LEAST_SLOPE, STEEPEST_SLOPE)

    def brightness(self, light: float) -> float:
        """Return the brightness that gives the given light (above zero), even if the panel does not support it."""
        return _on_line([(light, float(b)) for b, light in self.points], light, 1 / STEEPEST_SLOPE, 1 / LEAST_SLOPE)


PROPORTIONAL = PanelCurve()
"""Response assumed for an unknown panel."""

NeededExposures = dict[int, float]
"""Needed exposures in seconds by brightness; a lamp without brightness control has only the key 0."""


def predict_exposure_s(there: int, needs: NeededExposures, curve: PanelCurve) -> float:
    """Predict the exposure needed at brightness `there`, from the curve scaled to the nearest tried brightnesses."""
    lower, upper = [other for other in needs if other < there], [other for other in needs if other > there]
    near = max(lower) if lower else min(upper)
    slope = slope_between(near, min(upper), needs, curve) if lower and upper else local_slope(near, needs, curve)
    return float(needs[near] * (curve.light(near) / curve.light(there)) ** slope)


def local_slope(here: int, needs: NeededExposures, curve: PanelCurve) -> float:
    """Return the exponent that makes a power of the curve fit the light near `here`; 1 without a second brightness."""
    others = [other for other in needs if other != here]
    if not others:
        return 1.0
    nearest = min(others, key=lambda other: abs(math.log(other / here)))
    return min(max(slope_between(here, nearest, needs, curve), 0.0), STEEPEST_SLOPE)


def slope_between(one: int, other: int, needs: NeededExposures, curve: PanelCurve) -> float:
    """Return the exponent that makes a power of the curve fit the light between two brightnesses."""
    return math.log(needs[one] / needs[other]) / math.log(curve.light(other) / curve.light(one))


def _on_line(points: list[tuple[float, float]], x: float, least: float, steepest: float) -> float:
    """Interpolate on logarithmic axes; beyond the ends, extrapolate with the last slope, kept within bounds."""
    if not points:
        return x
    if len(points) == 1:
        return x * points[0][1] / points[0][0]
    segments = list(pairwise(points))
    (x0, y0), (x1, y1) = next((segment for segment in segments if x <= segment[1][0]), segments[-1])
    slope = math.log(y1 / y0) / math.log(x1 / x0)
    if not x0 <= x <= x1:
        slope = min(max(slope, least), steepest)
    near_x, near_y = (x0, y0) if x < x1 else (x1, y1)
    # The bound prevents an overflow; a factor of e^200 is outside any range.
    return near_y * math.exp(min(max(slope * math.log(x / near_x), -200.0), 200.0))
