"""The library's index: a cache of headers, so that unchanged files need not be read again; it can be deleted."""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldframe.calibration.files.cards import HeaderValue

_SCHEMA = """
CREATE TABLE IF NOT EXISTS masters (
    name TEXT PRIMARY KEY,      -- path relative to the library's folder
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    header TEXT NOT NULL,       -- JSON
    sha256 TEXT                 -- of the whole file; NULL until it is computed
) WITHOUT ROWID
"""

_READER = 2
"""Version of the card reader; headers read by an earlier version are read again."""

_REMEMBER = """
INSERT INTO masters (name, bytes, modified_ns, header) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    sha256 = CASE WHEN bytes = excluded.bytes AND modified_ns = excluded.modified_ns THEN sha256 END,
    bytes = excluded.bytes, modified_ns = excluded.modified_ns, header = excluded.header
"""

_COLUMNS = ("name", "bytes", "modified_ns", "header", "sha256")


class Stamp(NamedTuple):
    """Size and modification time of a file, which show whether the file has changed."""

    bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file; raise OSError if the file does not exist."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


class LibraryIndex:
    """An SQLite file with the headers of masters.

    Each use of `opened` opens the file, checks it, and recreates it if it is damaged. If the folder is not writable,
    the index exists only in memory until it is closed. Errors after opening are ignored; the headers are then read from
    the files again, which is slower but has no other effect.

    Parameters
    ----------
    path
        The file; SQLite creates two more files in the same folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def opened(self) -> Iterator["OpenIndex"]:
        """Open the index for reading and writing; changes are committed if the block ends without an exception."""
        with closing(self._connection()) as connection:
            yield OpenIndex(connection)
            with suppress(sqlite3.Error):
                connection.commit()

    def forget(self) -> None:
        """Delete the index."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _connection(self) -> sqlite3.Connection:
        try:
            return connected(self._path)
        except sqlite3.OperationalError:  # the folder is not writable, or another process holds a lock
            return connected(":memory:")
        except sqlite3.DatabaseError:
            self.forget()
            return connected(self._path)


def connected(path: Path | str) -> sqlite3.Connection:
    """Return a connection to an index, after SQLite has checked its integrity.

    Raises
    ------
    sqlite3.DatabaseError
        If the file fails the check, or is not an index.
    """
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)
        _check(connection)
        _forget_headers_of_earlier_readers(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(masters)"))
    if verdict != "ok" or columns != _COLUMNS:
        raise sqlite3.DatabaseError(f"check: {verdict}; columns: {columns}")


def _forget_headers_of_earlier_readers(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone()[0] != _READER:
        connection.execute("UPDATE masters SET header = ''")
        connection.execute(f"PRAGMA user_version = {_READER}")


class OpenIndex:
    """The open index; unreadable entries are treated as missing, and entries that cannot be written are lost."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def header(self, name: str, stamp: Stamp) -> dict[str, HeaderValue] | None:
        """Return the stored header of a file; None if the file is new or has changed and must be read."""
        query = "SELECT header FROM masters WHERE name = ? AND bytes = ? AND modified_ns = ? AND header != ''"
        for (text,) in self._rows(query, _key(name), *stamp):
            header: dict[str, HeaderValue] = json.loads(text)
            return header
        return None

    def remember(self, name: str, stamp: Stamp, header: Mapping[str, HeaderValue]) -> None:
        """Store the header of a file; if the file has changed since it was stored, its old SHA-256 is discarded."""
        self._rows(_REMEMBER, _key(name), *stamp, json.dumps(dict(header)))

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 that was stored when the file was filed or found intact; None if none was stored."""
        return next((digest for (digest,) in self._rows("SELECT sha256 FROM masters WHERE name = ?", _key(name))), None)

    def keep_digest(self, name: str, digest: str) -> None:
        """Store the SHA-256 of a file whose header is in the index."""
        self._rows("UPDATE masters SET sha256 = ? WHERE name = ?", digest, _key(name))

    def names(self) -> frozenset[str]:
        """Return the names of all files in the index."""
        return frozenset(map(os.fsdecode, (name for (name,) in self._rows("SELECT name FROM masters"))))

    def drop(self, name: str) -> None:
        """Remove a file from the index."""
        self._rows("DELETE FROM masters WHERE name = ?", _key(name))

    def _rows(self, statement: str, *values: str | bytes | int) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            return []


def _key(name: str) -> str | bytes:
    """Return a file's name as the index stores it: as bytes if it is not UTF-8, which SQLite requires for text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name
