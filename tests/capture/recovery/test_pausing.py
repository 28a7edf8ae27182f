"""A paused night waits, switches off a lamp that would stay lit for long, and lights it again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import PanelChanged
from coldframe.capture.recovery.pausing import LAMP_S, until_resumed
from coldframe.capture.session.context import StepFailedError
from coldframe.devices.manual_panel import ManualPanel
from tests.capture.scene import Scene, scene
from tests.nights.nights import START

pytestmark = pytest.mark.looptime


@contextmanager
def paused(seen: Scene, seconds: float) -> Iterator[None]:
    steering = seen.context.steering
    with steering.taking_requests():
        steering.pause()
        asyncio.get_running_loop().call_later(seconds, steering.resume)
        yield


async def test_a_night_that_is_not_paused_does_not_wait(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    assert not await until_resumed(seen.context)
    assert seen.context.clock.elapsed_s() == 0


async def test_a_paused_night_waits_and_reports_it(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    with paused(seen, 100):
        assert await until_resumed(seen.context)
    assert seen.context.clock.elapsed_s() == pytest.approx(100, abs=1)
    assert seen.context.worked_s() == pytest.approx(0, abs=1)


async def test_a_lit_lamp_is_switched_off_after_minutes_and_lit_again(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await seen.panel.light_on(120)
    with paused(seen, LAMP_S + 100):
        await until_resumed(seen.context)
    off, on = seen.of(PanelChanged)
    assert (off.lit, on.lit, on.brightness) == (False, True, 120)
    assert on.at - off.at >= timedelta(seconds=99)
    assert seen.panel.state().lit


async def test_a_lamp_stays_lit_in_a_short_pause(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await seen.panel.light_on(120)
    with paused(seen, LAMP_S - 10):
        await until_resumed(seen.context)
    assert seen.of(PanelChanged) == []


async def test_a_lamp_that_the_user_switches_is_left_alone(tmp_path: Path) -> None:
    lamp = ManualPanel("the lamp")
    lamp.seen_lit = True
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, panel=lamp))
    with paused(seen, LAMP_S + 100):
        await until_resumed(seen.context)
    assert seen.of(PanelChanged) == []


async def test_the_next_exposure_must_still_end_before_the_deadline(tmp_path: Path) -> None:
    seen = await scene(tmp_path, deadline=START + timedelta(seconds=200))
    with paused(seen, 1000), pytest.raises(StepFailedError, match="the time is up"):
        await until_resumed(seen.context, 60.0)
    assert seen.context.clock.elapsed_s() == pytest.approx(141, abs=2)
