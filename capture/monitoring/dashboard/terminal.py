"""The dashboard on a terminal, without ever making the night wait for that terminal."""

import asyncio
import contextlib
import curses
import io
import os
import time
from collections.abc import Callable, Iterable
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
"""Pause between two looks for something new."""

LARGEST_SHARE = 0.02
"""Of a core, for drawing: on slow machines and large terminals it is drawn more rarely, and the night has the core."""

CLOCK_S = 1.0
"""Clock and countdown are redrawn this often when nothing else happens."""

REPAINT_S = 10.0
"""All lines are written so often, in case something else has written on the screen, such as a shell in between."""

FAREWELL_S = 2.0
"""How long the last words may take to reach a slow terminal."""


class PatientTerminal(io.TextIOBase):
    """Text to a terminal that is never waited for.

    A plain write blocks while the terminal does not read (Ctrl-S, a stalled ssh connection), and the event loop with
    it. Here what the terminal does not take at once is kept and written when it can be; `is_busy` tells a writer to
    leave a frame out. A terminal that went away takes everything, silently.

    Parameters
    ----------
    descriptor
        An open descriptor of the terminal, such as that of standard output. The terminal is opened anew, because
        non-blocking mode set on the given one would be shared with the shell that we were started from.

    Raises
    ------
    OSError
        Where the terminal can't be opened.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = _open_without_blocking(descriptor)
        self._size = (80, 24)
        self._pending = bytearray()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of what is written."""
        return os.device_encoding(self._descriptor) or "utf-8"

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, as last known where the terminal has gone."""
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(self._descriptor)
            self._size = columns, rows
        return self._size

    @property
    def is_busy(self) -> bool:
        """True while the terminal has not taken all that was written."""
        return bool(self._pending)

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Write what the terminal takes now and keep the rest for later."""
        self._pending += text.encode(self.encoding, "replace")
        self._write_pending()
        return len(text)

    async def drain(self) -> None:
        """Wait until all has been taken."""
        await self._drained.wait()

    def close(self) -> None:
        """Give up what is still pending and close our descriptor."""
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
        # Inside some containers, or after `su`, the terminal has no name that we may open; this one always works.
        return os.open("/dev/tty", flags)


def _has_colours(descriptor: int) -> bool:
    """Tell whether the terminal database knows colours of this terminal; one that it does not know may have them."""
    try:
        curses.setupterm(os.environ.get("TERM"), descriptor)
    except curses.error:
        return True
    return curses.tigetnum("colors") > 0


def _local_time() -> datetime:
    return datetime.now(UTC).astimezone()


class Dashboard:
    """Shows a night on a terminal; an `EventStream` subscriber and an asynchronous context manager.

    Entered, it takes the terminal's alternate screen and redraws it from a task when something has changed; left, it
    gives the terminal back and prints what was made and what is missing.

    Parameters
    ----------
    descriptor
        The terminal, such as ``sys.stdout.fileno()``.
    now
        Tells the time of the wall clock, in the time zone to show.
    controls
        What keys do; None: there are none.
    farewell
        Says what stays on the screen afterwards.

    Raises
    ------
    OSError
        On entering, where the terminal can't be opened.
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
        """Take one event in; it is drawn at the next refresh."""
        self.state.apply(event)
        self._has_news = True

    def begin_anew(self, events: Iterable[Event]) -> None:
        """Show another night, or the same one from its start, as these events tell it."""
        self.state = DashboardState()
        for event in events:
            self.state.apply(event)
        self._has_news = True

    def lose(self) -> None:
        """Show that nobody tells of the night any more, until it is begun anew."""
        self.state.lose()
        self._has_news = True

    def press(self, key: str) -> None:
        """Take a key."""
        if self._controls is not None:
            self._controls.press(key, self.state, self._now())
            self._has_news = True
            self._pressed.set()

    def say(self, text: str) -> None:
        """Show a sentence for some seconds."""
        if self._controls is not None:
            self._controls.say(text, self._now())
            self._has_news = True

    async def __aenter__(self) -> Self:
        """Take the screen and start to draw."""
        self._terminal = PatientTerminal(self._descriptor)
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
        """Give the screen back and leave the summary on it."""
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
                    await self._pressed.wait()  # whoever presses a key looks
            self._pressed.clear()

    def _draw(self, size: tuple[int, int], *, is_resized: bool) -> None:
        """Write the lines that have changed: nothing flickers, and little goes over a slow connection."""
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
