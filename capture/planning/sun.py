"""Compute the sun's altitude without a network or an ephemeris file. This module performs no I/O.

It uses the formulas of the Astronomical Almanac (section C, "Low precision formulas for the Sun"), which are
accurate to 0.01 deg from 1950 to 2050. At the equator, an error of 0.01 deg shifts sunrise by 2.4 s, far less than
matters for a deadline.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import asin, atan2, cos, degrees, radians, sin

from coldframe.config.tables.night import SiteSettings

SUNRISE_DEG = -0.833
"""Geometric altitude of the sun's centre at sunrise: 34' of refraction and 16' of semidiameter (Almanac, section A)."""

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
_DAY = timedelta(days=1)
_STEP = timedelta(minutes=5)
_SECOND = timedelta(seconds=1)


def altitude_deg(at: datetime, site: SiteSettings) -> float:
    """Return the geometric altitude of the sun's centre, in degrees, ignoring refraction.

    Parameters
    ----------
    at
        Time with a time zone. UT1 and UTC differ by less than 1 s and are treated as equal.
    site
        Location of the telescope.
    """
    days = (at - _J2000) / _DAY
    anomaly = radians(357.528 + 0.9856003 * days)
    longitude = radians(280.460 + 0.9856474 * days + 1.915 * sin(anomaly) + 0.020 * sin(2 * anomaly))
    obliquity = radians(23.439 - 0.0000004 * days)
    right_ascension = atan2(cos(obliquity) * sin(longitude), cos(longitude))
    declination = asin(sin(obliquity) * sin(longitude))
    # Greenwich mean sidereal time: Meeus, Astronomical Algorithms (1998), eq. 12.4, omitting terms below 0.001 s.
    sidereal_deg = 280.46061837 + 360.98564736629 * days
    hour_angle = radians(sidereal_deg + site.longitude_deg) - right_ascension
    latitude = radians(site.latitude_deg)
    return degrees(asin(sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle)))


def is_morning(at: datetime, site: SiteSettings, limit_deg: float) -> bool:
    """Return whether the sun is rising and above the given altitude; False in the afternoon and at dusk."""
    now_deg = altitude_deg(at, site)
    return now_deg >= limit_deg and altitude_deg(at + _STEP, site) > now_deg


def next_rise(after: datetime, site: SiteSettings, limit_deg: float = SUNRISE_DEG) -> datetime | None:
    """Return the time when the sun next rises through the given altitude, to the second.

    Returns
    -------
    datetime or None
        Time of the rise; None if the sun does not rise through this altitude within a day, as happens near the poles.
    """

    def is_up(at: datetime) -> bool:
        return altitude_deg(at, site) >= limit_deg

    before = after
    while before - after < _DAY:
        later = before + _STEP
        if not is_up(before) and is_up(later):
            return _first(is_up, before, later)
        before = later
    return None


def _first(holds: Callable[[datetime], bool], before: datetime, after: datetime) -> datetime:
    """Return, to the second, when a condition becomes true. The condition is false at `before` and true at `after`."""
    while after - before > _SECOND:
        middle = before + (after - before) / 2
        before, after = (before, middle) if holds(middle) else (middle, after)
    return after
