"""Durable writing of files: on disk, a file either is complete under its name or does not exist under this name."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from coldframe.calibration.files.regular import open_regular
from coldframe.errors import ColdframeError

Buffer = bytes | memoryview

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EIO: "the disk reports an error: check its cable, its card or its health",
    errno.EROFS: "the file system is mounted read-only, often after an error: check it",
    errno.EACCES: "the folder is not writable: check its owner and permissions",
    errno.EPERM: "the folder is not writable: check its owner and permissions",
    errno.ENOENT: "the folder does not exist: create it, or check that its disk is mounted",
    errno.EEXIST: "a file with this name exists, and files are never overwritten: choose another name or folder",
}

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_LINK_TO_THERE = _NO_HARD_LINKS | {errno.EXDEV}

PART = ".part"
"""Suffix of a file's temporary name while the file is being written; the name also begins with a dot."""

_COPIED_AT_ONCE = 1 << 24

_WRITTEN_AT_ONCE = 1 << 18
"""Largest number of bytes passed to each call of write. For larger calls, Linux allocates larger pieces of the page
cache; if memory is fragmented, this takes much longer than the rest of the call (benchmarks/live.md)."""

_FLUSHED_AT_ONCE = 1 << 23
"""Number of bytes after which the operating system is made to write them to disk, so that the final sync is short."""


class NotDurableError(ColdframeError):
    """A file could not be written safely to disk.

    Attributes
    ----------
    path
        The file.
    errno
        Error number of the operating system.
    advice
        Remedy for the user.
    """

    def __init__(self, path: Path, errno_: int, advice: str) -> None:
        super().__init__(f"{path}: not saved ({os.strerror(errno_)}); {advice}")
        self.path = path
        self.errno = errno_
        self.advice = advice

    @classmethod
    def of(cls, path: Path, error: OSError) -> "NotDurableError":
        """Return the exception for an error that the operating system raised for a file."""
        number = error.errno or errno.EIO
        return cls(path, number, _ADVICE.get(number, "check the disk"))


def write_durably(path: Path, buffers: Iterable[Buffer]) -> None:
    """Write a new file so that it survives a power cut once this function has returned.

    The bytes go to a temporary file in the same folder. This file is synced to disk before it is renamed. The folder,
    which contains the name, is synced last. No reader sees an incomplete file under `path`, and an existing file under
    `path` is never touched, not even by two concurrent writers.

    Parameters
    ----------
    path
        The file to create, in an existing folder.
    buffers
        The content; the buffers are written one after the other.

    Raises
    ------
    NotDurableError
        If any step fails. The temporary file is removed if possible. If only the sync of the folder failed, the
        complete file exists under its name, but may vanish in a power cut.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        try:
            write_flushed(temporary, buffers)
            _publish(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def replace_durably(path: Path, buffers: Iterable[Buffer]) -> None:
    """Write a file that may exist already; at any moment, either the old or the new file exists and is complete.

    Use this function for files that can be derived again, never for frames. Errors are those of `write_durably`. After
    an error, the old file still exists, unless only the sync of the folder failed; then the new file may have replaced
    it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        try:
            write_flushed(temporary, buffers)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def link_durably(source: Path, path: Path) -> None:
    """Give an existing file a second name with a hard link or, if the file system has no hard links, with a copy.

    Parameters
    ----------
    source
        The existing file, which keeps its name.
    path
        The new name, in an existing folder. A file that exists under this name is never touched.

    Raises
    ------
    NotDurableError
        If any step fails.
    """
    try:
        os.link(source, path)
        flush_folder(path.parent)
    except OSError as error:
        if error.errno not in _NO_LINK_TO_THERE:
            raise NotDurableError.of(path, error) from error
    else:
        return
    try:
        with open_regular(source) as file:
            write_durably(path, iter(lambda: file.read(_COPIED_AT_ONCE), b""))
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def make_folder_durably(folder: Path) -> None:
    """Create a folder and any missing parents so that they survive a power cut.

    A file survives a power cut only if the names of all folders above it survive as well.

    Raises
    ------
    NotDurableError
        If any step fails.
    """
    try:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in reversed(missing):
            flush_folder(made.parent)
    except OSError as error:
        raise NotDurableError.of(folder, error) from error


def write_flushed(path: Path, buffers: Iterable[Buffer]) -> None:
    """Write a new file, and return once its content is on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        begun = written = 0
        for buffer in buffers:
            rest = memoryview(buffer).cast("B")
            while rest:
                count = os.write(descriptor, rest[:_WRITTEN_AT_ONCE])
                rest, written = rest[count:], written + count
                if written - begun >= _FLUSHED_AT_ONCE:
                    # Linux starts to write dirty pages to disk when it is advised that they are no longer needed.
                    os.posix_fadvise(descriptor, begun, written - begun, os.POSIX_FADV_DONTNEED)
                    begun = written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path) -> None:
    """Give the file its name if the name is free; a plain rename would silently replace an existing file."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT and exFAT have no hard links. On these file systems, an empty file that is created exclusively reserves
        # the name, and the rename then replaces this file.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        temporary.replace(path)


def flush_folder(folder: Path) -> None:
    """Sync the names in a folder to disk.

    Raises
    ------
    OSError
        If the folder cannot be synced.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
