"""Work that runs to its end, in a thread or as a task, even if its caller is cancelled meanwhile."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread; a cancellation waits until it is done.

    A thread cannot be stopped: if it were left alone, the next step would see half of what it does.
    """
    return await _finished(asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs)))


async def to_its_end(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run a coroutine in a task of this name; a cancellation waits until it is done."""
    return await _finished(asyncio.create_task(work, name=name))


async def _finished(task: "asyncio.Task[T]") -> T:
    """Return the result of a task, however often the caller is cancelled; raise the cancellation then."""
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # Unlike awaiting the task, this does not cancel it, and raises no cancellation but the caller's own.
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        return task.result()
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.warning("failed while being cancelled", exc_info=failure)  # the cancellation is raised in its place
    raise cancellation
