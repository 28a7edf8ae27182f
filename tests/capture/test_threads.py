"""Work that runs to its end, regardless of the number of cancellations of its caller."""

import asyncio
import threading
import weakref
from collections.abc import Iterator

import pytest

from coldframe.calibration.threads import parallel_map
from coldframe.capture import threads
from coldframe.capture.threads import (
    DaemonThreads,
    DiskHangsError,
    both,
    in_thread,
    in_thread_within,
    read_in_thread,
    to_its_end,
)
from tests.patience import PATIENCE_S, block_until, until


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    """Yield the event that ends all hanging work, which otherwise counts as overdue in later tests."""
    event = threading.Event()
    yield event
    event.set()
    block_until(lambda: not threads.under_way)


async def test_the_result_of_a_thread_comes_back() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)


async def test_an_error_in_a_thread_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


async def test_a_caller_cancelled_twice_still_waits_for_the_thread() -> None:
    started, may_end, has_ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        may_end.wait(PATIENCE_S)
        has_ended.set()

    caller = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(started.wait, PATIENCE_S)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert has_ended.is_set()


async def test_two_pieces_of_work_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE_S)
    assert sorted(await both(in_thread(meeting.wait), in_thread(meeting.wait))) == [0, 1]


@pytest.mark.parametrize("place", [0, 1])
async def test_if_one_of_two_pieces_of_work_fails_the_other_still_runs_to_its_end(place: int) -> None:
    may_end, has_ended = threading.Event(), threading.Event()

    def fail() -> None:
        raise ZeroDivisionError

    def work() -> None:
        may_end.wait(PATIENCE_S)
        has_ended.set()

    failing, working = in_thread(fail), in_thread(work)
    caller = asyncio.create_task(both(working, failing) if place else both(failing, working))
    await asyncio.sleep(0.01)
    assert not caller.done()
    may_end.set()
    with pytest.raises(ZeroDivisionError):
        await caller
    assert has_ended.is_set()


async def test_if_two_pieces_of_work_fail_the_second_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> None:
        raise OSError(text)

    with pytest.raises(OSError, match="the disk is full"):
        await both(in_thread(fail, "the disk is full"), in_thread(fail, "the frame is wrong"))
    assert "the frame is wrong" in caplog.text


async def test_a_cancellation_of_two_pieces_of_work_waits_for_both() -> None:
    may_end, ended = threading.Event(), list[bool]()

    def work() -> None:
        ended.append(may_end.wait(PATIENCE_S))

    caller = asyncio.create_task(both(in_thread(work), in_thread(work)))
    for _ in range(3):
        await asyncio.sleep(0.01)
        caller.cancel()
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended == [True, True]


async def test_an_error_during_a_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    may_end = threading.Event()

    def work() -> None:
        may_end.wait(PATIENCE_S)
        raise OSError("the disk is full")

    caller = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert "the disk is full" in caplog.text


async def test_a_task_runs_to_its_end_and_the_cancellation_is_not_lost() -> None:
    done = list[int]()

    async def work() -> None:
        for step in range(3):
            await asyncio.sleep(0.01)
            done.append(step)

    caller = asyncio.create_task(to_its_end(work(), "work"))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [0, 1, 2]


async def test_a_timeout_around_it_ends_once_the_task_has_ended() -> None:
    done = list[str]()

    async def work() -> None:
        await asyncio.sleep(0.05)
        done.append("done")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await to_its_end(work(), "work")
    assert done == ["done"]


async def test_work_that_hangs_is_given_up_and_further_work_fails_at_once_until_it_ends(
    answers: threading.Event,
) -> None:
    with pytest.raises(DiskHangsError, match="has not answered for 0 s"):
        await in_thread_within(0.05, answers.wait, PATIENCE_S)
    with pytest.raises(DiskHangsError, match="check its cable"):
        await in_thread(divmod, 7, 2)
    answers.set()
    await until(lambda: threads.waiting_for_disk_s() == 0.0)
    assert await in_thread(divmod, 7, 2) == (3, 1)


async def test_a_cancellation_of_work_that_hangs_is_raised_at_its_deadline(answers: threading.Event) -> None:
    caller = asyncio.create_task(in_thread_within(0.05, answers.wait, PATIENCE_S))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with pytest.raises(DiskHangsError):
        await in_thread(divmod, 7, 2)
    answers.set()
    await until(lambda: threads.waiting_for_disk_s() == 0.0)


async def test_a_timeout_error_of_the_work_itself_is_raised() -> None:
    def fail() -> None:
        raise TimeoutError("the server")

    with pytest.raises(TimeoutError, match="the server"):
        await in_thread(fail)


def test_work_that_hangs_does_not_hold_up_the_end_of_the_loop(answers: threading.Event) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        with pytest.raises(DiskHangsError):
            await in_thread_within(0.05, answers.wait, PATIENCE_S)

    asyncio.run(run())
    assert not answers.is_set()
    answers.set()


async def test_daemon_threads_return_results_and_raise_errors() -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


async def test_an_idle_daemon_thread_is_used_again_and_a_hanging_one_is_not(answers: threading.Event) -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    first = await in_thread(threading.get_ident)
    assert [await in_thread(threading.get_ident) for _ in range(20)] == [first] * 20
    with pytest.raises(DiskHangsError):
        await in_thread_within(0.05, answers.wait, PATIENCE_S)
    assert await asyncio.to_thread(threading.get_ident) != first


async def test_daemon_threads_keep_no_result() -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    result = weakref.ref(await in_thread(set[int]))
    await until(lambda: result() is None)


def test_idle_daemon_threads_end_with_the_loop() -> None:
    async def run() -> threading.Thread:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        return await in_thread(threading.current_thread)

    thread = asyncio.run(run())
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


async def test_long_work_that_uses_no_cpu_time_waits_for_the_disk(
    answers: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A master is made for up to an hour, but a disk that hangs meanwhile must not cost this hour."""
    monkeypatch.setattr(threads, "DISK_DEADLINE_S", 0.05)
    with pytest.raises(DiskHangsError, match="has not answered for 0 s"):
        await in_thread_within(PATIENCE_S, answers.wait, PATIENCE_S)
    answers.set()
    await until(lambda: threads.waiting_for_disk_s() == 0.0)


async def test_long_work_that_uses_cpu_time_does_not_wait_for_the_disk(
    answers: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1 << 30))
    monkeypatch.setattr(threads, "DISK_DEADLINE_S", 0.01)
    monkeypatch.setattr(threads, "cpu_ticks_of", lambda _: next(ticks))
    working = asyncio.create_task(in_thread_within(PATIENCE_S, answers.wait, PATIENCE_S))
    await until(lambda: next(ticks) > 20)
    answers.set()
    assert await working


async def test_long_work_is_checked_while_it_goes_on_although_nothing_else_asks(
    answers: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that stops just after a check is noticed one `SAMPLE_S` later than `DISK_DEADLINE_S`, not twice as late."""
    seen = list[int | None]()

    def ticks(thread: int | None) -> int:
        seen.append(thread)
        return 0

    monkeypatch.setattr(threads, "SAMPLE_S", 0.01)
    monkeypatch.setattr(threads, "cpu_ticks_of", ticks)
    monkeypatch.setattr(threads, "pixel_threads", list)
    working = asyncio.create_task(in_thread_within(2 * threads.DISK_DEADLINE_S, answers.wait, PATIENCE_S))
    await until(lambda: len(seen) > 5)
    answers.set()
    assert await working


async def test_long_work_that_reaches_its_deadline_while_computing_is_not_called_a_disk_that_is_silent(
    answers: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(1 << 30))
    monkeypatch.setattr(threads, "DISK_DEADLINE_S", 0.1)
    monkeypatch.setattr(threads, "SAMPLE_S", 0.01)
    monkeypatch.setattr(threads, "cpu_ticks_of", lambda _: next(ticks))
    with pytest.raises(DiskHangsError, match=r"^work on the disk did not end within 0 min; check its cable"):
        await in_thread_within(0.5, answers.wait, PATIENCE_S)
    with pytest.raises(DiskHangsError, match=r"^work on the disk did not end within 0 min; check its cable"):
        await in_thread(divmod, 7, 2)
    answers.set()
    await until(lambda: threads.waiting_for_disk_s() == 0.0)


async def test_work_that_waits_for_the_threads_of_the_pixels_does_not_wait_for_the_disk(
    answers: threading.Event,
) -> None:
    def compute(_part: int) -> None:
        while not answers.is_set():
            pass

    working = asyncio.create_task(in_thread_within(threads.LONG_WORK_S, lambda: list(parallel_map(compute, range(1)))))
    await until(lambda: threads.under_way)
    for _ in range(3):
        await until(lambda: threads.waiting_for_disk_s() == 0.0)
    answers.set()
    await working


def test_the_cpu_time_of_a_thread_is_known() -> None:
    thread, before = threading.get_native_id(), threads.cpu_ticks_of(threading.get_native_id())
    while threads.cpu_ticks_of(thread) == before:
        pass
    assert threads.cpu_ticks_of(None) == 0


def test_a_reader_of_a_hanging_disk_can_be_cancelled(answers: threading.Event) -> None:
    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        reading = asyncio.create_task(read_in_thread(answers.wait, PATIENCE_S))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        with pytest.raises(DiskHangsError):
            await read_in_thread(answers.wait, PATIENCE_S)

    asyncio.run(run())
    assert not answers.is_set()


async def test_a_reader_gives_up_when_the_disk_hangs(answers: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.get_running_loop().set_default_executor(DaemonThreads())
    monkeypatch.setattr(threads, "DISK_DEADLINE_S", 0.05)
    assert await read_in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(DiskHangsError, match="has not answered for 0 s"):
        await read_in_thread(answers.wait, PATIENCE_S)
