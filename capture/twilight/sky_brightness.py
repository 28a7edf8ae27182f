"""Model the brightness of the twilight sky from flats through several filters. This module performs no I/O.

In twilight, the logarithm of the brightness is close to a linear function of time, with one slope for all colours (J.
A. Tyson & R. D. Gal, "An exposure guide for taking twilight flatfields with large format CCDs", 1993, AJ 105, 1206).
The model is therefore one line for all filters, with an offset for each filter.
"""

from collections import deque
from dataclasses import dataclass
from math import exp, inf, log, log1p

GROWTH_PER_DEG = 1.0
"""Change in the natural logarithm of the brightness per degree of the sun's altitude, from about -11 to -3 deg.

Tyson & Gal found 0.094 in log10 per minute at Cerro Tololo, where the sun rises by up to 0.216 deg in a minute.
"""

GROWTH_SCATTER = 0.3
"""Relative uncertainty of the slope expected from the sun's pace, due to season, haze and direction in the sky."""

LEVEL_SCATTER = 0.01
"""Relative scatter of individual measurements about the straight line."""

WINDOW_S = 300.0
"""Maximum age of a measurement in the fit. The slope changes only slowly within this time."""

LARGEST_FACTOR = 3.0
"""Maximum factor between the fitted slope and the slope expected from the sun's pace.

The slope is limited, because passing clouds can mimic any slope.
"""

LEAST_MEASUREMENTS = 3
"""Number of latest measurements that are included in the fit regardless of their age."""

LEAST_SPAN_S = 120.0
"""Shortest time span of the measurements from which the slope counts as measured.

Over a shorter span, the sun's pace is a better measure of the slope.
"""


@dataclass(frozen=True, slots=True)
class _Point:
    """A measurement: its time, and the logarithm of the sky's brightness relative to the first measurement."""

    at_s: float
    brightness: float


class SkyBrightness:
    """The brightness of the sky, tracked from flat to flat.

    Parameters
    ----------
    growth_per_s
        Slope of the logarithm of the brightness, presumed until it is measured. It is positive at dawn.
    """

    def __init__(self, growth_per_s: float) -> None:
        self._presumed_per_s = growth_per_s
        self._points: deque[_Point] = deque(maxlen=200)
        self._offsets: dict[str | None, float] = {}
        self._filter: str | None = None

    @property
    def filters(self) -> tuple[str | None, ...]:
        """Filters through which the sky was measured."""
        return tuple(self._offsets)

    @property
    def is_followed(self) -> bool:
        """True once the slope is measured and no longer presumed."""
        return bool(self._points) and self._points[-1].at_s - self._points[0].at_s >= LEAST_SPAN_S

    @property
    def latest_s(self) -> float:
        """Time of the last measurement on the night's clock, seconds."""
        return self._points[-1].at_s

    @property
    def growth_per_s(self) -> float:
        """Slope of the logarithm of the brightness, fitted with the presumed slope as an additional measurement."""
        newest_s = self._points[-1].at_s if self._points else 0.0
        recent = [point for point in self._points if newest_s - point.at_s <= WINDOW_S]
        used = recent if len(recent) >= LEAST_MEASUREMENTS else list(self._points)[-LEAST_MEASUREMENTS:]
        weight = (LEVEL_SCATTER / (GROWTH_SCATTER * self._presumed_per_s)) ** 2
        if not used:
            return self._presumed_per_s
        mean_s = sum(point.at_s for point in used) / len(used)
        mean = sum(point.brightness for point in used) / len(used)
        across = sum((point.at_s - mean_s) * (point.brightness - mean) for point in used)
        along = sum((point.at_s - mean_s) ** 2 for point in used)
        factor = (across / self._presumed_per_s + weight) / (along + weight)
        return self._presumed_per_s * min(max(factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR)

    def observe(self, filter_name: str | None, start_s: float, exposure_s: float, signal_adu: float) -> None:
        """Add the measurement of a flat.

        Parameters
        ----------
        filter_name
            Filter in the light path.
        start_s, exposure_s
            Start of the exposure on the night's clock, and its length, seconds.
        signal_adu
            Level above the level of frames without light, ADU; greater than 0.
        """
        at_s = start_s + exposure_s / 2
        rate = log(signal_adu / exposure_s)
        if not self._points:
            self._offsets[filter_name] = rate
        elif filter_name not in self._offsets or (filter_name != self._filter and self.is_followed):
            # The colour of twilight changes, so a filter's offset from a few minutes ago is no longer valid.
            self._offsets[filter_name] = rate - self._brightness(at_s)
        self._filter = filter_name
        self._points.append(_Point(at_s, rate - self._offsets[filter_name]))

    def rate_adu_per_s(self, filter_name: str | None, at_s: float) -> float:
        """Return the signal per second at the given time through a filter for which the sky has been measured."""
        return exp(self._offsets[filter_name] + self._brightness(at_s))

    def signal_adu(self, filter_name: str | None, start_s: float, exposure_s: float) -> float:
        """Return the signal that the given exposure will collect, ADU."""
        return self.rate_adu_per_s(filter_name, start_s + exposure_s / 2) * exposure_s

    def exposure_s(self, filter_name: str | None, start_s: float, signal_adu: float) -> float:
        """Return the exposure that will collect the given signal, in seconds, or infinity if the sky fades too soon.

        The exposure is the solution T of r (exp(b T) - 1) / b = signal; the left side is the integral of r exp(b t).
        """
        growth_per_s = self.growth_per_s
        rate_adu_per_s = self.rate_adu_per_s(filter_name, start_s)
        grown = growth_per_s * signal_adu / rate_adu_per_s
        return log1p(grown) / growth_per_s if grown > -1 else inf

    def reaches_s(self, filter_name: str | None, rate_adu_per_s: float) -> float:
        """Return the time at which the sky reaches, or reached, the given brightness through the filter."""
        latest = self._points[-1]
        to_go = log(rate_adu_per_s) - self._offsets[filter_name] - latest.brightness
        return latest.at_s + to_go / self.growth_per_s

    def _brightness(self, at_s: float) -> float:
        latest = self._points[-1]
        return latest.brightness + self.growth_per_s * (at_s - latest.at_s)
