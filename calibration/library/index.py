"""The library's index: headers that were read before, kept so as not to read them again. It may be thrown away."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from coldframe.calibration.files.cards import HeaderValue

_SCHEMA = """
CREATE TABLE IF NOT EXISTS masters (
    name TEXT PRIMARY KEY,      -- path below the library's folder
    bytes INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    header TEXT NOT NULL,       -- JSON
    sha256 TEXT                 -- of the whole file, once it was taken
) WITHOUT ROWID
"""

_COLUMNS = ("name", "bytes", "modified_ns", "header", "sha256")


class Stamp(NamedTuple):
    """What shows that a file is still the one that was read."""

    bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the stamp of a file; raises OSError where there is none."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns)


class LibraryIndex:
    """SQLite file with the headers of masters.

    It is opened anew by each use of `opened`, checked, and made anew where it is broken. Where the folder cannot be
    written to, it lives in memory for as long as it is open; what fails later on it leaves. Then headers are read from
    the files again: slower, nothing else.

    Parameters
    ----------
    path
        The file; beside it lie SQLite's own two.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def opened(self) -> Iterator["OpenIndex"]:
        """Open the index for reading and writing; what was written is kept when the block ends well."""
        with closing(self._connection()) as connection:
            yield OpenIndex(connection)
            with suppress(sqlite3.Error):
                connection.commit()

    def forget(self) -> None:
        """Throw the index away."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _connection(self) -> sqlite3.Connection:
        try:
            return _sound(self._path)
        except sqlite3.OperationalError:  # a folder without permission to write, or an index somebody holds locked
            return _sound(":memory:")
        except sqlite3.DatabaseError:
            self.forget()
            return _sound(self._path)


def _sound(path: Path | str) -> sqlite3.Connection:
    """Return a connection to an index that passes SQLite's own check.

    Raises
    ------
    sqlite3.DatabaseError
        If it does not, or is none.
    """
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_SCHEMA)
        _check(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
    columns = tuple(row[1] for row in connection.execute("PRAGMA table_info(masters)"))
    if verdict != "ok" or columns != _COLUMNS:
        raise sqlite3.DatabaseError(f"check: {verdict}; columns: {columns}")


class OpenIndex:
    """The index while it is open; what cannot be read from it counts as not known, what cannot be written is lost."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def header(self, name: str, stamp: Stamp) -> dict[str, HeaderValue] | None:
        """Return the header of a file that has not changed since; None where it must be read."""
        query = "SELECT header FROM masters WHERE name = ? AND bytes = ? AND modified_ns = ?"
        for (text,) in self._rows(query, name, *stamp):
            header: dict[str, HeaderValue] = json.loads(text)
            return header
        return None

    def remember(self, name: str, stamp: Stamp, header: Mapping[str, HeaderValue]) -> None:
        """Keep the header of a file; a checksum of an earlier file of its name is forgotten."""
        statement = "INSERT OR REPLACE INTO masters (name, bytes, modified_ns, header) VALUES (?, ?, ?, ?)"
        self._rows(statement, name, *stamp, json.dumps(dict(header)))

    def digest(self, name: str) -> str | None:
        """Return the SHA-256 that a file had when it was last found sound."""
        return next((digest for (digest,) in self._rows("SELECT sha256 FROM masters WHERE name = ?", name)), None)

    def keep_digest(self, name: str, digest: str) -> None:
        """Keep the SHA-256 of a file whose header is known."""
        self._rows("UPDATE masters SET sha256 = ? WHERE name = ?", digest, name)

    def names(self) -> frozenset[str]:
        """Return the names of all files whose headers are known."""
        return frozenset(name for (name,) in self._rows("SELECT name FROM masters"))

    def drop(self, name: str) -> None:
        """Forget a file."""
        self._rows("DELETE FROM masters WHERE name = ?", name)

    def _rows(self, statement: str, *values: str | int) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            return []
