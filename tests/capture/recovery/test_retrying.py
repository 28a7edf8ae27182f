"""Commands to the rig are retried within the night's budget, and coldframe waits for missing devices."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import Notice
from coldframe.capture.recovery.retrying import AWAY_S, come_back, ensure_ready, with_retries
from coldframe.capture.session.context import StepFailedError
from coldframe.devices.errors import DeviceError, DeviceLostError, DeviceTimeoutError, SettingRefusedError
from coldframe.devices.rig import Rig
from tests.capture.scene import Scene, scene
from tests.nights.nights import START
from tests.nights.test_troubled_nights import Wrapped

pytestmark = pytest.mark.looptime

WHEEL = "Coldframe Filter Wheel"
CAMERA = "Coldframe Camera"


class Away(Wrapped):
    """A device that is away until a time on the loop's clock."""

    back_at_s = float("inf")
    checks = 0

    async def ensure_ready(self) -> None:
        self.checks += 1
        if asyncio.get_running_loop().time() < self.back_at_s:
            raise DeviceLostError(self.inner.name, "is away")


def failing(times: int, error: Callable[[], DeviceError]) -> Callable[[], Awaitable[str]]:
    """Return an attempt that fails so many times, then succeeds."""
    left = [times]

    async def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise error()
        return "done"

    return attempt


def stuck_wheel() -> DeviceError:
    return DeviceTimeoutError(WHEEL, "did not turn")


def retries(seen: Scene) -> list[Notice]:
    return [notice for notice in seen.of(Notice) if notice.will_retry]


async def test_an_order_is_retried_until_it_succeeds(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    assert await with_retries(seen.context, failing(2, stuck_wheel)) == "done"
    assert len(retries(seen)) == 2


async def test_pauses_between_retries_grow(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    began_s = asyncio.get_running_loop().time()
    await with_retries(seen.context, failing(2, stuck_wheel))
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(1 + 2)


async def test_an_order_that_fails_too_often_fails_its_step(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    with pytest.raises(StepFailedError, match=r"did not turn.* \(3 times in a row\)"):
        await with_retries(seen.context, failing(3, stuck_wheel))


async def test_what_the_rig_cannot_do_is_not_retried(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    with pytest.raises(SettingRefusedError):
        await with_retries(seen.context, failing(1, lambda: SettingRefusedError(CAMERA, "refused gain 999")))
    assert retries(seen) == []


async def test_a_device_that_failed_twice_in_a_row_gets_no_retries_until_it_works(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    for _ in range(2):
        seen.context.retries.begin_set()
        with pytest.raises(StepFailedError):
            await with_retries(seen.context, failing(3, stuck_wheel))
    assert f"{WHEEL} has failed repeatedly; commands to it are not retried until it works again" in seen.notices
    seen.context.retries.begin_set()
    before = len(retries(seen))
    with pytest.raises(StepFailedError):
        await with_retries(seen.context, failing(1, stuck_wheel))
    assert len(retries(seen)) == before
    seen.context.retries.breakers.worked(WHEEL)
    assert await with_retries(seen.context, failing(1, stuck_wheel)) == "done"


async def test_a_set_has_a_budget_of_retries(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    await with_retries(seen.context, failing(2, stuck_wheel))
    with pytest.raises(StepFailedError, match="no retry is left: this set has already used its 3 retries"):
        await with_retries(seen.context, failing(2, stuck_wheel))


def with_camera_away(rig: Rig) -> Rig:
    return replace(rig, camera=Away(rig.camera))


async def test_a_device_that_comes_back_within_minutes_is_waited_for(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=with_camera_away)
    camera: Any = seen.context.rig.camera
    camera.back_at_s = asyncio.get_running_loop().time() + AWAY_S / 2
    await come_back(seen.context)
    assert asyncio.get_running_loop().time() == pytest.approx(camera.back_at_s, abs=15)


async def test_a_camera_that_stays_away_fails_the_step(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=with_camera_away)
    with pytest.raises(StepFailedError, match=r"is away.* \(for 5 min\)"):
        await come_back(seen.context)


async def test_nothing_is_waited_for_beyond_the_deadline(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=with_camera_away, deadline=START + timedelta(seconds=60))
    with pytest.raises(StepFailedError, match="the time is up"):
        await come_back(seen.context)


async def test_a_set_goes_on_without_a_device_that_it_does_not_need(tmp_path: Path) -> None:
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, wheel=Away(rig.wheel)))
    seen.context.retries.begin_set([CAMERA])
    await come_back(seen.context)
    assert any("steps that do not need this device continue" in text for text in seen.notices)
    wheel: Any = seen.context.rig.wheel
    checks = wheel.checks
    await ensure_ready(seen.context)
    assert wheel.checks == checks, "it is left out from now on"
