"""The sensor's thermometer: plausible readings, readings during an exposure, and readings that froze.

Times are seconds on any steady clock, the same for all calls of one object. Pure.
"""

import math
from collections import deque
from dataclasses import dataclass

PLAUSIBLE_C = (-120.0, 80.0)
"""Sensor temperatures outside are what drivers report for "unknown" (-300, -273.15) or after a lost byte."""

FROZEN_S = 300.0
"""A cooler at an end of its range for so long moves any sensor by more than a digit of its reading."""

JUMP_S = 120.0
"""Time in which a power goes there from well within its range, where no change of the air around it explains that."""

OFF_PERCENT, FULL_PERCENT = 1.0, 99.0
FROM_PERCENT = (20.0, 80.0)
"""Power from which it has to come down to nothing, and up to all there is."""


def plausible_c(sensor_c: float | None) -> float | None:
    """Return the reading, or None where it is absent, NaN or no temperature that a sensor can have."""
    return sensor_c if sensor_c is not None and PLAUSIBLE_C[0] <= sensor_c <= PLAUSIBLE_C[1] else None


@dataclass(frozen=True, slots=True)
class ExposureTemperature:
    """The sensor's temperature during one exposure.

    Attributes
    ----------
    within
        True where there were readings and all of them lay within the tolerance.
    lowest_c, highest_c
        Extremes, None without readings.
    message
        For people, and for the reason of a rejection.
    """

    within: bool
    lowest_c: float | None
    highest_c: float | None
    message: str


class TemperatureWatch:
    """Collects readings through one exposure, from before it to after it.

    Parameters
    ----------
    setpoint_c, tolerance_c
        Every reading shall lie within `tolerance_c` of `setpoint_c`.
    """

    def __init__(self, setpoint_c: float, tolerance_c: float) -> None:
        self._setpoint_c = setpoint_c
        self._tolerance_c = tolerance_c
        self._readings_c: list[float] = []

    def observe(self, sensor_c: float | None) -> None:
        """Take in a reading; absent and nonsensical ones do not count."""
        reading_c = plausible_c(sensor_c)
        if reading_c is not None:
            self._readings_c.append(reading_c)

    def verdict(self) -> ExposureTemperature:
        """Judge the exposure by the readings so far."""
        if not self._readings_c:
            return ExposureTemperature(
                within=False, lowest_c=None, highest_c=None, message="no temperature reading during the exposure"
            )
        low_c, high_c = min(self._readings_c), max(self._readings_c)
        within = max(high_c - self._setpoint_c, self._setpoint_c - low_c) <= self._tolerance_c
        setpoint = f"{self._setpoint_c:g} C within {self._tolerance_c:g} C"
        text = f"{low_c:.1f} to {high_c:.1f} C, wanted were {setpoint}"
        return ExposureTemperature(within=within, lowest_c=low_c, highest_c=high_c, message=text)


class FrozenReading:
    """Notices a thermometer that tells one and the same temperature although the cooler's power proves it wrong.

    A reading that stays the same proves nothing: good coolers hold theirs to a tenth of a degree all night. But one
    that stays the same to the last digit while the power has gone from the middle of its range to an end of it, and
    remains there, is not read any more.
    """

    def __init__(self) -> None:
        self._reading_c: float | None = None
        self._same_since_s = 0.0
        self._powers: deque[tuple[float, float]] = deque()
        self._end: tuple[bool, float, float] | None = None

    def observe(self, time_s: float, sensor_c: float | None, power_percent: float | None) -> None:
        """Take in a reading, and the power that came with it; None where the driver does not tell."""
        if sensor_c is None or power_percent is None or sensor_c != self._reading_c:
            self._reading_c, self._same_since_s, self._end = sensor_c, time_s, None
        if sensor_c is None or power_percent is None:
            self._powers.clear()
            return
        while self._powers and time_s - self._powers[0][0] > JUMP_S:
            self._powers.popleft()
        is_full = power_percent >= FULL_PERCENT
        if not is_full and power_percent > OFF_PERCENT:
            self._end = None
        elif self._end is None or self._end[0] is not is_full:
            self._end = (is_full, time_s, self._came_from(is_full=is_full))
        self._powers.append((time_s, power_percent))

    def _came_from(self, *, is_full: bool) -> float:
        """Return the power of a moment ago that is furthest from the end; NaN where there is none."""
        powers = [power for _, power in self._powers]
        if not powers:
            return math.nan
        return min(powers) if is_full else max(powers)

    def fault(self, time_s: float) -> str | None:
        """Say what is wrong with the thermometer; None where nothing is known to be."""
        if self._end is None or time_s - self._end[1] < FROZEN_S:
            return None
        is_full, since_s, from_percent = self._end
        low, high = FROM_PERCENT
        if not (from_percent <= high if is_full else from_percent >= low):
            return None
        return (
            f"the temperature has been {self._reading_c:g} C for {time_s - self._same_since_s:.0f} s, to the last "
            f"digit, although the cooler's power went from {from_percent:.0f} to {100 if is_full else 0} % "
            f"{time_s - since_s:.0f} s ago"
        )
