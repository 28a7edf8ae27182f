"""Judge a sensor's progress towards its setpoint, and move a setpoint along a ramp. This module performs no I/O.

Times are in seconds on any steady clock, but all calls to one object must use the same clock.
"""

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from coldframe.capture.judging.thermometer import plausible_c

SLOPE_SPAN_S = 120.0
"""Time span over which the slope of the temperature is fitted.

A much shorter span would not do, because sensors report temperatures in steps of 0.1 to 0.5 C, and some drivers report
them only every 10 s.
"""

FLAT_C_PER_MIN = 0.1
"""Smallest slope that counts as movement. A smaller slope would not bring a sensor to its setpoint within a night."""

FULL_POWER_PERCENT = 95.0
"""Power at or above which a cooler may be at its limit. At the limit, drivers report 95 to 100 %."""

STALL_S = 300.0
"""A temperature that has not moved for this long counts as stuck, regardless of the reported power.

This limit detects an unplugged power supply, which drivers do not report (indi-allsky#443).
"""

SILENCE_S = 60.0
"""Time without a plausible reading after which the readings count as stopped."""


GRID_C = 5.0
"""Spacing of the setpoints that can replace an unreachable setpoint.

Darks that are shot at setpoints on such a grid also match lights from other warm nights.
"""

RESERVE_C = 1.0
"""Minimum distance of a replacement setpoint from the temperature at which the cooler reached its limit.

Without this reserve, the setpoint would be out of reach as soon as the air becomes a little warmer.
"""

GRID_STEPS = 2
"""Number of replacement setpoints to try. A cooler that reaches neither is broken, and each attempt takes minutes."""

WARMEST_GRID_C = 20.0
"""Warmest replacement setpoint to try. At a warmer setpoint, the sensor would need no cooler."""


class CoolingState(StrEnum):
    """Stage of a sensor on its way to the setpoint, from above or from below."""

    COOLING = "cooling"
    SETTLING = "settling"
    STABLE = "stable"
    UNREACHABLE = "unreachable"


class Obstacle(StrEnum):
    """Reason why a setpoint is not reached."""

    POWER = "cooler power is at its limit"
    STALLED = "the temperature does not move"
    DEADLINE = "the deadline passed"
    SILENCE = "the temperature readings stopped"


@dataclass(frozen=True, slots=True)
class Cooling:
    """Verdict on a reading.

    Attributes
    ----------
    state
        UNREACHABLE is not final: further readings may change the verdict.
    obstacle
        Reason for the state UNREACHABLE; None in other states.
    sensor_c
        Latest plausible reading, degrees Celsius; None before the first one.
    slope_c_per_min
        Slope of the temperature, fitted over `SLOPE_SPAN_S`; None until the readings span a tenth of that time.
    message
        Sentence for the user.
    """

    state: CoolingState
    message: str
    sensor_c: float | None = None
    slope_c_per_min: float | None = None
    obstacle: Obstacle | None = None


class CoolingJudge:
    """A judge of whether a sensor has reached its setpoint, or cannot reach it.

    The setpoint is reached once all readings during a whole dwell have been within the tolerance. A sensor that is too
    cold is not ready either: programs that accept such a sensor start exposing during the overshoot (nina#39).

    Parameters
    ----------
    setpoint_c, tolerance_c
        The sensor must be within `tolerance_c` of `setpoint_c`, degrees Celsius.
    dwell_s
        Time for which the sensor must stay within the tolerance.
    deadline_s
        Time allowed after the first call; a dwell that has begun by then may finish.
    """

    def __init__(self, setpoint_c: float, tolerance_c: float, dwell_s: float, deadline_s: float) -> None:
        if not (math.isfinite(setpoint_c) and tolerance_c > 0 and dwell_s >= 0 and deadline_s > 0):
            raise ValueError(
                f"cannot judge cooling with setpoint {setpoint_c} C, tolerance {tolerance_c} C, "
                f"dwell {dwell_s} s, deadline {deadline_s} s"
            )
        self._setpoint_c = setpoint_c
        self._tolerance_c = tolerance_c
        self._dwell_s = dwell_s
        self._deadline_s = deadline_s
        self._began_s: float | None = None
        self._heard_s = 0.0
        self._inside_since_s: float | None = None
        self._readings: deque[tuple[float, float]] = deque()

    def observe(self, time_s: float, sensor_c: float | None, power_percent: float | None) -> Cooling:
        """Record a reading and return the verdict.

        Parameters
        ----------
        time_s
            Current time. It must never decrease.
        sensor_c
            New reading, degrees Celsius; None if there is no reading. Implausible values count as None.
        power_percent
            Cooler power; None if the driver does not report it.
        """
        if self._began_s is None:
            self._began_s = self._heard_s = time_s
        reading_c = plausible_c(sensor_c)
        if reading_c is not None:
            self._take_in(time_s, reading_c)
        if not self._readings or time_s - self._heard_s > SILENCE_S:
            return self._without_readings(time_s)
        obstacle = self._obstacle(time_s, power_percent)
        if obstacle is not None:
            return self._verdict(
                CoolingState.UNREACHABLE, f"{obstacle}: {self._position()}{_at_power(power_percent)}", obstacle
            )
        if self._inside_since_s is None:
            return self._verdict(CoolingState.COOLING, self._position())
        held_s = time_s - self._inside_since_s
        where = f"{self._readings[-1][1]:.1f} C, within {self._tolerance_c:g} C of the setpoint"
        if held_s < self._dwell_s:
            return self._verdict(CoolingState.SETTLING, f"{where} for {held_s:.0f} of {self._dwell_s:.0f} s")
        return self._verdict(CoolingState.STABLE, f"{where} for {held_s:.0f} s{_at_power(power_percent)}")

    def _take_in(self, time_s: float, reading_c: float) -> None:
        if time_s - self._heard_s > SILENCE_S:
            # The temperature during the silence is unknown, so the dwell restarts.
            self._inside_since_s = None
            self._readings.clear()
        self._heard_s = time_s
        self._readings.append((time_s, reading_c))
        # STALL_S is the longest span that is judged; keep one older reading so that the readings cover that span.
        while len(self._readings) > 2 and time_s - self._readings[1][0] >= STALL_S:  # noqa: PLR2004
            self._readings.popleft()
        if abs(reading_c - self._setpoint_c) > self._tolerance_c:
            self._inside_since_s = None
        elif self._inside_since_s is None:
            self._inside_since_s = time_s

    def _without_readings(self, time_s: float) -> Cooling:
        silent_s = time_s - self._heard_s
        if silent_s > SILENCE_S:
            text = f"{Obstacle.SILENCE}: none arrived for {silent_s:.0f} s"
            return self._verdict(CoolingState.UNREACHABLE, text, Obstacle.SILENCE)
        return self._verdict(CoolingState.COOLING, "no temperature reading yet")

    def _obstacle(self, time_s: float, power_percent: float | None) -> Obstacle | None:
        if self._inside_since_s is not None:
            return None
        if power_percent is not None and power_percent >= FULL_POWER_PERCENT and self._is_flat(time_s, SLOPE_SPAN_S):
            return Obstacle.POWER
        if self._is_flat(time_s, STALL_S):
            return Obstacle.STALLED
        assert self._began_s is not None
        return Obstacle.DEADLINE if time_s - self._began_s >= self._deadline_s else None

    def _is_flat(self, time_s: float, span_s: float) -> bool:
        """Return whether the temperature has not approached the setpoint during the whole of the last `span_s`."""
        slope = _slope_c_per_min(self._readings, time_s - span_s)
        spanned = time_s - self._readings[0][0] >= span_s
        return spanned and slope is not None and self._towards(slope) < FLAT_C_PER_MIN

    def _towards(self, slope_c_per_min: float) -> float:
        return math.copysign(slope_c_per_min, slope_c_per_min * (self._setpoint_c - self._readings[-1][1]))

    def _slope(self) -> float | None:
        return _slope_c_per_min(self._readings, self._readings[-1][0] - SLOPE_SPAN_S) if self._readings else None

    def _position(self) -> str:
        """Describe the latest reading: "-7.2 C, 2.8 C above the setpoint, falling 3.1 C/min, about 1 min to go"."""
        sensor_c = self._readings[-1][1]
        away_c = sensor_c - self._setpoint_c
        text = f"{sensor_c:.1f} C, {abs(away_c):.1f} C {'above' if away_c > 0 else 'below'} the setpoint"
        slope = self._slope()
        if slope is None:
            return text
        if abs(slope) < FLAT_C_PER_MIN:
            return f"{text}, steady"
        text += f", {'falling' if slope < 0 else 'rising'} {abs(slope):.1f} C/min"
        towards = self._towards(slope)
        minutes = math.ceil((abs(away_c) - self._tolerance_c) / towards) if towards > 0 else 0
        return f"{text}, about {minutes} min to go" if minutes > 0 else text

    def _verdict(self, state: CoolingState, message: str, obstacle: Obstacle | None = None) -> Cooling:
        sensor_c = self._readings[-1][1] if self._readings else None
        return Cooling(state, message, sensor_c, self._slope(), obstacle)


def _slope_c_per_min(readings: deque[tuple[float, float]], since_s: float) -> float | None:
    """Return the slope of a line fitted to the recent readings, or None if they span too little time."""
    recent = [(time_s, sensor_c) for time_s, sensor_c in readings if time_s >= since_s]
    if len(recent) < 3 or recent[-1][0] - recent[0][0] < SLOPE_SPAN_S / 10:  # noqa: PLR2004 - two points have no scatter
        return None
    mean_s = math.fsum(time_s for time_s, _ in recent) / len(recent)
    mean_c = math.fsum(sensor_c for _, sensor_c in recent) / len(recent)
    covariance = math.fsum((time_s - mean_s) * (sensor_c - mean_c) for time_s, sensor_c in recent)
    return 60.0 * covariance / math.fsum((time_s - mean_s) ** 2 for time_s, _ in recent)


def _at_power(power_percent: float | None) -> str:
    return "" if power_percent is None else f", cooler at {power_percent:.0f} %"


def setpoints_within_reach(setpoint_c: float, limit_c: float) -> tuple[float, ...]:
    """Return the multiples of `GRID_C` that a sensor can probably reach and hold, the nearest to `setpoint_c` first.

    Parameters
    ----------
    setpoint_c
        The setpoint that is out of reach, degrees Celsius.
    limit_c
        Temperature at which the sensor stopped, degrees Celsius. In cold air, it can be below the setpoint.
    """
    away = math.copysign(1.0, limit_c - setpoint_c)
    first = math.ceil(away * (limit_c + away * RESERVE_C) / GRID_C)
    grid = (away * GRID_C * (first + step) + 0.0 for step in range(GRID_STEPS))
    return tuple(each for each in grid if each <= WARMEST_GRID_C)


@dataclass(frozen=True, slots=True)
class SetpointRamp:
    """A setpoint that moves at a steady rate, for cooling down and warming up.

    Attributes
    ----------
    start_c, goal_c
        First and last setpoint, degrees Celsius.
    c_per_min
        Rate in degrees Celsius per minute, positive in either direction.
    """

    start_c: float
    goal_c: float
    c_per_min: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_c) and math.isfinite(self.goal_c) and 0 < self.c_per_min < math.inf):
            raise ValueError(f"cannot ramp from {self.start_c} to {self.goal_c} C at {self.c_per_min} C/min")

    @property
    def duration_s(self) -> float:
        """Duration of the ramp."""
        return 60.0 * abs(self.goal_c - self.start_c) / self.c_per_min

    def setpoint_c(self, elapsed_s: float) -> float:
        """Return the setpoint `elapsed_s` after the start. After the end of the ramp, return exactly the goal."""
        if elapsed_s >= self.duration_s:
            return self.goal_c
        moved_c = self.c_per_min * max(elapsed_s, 0.0) / 60.0
        return self.start_c + math.copysign(moved_c, self.goal_c - self.start_c)
