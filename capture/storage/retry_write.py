"""A file whose way to the disk failed is written once more: what the disk did with the first one nobody knows."""

import errno
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError

WORTH_ANOTHER = frozenset({errno.EIO})
"""A full disk is none the emptier for it, and a folder that may not be written to stays that."""


def numbered(path: Path) -> Iterator[Path]:
    """Yield the path, then ones with numbers from 2 on."""
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in count(2))


def free_path(path: Path) -> Path:
    """Return the path, or one with a number where a file has its name."""
    return next(candidate for candidate in numbered(path) if not candidate.exists())


def write_with_retry(path: Path, write: Callable[[Path], None], quarantine: Path) -> Path:
    """Write a file, under a new name if the disk fails the first time; return the name under which it is.

    Parameters
    ----------
    path
        A name that is free.
    write
        Brings the file there durably.
    quarantine
        Folder that gets what may be there under the first name: it may vanish, and must not count twice.

    Raises
    ------
    NotDurableError
        The second time failed, too, or there is no use in it.
    """
    try:
        write(path)
    except NotDurableError as error:
        if error.errno not in WORTH_ANOTHER:
            raise
    else:
        return path
    with suppress(OSError):
        quarantine.mkdir(exist_ok=True)
        path.rename(free_path(quarantine / f"{path.stem}-not-flushed{path.suffix}"))
    again = free_path(path.with_stem(f"{path.stem}-2"))
    write(again)
    return again
