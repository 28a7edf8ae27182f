"""Judge the sensor's thermometer: plausible readings, readings during an exposure, and frozen readings.

Times are in seconds on any steady clock, but all calls to one object must use the same clock.

This module performs no I/O.
"""

import math
from collections import deque
from dataclasses import dataclass

PLAUSIBLE_C = (-120.0, 80.0)
"""Lowest and highest plausible temperature.

Drivers report values outside this range for "unknown" (-300, -273.15) or after a lost byte (indi-3rdparty#1328).
"""

FROZEN_S = 300.0
"""Time at full or zero power after which an unchanged reading counts as frozen.

Within this time, full or zero power changes any sensor's temperature by more than the last digit.
"""

JUMP_S = 120.0
"""Longest time that a drop or rise in power may take. Changes in the ambient temperature act more slowly."""

OFF_PERCENT, FULL_PERCENT = 1.0, 99.0
FROM_PERCENT = (20.0, 80.0)
"""The power must fall to zero from at least the first value, or rise to full power from at most the second."""


def plausible_c(sensor_c: float | None) -> float | None:
    """Return the reading, or None if it is missing, NaN or impossible for a sensor."""
    return sensor_c if sensor_c is not None and PLAUSIBLE_C[0] <= sensor_c <= PLAUSIBLE_C[1] else None


@dataclass(frozen=True, slots=True)
class ExposureTemperature:
    """The sensor temperature during one exposure.

    Attributes
    ----------
    within
        True if there were readings and all of them were within the tolerance.
    lowest_c, highest_c
        Lowest and highest reading, degrees Celsius; None if there were no readings.
    message
        Text for the user, also used as the reason for a rejection.
    """

    within: bool
    lowest_c: float | None
    highest_c: float | None
    message: str


class TemperatureWatch:
    """The readings of one exposure, from before its start until after its end.

    Parameters
    ----------
    setpoint_c, tolerance_c
        Every reading must be within `tolerance_c` of `setpoint_c`, degrees Celsius.
    """

    def __init__(self, setpoint_c: float, tolerance_c: float) -> None:
        self._setpoint_c = setpoint_c
        self._tolerance_c = tolerance_c
        self._readings_c: list[float] = []

    def observe(self, sensor_c: float | None) -> None:
        """Record a reading; missing and implausible values are ignored."""
        reading_c = plausible_c(sensor_c)
        if reading_c is not None:
            self._readings_c.append(reading_c)

    def verdict(self) -> ExposureTemperature:
        """Return the verdict on the readings so far."""
        if not self._readings_c:
            return ExposureTemperature(
                within=False, lowest_c=None, highest_c=None, message="no temperature reading during the exposure"
            )
        low_c, high_c = min(self._readings_c), max(self._readings_c)
        within = max(high_c - self._setpoint_c, self._setpoint_c - low_c) <= self._tolerance_c
        setpoint = f"{self._setpoint_c:g} C (tolerance {self._tolerance_c:g} C)"
        text = f"the sensor was at {low_c:.1f} to {high_c:.1f} C instead of {setpoint}"
        return ExposureTemperature(within=within, lowest_c=low_c, highest_c=high_c, message=text)


class FrozenReading:
    """A detector for a thermometer that repeats one value although the cooler's power contradicts it (indi#837).

    A constant reading alone proves nothing: good coolers hold a temperature to a tenth of a degree all night. The
    reading is frozen if it stays the same to the last digit while the power moves from the middle of its range to one
    end and stays there.
    """

    def __init__(self) -> None:
        self._reading_c: float | None = None
        self._same_since_s = 0.0
        self._powers: deque[tuple[float, float]] = deque()
        self._end: tuple[bool, float, float] | None = None

    def observe(self, time_s: float, sensor_c: float | None, power_percent: float | None) -> None:
        """Record a temperature reading and the power at that time; either is None if the driver does not report it."""
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
        """Return the recent power that is furthest from the current end of the range, or NaN if it is unknown."""
        powers = [power for _, power in self._powers]
        if not powers:
            return math.nan
        return min(powers) if is_full else max(powers)

    def fault(self, time_s: float) -> str | None:
        """Return a description of the thermometer's fault, or None."""
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
