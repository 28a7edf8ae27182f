"""The dashboard on a pseudo terminal draws, resizes, restores the terminal, and never blocks."""

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from coldframe.capture.events.kinds import (
    MasterWritten,
    NightEnded,
    NightStarted,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.dashboard.terminal import Dashboard, NonBlockingTerminal
from coldframe.config.frames import FrameKind
from tests.patience import PATIENCE_S

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
STEPS = (
    PlannedStep(1, "bias", FrameKind.BIAS, None, 3, 0.001, 9.0, StepType.SHOOT),
    PlannedStep(2, "dark", FrameKind.DARK, None, 3, 1, 9, StepType.SHOOT),
)

STARTED = NightStarted(NOW, "/nights/1", "Camera", None, None, 100, 80, STEPS)
ALTERNATE_SCREEN, NORMAL_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


class Terminal:
    """A pseudo terminal: programs write to `inner`, and `read` returns what appears on it."""

    def __init__(self) -> None:
        self._outer, self.inner = pty.openpty()
        os.set_blocking(self._outer, False)
        self.resize(80, 24)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self) -> bytes:
        data = b""
        with contextlib.suppress(BlockingIOError):
            while select.select([self._outer], [], [], 0.05)[0]:
                data += os.read(self._outer, 1 << 16)
        return data

    def hang_up(self) -> None:
        os.close(self._outer)
        self._outer = -1

    def close(self) -> None:
        os.close(self.inner)
        if self._outer >= 0:
            os.close(self._outer)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal()
    yield terminal
    terminal.close()


async def read_soon(terminal: Terminal, expected: bytes) -> bytes:
    """Collect output until it contains `expected`."""
    data = b""
    async with asyncio.timeout(PATIENCE_S):
        while expected not in data:
            await asyncio.sleep(0.02)
            data += terminal.read()
    return data


async def test_screen_is_restored_with_a_summary(terminal: Terminal) -> None:
    async with Dashboard(terminal.inner, now=lambda: NOW) as dashboard:
        dashboard(STARTED)
        first = await read_soon(terminal, b"step")
        assert ALTERNATE_SCREEN in first
        dashboard(StepStarted(NOW, 1))
        assert b"bias" in await read_soon(terminal, b"0/3")
        dashboard(MasterWritten(NOW, 1, "/nights/1/masters/MasterBias.fits", 3, 500, 1, 0))
        dashboard(StepEnded(NOW, 1, StepOutcome.DONE))
        dashboard(StepEnded(NOW, 2, StepOutcome.FAILED, "the shutter is stuck"))
        dashboard(NightEnded(NOW, NightOutcome.INCOMPLETE, "1 of 2 masters made"))
    last = terminal.read()
    assert SHOW_CURSOR in last
    farewell = last.partition(NORMAL_SCREEN)[2].decode()
    for words in (
        "Night incomplete: 1 of 2 masters made",
        "bias",
        "3 frames: ",
        "MasterBias.fits",
        "the shutter is stuck",
    ):
        assert words in farewell


async def test_screen_is_restored_after_an_error(terminal: Terminal) -> None:
    async def fail() -> None:
        async with Dashboard(terminal.inner, now=lambda: NOW):
            await asyncio.sleep(0)
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await fail()
    data = terminal.read()
    assert NORMAL_SCREEN in data
    assert SHOW_CURSOR in data


async def test_another_size_is_drawn(terminal: Terminal) -> None:
    async with Dashboard(terminal.inner, now=lambda: NOW) as dashboard:
        dashboard(STARTED)
        await read_soon(terminal, b"Latest")
        terminal.resize(200, 50)
        assert "Flat exposure" in (await read_soon(terminal, b"Masters")).decode()


async def test_stalled_terminal_does_not_block_the_loop(terminal: Terminal) -> None:
    """Nothing reads from it, so that writes to a plain descriptor would block until the terminal is closed."""
    release = threading.Timer(PATIENCE_S, terminal.hang_up)
    release.start()
    async with Dashboard(terminal.inner, now=lambda: NOW) as dashboard:
        for _ in range(75):
            dashboard(STARTED)
            await asyncio.sleep(0.02)
        assert release.is_alive(), "the loop was blocked"
        release.cancel()
        reading = asyncio.create_task(read_soon(terminal, NORMAL_SCREEN))
    await reading


async def test_closed_terminal_is_ignored(terminal: Terminal) -> None:
    async with Dashboard(terminal.inner, now=lambda: NOW) as dashboard:
        await asyncio.sleep(0.05)
        terminal.hang_up()
        dashboard(STARTED)
        await asyncio.sleep(0.6)
        assert dashboard.state.night == STARTED


async def test_buffered_output_is_written_later(terminal: Terminal) -> None:
    output = NonBlockingTerminal(terminal.inner)
    text = "".join(f"{number:09d}\n" for number in range(20_000))
    output.write(text)
    assert output.is_busy
    received = await read_soon(terminal, b"000019999")
    await output.drain()
    assert not output.is_busy
    received += terminal.read()
    assert received.replace(b"\r", b"") == text.encode()
    output.close()


async def test_terminal_of_the_shell_stays_in_blocking_mode(terminal: Terminal) -> None:
    output = NonBlockingTerminal(terminal.inner)
    assert os.get_blocking(terminal.inner)
    output.close()


async def test_no_task_remains(terminal: Terminal) -> None:
    async with Dashboard(terminal.inner, now=lambda: NOW):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_drawn_without_events(terminal: Terminal) -> None:
    async with Dashboard(terminal.inner, now=lambda: NOW) as dashboard:
        dashboard(STARTED)
        await read_soon(terminal, b"Latest")
        async with asyncio.timeout(PATIENCE_S):
            while terminal.read():  # the rest of the drawing
                await asyncio.sleep(0.7)
