"""The sun's altitude, compared with Astropy's."""

from datetime import UTC, datetime, timedelta

import pytest
from astropy import units
from astropy.coordinates import AltAz, EarthLocation, get_sun
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.capture.planning.sun import SUNRISE_DEG, altitude_deg, is_morning, next_rise
from coldframe.config.tables.night import SiteSettings

MUNICH = SiteSettings(latitude_deg=48.14, longitude_deg=11.58)
EVENING = datetime(2026, 11, 22, 19, 0, tzinfo=UTC)
SITES = st.builds(SiteSettings, latitude_deg=st.floats(-89, 89), longitude_deg=st.floats(-180, 180))
MOMENTS = st.floats(0, 50 * 365.25).map(lambda days: datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=days))


def astropy_altitude_deg(at: datetime, site: SiteSettings) -> float:
    time = Time(at)
    place = EarthLocation(lat=site.latitude_deg * units.deg, lon=site.longitude_deg * units.deg)
    with (
        iers.conf.set_temp("auto_download", False),
        iers.conf.set_temp("auto_max_age", None),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
    ):
        return float(get_sun(time).transform_to(AltAz(obstime=time, location=place)).alt.deg)


@pytest.mark.parametrize("days", range(0, 9000, 500))
@pytest.mark.parametrize("site", [MUNICH, SiteSettings(latitude_deg=-33.9, longitude_deg=-70.4)])
def test_the_altitude_agrees_with_astropy_to_a_fiftieth_of_a_degree(days: int, site: SiteSettings) -> None:
    at = datetime(2004, 5, 6, 3, 20, tzinfo=UTC) + timedelta(days=days, hours=days % 24)
    assert altitude_deg(at, site) == pytest.approx(astropy_altitude_deg(at, site), abs=0.02)


def test_sunrise_agrees_with_astropy() -> None:
    rise = next_rise(EVENING, MUNICH)
    assert rise is not None
    assert rise.date() == datetime(2026, 11, 23, tzinfo=UTC).date()
    assert astropy_altitude_deg(rise, MUNICH) == pytest.approx(SUNRISE_DEG, abs=0.02)


@given(MOMENTS, SITES)
@settings(max_examples=40, deadline=None)
def test_the_next_rise_is_the_first_crossing_upwards(after: datetime, site: SiteSettings) -> None:
    rise = next_rise(after, site)
    minutes = [after + timedelta(minutes=minute) for minute in range(0, 24 * 60, 10)]
    up = [altitude_deg(at, site) >= SUNRISE_DEG for at in minutes]
    if rise is None:
        assert all(up[index] >= up[index + 1] for index in range(len(up) - 1))
        return
    assert altitude_deg(rise, site) >= SUNRISE_DEG > altitude_deg(rise - timedelta(seconds=2), site)
    assert not any(now and not before for at, before, now in zip(minutes[1:], up, up[1:], strict=False) if at < rise)


def test_dusk_is_not_morning() -> None:
    assert not is_morning(datetime(2026, 11, 22, 16, 0, tzinfo=UTC), MUNICH, -12.0)
    assert not is_morning(datetime(2026, 11, 23, 2, 0, tzinfo=UTC), MUNICH, -12.0)
    assert is_morning(datetime(2026, 11, 23, 6, 0, tzinfo=UTC), MUNICH, -12.0)
