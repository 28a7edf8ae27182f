"""Retry a failed durable write under a new name.

After a failed fsync, the content of the file on disk is undefined, and Linux reports the error only once. Syncing the
same file again may succeed without writing anything (docs/faults.md, row 50).
"""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError

RETRIED_ERRORS = frozenset({errno.EIO})
"""Errors after which a retry can succeed. A retry does not help if the disk is full or the folder is read-only."""

Beside = Callable[[Path], Path]
"""Function that returns the path of a file that will be written next to the given file."""


def numbered(path: Path) -> Iterator[Path]:
    """Yield the path, then the path with -2, -3, ... appended to its stem."""
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in count(2))


def is_taken(path: Path) -> bool:
    """Return whether a file exists at the path.

    Raises
    ------
    NotDurableError
        If its folder cannot be searched, for example because its permissions were changed.
    """
    try:
        return path.exists()
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def free_path(path: Path, *beside: Beside) -> Path:
    """Return the path if it does not exist yet; otherwise, return the first numbered path that does not exist.

    Parameters
    ----------
    path
        The preferred path.
    beside
        Functions that return the path of a further file, which must not exist either.

    Raises
    ------
    NotDurableError
        If the folder cannot be searched.
    """
    return next(
        candidate
        for candidate in numbered(path)
        if not is_taken(candidate) and not any(is_taken(of(candidate)) for of in beside)
    )


def write_with_retry(path: Path, write: Callable[[Path], None], quarantine: Path, *beside: Beside) -> Path:
    """Write a file and return its path; if the disk fails, retry once under a new name.

    Parameters
    ----------
    path
        A path that does not exist yet.
    write
        Function that writes the file durably.
    quarantine
        Folder to which the file that a failed first write leaves is moved, so that it does not count as a second frame.
    beside
        See `free_path`; for the new name of the retry.

    Raises
    ------
    NotDurableError
        If the retry also fails, or if the error is not one of `RETRIED_ERRORS`.
    """
    try:
        write(path)
    except NotDurableError as error:
        if error.errno not in RETRIED_ERRORS:
            raise
    else:
        return path
    with suppress(OSError):
        quarantine.mkdir(exist_ok=True)
        path.rename(free_path(quarantine / f"{path.stem}-not-flushed{path.suffix}"))
    again = free_path(path.with_stem(f"{path.stem}-2"), *beside)
    write(again)
    return again
