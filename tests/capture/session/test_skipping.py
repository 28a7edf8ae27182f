"""The end of a step that the user skips."""

import asyncio
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import StepStarted
from coldframe.capture.events.values import SkippedBy
from coldframe.capture.session.context import StepFailedError, StepSkippedError
from coldframe.capture.session.skipping import skippable
from coldframe.devices.errors import DeviceError
from tests.capture.scene import Scene, scene

pytestmark = pytest.mark.looptime

NUMBER = 3


async def running_step(folder: Path) -> Scene:
    """Return a night whose third step is running."""
    seen = await scene(folder)
    seen.context.publish(StepStarted(seen.context.clock.now(), NUMBER))
    return seen


async def test_a_block_that_nobody_skips_runs_to_its_end(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    async with skippable(seen.context, NUMBER):
        await asyncio.sleep(10)
    assert seen.context.clock.elapsed_s() == pytest.approx(10)


async def test_a_skip_cancels_the_block_at_once(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    answers = list[str]()

    async def step() -> None:
        async with skippable(seen.context, NUMBER):
            asyncio.get_running_loop().call_later(5, lambda: answers.append(seen.context.steering.skip()))
            await asyncio.sleep(1000)

    with seen.context.steering.taking_requests(), pytest.raises(StepSkippedError) as caught:
        await step()
    assert caught.value.skipped_by is SkippedBy.USER
    assert answers == ["step 3: skipped"]
    assert seen.context.clock.elapsed_s() == pytest.approx(5)


async def test_a_step_that_was_skipped_before_it_began_does_not_begin(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    seen.context.steering.mark_skipped()
    with pytest.raises(StepSkippedError):
        async with skippable(seen.context, NUMBER):
            pytest.fail("it began")


async def test_code_within_the_block_may_end_it_more_gently(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    steering, answers = seen.context.steering, list[str]()
    with steering.taking_requests():
        async with skippable(seen.context, NUMBER):
            with steering.on_skip(lambda: "its frames are kept"):
                asyncio.get_running_loop().call_later(5, lambda: answers.append(steering.skip()))
                await asyncio.sleep(10)
    assert answers == ["step 3: its frames are kept"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DeviceError("Camera", "the exposure was aborted"), "by request"), (StepFailedError("6 of 8"), "6 of 8")],
)
async def test_a_failure_that_follows_a_skip_counts_as_the_skip(tmp_path: Path, error: Exception, reason: str) -> None:
    seen = await running_step(tmp_path)

    async def step() -> None:
        async with skippable(seen.context, NUMBER):
            seen.context.steering.mark_skipped()
            raise error

    with pytest.raises(StepSkippedError, match=reason):
        await step()


async def test_a_failure_without_a_skip_stays_a_failure(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    with pytest.raises(DeviceError):
        async with skippable(seen.context, NUMBER):
            raise DeviceError("Camera", "is away")


async def test_a_timeout_of_the_block_is_not_taken_for_a_skip(tmp_path: Path) -> None:
    seen = await running_step(tmp_path)
    with pytest.raises(TimeoutError):
        async with skippable(seen.context, NUMBER), asyncio.timeout(1):
            await asyncio.sleep(10)
