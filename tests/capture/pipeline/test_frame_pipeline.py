"""The three stages of the frame pipeline, their order, their memory use, and all ways in which they end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.pipeline.frame_pipeline import DRAIN_DEADLINE_S, FramePipeline
from coldframe.capture.session.context import StepFailedError

pytestmark = pytest.mark.looptime


class Rescued(DeliveredFrames):
    """Counts how often the frames were rescued."""

    def __init__(self) -> None:
        self.times = 0

    async def rescue(self) -> None:
        self.times += 1


class Stages:
    """Stages that take some seconds each, and remember what went through them."""

    def __init__(self, expose_s: float = 1.0, judge_s: float = 0.0, keep_s: float = 0.0) -> None:
        self.expose_s, self.judge_s, self.keep_s = expose_s, judge_s, keep_s
        self.exposed: list[int] = []
        self.judged: list[int] = []
        self.kept: list[int] = []
        self.most_in_memory = 0
        self.delivered = Rescued()
        self.pipeline = FramePipeline[int, int](self.delivered, self.judge, self.keep)

    async def expose(self, count: int) -> str:
        for number in range(count):
            await asyncio.sleep(self.expose_s)
            self.exposed.append(number)
            self.most_in_memory = max(self.most_in_memory, len(self.exposed) - len(self.kept))
            await self.pipeline.submit(number)
        return "all exposed"

    async def judge(self, number: int) -> int:
        await asyncio.sleep(self.judge_s)
        self.judged.append(number)
        return number

    async def keep(self, number: int) -> None:
        await asyncio.sleep(self.keep_s)
        self.kept.append(number)

    async def run(self, expose_all: Callable[[], Awaitable[str]]) -> str:
        return await self.pipeline.run(expose_all)


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_the_stages_overlap() -> None:
    stages = Stages(1.0, 1.0, 1.0)
    assert await stages.run(lambda: stages.expose(10)) == "all exposed"
    assert stages.kept == list(range(10))
    assert now_s() == pytest.approx(12.0), "ten exposures, and the last frame's way to the disk"
    assert stages.delivered.times == 1


@pytest.mark.parametrize(("judge_s", "keep_s"), [(10.0, 0.0), (0.0, 10.0), (10.0, 10.0)])
async def test_the_camera_is_held_back_with_four_frames_in_memory(judge_s: float, keep_s: float) -> None:
    stages = Stages(0.1, judge_s, keep_s)
    await stages.run(lambda: stages.expose(12))
    assert stages.kept == list(range(12))
    assert stages.most_in_memory <= 4


async def test_a_failure_of_the_camera_is_raised_when_all_submitted_frames_are_kept() -> None:
    stages = Stages(1.0, 5.0, 5.0)

    async def expose() -> str:
        await stages.expose(3)
        raise StepFailedError("the camera is gone")

    with pytest.raises(StepFailedError, match="the camera is gone"):
        await stages.run(expose)
    assert stages.kept == [0, 1, 2]
    assert stages.delivered.times == 1


async def test_a_cancellation_is_raised_when_all_submitted_frames_are_kept() -> None:
    stages = Stages(1.0, 5.0, 5.0)
    running = asyncio.ensure_future(stages.run(lambda: stages.expose(100)))
    await asyncio.sleep(12.5)
    exposed = list(stages.exposed)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stages.kept == stages.exposed == exposed, "also the frame that waited for room"
    assert stages.delivered.times == 1


async def test_a_second_cancellation_leaves_the_frames_to_the_rescue() -> None:
    stages = Stages(1.0, 5.0, 5.0)
    running = asyncio.ensure_future(stages.run(lambda: stages.expose(100)))
    await asyncio.sleep(12.5)
    running.cancel()
    await asyncio.sleep(0.5)
    running.cancel()
    ended_s = now_s()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert now_s() == ended_s
    assert stages.delivered.times == 1


async def test_a_disk_that_hangs_does_not_keep_the_pipeline_for_ever() -> None:
    stages = Stages(1.0, 0.0, 1e9)

    async def expose() -> str:
        await stages.expose(1)
        raise StepFailedError("the time is up")

    with pytest.raises(StepFailedError):
        await stages.run(expose)
    assert now_s() == pytest.approx(1.0 + DRAIN_DEADLINE_S)
    assert stages.delivered.times == 1


@pytest.mark.parametrize("stage", ["judge", "keep"])
async def test_a_stage_that_fails_ends_the_others_with_its_error(stage: str) -> None:
    stages = Stages(1.0)

    async def fail(number: int) -> int:
        if number == 2:
            raise OSError("the disk is gone")
        return number

    judge = fail if stage == "judge" else stages.judge
    keep = fail if stage == "keep" else stages.keep
    stages.pipeline = FramePipeline(stages.delivered, judge, keep)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="the disk is gone"):
        await stages.run(lambda: stages.expose(100))
    assert len(stages.exposed) <= 4
    assert stages.delivered.times == 1


async def test_exposing_is_ended_from_outside_and_what_is_in_is_kept() -> None:
    stages = Stages(10.0, 1.0, 1.0)
    asyncio.get_running_loop().call_later(25.0, lambda: stages.pipeline.end_exposing(StepFailedError("skipped")))
    asyncio.get_running_loop().call_later(25.0, lambda: stages.pipeline.end_exposing(StepFailedError("too late")))
    with pytest.raises(StepFailedError, match="skipped"):
        await stages.run(lambda: stages.expose(100))
    assert now_s() == pytest.approx(25.0)
    assert stages.kept == [0, 1]
    assert stages.pipeline.is_ending


async def test_exposing_that_has_ended_cannot_be_ended_again() -> None:
    stages = Stages(1.0, 0.0, 20.0)
    answers: list[bool] = []
    end = lambda: answers.append(stages.pipeline.end_exposing(StepFailedError("skipped")))  # noqa: E731
    asyncio.get_running_loop().call_later(10.0, end)
    assert await stages.run(lambda: stages.expose(1)) == "all exposed"
    assert answers == [False]
    assert not stages.pipeline.is_ending


async def test_a_timeout_of_the_exposing_itself_is_no_request() -> None:
    stages = Stages()

    async def expose() -> str:
        async with asyncio.timeout(1.0):
            await asyncio.sleep(5.0)
        return ""

    with pytest.raises(TimeoutError):
        await stages.run(expose)


async def test_waiting_for_the_verdict_does_not_wait_for_the_disk() -> None:
    stages = Stages(1.0, 1.0, 50.0)
    times_s: list[float] = []

    async def expose() -> str:
        await stages.expose(1)
        await stages.pipeline.until_judged()
        times_s.append(now_s())
        await stages.pipeline.until_kept()
        times_s.append(now_s())
        return ""

    with suppress(asyncio.CancelledError):
        await stages.run(expose)
    assert times_s == pytest.approx([2.0, 52.0])
