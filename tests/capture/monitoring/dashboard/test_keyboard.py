"""Single keys from a pseudo terminal that is the controlling terminal of a process."""

import asyncio
import fcntl
import os
import pty
import subprocess
import sys
import termios
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from coldframe.capture.monitoring.dashboard.keyboard import PASTE_S, Keyboard
from tests.patience import until

PROGRAM = textwrap.dedent("""
    import asyncio, fcntl, os, termios
    from coldframe.capture.monitoring.dashboard.keyboard import Keyboard

    async def main():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        keys = asyncio.Queue()
        async with Keyboard(0, keys.put_nowait):
            print("ready", flush=True)
            while (key := await keys.get()) != "q":
                print(key, flush=True)

    asyncio.run(main())
""")


class Session:
    """A process that prints the keys of its terminal."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self._terminal = terminal
        self.process = process
        self.output = b""
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)

    def press(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def has_printed(self, text: bytes) -> bool:
        assert self.process.stdout is not None
        self.output += self.process.stdout.read() or b""
        return text in self.output

    @property
    def is_canonical(self) -> bool:
        return bool(termios.tcgetattr(self._terminal)[3] & termios.ICANON)


@contextmanager
def session() -> Iterator[Session]:
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=inner, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        yield Session(outer, process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        os.close(inner)
        os.close(outer)


async def test_keys_are_passed_on_singly_and_the_terminal_is_restored() -> None:
    with session() as running:
        assert running.is_canonical
        await until(lambda: running.has_printed(b"ready"))
        assert not running.is_canonical
        running.press("p")
        await until(lambda: running.has_printed(b"p\n"))
        running.press("q")
        await until(lambda: running.process.poll() is not None)
        assert running.process.returncode == 0
        assert running.is_canonical


async def test_characters_that_arrive_together_are_ignored() -> None:
    """Pasted text, or the sequence of an arrow key, must not end a night."""
    with session() as running:
        await until(lambda: running.has_printed(b"ready"))
        for keys in ("quiet", "\x1b[A"):
            running.press(keys)
            await asyncio.sleep(2 * PASTE_S)
        # On a busy machine the gap may be too short for the first of these keys.
        while not running.has_printed(b"p\n"):
            running.press("p")
            await asyncio.sleep(2 * PASTE_S)
        assert running.process.poll() is None
        assert set(running.output.split()) == {b"ready", b"p"}


async def test_input_that_is_no_terminal_is_left_alone() -> None:
    reading, writing = os.pipe()
    flags = fcntl.fcntl(reading, fcntl.F_GETFL)
    keys: list[str] = []
    async with Keyboard(reading, keys.append):
        os.write(writing, b"q")
        await asyncio.sleep(0)
        assert fcntl.fcntl(reading, fcntl.F_GETFL) == flags
    assert os.read(reading, 1) == b"q"
    assert keys == []
    os.close(reading)
    os.close(writing)
