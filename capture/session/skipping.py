"""End a step of the night when the user asks to skip it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coldframe.capture.events.values import SkippedBy
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.session.steering import BY_REQUEST
from coldframe.devices.errors import DeviceError


@asynccontextmanager
async def skippable(context: NightContext, number: int) -> AsyncIterator[None]:
    """Cancel the block when the user skips the step. Code in the block can register a gentler way to end the step.

    Raises
    ------
    StepSkippedError
        If the step was skipped, either before it began or while the block was running.
    """
    steering, ending = context.steering, asyncio.timeout(None)
    if steering.is_skipped(number):
        raise StepSkippedError(BY_REQUEST, SkippedBy.USER)

    def end() -> str:
        steering.mark_skipped()
        ending.reschedule(asyncio.get_running_loop().time())
        return "skipped"

    try:
        with steering.on_skip(end):
            async with ending:
                yield
    except TimeoutError:
        if not ending.expired():
            raise
        raise StepSkippedError(BY_REQUEST, SkippedBy.USER) from None
    except (StepFailedError, DeviceError) as error:
        task = asyncio.current_task()
        if not steering.is_skipped(number) or (task is not None and task.cancelling()):
            raise
        reason = BY_REQUEST if isinstance(error, DeviceError) else str(error)
        raise StepSkippedError(reason, SkippedBy.USER) from error
