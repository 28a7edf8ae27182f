"""The setpoint that is reached, and the fallback to a warmer setpoint."""

from pathlib import Path

import pytest

from coldframe.capture.night.cooling import Cooling
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.rig.temperature import OutOfReachError
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.steps import CoolStep, ShootStep
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


async def test_without_a_warmer_setpoint_the_sets_are_skipped(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path)
    weaken_cooler(seen)
    with pytest.raises(OutOfReachError):
        await cooling.reach(1, -10.0)
    assert setpoints_c(progress) == {-10.0}
    with pytest.raises(StepSkippedError):
        cooling.require(-10.0)


async def test_a_setpoint_that_is_lost_in_the_middle_of_a_set_moves_this_set_too(tmp_path: Path) -> None:
    seen, cooling, progress = await cooling_with(tmp_path, 0.0)
    await cooling.reach(1, -10.0)
    weaken_cooler(seen)
    before, last = progress.steps, len(progress.steps) - 1
    assert isinstance(before[last - 1], ShootStep)
    assert await cooling.fall_back(last, OutOfReachError("lost")) == 0.0
    assert progress.steps[: last - 1] == before[: last - 1], "what is done stays as it was"
    moved = progress.steps[last - 1]
    assert isinstance(moved, ShootStep)
    assert moved.setpoint_c == 0.0
    cooling.require(0.0)


async def test_what_is_lost_without_a_fallback_is_no_longer_reached(tmp_path: Path) -> None:
    seen, cooling, _ = await cooling_with(tmp_path)
    await cooling.reach(1, -10.0)
    weaken_cooler(seen)
    with pytest.raises(OutOfReachError, match="lost"):
        await cooling.fall_back(2, OutOfReachError("lost"))
    with pytest.raises(StepSkippedError):
        cooling.require(-10.0)
