"""The boundary to the terminal: the output of all commands passes through `VisibleStream` or a `VisibleConsole`.

File names, header values and server messages are untrusted. Escape sequences and C1 characters in them could
change colours, move the cursor, or inject input; both classes show them as text instead.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from coldframe.visible import visible_lines


class VisibleStream:
    """A text stream that shows unprintable characters, except line feeds, as escape sequences.

    Parameters
    ----------
    stream
        The stream to which the text is written; all other methods and attributes are those of this stream.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        # The option parser indents lists of choices with tabs.
        self.stream.write(visible_lines(text.replace("\n\t", "\n    ")))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the lines in order."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the stream
        return getattr(self.stream, name)


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
