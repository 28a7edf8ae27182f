"""The safe state is reached step by step, and a failed step does not prevent the following steps."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import Topic
from coldframe.capture.rig.safe_state import (
    ABORT_DEADLINE_S,
    LAMP_DEADLINE_S,
    PATIENCE_S,
    ROTATOR_PATIENCE_S,
    STILL_COLD_C,
    SafeState,
)
from coldframe.capture.rig.temperature import cool
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import CoverSettings, RotatorSettings
from coldframe.devices.camera import Thermals
from coldframe.devices.errors import DeviceError, DeviceLostError
from coldframe.devices.flat_panel import CoverState
from coldframe.devices.rig import Rig
from tests.capture.scene import Scene, scene, small_night
from tests.nights.test_troubled_nights import Wrapped

pytestmark = pytest.mark.looptime


class Orders(Wrapped):
    """A device that records its orders, some of which fail or hang."""

    def __init__(self, inner: Any, orders: list[str], trouble: dict[str, Callable[[], Any]]) -> None:
        super().__init__(inner)
        self._orders, self._trouble = orders, trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in {"abort", "light_off", "close_cover", "open_cover", "cooler_off", "set_setpoint"}:
            return found

        async def order(*args: Any) -> None:
            self._orders.append(name)
            if name in self._trouble:
                await self._trouble[name]()
            await found(*args)

        return order


async def fail() -> None:
    raise DeviceError("the device", "does not obey")


async def hang() -> None:
    await asyncio.Event().wait()


async def stumble() -> None:
    raise KeyError("a bug")


async def night(folder: Path, settings: Settings, **trouble: Callable[[], Any]) -> tuple[Scene, SafeState, list[str]]:
    """Return a cold rig with its lamp lit, what makes it safe, and the orders that this gives."""
    orders = list[str]()

    def recorded(rig: Rig) -> Rig:
        return replace(rig, camera=Orders(rig.camera, orders, trouble), panel=Orders(rig.panel, orders, trouble))

    seen = await scene(folder, settings, recorded)
    context = seen.context
    await cool(context, -10.0)
    await seen.panel.light_on(100)
    await asyncio.sleep(1)
    orders.clear()
    return seen, SafeState(settings, context.rig, context.events, context.clock), orders


OFF = small_night(cooling={"at_end": "off"})
WARM = small_night(cooling={"at_end": "warm"})
HOLD = small_night(cooling={"at_end": "hold"})


def is_off(seen: Scene) -> bool:
    return seen.context.rig.camera.thermals().cooler_on is False


async def test_the_steps_have_an_order(tmp_path: Path) -> None:
    seen, safe, orders = await night(tmp_path, OFF)
    assert await safe.reach() == ()
    assert orders == ["abort", "light_off", "close_cover", "cooler_off"]
    assert not seen.panel.state().lit
    assert seen.panel.state().cover is CoverState.CLOSED
    assert is_off(seen)


async def test_a_separate_cover_is_moved_as_configured(tmp_path: Path) -> None:
    settings = OFF.model_copy(update={"cover": CoverSettings(device="Dust Cap", at_end="open")})
    seen = await scene(tmp_path, settings)
    orders = list[str]()
    rig = replace(seen.context.rig, cover=Orders(seen.panel, orders, {}), panel=None)
    assert await SafeState(settings, rig, seen.context.events, seen.context.clock).reach() == ()
    assert orders == ["open_cover"]


async def test_a_warm_up_comes_before_the_cooler_is_switched_off(tmp_path: Path) -> None:
    seen, safe, orders = await night(tmp_path, WARM)
    assert await safe.reach() == ()
    assert orders[:3] == ["abort", "light_off", "close_cover"]
    assert set(orders[3:-1]) == {"set_setpoint"}
    assert orders[-1] == "cooler_off"
    assert is_off(seen)


@pytest.mark.parametrize("settings", [OFF, WARM], ids=["off at once", "after a quick ramp"])
async def test_a_sensor_that_is_still_cold_is_stated(tmp_path: Path, settings: Settings) -> None:
    seen, safe, _ = await night(tmp_path, settings)
    assert await safe.reach() == ()
    assert safe.still_cold_c is not None
    assert -11 < safe.still_cold_c < settings.cooling.warm_to_c - STILL_COLD_C
    assert [notice.text for notice in seen.of(Notice)] == [
        f"the cooler is off; the sensor is at {safe.still_cold_c:.0f} C and is warming up to the air temperature"
    ]


async def test_a_warm_sensor_is_not_stated(tmp_path: Path) -> None:
    slow = small_night(cooling={"at_end": "warm", "warm_ramp_c_per_min": 2.0})
    seen, safe, _ = await night(tmp_path, slow)
    assert await safe.reach() == ()
    assert (safe.still_cold_c, seen.of(Notice)) == (None, [])


async def test_a_cooler_that_shall_hold_is_left_alone(tmp_path: Path) -> None:
    seen, safe, orders = await night(tmp_path, HOLD)
    assert await safe.reach() == ()
    assert "cooler_off" not in orders
    assert not is_off(seen)


async def test_a_resumed_night_leaves_the_cooler_alone(tmp_path: Path) -> None:
    seen, safe, orders = await night(tmp_path, OFF)
    assert await safe.reach_but_cooler() == ()
    assert orders == ["abort", "light_off", "close_cover"]
    assert not is_off(seen)


@pytest.mark.parametrize("trouble", [fail, hang, stumble])
@pytest.mark.parametrize("order", ["abort", "light_off", "close_cover"])
async def test_no_failure_keeps_the_other_steps_from_being_done(
    tmp_path: Path, order: str, trouble: Callable[[], Any]
) -> None:
    seen, safe, orders = await night(tmp_path, OFF, **{order: trouble})
    began_s = seen.context.clock.elapsed_s()
    (failure,) = await safe.reach()
    assert failure.endswith("Check it by hand.")
    assert list(dict.fromkeys(orders)) == ["abort", "light_off", "close_cover", "cooler_off"]
    assert is_off(seen)
    longest_s = PATIENCE_S + 2 * LAMP_DEADLINE_S + ABORT_DEADLINE_S + 120
    assert seen.context.clock.elapsed_s() - began_s < longest_s


async def test_failures_have_a_topic_and_do_not_add_up(tmp_path: Path) -> None:
    seen, safe, _ = await night(tmp_path, OFF, light_off=fail)
    assert len(await safe.reach()) == 1
    assert [notice.topic for notice in seen.of(Notice) if notice.topic is not None] == [Topic.LAMP]
    assert len(await safe.reach()) == 1


async def test_a_lost_device_is_waited_for(tmp_path: Path) -> None:
    async def lost() -> None:
        if asyncio.get_running_loop().time() < back_at_s:
            raise DeviceLostError("the server", "is away")

    seen, safe, _ = await night(tmp_path, OFF, light_off=lost)
    back_at_s = asyncio.get_running_loop().time() + PATIENCE_S / 2
    assert await safe.reach() == ()
    assert not seen.panel.state().lit
    assert [text for text in seen.notices if "waiting at most" in text] == [
        f"the server: is away; waiting at most {PATIENCE_S:g} s for it"
    ]


async def test_a_warm_up_that_is_cut_short_leaves_the_cooler_holding(tmp_path: Path) -> None:
    settings = small_night(cooling={"at_end": "warm", "warm_ramp_c_per_min": 1.0})
    seen, safe, orders = await night(tmp_path, settings)
    reaching = asyncio.create_task(safe.reach())
    await asyncio.sleep(60)
    safe.cut_warm_up_short()
    (failure,) = await reaching
    assert "its warm-up was cut short; the cooler holds the setpoint" in failure
    assert orders[:3] == ["abort", "light_off", "close_cover"]
    assert not is_off(seen)


@pytest.mark.parametrize("times", [1, 1000])
async def test_a_cooler_whose_state_cannot_be_read_is_switched_off(tmp_path: Path, times: int) -> None:
    class Unreadable(Wrapped):
        left = times

        def thermals(self) -> Thermals:
            self.left -= 1
            if self.left >= 0:
                raise ValueError("could not convert string to float: 'cold'")
            found: Thermals = self.inner.thermals()
            return found

    seen, _, orders = await night(tmp_path, WARM)
    context = seen.context
    rig = replace(context.rig, camera=Unreadable(context.rig.camera))
    failures = await SafeState(WARM, rig, context.events, context.clock).reach()
    assert is_off(seen)
    assert (failures == ()) is (times == 1)
    assert "cooler_off" in orders


async def test_a_step_that_fails_unexpectedly_once_is_done_again(tmp_path: Path) -> None:
    bugs = iter([KeyError("a bug")])

    async def stumble_once() -> None:
        for bug in bugs:
            raise bug

    seen, safe, _ = await night(tmp_path, OFF, light_off=stumble_once)
    assert await safe.reach() == ()
    assert not seen.panel.state().lit


# ---- the rotator ----


class Turned:
    """A rotator that was found at 30 degrees and takes `turn_s` to turn back."""

    name = "rotator"
    found_deg: float | None = 30.0
    angle_deg = 30.0

    def __init__(self, turn_s: float, *, was_commanded: bool = True) -> None:
        self._turn_s, self._was_commanded = turn_s, was_commanded
        self.restored_at_s: float | None = None

    async def connect(self) -> None:
        pass

    async def restore(self) -> bool:
        if self._was_commanded:
            await asyncio.sleep(self._turn_s)
            self.restored_at_s = asyncio.get_running_loop().time()
        self.found_deg = None
        return self._was_commanded


async def night_with(
    folder: Path, rotator: Turned, settings: Settings = WARM, turn_deadline_s: float = 180.0
) -> tuple[Scene, SafeState]:
    turning = RotatorSettings(device="rotator", turn_deadline_s=turn_deadline_s)
    settings = settings.model_copy(update={"rotator": turning})
    found: Any = rotator
    seen = await scene(folder, settings, lambda rig: replace(rig, rotator=found))
    await cool(seen.context, -10.0)
    return seen, SafeState(settings, seen.context.rig, seen.context.events, seen.context.clock)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_the_rotator_turns_back_during_the_warm_up(tmp_path: Path) -> None:
    began_s = now_s()
    _, without = await night_with(tmp_path / "without", Turned(0.0))
    assert await without.reach() == ()
    expected_s = now_s() - began_s
    rotator = Turned(4.0)
    began_s = now_s()
    seen, safe = await night_with(tmp_path / "with", rotator)
    assert await safe.reach() == ()
    assert now_s() - began_s == pytest.approx(expected_s, abs=0.5)
    assert is_off(seen)
    assert [event.found_deg for event in seen.of(RotatorTurned)] == [None]


async def test_a_stuck_rotator_does_not_delay_the_cooler_and_is_not_awaited_for_long(tmp_path: Path) -> None:
    rotator = Turned(1e6)
    seen, safe = await night_with(tmp_path, rotator, OFF, turn_deadline_s=1800.0)
    reaching = asyncio.create_task(safe.reach())
    await asyncio.sleep(COOLER_S)
    assert is_off(seen)
    began_s = now_s()
    assert await reaching == ()
    assert now_s() - began_s <= ROTATOR_PATIENCE_S
    assert any("not turned back to 30 deg" in notice.text for notice in seen.of(Notice))


async def test_a_hurried_safe_state_does_not_wait_for_the_rotator(tmp_path: Path) -> None:
    rotator = Turned(100.0)
    seen, safe = await night_with(tmp_path, rotator, HOLD)
    reaching = asyncio.create_task(safe.reach())
    await asyncio.sleep(30)
    assert not reaching.done()
    began_s = now_s()
    safe.cut_warm_up_short()
    assert await reaching == ()
    assert now_s() - began_s < 5
    assert rotator.restored_at_s is None
    assert any("the wait for it was cut short" in notice.text for notice in seen.of(Notice))


async def test_a_safe_state_that_is_hurried_from_the_start_reports_that_the_rotator_stayed(tmp_path: Path) -> None:
    seen, safe = await night_with(tmp_path, Turned(100.0), HOLD)
    safe.cut_warm_up_short()
    assert await safe.reach() == ()
    assert any("the wait for it was cut short" in notice.text for notice in seen.of(Notice))


async def test_a_rotator_that_was_not_turned_leaves_no_event(tmp_path: Path) -> None:
    seen, safe = await night_with(tmp_path, Turned(1.0, was_commanded=False), HOLD)
    assert await safe.reach() == ()
    assert not seen.of(RotatorTurned)


COOLER_S = 130.0
"""Enough for the camera, the panel and the cooler of these nights."""
