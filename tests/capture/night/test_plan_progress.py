"""The completed and the remaining parts of a plan, and the events that report them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import SetResized, TuningKept
from coldframe.capture.events.values import SkippedBy, StepType
from coldframe.capture.night.night import needed_devices
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.night.planned_steps import planned_steps
from coldframe.capture.night.resuming import EarlierRun
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.session.context import StepSkippedError
from coldframe.capture.steps import ShootStep, TuneStep
from coldframe.capture.tuner.panel_curve import PROPORTIONAL
from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind
from tests.capture.scene import scene, small_night
from tests.nights.nights import START

pytestmark = pytest.mark.looptime

TUNED = Tuned(1.0, 100, 25_000.0, FlatTarget(500.0, 65_000.0), is_starved=False, tests=3, message="")


def test_each_step_is_reported_with_its_type_and_an_estimate() -> None:
    settings = small_night()
    planned = planned_steps(plan_night(settings), settings)
    assert [step.number for step in planned] == list(range(1, len(planned) + 1))
    assert [step.step_type for step in planned[:3]] == [StepType.COOL, StepType.SHOOT, StepType.TUNE]
    assert planned[-1].step_type is StepType.WARM
    assert (planned[0].setpoint_c, planned[1].kind, planned[2].filter) == (-10.0, FrameKind.BIAS, "L")
    assert all(step.estimate_s > 0 for step in planned)


def test_twilight_flats_have_types_of_their_own() -> None:
    settings = small_night(flats={"source": "sky"})
    types = [step.step_type for step in planned_steps(plan_night(settings), settings)]
    assert StepType.SKY_FLATS in types
    assert StepType.SKY_MASTER in types
    assert StepType.TUNE not in types


async def test_a_new_night_has_done_nothing(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    progress = PlanProgress(seen.context, None)
    assert not any(progress.is_done(number) for number in range(1, len(progress.steps) + 1))
    assert not progress.needs_no_cooling(1, -10.0)
    tunings = [step for step in progress.steps if isinstance(step, TuneStep)]
    assert progress.earlier_tuning(tunings[0]) is None
    assert all(step.estimate_s > 0 for step in progress.announced_steps())


async def test_a_set_counts_as_done_only_while_its_frames_are_there(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    steps = PlanProgress(seen.context, None).steps
    earlier = EarlierRun(seen.context.saved, done=frozenset(range(1, len(steps) + 1)))
    progress = PlanProgress(seen.context, earlier)
    done = [progress.is_done(number) for number in range(1, len(steps) + 1)]
    assert done == [not isinstance(step, ShootStep) for step in steps]
    assert not progress.needs_no_cooling(1, -10.0)


async def test_a_tuning_of_an_earlier_run_counts_only_with_frames_shot_with_it(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    tuning = next(step for step in PlanProgress(seen.context, None).steps if isinstance(step, TuneStep))
    progress = PlanProgress(seen.context, EarlierRun(seen.context.saved, tuned={tuning: TUNED}))
    assert progress.earlier_tuning(tuning) is None


async def test_a_tuning_is_kept_for_its_sets_and_journalled(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    progress = PlanProgress(seen.context, None)
    tuning = next(step for step in progress.steps if isinstance(step, TuneStep))
    progress.keep_tuning(tuning, TUNED, PROPORTIONAL)
    assert progress.products.tuned[tuning] == TUNED
    (kept,) = seen.of(TuningKept)
    assert (kept.step, kept.tuned, kept.curve) == (tuning, TUNED, PROPORTIONAL)


async def test_a_move_to_another_setpoint_takes_tunings_along(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    progress = PlanProgress(seen.context, None)
    tuning = next(step for step in progress.steps if isinstance(step, TuneStep))
    progress.keep_tuning(tuning, TUNED, PROPORTIONAL)
    number = progress.steps.index(tuning) + 1
    progress.move(number, -10.0, 0.0)
    assert {step.setpoint_c for step in progress.steps[number:] if isinstance(step, ShootStep)} == {0.0}
    assert progress.products.tuned[replace(tuning, setpoint_c=0.0)] == TUNED


async def test_sets_are_cut_to_the_time_that_is_left(tmp_path: Path) -> None:
    seen = await scene(tmp_path, deadline=START + timedelta(seconds=70))
    progress = PlanProgress(seen.context, None)
    progress.fit_before_deadline(1)
    resized = seen.of(SetResized)
    assert resized
    assert all(event.reason.startswith("so that the last frame is complete by") for event in resized)
    without = [event.step for event in resized if event.count == 0]
    assert without
    with pytest.raises(StepSkippedError, match="no time for it") as caught:
        progress.require_time(without[0])
    assert caught.value.skipped_by is SkippedBy.TIME


async def test_without_a_deadline_there_is_time_for_all(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    progress = PlanProgress(seen.context, None)
    progress.fit_before_deadline(1)
    for number in range(1, len(progress.steps) + 1):
        progress.require_time(number)
    assert seen.of(SetResized) == []


async def test_frames_without_light_need_neither_panel_nor_wheel(tmp_path: Path) -> None:
    seen = await scene(tmp_path)
    rig = seen.context.rig
    needed = {step.title: needed_devices(step, rig) for step in PlanProgress(seen.context, None).steps}
    assert needed["bias"] == needed["dark 2 s"] == needed["dark flat L"] == {"Coldframe Camera"}
    assert needed["flat L"] == needed["tune flat L"] == {device.name for device in rig.devices}
