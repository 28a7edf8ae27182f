"""The log file of a night: the lines of the screen, and the log records of coldframe and the INDI library."""

import logging
import queue
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.progress.narrator import Narrator
from coldframe.visible import visible, visible_lines

MOST_LINES = 10_000
"""Maximum number of lines that wait for the disk. Further lines are lost; the journal contains their events."""

CLOSE_DEADLINE_S = 10.0
"""Maximum wait for the disk at the end of the night."""


_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class VisibleFormatter(logging.Formatter):
    """A formatter of log records; a record is one line, and only its traceback may span several lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        """Return the record's line."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - the name in logging
        """Return the traceback, with the unprintable characters of each line escaped."""
        return visible_lines(super().formatException(ei))


class NightLog(logging.Handler):
    """An `EventStream` subscriber and a log handler that append lines to a file while the context is open.

    A thread writes the file, so that a disk that hangs delays neither the night nor the return to the safe state.

    Parameters
    ----------
    path
        Path of the file.
    close_deadline_s
        See `CLOSE_DEADLINE_S`.

    Raises
    ------
    OSError
        When the context is entered, if the file cannot be opened.
    """

    def __init__(self, path: Path, *, close_deadline_s: float = CLOSE_DEADLINE_S) -> None:
        super().__init__()
        self.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
        self._path = path
        self._close_deadline_s = close_deadline_s
        self._narrator = Narrator()
        self._lines = queue.Queue[str | None](MOST_LINES)
        self._writer: threading.Thread | None = None
        self._level_before = logging.NOTSET

    def __enter__(self) -> Self:
        """Open the file, and start to receive the log records of coldframe."""
        file = self._path.open("a", encoding="utf-8", errors="backslashreplace")
        self._writer = threading.Thread(target=self._write, args=(file,), name="night log", daemon=True)
        self._writer.start()
        root = logging.getLogger("coldframe")
        root.addHandler(self)
        self._level_before = root.level
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file after its last line, unless the disk hangs."""
        root = logging.getLogger("coldframe")
        root.removeHandler(self)
        root.setLevel(self._level_before)  # for programs that continue after the night
        if self._lines.full():
            with suppress(queue.Empty):
                self._lines.get_nowait()  # no more lines arrive, so this frees space for the end marker
        self._lines.put(None)
        if self._writer is not None:
            self._writer.join(self._close_deadline_s)
        self.close()

    def __call__(self, event: Event) -> None:
        """Append the line that the screen shows for the event."""
        if line := self._narrator.narrate(event):
            self._put(line.at, f"{line.severity.value.upper()} {line.text}")

    def emit(self, record: logging.LogRecord) -> None:
        """Append a log record; escape unprintable characters, which may come from a driver or a file name."""
        self._put(datetime.fromtimestamp(record.created, UTC), self.format(record))

    def _put(self, at: datetime, text: str) -> None:
        with suppress(queue.Full):
            self._lines.put_nowait(f"{at.astimezone():%Y-%m-%d %H:%M:%S} {text}\n")

    def _write(self, file: TextIO) -> None:
        """Write the lines. If the disk is full, lines are lost; the night itself reports the full disk."""
        while (line := self._lines.get()) is not None:
            with suppress(OSError):
                file.write(line)
                file.flush()
        with suppress(OSError):
            file.close()
