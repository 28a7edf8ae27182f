"""Read single keys from the terminal. Reading never stops a night that is running in the background."""

import asyncio
import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

CHECK_S = 1.0
"""Time between checks of whether the process is in the foreground."""

LONGEST_READ = 4096

PASTE_S = 0.2
"""Longest gap between characters of pasted text."""


@contextmanager
def _not_stopped() -> Iterator[None]:
    """While this process is in the background, prevent terminal calls from stopping it, and thus the night.

    While SIGTTIN is blocked, reading from the background fails with EIO. While SIGTTOU is blocked, a background process
    may set modes (POSIX, XBD 11.1.4).
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Keyboard:
    """A keyboard that reports single keys during an ``async with`` block. It does nothing if there is no terminal.

    During the block, the terminal is in non-canonical mode without echo; it is restored afterwards. A process in the
    background neither reads keys nor changes modes until it is in the foreground again. Ctrl-C and Ctrl-Z work as
    usual.

    Parameters
    ----------
    descriptor
        The terminal, such as ``sys.stdin.fileno()``.
    press
        Function that is called with each key. Characters that arrive together are ignored, because they come from
        arrow keys, function keys or pasted text.
    """

    def __init__(self, descriptor: int, press: Callable[[str], None]) -> None:
        self._descriptor_given = descriptor
        self._press = press
        self._descriptor = -1
        self._ignore_until_s = 0.0
        self._modes_before: list[Any] | None = None
        self._checking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start reading keys if there is a terminal and the process is in the foreground of this terminal."""
        with suppress(OSError):
            # Open the terminal a second time, because non-blocking mode on the given descriptor would also affect the
            # shell.
            flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(os.ttyname(self._descriptor_given), flags)
            self._check()
            self._checking = asyncio.create_task(self._keep_checking(), name="keyboard")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            if self._modes_before is not None and self._is_in_foreground():
                self._set_modes(self._modes_before)
            os.close(self._descriptor)

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            self._check()

    def _is_in_foreground(self) -> bool:
        """Return True if this process is in the foreground of the terminal."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _check(self) -> None:
        """Start or stop reading keys. In the foreground, set the modes again, because a shell may have reset them."""
        loop = asyncio.get_running_loop()
        if not self._is_in_foreground():
            loop.remove_reader(self._descriptor)
            return
        with suppress(OSError, termios.error):
            modes = termios.tcgetattr(self._descriptor)
            if modes[3] & termios.ICANON:
                self._modes_before = self._modes_before or termios.tcgetattr(self._descriptor)
                modes[3] &= ~(termios.ICANON | termios.ECHO)
                modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
                self._set_modes(modes)
        loop.add_reader(self._descriptor, self._read)

    def _set_modes(self, modes: list[Any]) -> None:
        with _not_stopped(), suppress(termios.error):
            # TCSADRAIN would wait for pending output, which blocks while the terminal is stopped (Ctrl-S).
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def _read(self) -> None:
        try:
            with _not_stopped():
                data = os.read(self._descriptor, LONGEST_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # this process is in the background, or the terminal has hung up; the next check detects which
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        now_s = asyncio.get_running_loop().time()
        if len(data) > 1:  # pasted text, which must not end a night by accident
            self._ignore_until_s = now_s + PASTE_S
        elif data.isascii() and now_s >= self._ignore_until_s:
            self._press(data.decode("ascii"))
