"""Show the dashboard on a terminal. A terminal that stops reading never delays the night."""

import asyncio
import contextlib
import curses
import io
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, Self, cast

from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import Segment, Segments

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.layout import render, summary
from coldframe.capture.monitoring.progress.state import DashboardState

REFRESH_S = 0.25
"""Time between checks for new events."""

LARGEST_SHARE = 0.02
"""Maximum fraction of a CPU core used for drawing. On slow machines and large terminals, redraws are less frequent."""

CLOCK_S = 1.0
"""Time between redraws of the clock and the countdown while nothing else changes."""

REPAINT_S = 10.0
"""Time between redraws of all lines, in case another program has written to the screen."""

FAREWELL_S = 2.0
"""Maximum time that a slow terminal may take to accept the summary."""


class NonBlockingTerminal(io.TextIOBase):
    """A text file that writes to a terminal and never blocks.

    A plain write would block the event loop while the terminal is not reading, for example after Ctrl-S or on a stalled
    ssh connection. This class buffers the output that the terminal does not accept at once, and writes it later.
    Callers should skip redraws while `is_busy` is True. Writes to a terminal that has been closed are discarded.

    Parameters
    ----------
    descriptor
        An open descriptor of the terminal, such as the descriptor of standard output. The terminal is opened a second
        time, because non-blocking mode on the given descriptor would also affect the shell.

    Raises
    ------
    OSError
        If the terminal cannot be opened.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _open_without_blocking(descriptor)
        self._size = (80, 24)
        self._pending = bytearray()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal."""
        return os.device_encoding(self._descriptor) or "utf-8"

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal; the last known size if the terminal has been closed."""
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(self._descriptor)
            self._size = columns, rows
        return self._size

    @property
    def is_busy(self) -> bool:
        """True while the terminal has not accepted all output."""
        return bool(self._pending)

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Write as much as the terminal accepts now, and buffer the rest."""
        self._pending += text.encode(self.encoding, "replace")
        self._write_pending()
        return len(text)

    async def drain(self) -> None:
        """Wait until the terminal has accepted all output."""
        await self._drained.wait()

    def close(self) -> None:
        """Discard the buffered output and close the descriptor."""
        if not self.closed:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            os.close(self._descriptor)
        super().close()

    def _write_pending(self) -> None:
        try:
            del self._pending[: os.write(self._descriptor, self._pending)]
        except BlockingIOError:
            pass
        except OSError:
            self._pending.clear()
        loop = asyncio.get_running_loop()
        if self._pending:
            self._drained.clear()
            loop.add_writer(self._descriptor, self._write_pending)
        else:
            self._drained.set()
            loop.remove_writer(self._descriptor)


def _open_without_blocking(descriptor: int) -> int:
    flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(os.ttyname(descriptor), flags)
    except OSError:
        # In some containers, and after `su`, the terminal has no name that this user may open.
        return os.open("/dev/tty", flags)


def _has_colours(descriptor: int) -> bool:
    """Return False if the terminal has no colours according to the terminfo database."""
    try:
        curses.setupterm(os.environ.get("TERM"), descriptor)
    except curses.error:
        return True
    return curses.tigetnum("colors") > 0


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


class Dashboard:
    """A terminal dashboard of a night. It is an `EventStream` subscriber and an asynchronous context manager.

    On entry, it switches to the terminal's alternate screen and starts a task that redraws changed lines. On exit, it
    restores the terminal and prints a summary.

    Parameters
    ----------
    descriptor
        The terminal, such as ``sys.stdout.fileno()``.
    now
        Function that returns the wall-clock time in the time zone to show.
    controls
        Object that handles keys; None for a dashboard without keys.
    farewell
        Function that returns the summary to print on exit.

    Raises
    ------
    OSError
        On entry, if the terminal cannot be opened.
    """

    def __init__(
        self,
        descriptor: int,
        now: Callable[[], datetime] = _local_time,
        controls: Controls | None = None,
        farewell: Callable[[DashboardState], RenderableType] = summary,
    ) -> None:
        self.state = DashboardState()
        self._controls = controls
        self._farewell = farewell
        self._descriptor = descriptor
        self._now = now
        self._has_news = True
        self._pressed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        """Apply the event. The next refresh draws it."""
        self.state.apply(event)
        self._has_news = True

    def show(self, state: DashboardState) -> None:
        """Replace the state. The next refresh draws it."""
        self.state = state
        self._has_news = True

    def press(self, key: str) -> None:
        """Handle a key press."""
        if self._controls is not None:
            self._controls.press(key, self.state, self._now())
            self._has_news = True
            self._pressed.set()

    def show_message(self, text: str) -> None:
        """Show a message for a few seconds."""
        if self._controls is not None:
            self._controls.show_message(text, self._now())
            self._has_news = True

    async def __aenter__(self) -> Self:
        """Switch to the alternate screen and start drawing."""
        self._terminal = NonBlockingTerminal(self._descriptor)
        console_file = cast("IO[str]", self._terminal)
        self._console = Console(file=console_file, color_system="auto" if _has_colours(self._descriptor) else None)
        self._drawn: list[list[Segment]] = []
        self._console.set_alt_screen(enable=True)
        self._console.show_cursor(show=False)
        self._drawing = asyncio.create_task(self._draw_on_news(), name="dashboard")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the screen and print the summary."""
        self._drawing.cancel()
        await asyncio.wait([self._drawing])
        self._console.show_cursor(show=True)
        self._console.set_alt_screen(enable=False)
        self._console.print(self._farewell(self.state), soft_wrap=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._terminal.drain()
        self._terminal.close()

    async def _draw_on_news(self) -> None:
        clock = asyncio.get_running_loop().time
        drawn_at, painted_at, drawn_size, pause_s = clock(), clock(), None, REFRESH_S
        while True:
            size = self._terminal.size
            is_due = self._has_news or size != drawn_size or clock() - drawn_at >= CLOCK_S
            if is_due and not self._terminal.is_busy:
                self._has_news = False
                began_s = time.thread_time()
                if clock() - painted_at >= REPAINT_S:
                    self._drawn, painted_at = [], clock()
                self._draw(size, is_resized=size != drawn_size)
                drawn_at, drawn_size = clock(), size
                pause_s = max(REFRESH_S, (time.thread_time() - began_s) / LARGEST_SHARE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._pressed.wait()  # draw the effect of a key at once
            self._pressed.clear()

    def _draw(self, size: tuple[int, int], *, is_resized: bool) -> None:
        """Write only the lines that have changed, to avoid flicker and to save time on slow connections."""
        console = self._console
        console.size = size
        lines = render(self.state, *size, self._now(), self._controls).lines(console)
        if is_resized:
            console.control(Control.home(), Control.clear())
            self._drawn = []
        with console:
            for row, line in enumerate(lines):
                if row >= len(self._drawn) or line != self._drawn[row]:
                    console.control(Control.move_to(0, row))
                    console.print(Segments(line), end="", crop=False, no_wrap=True)
        self._drawn = lines
