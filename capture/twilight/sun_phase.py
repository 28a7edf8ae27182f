"""Determine from the sun's altitude when twilight flats are possible."""

import asyncio
from datetime import datetime, timedelta

from coldframe.capture.events.values import Severity
from coldframe.capture.planning.sun import altitude_deg
from coldframe.capture.session.context import NightContext
from coldframe.config.tables.night import SiteSettings

DARKEST_DEG = -11.0
"""Altitude of the sun below which the sky is too dark for flats through any telescope."""

BRIGHTEST_DEG = 1.0
"""Altitude of the sun above which the sky is still too bright at dusk. coldframe waits until the sun is lower."""

LATEST_DEG = 10.0
"""Altitude of the sun at which dawn ends. Above this altitude, the sky hardly changes, so waiting does not help."""

CHECK_PERIOD_S = 30.0
"""Pause between two checks of the sun's altitude."""

_MINUTE = timedelta(minutes=1)


def sun_pace(at: datetime, site: SiteSettings) -> tuple[float, float]:
    """Return the sun's altitude in degrees, and its rate of change in degrees per second."""
    now_deg = altitude_deg(at, site)
    return now_deg, (altitude_deg(at + _MINUTE, site) - now_deg) / _MINUTE.total_seconds()


def is_twilight(altitude: float, pace_deg_per_s: float) -> bool:
    """Return whether flats might be possible, judging by the sun's altitude in degrees and its rate of change.

    At dawn, twilight does not end when the sun rises above `BRIGHTEST_DEG`, but when no exposure is short enough.
    """
    return altitude >= DARKEST_DEG and (pace_deg_per_s > 0 or altitude <= BRIGHTEST_DEG)


async def wait_for_twilight(context: NightContext) -> float:
    """Wait for twilight, and return the sun's pace in degrees per second (positive at dawn).

    Raises
    ------
    StepFailedError
        If the deadline passed.
    """
    site, clock = context.settings.site, context.clock
    assert site is not None
    altitude, pace_deg_per_s = sun_pace(clock.now(), site)
    if not is_twilight(altitude, pace_deg_per_s):
        context.notice(Severity.INFO, f"the sun is at {altitude:.0f} deg; waiting for twilight")
    while not is_twilight(altitude, pace_deg_per_s):
        context.require_time(0.0)
        await asyncio.sleep(CHECK_PERIOD_S)
        altitude, pace_deg_per_s = sun_pace(clock.now(), site)
    return pace_deg_per_s


def is_over(context: NightContext, *, is_dawn: bool) -> bool:
    """Return whether the sun has left the range of altitudes in which flats might be possible."""
    site = context.settings.site
    assert site is not None
    altitude = altitude_deg(context.clock.now(), site)
    return altitude > LATEST_DEG if is_dawn else altitude < DARKEST_DEG
