"""Single steps of a night: sets without the results that they need, lost setpoints, and requests to skip."""

from dataclasses import replace
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import CameraMeasured, ExposureStarted, FlatTested, FrameAccepted, MasterWritten
from coldframe.capture.events.values import SkippedBy
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.night.plan_progress import PlanProgress
from coldframe.capture.night.step_runner import StepRunner
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.steps import ShootStep
from coldframe.config.frames import FrameKind
from coldframe.config.tables.sets import FrameSet
from tests.capture.scene import Scene, scene, small_night

pytestmark = pytest.mark.looptime

SETS = (
    FrameSet(kind=FrameKind.BIAS, count=8),
    FrameSet(kind=FrameKind.FLAT, count=6, filter="L"),
    FrameSet(kind=FrameKind.DARK_FLAT, count=6, filter="L"),
    FrameSet(kind=FrameKind.DARK, count=6, exposure_s=60.0),
)


class Steps:
    """A night's steps, which the test runs one at a time by their titles."""

    def __init__(self, seen: Scene, folder: Path) -> None:
        self.seen = seen
        self.progress = PlanProgress(seen.context, None)
        self.runner = StepRunner(seen.context, LearnedFlats(folder / "learned.json"), self.progress)

    def number_of(self, title: str) -> int:
        return 1 + [step.title for step in self.progress.steps].index(title)

    async def run(self, *titles: str) -> None:
        for title in titles:
            number = self.number_of(title)
            with self.seen.running(number):
                await self.runner.run(number, self.progress.steps[number - 1])


async def steps_in(folder: Path, *fallback_c: float, is_for_lights: bool = False) -> Steps:
    """Return the steps of a night that has the given warmer setpoints."""
    settings = small_night(cooling={"fallback_c": fallback_c, "deadline_s": 60.0})
    seen = await scene(folder, settings.model_copy(update={"sets": SETS}))
    return Steps(replace(seen, context=replace(seen.context, is_for_lights=is_for_lights)), folder)


def weaken_cooler_at_dark(seen: Scene, number: int) -> None:
    """Make the cooler unable to hold -10 C as soon as the given dark begins."""

    def observe(event: object) -> None:
        darks = [each for each in seen.of(ExposureStarted) if each.kind is FrameKind.DARK]
        if isinstance(event, ExposureStarted) and len(darks) == number:
            seen.context.rig.camera.telescope.cooler.weaken(maximum_delta_c=21.0)  # type: ignore[attr-defined]

    seen.context.events.subscribe(observe)


async def test_a_set_is_skipped_until_its_setpoint_is_reached(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path)
    with pytest.raises(StepSkippedError, match="the sensor did not reach -10 C"):
        await steps.run("bias")
    assert steps.seen.of(ExposureStarted) == []
    await steps.run("cool to -10 C", "bias")
    assert [event.frames for event in steps.seen.of(MasterWritten)] == [8]


@pytest.mark.parametrize("title", ["dark flat L", "flat L"])
async def test_flats_and_dark_flats_without_a_tuning_are_skipped(tmp_path: Path, title: str) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C")
    with pytest.raises(StepSkippedError, match="no exposure was found for its flats") as caught:
        await steps.run(title)
    assert caught.value.skipped_by is SkippedBy.MISSING_PREREQUISITE
    assert {event.kind for event in steps.seen.of(ExposureStarted)} == {FrameKind.BIAS}, "to check the gain"


async def test_flats_without_a_master_to_subtract_are_skipped(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C", "tune flat L")
    with pytest.raises(StepSkippedError, match="neither a master dark flat nor a master bias"):
        await steps.run("flat L")
    assert steps.seen.of(FrameAccepted) == []


@pytest.mark.parametrize(("before", "biases"), [([], 1), (["bias"], 0)])
async def test_a_tuning_shoots_a_bias_frame_only_without_a_master_bias(
    tmp_path: Path, before: list[str], biases: int
) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C", *before, "tune flat L")
    assert len([name for name in steps.seen.frames_in("tuning") if name.startswith("bias")]) == biases
    (tuned,) = steps.progress.products.tuned.values()
    assert tuned.target.bias_adu == pytest.approx(520.0, abs=3.0)


async def test_each_step_uses_the_results_of_the_steps_before_it(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C", "bias", "tune flat L", "dark flat L", "flat L")
    (tuned,) = steps.progress.products.tuned.values()
    exposures_s = {event.kind: event.exposure_s for event in steps.seen.of(ExposureStarted)}
    assert exposures_s[FrameKind.DARK_FLAT] == tuned.exposure_s
    names = [Path(event.path).name for event in steps.seen.of(MasterWritten)]
    assert [name.split("_")[0] for name in names] == ["MasterBias", "MasterDarkFlat", "MasterFlat"]
    await steps.runner.keep_measurements()
    assert steps.seen.of(CameraMeasured)


async def test_the_rest_of_a_set_is_shot_at_a_warmer_setpoint(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path, 0.0)
    await steps.run("cool to -10 C")
    weaken_cooler_at_dark(steps.seen, 3)
    with pytest.raises(StepFailedError, match="its sets are shot at 0 C"):
        await steps.run("dark 60 s")
    moved = steps.progress.steps[steps.number_of("dark 60 s") - 1]
    assert isinstance(moved, ShootStep)
    assert moved.setpoint_c == 0.0
    (master,) = steps.seen.of(MasterWritten)
    assert (master.frames, "_0C_" in master.path) == (6, True)


async def test_a_lost_setpoint_ends_a_set_of_darks_for_lights(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path, is_for_lights=True)
    await steps.run("cool to -10 C")
    weaken_cooler_at_dark(steps.seen, 3)
    with pytest.raises(StepFailedError, match="its darks are skipped"):
        await steps.run("dark 60 s")
    assert steps.seen.of(MasterWritten) == []
    assert len(steps.seen.frames_in("darks")) == len(steps.seen.accepted) >= 1


async def test_a_skipped_tuning_ends_at_once(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C")
    steps.seen.skip_at(FlatTested, 1)
    with pytest.raises(StepSkippedError, match="by request") as caught:
        await steps.run("tune flat L")
    assert caught.value.skipped_by is SkippedBy.USER
    assert len(steps.seen.of(FlatTested)) == 1
    assert steps.progress.products.tuned == {}
    assert not steps.seen.panel.state().lit


async def test_a_skipped_set_leaves_its_master_to_later_steps(tmp_path: Path) -> None:
    steps = await steps_in(tmp_path)
    await steps.run("cool to -10 C")
    steps.seen.skip_at(FrameAccepted, 6)
    with pytest.raises(StepSkippedError, match=r"its master has \d of 8 frames") as caught:
        await steps.run("bias")
    assert caught.value.skipped_by is SkippedBy.USER
    flats = steps.progress.steps[steps.number_of("flat L") - 1]
    assert isinstance(flats, ShootStep)
    assert steps.progress.products.bias_level_adu(flats) == pytest.approx(520.0, abs=1.0)
