"""The setpoint that is reached, and the fallback to a warmer setpoint."""

from dataclasses import replace
from pathlib import Path

import pytest

from coldframe.capture.judging.cooler import Obstacle
from coldframe.capture.night.cooling import Cooling
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.rig.temperature import OutOfReachError
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.steps import CoolStep, ShootStep
from coldframe.config.frames import FrameKind
from tests.capture.scene import Scene, scene, small_night

pytestmark = pytest.mark.looptime


async def cooling_with(folder: Path, *fallback_c: float) -> tuple[Scene, Cooling, PlanProgress]:
    seen = await scene(folder, small_night(cooling={"fallback_c": fallback_c, "deadline_s": 60.0}))
    progress = PlanProgress(seen.context, None)
    assert isinstance(progress.steps[0], CoolStep)
    return seen, Cooling(seen.context, progress), progress


def weaken_cooler(seen: Scene) -> None:
    seen.context.rig.camera.telescope.cooler.weaken(maximum_delta_c=20.0)  # type: ignore[attr-defined]


def setpoints_c(progress: PlanProgress) -> set[float | None]:
    return {step.setpoint_c for step in progress.steps if isinstance(step, ShootStep)}


async def test_sets_wait_for_their_setpoint_and_others_need_none(tmp_path: Path) -> None:
    _, cooling, _ = await cooling_with(tmp_path)
    cooling.require(None)
    with pytest.raises(StepSkippedError, match="the sensor did not reach -10 C"):
        cooling.require(-10.0)
    await cooling.reach(1, -10.0)
    cooling.require(-10.0)
    with pytest.raises(StepSkippedError):
        cooling.require(0.0)


async def test_a_setpoint_out_of_reach_moves_the_plan_to_a_warmer_one(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path, 0.0)
    weaken_cooler(seen)
    with pytest.raises(StepFailedError, match="its sets are shot at 0 C"):
        await cooling.reach(1, -10.0)
    assert setpoints_c(progress) == {0.0}
    cooling.require(0.0)


def kinds_at(progress: PlanProgress, setpoint_c: float | None) -> set[FrameKind]:
    return {step.kind for step in progress.steps if isinstance(step, ShootStep) and step.setpoint_c == setpoint_c}


async def test_without_a_fallback_the_nearest_multiple_of_5_c_is_used(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path)
    weaken_cooler(seen)  # to 18 - 20 C
    with pytest.raises(StepFailedError) as failed:
        await cooling.reach(1, -10.0)
    assert str(failed.value) == (
        "-10 C was not reached (the deadline passed at -2.0 C): its sets are shot at 0 C; "
        "on nights like this, shoot lights and darks with camera.setpoint_c = 0 or warmer"
    )
    assert setpoints_c(progress) == {0.0}
    assert seen.context.rig.camera.thermals().setpoint_c == 0.0
    cooling.require(0.0)


async def test_darks_for_lights_keep_their_setpoint_and_are_skipped(tmp_path: Path) -> None:
    seen, _, _ = await cooling_with(tmp_path)
    seen = replace(seen, context=replace(seen.context, is_for_lights=True))
    progress = PlanProgress(seen.context, None)
    cooling = Cooling(seen.context, progress)
    weaken_cooler(seen)
    with pytest.raises(StepFailedError, match="flats and dark flats are shot at 0 C, and darks are skipped; on nights"):
        await cooling.reach(1, -10.0)
    assert kinds_at(progress, -10.0) == {FrameKind.DARK}
    assert kinds_at(progress, 0.0) == {FrameKind.BIAS, FrameKind.FLAT, FrameKind.DARK_FLAT}
    with pytest.raises(StepSkippedError):
        cooling.require(-10.0)


async def test_with_a_dead_cooler_all_but_darks_are_shot_without_cooling(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path, 10.0)
    seen.context.rig.camera.telescope.cooler.weaken(maximum_delta_c=0.1)  # type: ignore[attr-defined]
    with pytest.raises(StepFailedError, match="are shot without cooling, and darks are skipped; choose a setpoint"):
        await cooling.reach(1, -10.0)
    assert kinds_at(progress, -10.0) == {FrameKind.DARK}
    assert kinds_at(progress, None) == {FrameKind.BIAS, FrameKind.FLAT, FrameKind.DARK_FLAT}
    assert seen.context.rig.camera.thermals().setpoint_c is None
    cooling.require(None)


async def test_without_a_temperature_the_sets_are_skipped(tmp_path: Path) -> None:
    _, cooling, progress = await cooling_with(tmp_path)
    await cooling.reach(1, -10.0)
    with pytest.raises(OutOfReachError, match="readings stopped"):
        await cooling.fall_back(2, OutOfReachError("the readings stopped", None, Obstacle.SILENCE))
    assert setpoints_c(progress) == {-10.0}
    with pytest.raises(StepSkippedError):
        cooling.require(-10.0)


async def test_a_setpoint_that_is_lost_in_the_middle_of_a_set_moves_this_set_too(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path, 0.0)
    await cooling.reach(1, -10.0)
    weaken_cooler(seen)
    before, last = progress.steps, len(progress.steps) - 1
    assert isinstance(before[last - 1], ShootStep)
    lost = OutOfReachError("lost", -2.0, Obstacle.POWER)
    assert "its sets are shot at 0 C" in await cooling.fall_back(last, lost)
    assert progress.steps[: last - 1] == before[: last - 1], "what is done stays as it was"
    moved = progress.steps[last - 1]
    assert isinstance(moved, ShootStep)
    assert moved.setpoint_c == 0.0
    cooling.require(0.0)
