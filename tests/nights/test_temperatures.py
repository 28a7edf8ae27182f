"""Nights on which the sensor does not reach or hold its setpoint, or has no cooler."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.capture.events.kinds import (
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.planning.light_words import LightWords
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.steps import ShootStep
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.config.tables.sets import FrameSet
from coldframe.devices.camera import Camera, Thermals
from coldframe.devices.errors import DeviceTimeoutError
from coldframe.devices.rig import Rig
from tests.nights.nights import run_night, tiny

pytestmark = pytest.mark.looptime
SMALL = tiny(load_rig("small"))
BIAS: dict[str, object] = {"kind": "bias", "count": 10}
DARKS: dict[str, object] = {"kind": "dark", "count": 6, "exposure_s": 2.0}


def night_of(name: str, *sets: dict[str, object], **cooling: object) -> Settings:
    settings = load_settings(example_night(name))
    return settings.model_copy(
        update={
            "sets": tuple(FrameSet.model_validate(each) for each in sets),
            "cooling": settings.cooling.model_copy(update=cooling),
        }
    )


def weak(maximum_delta_c: float) -> SimulatedRig:
    """Return the rig with a weaker cooler; ambient is 18 C."""
    assert SMALL.cooler is not None
    return SMALL.model_copy(update={"cooler": SMALL.cooler.model_copy(update={"maximum_delta_c": maximum_delta_c})})


async def test_sets_out_of_reach_are_shot_at_the_nearest_configured_setpoint(tmp_path: Path) -> None:
    settings = night_of("small", BIAS, DARKS, fallback_c=(10.0, 0.0, -5.0))
    night = await run_night(settings, weak(21.0), tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    failed = [ended for ended in night.of(StepEnded) if ended.outcome is StepOutcome.FAILED]
    assert len(failed) == 1
    assert "-10 C was not reached" in failed[0].reason
    assert "its sets are shot at 0 C" in failed[0].reason
    assert all("_0C_" in master.path for master in night.of(MasterWritten))
    assert len(night.of(FrameAccepted)) == 16
    assert all(abs((event.sensor_c or 99.0) - 0.0) <= 0.3 for event in night.of(FrameAccepted))


async def test_a_set_that_is_planned_at_the_next_setpoint_anyway_is_shot_once(tmp_path: Path) -> None:
    settings = night_of("small", BIAS, DARKS, {**DARKS, "setpoint_c": 0.0}, fallback_c=(0.0,))
    night = await run_night(settings, weak(21.0), tmp_path)
    assert len(night.of(MasterWritten)) == 2
    skipped = [ended.reason for ended in night.of(StepEnded) if ended.outcome is StepOutcome.SKIPPED]
    assert skipped == ["the sensor did not reach -10 C"]


async def test_if_no_fallback_is_within_reach_a_multiple_of_5_c_is_used(tmp_path: Path) -> None:
    night = await run_night(night_of("small", BIAS, DARKS, fallback_c=(-5.0, -2.0)), weak(15.0), tmp_path)
    assert night.outcome is NightOutcome.INCOMPLETE
    assert all("_5C_" in master.path for master in night.of(MasterWritten))
    assert len(night.of(MasterWritten)) == 2
    result = night.of(NightEnded)[0].result
    assert result.endswith(
        "its sets are shot at 5 C; on nights like this, shoot lights and darks with camera.setpoint_c = 5 or warmer"
    )


HOT = ({"kind": "flat", "filter": "Ha", "count": 6}, {"kind": "dark-flat", "filter": "Ha", "count": 6})


async def test_on_a_hot_night_the_darks_of_cold_lights_are_skipped_and_all_else_is_shot(tmp_path: Path) -> None:
    night = await run_night(night_of("small", BIAS, DARKS, *HOT), weak(15.0), tmp_path, words=LightWords())
    masters = [Path(master.path).name for master in night.of(MasterWritten)]
    assert sorted(name.partition("_")[0] for name in masters) == ["MasterBias", "MasterDarkFlat", "MasterFlat"]
    headers = [read_header(Path(event.path)) for event in night.of(FrameAccepted)]
    assert {header["SET-TEMP"] for header in headers} == {5.0}
    result = night.of(NightEnded)[0].result
    assert "bias frames, flats and dark flats are shot at 5 C, and darks are skipped" in result
    assert result.endswith("missing: dark 2 s (the sensor did not reach -10 C)")


async def test_with_a_dead_cooler_the_flats_are_shot_at_the_temperature_of_the_air(tmp_path: Path) -> None:
    night = await run_night(night_of("small", BIAS, DARKS, *HOT), weak(0.1), tmp_path)
    assert len(night.of(MasterWritten)) == 3
    headers = [read_header(Path(event.path)) for event in night.of(FrameAccepted)]
    assert all("SET-TEMP" not in header for header in headers)
    assert {round(float(str(header["CCD-TEMP"]))) for header in headers} == {18}
    assert "are shot without cooling, and darks are skipped" in night.of(NightEnded)[0].result


class Thermometer:
    """A camera that reports its temperature only after large changes, or not at all after a while."""

    def __init__(self, camera: Camera, *, dies_after_s: float) -> None:
        self._camera = camera
        self._began_s = asyncio.get_running_loop().time()
        self._dies_s = dies_after_s
        self._told: Thermals | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def _is_dead(self) -> bool:
        return asyncio.get_running_loop().time() - self._began_s > self._dies_s

    def thermals(self) -> Thermals:
        now, told = self._camera.thermals(), self._told
        assert now.sensor_c is not None
        if told is None or (not self._is_dead() and abs((told.sensor_c or 0.0) - now.sensor_c) > 0.15):
            self._told = told = now
        return told

    async def set_setpoint(self, setpoint_c: float) -> None:
        if self._is_dead():
            raise DeviceTimeoutError(self._camera.name, "an answer to the setpoint did not arrive within 10 s")
        await self._camera.set_setpoint(setpoint_c)
        self._told = self._camera.thermals()


def told_by(dies_after_s: float) -> Callable[[Rig], Rig]:
    return lambda rig: replace(rig, camera=Thermometer(rig.camera, dies_after_s=dies_after_s))


LONG_DARKS: dict[str, object] = {"kind": "dark", "count": 6, "exposure_s": 300.0}


async def test_a_thermometer_that_reports_only_changes_is_trusted(tmp_path: Path) -> None:
    night = await run_night(night_of("small", LONG_DARKS), SMALL, tmp_path, told_by(1e9))
    assert night.outcome is NightOutcome.COMPLETE
    assert night.of(FrameRejected) == []


async def test_frames_shot_with_a_dead_thermometer_do_not_count(tmp_path: Path) -> None:
    settings = night_of("small", LONG_DARKS, at_end="hold")
    night = await run_night(settings, SMALL, tmp_path, told_by(1000.0))
    assert night.outcome is NightOutcome.INCOMPLETE
    assert 0 < len(night.of(FrameAccepted)) < 4
    assert night.of(FrameRejected)
    assert all("even after polling the driver" in event.reason for event in night.of(FrameRejected))


class Frozen:
    """A camera whose cooler fails at its second dark, and whose driver repeats one reading until it is reconnected."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self.darks, self.reconnections = 0, 0
        self._told: Thermals | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def thermals(self) -> Thermals:
        now = self._camera.thermals()
        if self._told is None:
            return now
        return replace(self._told, read_at_s=now.read_at_s, power_percent=0.0)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Any:
        self.darks += kind is FrameKind.DARK
        if self.darks == 2 and self.reconnections == 0:
            self._told = replace(self._camera.thermals(), sensor_c=-10.0)
        return await self._camera.expose(kind, exposure_s)

    async def reconnect(self) -> None:
        self.reconnections, self._told = self.reconnections + 1, None


async def test_a_driver_that_repeats_one_temperature_is_reconnected(tmp_path: Path) -> None:
    cameras: list[Frozen] = []

    def freezing(rig: Rig) -> Rig:
        cameras.append(Frozen(rig.camera))
        return replace(rig, camera=cameras[0])

    night = await run_night(night_of("small", LONG_DARKS), SMALL, tmp_path, freezing)
    assert night.outcome is NightOutcome.COMPLETE
    assert cameras[0].reconnections == 1
    assert any("to the last digit" in event.reason for event in night.of(FrameRejected))


class FailingCooler:
    """A camera whose cooler weakens in the middle of its darks."""

    def __init__(self, camera: Any, at: int) -> None:
        self._camera, self._at, self.darks = camera, at, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    async def expose(self, kind: FrameKind, exposure_s: float) -> Any:
        self.darks += kind is FrameKind.DARK
        if self.darks == self._at:
            self._camera.telescope.cooler.weaken(maximum_delta_c=21.0)
        return await self._camera.expose(kind, exposure_s)


def with_failing_cooler(at: int) -> Callable[[Rig], Rig]:
    return lambda rig: replace(rig, camera=FailingCooler(rig.camera, at))


async def test_a_cooler_that_fails_in_the_middle_of_a_set_moves_it_to_a_warmer_setpoint(tmp_path: Path) -> None:
    longer = {**LONG_DARKS, "exposure_s": 120.0}
    settings = night_of("small", longer, LONG_DARKS, fallback_c=(0.0,))
    night = await run_night(settings, SMALL, tmp_path, with_failing_cooler(3))
    assert night.outcome is NightOutcome.INCOMPLETE
    failed = [ended.reason for ended in night.of(StepEnded) if ended.outcome is StepOutcome.FAILED]
    assert len(failed) == 1
    assert "its sets are shot at 0 C" in failed[0]
    masters = [Path(master.path).name for master in night.of(MasterWritten)]
    assert len(masters) == 2
    assert all("_0C_" in name for name in masters)
    assert all(master.frames == 6 for master in night.of(MasterWritten))


async def test_a_failing_cooler_costs_the_remaining_darks_of_cold_lights(tmp_path: Path) -> None:
    longer, words = {**LONG_DARKS, "exposure_s": 120.0}, LightWords()
    settings = night_of("small", longer, LONG_DARKS)
    night = await run_night(settings, SMALL, tmp_path, with_failing_cooler(3), words=words)
    assert night.of(MasterWritten) == []
    ended = {event.step: event for event in night.of(StepEnded)}
    assert "-10 C was not reached" in ended[2].reason
    assert "its darks are skipped; choose a setpoint" in ended[2].reason
    assert ended[3].reason == "the sensor did not reach -10 C"


class Warming(FailingCooler):
    """A camera whose sensor is warmer during one dark, and cold again afterwards."""

    async def expose(self, kind: FrameKind, exposure_s: float) -> Any:
        self.darks += kind is FrameKind.DARK
        return await self._camera.expose(kind, exposure_s)

    def thermals(self) -> Thermals:
        now: Thermals = self._camera.thermals()
        warms = self.darks == self._at and asyncio.get_running_loop().time() % 300 > 150
        return replace(now, sensor_c=(now.sensor_c or 0.0) + warms)


async def test_a_dark_during_which_the_sensor_warmed_up_is_shot_again(tmp_path: Path) -> None:
    settings = night_of("small", LONG_DARKS)
    night = await run_night(settings, SMALL, tmp_path, lambda rig: replace(rig, camera=Warming(rig.camera, 3)))
    assert night.outcome is NightOutcome.COMPLETE
    (rejected,) = night.of(FrameRejected)
    assert "the sensor was at -10" in rejected.reason


class Stubborn(FailingCooler):
    """A camera that ignores the first `at` orders to switch its cooler off."""

    async def cooler_off(self) -> None:
        self.darks += 1
        if self.darks > self._at:
            await self._camera.cooler_off()


@pytest.mark.parametrize(("orders", "is_reported"), [(1, False), (9, True)])
async def test_a_cooler_that_stays_on_is_switched_off_again(
    orders: int,
    is_reported: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    settings = night_of("small", BIAS, at_end="off")
    night = await run_night(settings, SMALL, tmp_path, lambda rig: replace(rig, camera=Stubborn(rig.camera, orders)))
    assert (night.outcome is NightOutcome.INCOMPLETE) is is_reported
    assert any("was switched off but still" in notice.text for notice in night.of(Notice)) is is_reported


UNCOOLED = tiny(load_rig("uncooled"))


async def test_darks_of_a_sensor_that_cools_off_make_a_master_for_each_temperature(tmp_path: Path) -> None:
    drifting = UNCOOLED.model_copy(update={"ambient_drift_c_per_h": -6.0})
    settings = night_of("uncooled", {"kind": "dark", "exposure_s": 120.0, "count": 40})
    night = await run_night(settings, drifting, tmp_path)
    assert night.outcome is NightOutcome.COMPLETE, night.events[-1]
    sensors_c = [event.sensor_c or 0.0 for event in night.of(FrameAccepted)]
    assert [event.index for event in night.of(FrameAccepted)] == list(range(1, 41))
    masters = night.of(MasterWritten)
    assert len(masters) > 2
    assert sum(master.frames for master in masters) == 40
    first = 0
    for master in masters:
        part = sensors_c[first : first + master.frames]
        first += master.frames
        # The bin, a frame or two under way, and the four that are too few for a master of their own.
        assert max(part) - min(part) < 2.0 + 6 * 0.21
        assert f"{round(sum(part) / len(part), 1):g}C" in master.path


async def test_without_a_setpoint_darks_come_first_and_with_one_last() -> None:
    uncooled, cooled = (
        [step.kind for step in plan_night(load_settings(example_night(name))) if isinstance(step, ShootStep)]
        for name in ("uncooled", "small")
    )
    assert (uncooled[0], uncooled[-1]) == (FrameKind.DARK, FrameKind.FLAT)
    assert (cooled[0], cooled[-1]) == (FrameKind.BIAS, FrameKind.DARK)


async def test_darks_of_a_steady_uncooled_sensor_make_one_master(tmp_path: Path) -> None:
    settings = night_of("uncooled", {"kind": "dark", "exposure_s": 60.0, "count": 30})
    night = await run_night(settings, UNCOOLED, tmp_path)
    assert len(night.of(MasterWritten)) == 1
