"""Do blocking work in threads, with a deadline because a disk can hang, and finish tasks despite a cancellation."""

import asyncio
import errno
import logging
import math
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, cast

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.threads import pixel_threads
from coldframe.errors import ColdframeError

log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")
P = ParamSpec("P")

DISK_DEADLINE_S = 180.0
"""Maximum time for reading or writing a few files.

Linux sometimes resets a stalled disk several times, and each reset can take 30 s.
"""

LONG_WORK_S = 3600.0
"""Maximum time for work that reads many frames, such as combining a large set on a Raspberry Pi. The work counts as
waiting for the disk while neither its thread nor those of `calibration.threads` use any CPU time. `DISK_DEADLINE_S`
then applies to it as well.
"""

SAMPLE_S = 10.0
"""Time between two readings of the CPU time of long work."""


class DiskHangsError(NotDurableError):
    """The disk does not respond, or work on it does not end.

    Parameters
    ----------
    what
        Description of the failure. It must mention the disk.
    """

    def __init__(self, what: str) -> None:
        advice = "check its cable and its power, or the network to its server"
        ColdframeError.__init__(self, f"{what}; {advice}")
        self.path = Path()
        self.errno = errno.ETIMEDOUT
        self.advice = advice


class DaemonThreads(ThreadPoolExecutor):
    """A pool of daemon threads that starts another thread whenever all threads are busy.

    Work that never ends therefore blocks neither other work nor the exit of the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle = list[SimpleQueue[Callable[[], None] | None]]()

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the work in the thread that became idle last, or in a new thread if none is idle."""
        future: Future[T] = Future()
        try:
            calls = self._idle.pop()
        except IndexError:
            calls = SimpleQueue()
            threading.Thread(target=_call_each, args=(calls,), name="blocking work", daemon=True).start()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                self._idle.append(calls)
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  # the caller receives it
                self._idle.append(calls)
                future.set_exception(error)
            else:
                # A caller that waits for the result and then submits more work finds this thread idle.
                self._idle.append(calls)
                future.set_result(result)

        calls.put(run)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - inherited
        """End the idle threads."""
        while self._idle:
            self._idle.pop().put(None)
        super().shutdown(wait, cancel_futures=cancel_futures)


def _call_each(calls: "SimpleQueue[Callable[[], None] | None]") -> None:
    while (call := calls.get()) is not None:
        call()
        # Release the call, because it keeps its result in memory, for example the pixels of a frame.
        del call


@dataclass(slots=True, eq=False)
class _Work:
    """A piece of work that a thread is doing. Its times are on the event loop's clock.

    Attributes
    ----------
    moved_s
        Time at which the work began or, for long work, at which it was last found to have used CPU time. It does not
        change once the work is overdue.
    """

    began_s: float
    deadline_s: float
    moved_s: float
    is_overdue: bool = False
    _thread: int | None = None
    _cpu_ticks: int = 0

    def do(self, work: Callable[[], T]) -> T:
        self._thread = threading.get_native_id()
        try:
            return work()
        finally:
            under_way.discard(self)

    def forget_if_never_begun(self, task: "asyncio.Future[Any]") -> None:
        """Count the work as done if it was cancelled before its thread began."""
        if task.cancelled() and self._thread is None:
            under_way.discard(self)

    def waiting_s(self, now_s: float) -> float:
        """Return the seconds for which the work has been waiting for the disk."""
        if self._is_long and not self.is_overdue:
            ticks = sum(map(cpu_ticks_of, (self._thread, *pixel_threads())))
            if ticks != self._cpu_ticks:
                self.moved_s, self._cpu_ticks = now_s, ticks
        return now_s - self.moved_s

    @property
    def _is_long(self) -> bool:
        return self.deadline_s > DISK_DEADLINE_S

    def left_s(self, now_s: float) -> float:
        """Return the seconds until the work is overdue if it makes no progress until then."""
        left_s = self.began_s + self.deadline_s - now_s
        return min(left_s, DISK_DEADLINE_S - self.waiting_s(now_s)) if self._is_long else left_s

    def failure(self, now_s: float) -> DiskHangsError:
        """Return the error for work that is overdue."""
        if self._is_long and now_s >= self.began_s + self.deadline_s:
            return DiskHangsError(f"work on the disk did not end within {self.deadline_s / 60:.0f} min")
        return DiskHangsError(f"the disk has not answered for {now_s - self.moved_s:.0f} s")


def cpu_ticks_of(thread: int | None) -> int:
    """Return the CPU time of a thread in ticks of the kernel (proc_pid_stat(5)); 0 if it is unknown."""
    if thread is None:
        return 0
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return 0


under_way: set[_Work] = set()
"""The work in all threads of this process. It is kept in one place, because all threads may wait for the same disk."""


def waiting_for_disk_s() -> float:
    """Return the longest time, in seconds, for which work in a thread has been waiting; 0.0 if there is no work."""
    now_s = asyncio.get_running_loop().time()
    return max((each.waiting_s(now_s) for each in tuple(under_way)), default=0.0)


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread. A cancelled caller still waits until the work is done.

    A thread cannot be stopped. If the caller did not wait, the next step could find the work incomplete.

    Raises
    ------
    DiskHangsError
        If the work takes longer than `DISK_DEADLINE_S` (its thread continues); immediately if other work is overdue.
    """
    return await in_thread_within(DISK_DEADLINE_S, work, *args, **kwargs)


async def in_thread_within(deadline_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread, as `in_thread` does, with a different deadline.

    Raises
    ------
    DiskHangsError
        See `in_thread`. Work with a longer deadline than `DISK_DEADLINE_S` also counts as hanging if it has used no CPU
        time for `DISK_DEADLINE_S`.
    """
    mine, task = _begun(deadline_s, partial(work, *args, **kwargs))
    try:
        return await _finished(task, mine.left_s)
    except TimeoutError:
        if task.done():
            raise
        raise mine.failure(asyncio.get_running_loop().time()) from None
    finally:
        _abandon(mine, task)


async def read_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read files in a thread, as `in_thread` does, but end at once if the caller is cancelled.

    Reading leaves nothing incomplete, so a program that only reads can end while the disk hangs. The event loop of such
    a program must use `DaemonThreads`.

    Raises
    ------
    DiskHangsError
        See `in_thread`.
    """
    mine, task = _begun(DISK_DEADLINE_S, partial(work, *args, **kwargs))
    try:
        done, _ = await asyncio.wait([task], timeout=DISK_DEADLINE_S)
        if not done:
            raise mine.failure(asyncio.get_running_loop().time())
        return task.result()
    finally:
        _abandon(mine, task)


def _begun(deadline_s: float, work: Callable[[], T]) -> "tuple[_Work, asyncio.Future[T]]":
    """Begin work in a thread, unless other work is overdue."""
    now_s = asyncio.get_running_loop().time()
    if overdue := [each for each in tuple(under_way) if each.is_overdue]:
        raise min(overdue, key=lambda each: each.moved_s).failure(now_s)
    mine = _Work(now_s, deadline_s, moved_s=now_s)
    under_way.add(mine)
    task = asyncio.ensure_future(asyncio.to_thread(mine.do, work))
    task.add_done_callback(mine.forget_if_never_begun)
    return mine, task


def _abandon(mine: _Work, task: "asyncio.Future[Any]") -> None:
    """Leave unfinished work to its thread."""
    if not task.done():
        mine.is_overdue = True
        task.add_done_callback(_log_late_failure)


def _log_late_failure(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.warning("overdue work has failed", exc_info=failure)


async def to_its_end(work: Coroutine[Any, Any, T], name: str) -> T:
    """Run a coroutine in a task with the given name. A cancelled caller still waits until the task ends."""
    return await _finished(asyncio.create_task(work, name=name))


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Run two coroutines at the same time. If one fails or the caller is cancelled, still wait until both have ended.

    Raises
    ------
    Exception
        The error of the first coroutine that failed, in the order of the parameters. If both failed, the other error is
        logged.
    """
    results = await asyncio.gather(one, other, return_exceptions=True)
    match [result for result in results if isinstance(result, BaseException)]:
        case [first, second]:
            log.warning("work failed beside other work that failed", exc_info=second)
            raise first
        case [first]:
            raise first
    return cast("tuple[T, U]", tuple(results))


async def _finished(task: "asyncio.Future[T]", left_s: Callable[[float], float] = lambda _: math.inf) -> T:
    """Wait until a task ends, even if the caller is cancelled. Then return its result or raise the cancellation.

    Parameters
    ----------
    task
        The task.
    left_s
        Function that returns the seconds left for the task at a given time of the event loop. It is called every
        `SAMPLE_S`, unless the time left is infinite.

    Raises
    ------
    TimeoutError
        If no time is left, and the caller was not cancelled.
    """
    loop = asyncio.get_running_loop()
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            # If the caller is cancelled, `await task` would also cancel the task, but `wait` leaves it running.
            remaining_s = left_s(loop.time())
            timeout_s = None if remaining_s == math.inf else min(max(0.0, remaining_s), SAMPLE_S)
            done, _ = await asyncio.wait([task], timeout=timeout_s)
        except asyncio.CancelledError as error:
            cancellation = error
        else:
            if not done and left_s(loop.time()) <= 0.0:
                raise cancellation or TimeoutError
    if cancellation is None:
        return task.result()
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.warning("the work failed while its caller was being cancelled", exc_info=failure)
    raise cancellation
