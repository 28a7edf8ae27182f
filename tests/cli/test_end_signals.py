"""Which signals count as a request to end, and which as a further one."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from coldframe.operations.nights import end_signals
from coldframe.operations.nights.end_signals import END_SIGNALS, on_end_signals


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup(1) may have started the tests
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def heard(*numbers: signal.Signals) -> int:
    """Return how many requests the signals count for, each sent after the one before has been handled."""
    calls = list[int]()
    on_end_signals(lambda: calls.append(1))
    loop = asyncio.get_running_loop()
    for number in numbers:
        handled = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, handled.set)
        for sent in (number, signal.SIGUSR1):  # signals are handled in the order in which they arrive
            os.kill(os.getpid(), sent)
        await handled.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    for number in END_SIGNALS:
        loop.remove_signal_handler(number)
    return len(calls)


@pytest.mark.parametrize("number", END_SIGNALS)
async def test_each_signal_is_a_first_request(number: signal.Signals) -> None:
    assert await heard(number) == 1


async def test_a_second_ctrl_c_is_a_further_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_signals, "ECHO_S", 0.0)
    assert await heard(signal.SIGINT, signal.SIGTERM) == 2


async def test_a_ctrl_c_that_is_forwarded_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_signals, "ECHO_S", 60.0)
    assert await heard(signal.SIGINT, signal.SIGINT, signal.SIGTERM) == 1


async def test_a_closed_terminal_is_never_a_further_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_signals, "ECHO_S", 0.0)
    assert await heard(signal.SIGHUP, signal.SIGHUP, signal.SIGHUP) == 1


async def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert await heard(signal.SIGHUP) == 0
