"""A pipeline of three stages: one frame is exposed while the one before is judged and the one before that is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.session.context import StepFailedError

QUEUE_LENGTH = 1
"""Frames that may wait to be judged: with one in each of the three stages, four frames are in memory."""

DRAIN_DEADLINE_S = 120.0
"""Longest wait for the frames on their way to the disk after exposing has ended: a disk may hang."""

Shot = TypeVar("Shot")
Judged = TypeVar("Judged")
T = TypeVar("T")


class FramePipeline(Generic[Shot, Judged]):
    """Judges and keeps the frames of one step in the order of their exposures.

    The camera comes first: an exposure starts as soon as the frame before it is in. If judging and keeping cannot
    keep up, `submit` holds the camera back.

    Parameters
    ----------
    delivered
        Frames that the camera delivered. Those that remain at the end, however it comes about, are rescued.
    judge
        Second stage: returns the verdict on a frame.
    keep
        Third stage: saves and folds a frame, or moves it to quarantine.
    """

    def __init__(
        self,
        delivered: DeliveredFrames,
        judge: Callable[[Shot], Awaitable[Judged]],
        keep: Callable[[Judged], Awaitable[None]],
    ) -> None:
        self._delivered = delivered
        self._judge = judge
        self._keep = keep
        self._shots = asyncio.Queue[Shot]()
        self._room = asyncio.Semaphore(QUEUE_LENGTH)
        self._judged = asyncio.Queue[Judged](QUEUE_LENGTH)
        # No deadline of its own: `end_exposing` sets one to cancel the exposing and nothing else.
        self._exposing = asyncio.timeout(None)
        self._end: StepFailedError | None = None
        self.has_begun = False

    @property
    def is_ending(self) -> bool:
        """True once `end_exposing` was called."""
        return self._end is not None

    async def run(self, expose_all: Callable[[], Awaitable[T]]) -> T:
        """Run the first stage to its end, then wait until the other two are done, and return its result.

        Whether the first stage ends, fails or is cancelled: the frames that it submitted are judged and kept, those
        that it had no time to submit are rescued.

        Raises
        ------
        StepFailedError
            As given to `end_exposing`.
        Exception
            As raised by a stage; one that fails ends the others.
        """
        self.has_begun = True
        try:
            async with asyncio.TaskGroup() as tasks:
                stages = {
                    tasks.create_task(self._judge_all(), name="judging"),
                    tasks.create_task(self._keep_all(), name="keeping"),
                }
                try:
                    async with self._exposing:
                        return await expose_all()
                except TimeoutError as error:
                    raise self._end or error from None
                finally:
                    await self._drain(stages)
        except ExceptionGroup as group:
            # One stage failed and thereby ended the others: its error is the first.
            raise group.exceptions[0] from None
        finally:
            await self._delivered.rescue()

    async def submit(self, shot: Shot) -> None:
        """Pass a frame on to be judged, and wait until there is room for the next one."""
        # The frame is in the queue before the wait: a cancellation of the wait does not lose it.
        self._shots.put_nowait(shot)
        await self._room.acquire()

    async def until_judged(self) -> None:
        """Wait until all submitted frames are judged."""
        await self._shots.join()

    async def until_kept(self) -> None:
        """Wait until all submitted frames are kept."""
        await self._shots.join()
        await self._judged.join()

    def end_exposing(self, error: StepFailedError) -> bool:
        """End the first stage with an error, which `run` raises; return False if it has ended already.

        The first of several errors counts.
        """
        try:
            self._exposing.reschedule(asyncio.get_running_loop().time())
        except RuntimeError:
            return False
        self._end = self._end or error
        return True

    async def _judge_all(self) -> None:
        while True:
            shot = await self._shots.get()
            self._room.release()
            judged = await self._judge(shot)
            # Passed on only when the frame before is kept, so that none waits between the two stages.
            await self._judged.join()
            await self._judged.put(judged)
            self._shots.task_done()

    async def _keep_all(self) -> None:
        while True:
            judged = await self._judged.get()
            await self._keep(judged)
            self._judged.task_done()

    async def _drain(self, stages: set[asyncio.Task[Any]]) -> None:
        """Wait until the submitted frames are kept, a stage has failed, or the deadline has passed; end the stages."""
        ends = {*stages, asyncio.create_task(self.until_kept(), name="draining")}
        try:
            await asyncio.wait(ends, timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
