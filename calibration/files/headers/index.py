"""An index of headers in the user's cache folder, so that unchanged files need not be read again.

The index has one file for each folder of images. It may be deleted at any time. An entry is used only if the size, the
times and the inode of the image file are unchanged, and if the code that reads headers has not changed since the entry
was written. See docs/decisions/0031-index-of-headers.md.
"""

import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.files.cards import GarbledValue, HeaderValue
from coldframe.calibration.files.headers.stamp import Stamp
from coldframe.private_files import read_private, user_caches, write_private

FORMAT = 2
"""Version of the format, which is part of the names of the files, so that files of other versions are not overwritten.
"""

MOST_BYTES = 64 << 20
"""Maximum size of the whole index in bytes, about 130,000 headers; above it, the least recently used files are removed.
"""

_NEW_SHARE = 20
"""The index of a folder is written if more than one in this many headers is new; otherwise, it takes less time to read
the new headers again."""

_FORGOTTEN_S = 3600
"""Age, in seconds, above which a file that a process did not finish writing is removed."""

_FINISHED = re.compile(r"[0-9a-f]{32}\.\d+\.json")
_UNFINISHED = re.compile(r"[0-9a-f]{32}\.\d+\.\d+\.\d+\.new")
"""Names of the files of the index; see `_file_of` and `write_private`."""

_USED_S = 86400
"""Minimum interval, in seconds, between records of a file's use in its modification time."""

log = logging.getLogger(__name__)

Header = dict[str, HeaderValue]


class _DamagedError(Exception):
    """A file of the index is damaged."""


class _Entry(NamedTuple):
    """The header of a file, as two sequences, because these take less time and memory than a dictionary."""

    stamp: Stamp
    keywords: Sequence[str]
    values: Sequence[HeaderValue]

    def header(self) -> Header:
        return dict(zip(self.keywords, self.values, strict=True))


class _Folder:
    """The headers of the files in one folder."""

    def __init__(self, path: Path, kept: Mapping[str, _Entry]) -> None:
        self.path = path
        self.entries = dict(kept)
        self.new = 0


class HeaderIndex:
    """Headers of files, from the index or from the files themselves.

    Parameters
    ----------
    location
        Folder of the index; None to read every file. The folder is created when the index is saved. If it cannot be
        read or written, every file is read.
    read
        Function that returns the header of a file, or raises an error; errors are not kept.
    not_kept
        Suffixes of files whose headers also depend on other files and are therefore not kept.
    """

    def __init__(
        self, location: Path | None, read: Callable[[Path], Header], not_kept: Collection[str] = frozenset()
    ) -> None:
        self._location = None if location is None or reader_digest() is None else location
        self._read = read
        self._not_kept = not_kept
        self._folders: dict[str, _Folder] = {}

    def header(self, path: Path) -> Header:
        """Return the header of a file; raise as `read` does."""
        now_ns = time.time_ns()
        parent, name = os.path.split(path)  # pathlib takes longer than the rest of this function
        is_kept = self._location is not None and os.path.splitext(name)[1].lower() not in self._not_kept  # noqa: PTH122
        stamp = Stamp.of(path) if is_kept else None
        if stamp is None:
            return self._read(path)
        folder = self._folder(parent)
        known = folder.entries.get(name)
        if known is not None and known.stamp == stamp:
            return known.header()
        header = self._read(path)
        if stamp.is_settled(now_ns) and stamp.identifies and Stamp.of(path) == stamp:
            folder.entries[name] = _Entry(stamp, tuple(header), tuple(header.values()))
            folder.new += 1
        return header

    def save(self) -> None:
        """Write the files of all folders with enough new headers; ignore errors, which only slow down the next use."""
        if self._location is None:
            return
        changed = [each for each in self._folders.values() if each.new * _NEW_SHARE > len(each.entries)]
        with suppress(OSError):
            for folder in changed:
                _write(folder, self._location)
            if changed:
                _remove_oldest(self._location)

    def _folder(self, parent: str) -> _Folder:
        if parent not in self._folders:
            assert self._location is not None
            path = os.path.abspath(parent)  # noqa: PTH100 - Path.absolute() keeps ".."
            self._folders[parent] = _Folder(Path(path), _load(_file_of(path, self._location), path))
        return self._folders[parent]


@contextmanager
def opened_index(read: Callable[[Path], Header], not_kept: Collection[str] = frozenset()) -> Iterator[HeaderIndex]:
    """Open the user's index, and save it at the end of the block, even if an exception ends it."""
    index = HeaderIndex(user_location(), read, not_kept)
    try:
        yield index
    finally:
        index.save()


def user_location() -> Path | None:
    """Return the folder of the user's index; None for a user without a home folder."""
    caches = user_caches()
    return None if caches is None else caches / "headers"


@cache
def reader_digest() -> str | None:
    """Return a digest of the code that reads headers, so that headers read by any other version are not used.

    The result is None if the code is not stored in files; in this case, no index can be used.
    """
    digest = hashlib.blake2b(digest_size=16)
    rooms = (Path(__file__).parent.parent, Path(__file__).parent)
    modules = [module for room in rooms for module in sorted(room.glob("*.py"))]
    try:
        for module in modules:
            digest.update(module.read_bytes())
    except OSError:
        return None
    return digest.hexdigest() if modules else None


def _file_of(folder: str, location: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(folder), digest_size=16).hexdigest()
    return location / f"{name}.{FORMAT}.json"


def _load(file: Path, folder: str) -> dict[str, _Entry]:
    """Return the headers in a file of the index; empty if the file is missing, damaged or of a different version."""
    try:
        content = read_private(file, MOST_BYTES)
    except OSError:
        return {}
    try:
        headers = _decoded(content, folder)
    except (_DamagedError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        log.warning("%s is damaged: it is discarded, and the headers are read again", file)
        with suppress(OSError):
            file.unlink()
        return {}
    with suppress(OSError):
        if time.time() - file.stat().st_mtime > _USED_S:
            os.utime(file)
    return headers


def _decoded(content: bytes, folder: str) -> dict[str, _Entry]:
    about, _, body = content.partition(b"\n")
    title = json.loads(about)
    if title["digest"] != _digest(body):
        raise _DamagedError
    if title["format"] != FORMAT or title["reader"] != reader_digest() or title["folder"] != folder:
        return {}
    lists = json.loads(body)
    values = [GarbledValue(*value) if isinstance(value, list) else value for value in lists["values"]]
    entries = {
        name: _Entry(Stamp(*numbers), lists["keywords"][alike], list(map(values.__getitem__, places)))
        for name, (numbers, alike, places) in lists["files"].items()
    }
    if any(len(entry.keywords) != len(entry.values) for entry in entries.values()):
        raise _DamagedError
    return entries


def _encoded(folder: _Folder, present: set[str]) -> bytes:
    """Return the content of a folder's file.

    It contains each sequence of keywords and each value once and, for each image, the indices of both.
    """
    keywords: dict[tuple[str, ...], int] = {}
    values: dict[str, int] = {}
    files = {
        name: [
            entry.stamp,
            keywords.setdefault(tuple(entry.keywords), len(keywords)),
            [values.setdefault(_value_text(value), len(values)) for value in entry.values],
        ]
        for name, entry in folder.entries.items()
        if name in present
    }
    lists = f'"keywords": {json.dumps(list(keywords))}, "values": [{",".join(values)}], "files": {json.dumps(files)}'
    body = f"{{{lists}}}".encode("ascii")
    title = {"format": FORMAT, "reader": reader_digest(), "folder": str(folder.path), "digest": _digest(body)}
    return json.dumps(title).encode("ascii") + b"\n" + body


def _value_text(value: HeaderValue) -> str:
    """Return a value as JSON, which distinguishes 1, 1.0 and true; a garbled value is put in a list."""
    return json.dumps([value] if isinstance(value, GarbledValue) else value)


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def _write(folder: _Folder, location: Path) -> None:
    """Replace the index of a folder, leaving out images that are no longer in the folder."""
    content = _encoded(folder, set(os.listdir(folder.path)))  # noqa: PTH208 - only the names
    if len(content) <= MOST_BYTES:
        write_private(_file_of(str(folder.path), location), content)


def _remove_oldest(location: Path) -> None:
    """Remove files of the index until it is small enough, and files that other processes left unfinished.

    All other files are kept: the folder may be a link to one of the user's own folders.
    """
    found = []
    for file in location.iterdir():
        with suppress(FileNotFoundError):  # another process may remove it
            status = file.lstat()
            if _FINISHED.fullmatch(file.name):
                found.append((status.st_mtime, status.st_size, file))
            elif _UNFINISHED.fullmatch(file.name) and time.time() - status.st_mtime > _FORGOTTEN_S:
                file.unlink()
    total = 0
    for _, size, file in sorted(found, reverse=True):
        total += size
        if total > MOST_BYTES:
            file.unlink(missing_ok=True)
