"""Line numbers of the keys in a TOML text, because tomllib returns values without line numbers."""

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

KeyPath = tuple[str | int, ...]

# Multi-line strings come first, because their quotes also start ordinary strings. A multi-line string can end with two
# quotes before the three quotes that close it.
_TOKEN = re.compile(
    r"""
    "{3}(?:\\.|[^\\])*?"{3,5} | '{3}.*?'{3,5}
    | "(?:\\.|[^"\\\n])*" | '[^'\n]*'
    | \#[^\n]* | [\[\]{}=,.\n] | [^\s\[\]{}=,.\#"']+
    """,
    re.DOTALL | re.VERBOSE,
)


class _Token(NamedTuple):
    text: str
    line: int


def key_lines(text: str) -> dict[KeyPath, int]:
    """Find the line of every key, table and list element.

    Parameters
    ----------
    text
        TOML that tomllib accepts; the scan does not check it.

    Returns
    -------
    dict
        Line numbers, counted from 1, by path, such as ``("sets", 0, "count")``. A table that appears only in the names
        of its children (``[flats.filters.Ha]`` without ``[flats]``) has no entry.
    """
    return _Scan(text).lines


def nearest_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of `path` or of the innermost enclosing table that has a line; 1 if no table has a line."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def _tokens(text: str) -> Iterator[_Token]:
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        if not match[0].startswith("#"):
            yield _Token(match[0], line)


class _Scan:
    """One pass over the tokens of a document. It fills `lines`."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._tokens = _tokens(text)
        self._next: _Token | None = next(self._tokens, None)
        self._newest: dict[KeyPath, int] = {}
        table: KeyPath = ()
        while self._next is not None:
            if self._peek() == "\n":
                self._take()
            elif self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _peek(self) -> str:
        return self._next.text if self._next else ""

    def _take(self) -> str:
        text = self._peek()
        self._next = next(self._tokens, None)
        return text

    def _header(self) -> KeyPath:
        line = self._next.line if self._next else 0
        self._take()
        is_element = self._peek() == "["
        if is_element:
            self._take()
        keys = self._keys(end="]")
        while self._peek() == "]":
            self._take()
        *parents, last = keys
        path = (*self._below_newest(parents), last)
        if is_element:
            self.lines.setdefault(path, line)
            self._newest[path] = self._newest.get(path, -1) + 1
        path = self._below_newest(keys)
        self.lines[path] = line
        return path

    def _below_newest(self, keys: list[str]) -> KeyPath:
        """Return the path of a header's keys, with the index of the newest element of each array of tables."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._newest:
                path = (*path, self._newest[path])
        return path

    def _keys(self, end: str) -> list[str]:
        keys = []
        while self._peek() not in (end, ""):
            part = self._take()
            if part != ".":
                keys.append(_unquoted(part))
        return keys

    def _pair(self, table: KeyPath) -> None:
        line = self._next.line if self._next else 0
        path = table
        for key in self._keys(end="="):
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._take()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._peek() == "[":
            self._list(path)
        elif self._peek() == "{":
            self._inline_table(path)
        else:
            while self._peek() not in (",", "]", "}", "\n", ""):
                self._take()

    def _list(self, path: KeyPath) -> None:
        self._take()
        position = 0
        while self._peek() not in ("]", ""):
            if self._peek() in (",", "\n"):
                self._take()
                continue
            self.lines[(*path, position)] = self._next.line if self._next else 0
            self._value((*path, position))
            position += 1
        self._take()

    def _inline_table(self, path: KeyPath) -> None:
        self._take()
        while self._peek() not in ("}", ""):
            if self._peek() in (",", "\n"):
                self._take()
            else:
                self._pair(path)
        self._take()


def _unquoted(token: str) -> str:
    return next(iter(tomllib.loads(f"{token} = 0"))) if token[0] in "\"'" else token
