"""Run work to completion in a thread or a task, even if the caller is cancelled."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread. If the caller is cancelled, it still waits until the work is done.

    A thread cannot be stopped. If the caller did not wait, the next step could find the work incomplete.
    """
    return await _finished(asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs)))


async def to_its_end(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run a coroutine in a task with the given name. If the caller is cancelled, it still waits until the task ends."""
    return await _finished(asyncio.create_task(work, name=name))


async def _finished(task: "asyncio.Task[T]") -> T:
    """Wait until a task ends, even if the caller is cancelled. Then return its result or raise the cancellation."""
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # If the caller is cancelled, `await task` would also cancel the task, but `wait` leaves it running.
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        return task.result()
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.warning("the work failed while its caller was being cancelled", exc_info=failure)
    raise cancellation
