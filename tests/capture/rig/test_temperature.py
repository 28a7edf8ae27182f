"""The sensor is cooled along a ramp and held, and its thermometer is watched.

tests/nights/test_temperatures.py contains whole nights.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.capture.events.kinds import CoolingProgress, TemperatureRead
from coldframe.capture.judging.thermometer import TemperatureWatch
from coldframe.capture.rig.temperature import (
    SILENCE_S,
    OutOfReachError,
    cool,
    cool_less,
    hold,
    stop_cooling,
    thermometer,
    thermometer_fault,
    warm_up,
    watched,
)
from coldframe.devices.camera import Thermals
from coldframe.devices.errors import DeviceTimeoutError
from tests.capture.scene import Scene, scene, small_night
from tests.nights.test_troubled_nights import Wrapped

pytestmark = pytest.mark.looptime


class Recorded(Wrapped):
    """A camera that records its setpoints."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.setpoints_c: list[float] = []
        self.reconnections = 0

    async def set_setpoint(self, setpoint_c: float) -> None:
        self.setpoints_c.append(setpoint_c)
        await self.inner.set_setpoint(setpoint_c)

    async def reconnect(self) -> None:
        self.reconnections += 1


class Silent(Recorded):
    """A camera whose thermometer has been silent since the start, and perhaps answers an order."""

    answers = False

    def thermals(self) -> Thermals:
        last_s = asyncio.get_running_loop().time() if self.answers and self.setpoints_c else 0.0
        thermals: Thermals = self.inner.thermals()
        return replace(thermals, read_at_s=last_s)


async def recorded(folder: Path, **cooling: Any) -> tuple[Scene, Any]:
    seen = await scene(folder, small_night(cooling=cooling), lambda rig: replace(rig, camera=Recorded(rig.camera)))
    return seen, seen.context.rig.camera


async def test_the_setpoint_follows_a_ramp_and_ends_at_the_goal(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path, ramp_c_per_min=10.0, deadline_s=600.0)
    await cool(seen.context, -10.0)
    assert camera.setpoints_c == sorted(camera.setpoints_c, reverse=True)
    assert len(camera.setpoints_c) > 20
    assert camera.setpoints_c[-1] == -10.0
    assert camera.thermals().sensor_c == pytest.approx(-10, abs=0.3)
    assert seen.context.clock.elapsed_s() > 60 * 28 / 10
    assert seen.of(CoolingProgress)


async def test_even_a_short_ramp_is_no_jump(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path, ramp_c_per_min=1000.0)
    await cool(seen.context, -10.0)
    assert len(camera.setpoints_c) >= 8


async def test_a_setpoint_out_of_reach_is_given_up_for_a_warmer_one_that_is_configured(tmp_path: Path) -> None:
    seen, _ = await recorded(tmp_path, fallback_c=(5.0, -15.0, -5.0), deadline_s=60.0)
    seen.context.rig.camera.inner.telescope.cooler.weaken(maximum_delta_c=20.0)  # type: ignore[attr-defined]
    with pytest.raises(OutOfReachError, match="-10 C was not reached"):
        await cool(seen.context, -10.0)
    assert await cool_less(seen.context, -10.0, -7.0) == 5.0
    assert [text for text in seen.notices if "is out of reach" in text] == [
        "-10 C is out of reach; trying -5 C",
        "-10 C is out of reach; trying 5 C",
    ]


async def test_a_reading_that_lost_its_decimals_gives_no_temperature_within_reach(tmp_path: Path) -> None:
    class Truncated(Recorded):
        def thermals(self) -> Thermals:
            thermals: Thermals = self.inner.thermals()
            return replace(thermals, sensor_c=float(int(thermals.sensor_c or 0.0)))

    settings = small_night(cooling={"deadline_s": 60.0})
    seen = await scene(tmp_path, settings, lambda rig: replace(rig, camera=Truncated(rig.camera)))
    with pytest.raises(OutOfReachError, match="lack its decimals") as caught:
        await cool(seen.context, -10.4)
    assert caught.value.limit_c is None


async def test_a_fallback_colder_than_the_sensor_became_is_not_tried(tmp_path: Path) -> None:
    seen, _ = await recorded(tmp_path, fallback_c=(-5.0, 10.0))
    assert await cool_less(seen.context, -10.0, -2.0) == 10.0
    assert [text for text in seen.notices if "is out of reach" in text] == ["-10 C is out of reach; trying 10 C"]


async def test_setpoints_that_the_camera_refuses_are_not_tried(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path)
    warmest_c = camera.features.setpoint_c.maximum
    assert await cool_less(seen.context, -10.0, warmest_c) is None
    assert seen.notices == []


async def test_sets_without_a_setpoint_follow_a_warm_up(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path)
    await cool(seen.context, -10.0)
    camera.setpoints_c.clear()
    await stop_cooling(seen.context)
    assert camera.setpoints_c[-1] == seen.context.settings.cooling.warm_to_c
    assert camera.thermals().setpoint_c is None


async def test_a_sensor_at_its_setpoint_is_not_waited_for(tmp_path: Path) -> None:
    seen, _ = await recorded(tmp_path)
    await cool(seen.context, -10.0)
    before_s = seen.context.clock.elapsed_s()
    await hold(seen.context, -10.0)
    assert seen.context.clock.elapsed_s() == before_s


async def test_a_sensor_that_drifted_is_waited_for(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path)
    await cool(seen.context, -10.0)
    await camera.inner.set_setpoint(-5.0)
    await asyncio.sleep(60)
    await hold(seen.context, -10.0)
    assert any("has drifted to -5" in text and "waiting for -10 C" in text for text in seen.notices)
    assert camera.thermals().sensor_c == pytest.approx(-10, abs=0.3)


async def test_a_sensor_that_only_passes_the_setpoint_is_not_held(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path)
    await cool(seen.context, -10.0)
    await camera.inner.set_setpoint(0.0)
    await hold(seen.context, -10.0)
    assert any("and the cooler is set to 0 C" in text for text in seen.notices)


@pytest.mark.parametrize("answers", [True, False])
async def test_a_silent_thermometer_is_polled_and_a_dead_one_reconnected(tmp_path: Path, *, answers: bool) -> None:
    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, camera=Silent(rig.camera)))
    camera: Any = seen.context.rig.camera
    camera.answers = answers
    await asyncio.sleep(SILENCE_S + 1)
    fault = await thermometer_fault(seen.context, -10.0)
    assert camera.setpoints_c == [-10.0]
    assert fault == (None if answers else "no temperature reading for 61 s, even after polling the driver")
    assert camera.reconnections == (0 if answers else 1)


async def test_a_thermometer_that_spoke_just_now_is_not_polled(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path)
    assert await thermometer_fault(seen.context, -10.0) is None
    assert camera.setpoints_c == []


async def test_a_poll_that_fails_says_why(tmp_path: Path) -> None:
    class Stuck(Silent):
        async def set_setpoint(self, setpoint_c: float) -> None:
            raise DeviceTimeoutError(self.inner.name, f"did not take {setpoint_c:g} C")

    seen = await scene(tmp_path, meddle=lambda rig: replace(rig, camera=Stuck(rig.camera)))
    await asyncio.sleep(SILENCE_S + 1)
    fault = await thermometer_fault(seen.context, -10.0)
    assert fault is not None
    assert "did not take -10 C" in fault


async def test_the_temperature_is_published_every_second_and_once_more_at_the_end(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    context = seen.context
    async with thermometer(context.rig.camera, context.events, context.clock):
        await asyncio.sleep(10.5)
    assert len(seen.of(TemperatureRead)) == 12


async def test_a_watch_sees_the_temperature_from_start_to_end(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    watch = TemperatureWatch(-10.0, 0.3)
    async with watched(seen.context.rig.camera, watch):
        await asyncio.sleep(2)
    assert not watch.verdict().within, "the sensor is as warm as the air"


async def test_the_warm_up_follows_its_ramp_and_stops_at_its_goal(tmp_path: Path) -> None:
    seen, camera = await recorded(tmp_path, warm_ramp_c_per_min=10.0, warm_to_c=10.0)
    context = seen.context
    await cool(context, -10.0)
    camera.setpoints_c.clear()
    await warm_up(camera, context.settings.cooling, context.events, context.clock)
    assert camera.setpoints_c == sorted(camera.setpoints_c)
    assert camera.setpoints_c[-1] == 10.0
    camera.setpoints_c.clear()
    await asyncio.sleep(120)
    await warm_up(camera, context.settings.cooling, context.events, context.clock)
    assert camera.setpoints_c == [], "it is warm already"
