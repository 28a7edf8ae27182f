"""Opening of regular files only, because a FIFO, a socket or a device can block a program indefinitely."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """A path names a FIFO, a socket or a device."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, but nothing else: opening a FIFO blocks, and opening a device can act on it.

    Raises
    ------
    NotRegularError
        If the path names a FIFO, a socket or a device.
    OSError
        If the path names a folder, or the file does not exist or cannot be opened.
    """
    try:
        _require_regular(path.stat().st_mode, path)
        # The path may lead to a different file by now, such as a FIFO: do not wait for the other end of it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # file names in headers can contain NUL
        raise OSError(errno.EINVAL, "not a valid file name", str(path)) from error
    file = os.fdopen(descriptor, "rb")
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file; see `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def _require_regular(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of an unknown kind")
        raise NotRegularError(errno.EINVAL, f"it is {kind}, not a regular file: move it away", str(path))
