"""Expose a frame, judge the previous frame, and save and stack the frame before that, all at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from coldframe.capture.pipeline.delivered_frames import DeliveredFrames
from coldframe.capture.session.context import StepFailedError

QUEUE_LENGTH = 1
"""Number of frames that may wait to be judged. With one frame in each of the three stages, four are in memory."""

DRAIN_DEADLINE_S = 120.0
"""Longest wait for unsaved frames after exposing has ended. The wait is bounded, because a disk can hang."""

Shot = TypeVar("Shot")
Judged = TypeVar("Judged")
T = TypeVar("T")


class FramePipeline(Generic[Shot, Judged]):
    """A pipeline that judges and keeps the frames of one step in the order of their exposures.

    The camera has priority. An exposure starts as soon as the previous frame is delivered. If judging and keeping are
    too slow, `submit` delays the next exposure.

    Parameters
    ----------
    delivered
        Frames that the camera delivered. Frames that remain at the end are rescued, even after a failure.
    judge
        Second stage, which returns the verdict on a frame.
    keep
        Third stage, which saves and stacks a frame, or moves it to quarantine.
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
        # This timeout has no deadline until `end_exposing` sets one. The deadline cancels only the first stage.
        self._exposing = asyncio.timeout(None)
        self._end: StepFailedError | None = None
        self.has_begun = False

    @property
    def is_ending(self) -> bool:
        """True once `end_exposing` has been called."""
        return self._end is not None

    async def run(self, expose_all: Callable[[], Awaitable[T]]) -> T:
        """Run the first stage, wait until the other two stages are done, and return the result of the first stage.

        Even if the first stage fails or is cancelled, the frames that it submitted are judged and kept. Frames that it
        had no time to submit are rescued.

        Raises
        ------
        StepFailedError
            The error passed to `end_exposing`.
        Exception
            The error of the stage that failed. A failure of one stage ends the other stages.
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
                    await self.drain(stages)
        except ExceptionGroup as group:
            # The first error belongs to the stage that failed and thereby ended the other stages.
            raise group.exceptions[0] from None
        finally:
            await self._delivered.rescue()

    async def submit(self, shot: Shot) -> None:
        """Pass a frame on to be judged, and wait until there is room for the next frame."""
        # The frame is put in the queue before the wait, so that the frame is not lost if the wait is cancelled.
        self._shots.put_nowait(shot)
        await self._room.acquire()

    async def until_judged(self) -> None:
        """Wait until all submitted frames have been judged."""
        await self._shots.join()

    async def until_kept(self) -> None:
        """Wait until all submitted frames have been kept."""
        await self._shots.join()
        await self._judged.join()

    def end_exposing(self, error: StepFailedError) -> bool:
        """End the first stage with an error that `run` then raises. Return False if the stage has already ended.

        If this method is called several times, `run` raises the first error.
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
            # Pass the frame on only once the previous frame has been kept, so that no frame waits between the stages.
            await self._judged.join()
            await self._judged.put(judged)
            self._shots.task_done()

    async def _keep_all(self) -> None:
        while True:
            judged = await self._judged.get()
            await self._keep(judged)
            self._judged.task_done()

    async def drain(self, stages: set[asyncio.Task[Any]]) -> None:
        """Wait until the submitted frames are kept, a stage fails, or the deadline passes; then end the stages."""
        ends = {*stages, asyncio.create_task(self.until_kept(), name="draining")}
        try:
            await asyncio.wait(ends, timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
