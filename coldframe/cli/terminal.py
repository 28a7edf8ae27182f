"""The boundary to the terminal: the output of all commands passes through `VisibleStream` or a `VisibleConsole`.

File names, header values and server messages come from outside. Escape sequences and C1 characters in them could
change colours, move the cursor, or answer for the user; both classes show them as text instead.
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO, cast

from coldframe.visible import visible

_ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class VisibleStream:
    """A text stream that shows characters which are not printable, except line feeds, as escape sequences.

    Parameters
    ----------
    stream
        The stream to which the text is written; all other methods and attributes are its own.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        self.stream.write(visible_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the stream
        return getattr(self.stream, name)


class VisibleFormatter(logging.Formatter):
    """A formatter of log records; a record is one line, and only its traceback may have more."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name in logging
        """Return the record's line."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - the name in logging
        """Return the traceback, in lines."""
        return visible_lines(super().formatException(ei))


def visible_lines(text: str) -> str:
    """Return a text with each of its lines passed through `visible`."""
    return "\n".join(map(visible, text.split("\n")))


def plain_stream(stream: TextIO) -> TextIO:
    """Return the stream behind a `VisibleStream`, for output that contains the program's own escape sequences."""
    return stream.stream if isinstance(stream, VisibleStream) else stream


@contextmanager
def visible_output() -> Iterator[None]:
    """Pass the standard streams through `VisibleStream` for the duration of the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", VisibleStream(stream)) if stream else stream for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
