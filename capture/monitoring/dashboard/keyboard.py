"""Keys from the terminal, one by one, without ever stopping a night that runs in the background."""

import asyncio
import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

LOOK_S = 1.0
"""Between two looks whether we are in the foreground."""

LONGEST_READ = 4096

PASTE_S = 0.2
"""Longest gap within pasted text."""


@contextmanager
def _not_stopped() -> Iterator[None]:
    """Let terminal calls of a process in the background fail instead of stopping it: with it the night would stand."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Keyboard:
    """Hands over keys for the length of an asynchronous block; does nothing where there is no terminal.

    The terminal gives keys at once and does not show them meanwhile; afterwards it is as it was. In the background
    nothing is read and nothing set; back in the foreground it goes on. Ctrl-C and Ctrl-Z do what they always do.

    Parameters
    ----------
    descriptor
        Of the terminal, such as ``sys.stdin.fileno()``.
    press
        Gets each key. What comes as several characters at once is left out: arrows and the like, and pasted text.
    """

    def __init__(self, descriptor: int, press: Callable[[str], None]) -> None:
        self._given = descriptor
        self._press = press
        self._descriptor = -1
        self._deaf_until_s = 0.0
        self._before: list[Any] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Take the keys, where there is a terminal and it is ours."""
        with suppress(OSError):
            # Anew, because non-blocking mode set on the given one would be shared with the shell.
            flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(os.ttyname(self._given), flags)
            self._look()
            self._looking = asyncio.create_task(self._keep_looking(), name="keyboard")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            if self._before is not None and self._is_ours():
                self._set(self._before)
            os.close(self._descriptor)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()

    def _is_ours(self) -> bool:
        """Tell whether we are in the foreground of the terminal."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False

    def _look(self) -> None:
        """Take the terminal while we are in the foreground, again after a shell has had it; else let it be."""
        loop = asyncio.get_running_loop()
        if not self._is_ours():
            loop.remove_reader(self._descriptor)
            return
        with suppress(OSError, termios.error):
            modes = termios.tcgetattr(self._descriptor)
            if modes[3] & termios.ICANON:
                self._before = self._before or termios.tcgetattr(self._descriptor)
                modes[3] &= ~(termios.ICANON | termios.ECHO)
                modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
                self._set(modes)
        loop.add_reader(self._descriptor, self._read)

    def _set(self, modes: list[Any]) -> None:
        with _not_stopped(), suppress(termios.error):
            # Not after what is still to be written: a terminal that has stopped would be waited for.
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)

    def _read(self) -> None:
        try:
            with _not_stopped():
                data = os.read(self._descriptor, LONGEST_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # in the background, or hung up; the next look tells
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        now_s = asyncio.get_running_loop().time()
        if len(data) > 1:  # a paste, whose letters must not end a night, nor those that come right after it
            self._deaf_until_s = now_s + PASTE_S
        elif data.isascii() and now_s >= self._deaf_until_s:
            self._press(data.decode("ascii"))
