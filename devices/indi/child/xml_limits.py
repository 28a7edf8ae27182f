"""Limits on the XML that a server may send; the library's parser has none. This module performs no I/O."""

import re

from coldframe.errors import ColdframeError

DEEPEST = 4
"""Maximum depth of nested elements. INDI uses two levels: a vector and its elements."""

LONGEST_BYTES = 1 << 20
"""Maximum size of an outermost element, in bytes. The largest vectors from drivers take up some ten thousand bytes."""

MARKS = re.compile(rb"[<>\"']")


class XmlLimitError(ColdframeError):
    """The server sent XML elements that are too long or too deeply nested."""


class XmlLimits:
    """A check that tracks the XML elements in the bytes from a connection, using bounded memory.

    Attributes
    ----------
    complete
        Number of outermost elements that have ended.
    """

    def __init__(self) -> None:
        self.complete = 0
        self._depth = 0
        self._bytes = 0  # since the outermost element began
        self._tag: bytes | None = None  # the beginning of an incomplete tag
        self._quote = b""

    @property
    def is_inside(self) -> bool:
        """True if an element has begun but has not ended yet."""
        return self._depth > 0 or self._tag is not None

    def check(self, chunk: bytes) -> None:
        """Track the elements in the next bytes.

        Raises
        ------
        XmlLimitError
            If an element exceeds a limit.
        """
        tag, outer = 0, 0
        for found in MARKS.finditer(chunk):
            mark = found[0]
            if self._tag is None:
                if mark == b"<":
                    self._tag, tag = b"", found.start()
            elif self._quote:
                self._quote = b"" if mark == self._quote else self._quote
            elif mark == b">":
                self._close_tag(self._tag + chunk[tag : found.end()])
                self._tag, tag = None, 0
                if self._depth == 0:
                    self._bytes, outer = 0, found.end()
                    self.complete += 1
            elif mark != b"<":
                self._quote = mark
        if self._tag is not None:
            self._tag += chunk[tag:]
        self._bytes += len(chunk) - outer
        if self._bytes > LONGEST_BYTES:
            raise XmlLimitError(f"the server sent an XML element of more than {LONGEST_BYTES >> 20} MB")

    def _close_tag(self, tag: bytes) -> None:
        if tag.startswith(b"</"):
            self._depth = max(self._depth - 1, 0)
        elif not tag.startswith((b"<?", b"<!")) and not tag.endswith(b"/>"):
            self._depth += 1
            if self._depth > DEEPEST:
                raise XmlLimitError(f"the server sent XML elements that are nested more than {DEEPEST} deep")
