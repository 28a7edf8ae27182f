"""The wait for the end of the night, under virtual time."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.night.end_of_night import CHECK_PERIOD_S, REPORT_PERIOD_S, end_of_night
from coldframe.capture.planning.read_lights import NoLightsError
from coldframe.config.tables.night import SiteSettings
from coldframe.config.tables.sets import LightsSettings
from tests.nights.nights import Inline

pytestmark = pytest.mark.looptime

MUNICH = SiteSettings(latitude_deg=48.14, longitude_deg=11.58)
EVENING = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
DAWN = datetime(2026, 11, 23, 5, 16, tzinfo=UTC)
"""The sun stands at about -12 deg in Munich."""


class Watch:
    """A wait for the end of the night, and its notices."""

    def __init__(self, folder: Path, begins: datetime = EVENING, site: SiteSettings | None = None) -> None:
        asyncio.get_running_loop().set_default_executor(Inline())
        self.folder, self.clock, self.said = folder, NightClock(begins), list[Event]()
        events = EventStream()
        events.subscribe(self.said.append)
        settings = LightsSettings(quiet_min=20)
        self.waiting = asyncio.create_task(end_of_night(folder, settings, site, events, self.clock))

    def shoot(self, number: int, written: datetime | None = None) -> None:
        path = self.folder / f"light_{number:03d}.fits"
        path.write_bytes(b"")
        at_s = (written or self.clock.now()).timestamp()
        os.utime(path, (at_s, at_s))

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.said if isinstance(event, Notice)]


async def test_no_new_light_for_a_while_ends_the_night(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for number in range(12):
        await asyncio.sleep(300)
        watch.shoot(number)
    assert await watch.waiting == "no new light for 20 min"
    quiet = watch.clock.now() - (EVENING + timedelta(minutes=60))
    assert timedelta(minutes=20) <= quiet <= timedelta(minutes=20, seconds=CHECK_PERIOD_S)


async def test_old_lights_end_the_night_at_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.shoot(1, EVENING - timedelta(hours=1))
    assert await watch.waiting == "no new light for 20 min"
    assert watch.clock.elapsed_s() < 1


@pytest.mark.parametrize("ahead", [timedelta(hours=-5), timedelta(hours=5)])
async def test_lights_of_a_computer_with_a_wrong_clock_count(tmp_path: Path, ahead: timedelta) -> None:
    watch = Watch(tmp_path)
    for number in range(6):
        await asyncio.sleep(600)
        watch.shoot(number, watch.clock.now() + ahead)
        assert not watch.waiting.done()
    await watch.waiting
    assert watch.clock.now() - EVENING == pytest.approx(
        timedelta(minutes=80), abs=timedelta(seconds=2 * CHECK_PERIOD_S)
    )


async def test_dusk_is_not_the_end_of_the_night(tmp_path: Path) -> None:
    watch = Watch(tmp_path, datetime(2026, 11, 22, 15, 40, tzinfo=UTC), MUNICH)
    await asyncio.sleep(3600)
    assert not watch.waiting.done()
    watch.waiting.cancel()


async def test_dawn_ends_the_night_even_if_lights_still_arrive(tmp_path: Path) -> None:
    watch = Watch(tmp_path, DAWN - timedelta(hours=2), MUNICH)
    while not watch.waiting.done():
        watch.shoot(int(watch.clock.elapsed_s()))
        await asyncio.sleep(600)
    assert (await watch.waiting).startswith("the sun has risen to -12.0 deg")
    assert abs(watch.clock.now() - DAWN) < timedelta(minutes=15)


async def test_dawn_ends_a_night_without_lights(tmp_path: Path) -> None:
    watch = Watch(tmp_path, DAWN - timedelta(hours=1), MUNICH)
    assert (await watch.waiting).startswith("the sun")


async def test_the_wait_is_reported_periodically(tmp_path: Path) -> None:
    watch = Watch(tmp_path, site=MUNICH)
    watch.shoot(7)
    await asyncio.sleep(REPORT_PERIOD_S + CHECK_PERIOD_S)
    first, second = watch.texts
    assert first == second
    assert first.startswith(f"waiting for the end of the night: 1 light, the newest light_007.fits in {tmp_path}")
    assert "until 20 min without a new one, or " in first
    watch.waiting.cancel()


async def test_cancelling_ends_the_wait_at_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    await asyncio.sleep(100.5)
    watch.waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch.waiting
    assert watch.clock.elapsed_s() == pytest.approx(100.5)


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoLightsError, match="no such folder"):
        await Watch(tmp_path / "nowhere").waiting


async def test_a_folder_that_is_away_for_a_while_does_not_end_the_wait(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.shoot(1)
    await asyncio.sleep(60.5)
    watch.folder.rename(tmp_path.with_name("away"))
    await asyncio.sleep(60)
    tmp_path.with_name("away").rename(watch.folder)
    assert await watch.waiting == "no new light for 20 min"
    assert 1200 <= watch.clock.elapsed_s() <= 1200 + CHECK_PERIOD_S
