"""The beginning and end of twilight according to the altitude of the sun."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice
from coldframe.capture.planning.sun import altitude_deg
from coldframe.capture.session.context import NightContext, StepFailedError
from coldframe.capture.twilight.sun_phase import (
    BRIGHTEST_DEG,
    DARKEST_DEG,
    LATEST_DEG,
    is_over,
    is_twilight,
    sun_pace,
    wait_for_twilight,
)
from coldframe.config.tables.night import SiteSettings
from tests.capture.contexts import context_in

SITE = SiteSettings(latitude_deg=28.3, longitude_deg=31.5)
MIDNIGHT = datetime(2026, 11, 21, 22, tzinfo=UTC)
NOON = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("altitude", "pace", "expected"),
    [(-11.1, 0.004, False), (-10.9, 0.004, True), (30.0, 0.004, True), (1.1, -0.004, False), (0.9, -0.004, True)],
)
def test_dawn_has_a_beginning_only_and_dusk_an_end_too(
    altitude: float,
    pace: float,
    expected: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert is_twilight(altitude, pace) is expected


def test_the_sun_rises_in_the_morning_by_a_quarter_of_a_degree_in_a_minute_at_most() -> None:
    _, morning = sun_pace(datetime(2026, 11, 22, 4, tzinfo=UTC), SITE)
    _, evening = sun_pace(datetime(2026, 11, 22, 15, tzinfo=UTC), SITE)
    assert 0.002 < morning < 0.25 / 60
    assert -0.25 / 60 < evening < -0.002


def at(folder: Path, moment: datetime) -> tuple[NightContext, list[str]]:
    context, seen = context_in(folder)
    notices: list[str] = []
    context.events.subscribe(lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    del seen
    settings = context.settings.model_copy(update={"site": SITE})
    return replace(context, settings=settings, clock=NightClock(moment)), notices


@pytest.mark.looptime
async def test_dawn_is_waited_for(tmp_path: Path) -> None:
    context, notices = at(tmp_path, MIDNIGHT)
    assert await wait_for_twilight(context) > 0
    assert altitude_deg(context.clock.now(), SITE) == pytest.approx(DARKEST_DEG, abs=0.2)
    assert len(notices) == 1
    assert not is_over(context, is_dawn=True)


@pytest.mark.looptime
async def test_dusk_is_waited_for(tmp_path: Path) -> None:
    context, _ = at(tmp_path, NOON + timedelta(hours=3))
    assert await wait_for_twilight(context) < 0
    assert altitude_deg(context.clock.now(), SITE) == pytest.approx(BRIGHTEST_DEG, abs=0.2)


@pytest.mark.looptime
async def test_a_deadline_ends_the_wait(tmp_path: Path) -> None:
    context, _ = at(tmp_path, MIDNIGHT)
    with pytest.raises(StepFailedError, match="the time is up"):
        await wait_for_twilight(replace(context, deadline=MIDNIGHT + timedelta(minutes=10)))


@pytest.mark.parametrize(
    ("moment", "is_dawn", "limit"),
    [
        (lambda deg: deg > LATEST_DEG, True, LATEST_DEG),
        (lambda deg: deg < DARKEST_DEG, False, DARKEST_DEG),
    ],
)
async def test_twilight_is_over_beyond_its_limits(
    tmp_path: Path, moment: Callable[[float], bool], *, is_dawn: bool, limit: float
) -> None:
    first = MIDNIGHT if is_dawn else NOON
    moments = (first + timedelta(minutes=minutes) for minutes in range(24 * 60))
    after = next(each for each in moments if moment(altitude_deg(each, SITE)))
    assert altitude_deg(after, SITE) == pytest.approx(limit, abs=0.3)
    assert is_over(at(tmp_path / "after", after)[0], is_dawn=is_dawn)
    assert not is_over(at(tmp_path / "before", after - timedelta(minutes=3))[0], is_dawn=is_dawn)
