"""A file whose way to the disk failed is written once more: what the disk did with the first one nobody knows."""

import errno
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from coldframe.calibration.durable import NotDurableError

WORTH_ANOTHER = frozenset({errno.EIO})
"""A full disk is none the emptier for it, and a folder that may not be written to stays that."""


def written(path: Path, write: Callable[[Path], None], quarantine: Path) -> Path:
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
        path.rename(quarantine / f"{path.stem}-not-flushed{path.suffix}")
    again = path.with_stem(f"{path.stem}-2")
    write(again)
    return again
