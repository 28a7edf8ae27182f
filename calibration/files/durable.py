"""Files that are either on the disk, complete, under their name, or not there."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from coldframe.errors import ColdframeError

Buffer = bytes | memoryview

_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EIO: "the disk reports an error: check its cable, its card or its health",
    errno.EROFS: "the file system is mounted read-only, often after an error: check it",
    errno.EACCES: "the folder may not be written to: check its owner and permissions",
    errno.EPERM: "the folder may not be written to: check its owner and permissions",
    errno.ENOENT: "the folder does not exist: create it, or check that its disk is mounted",
    errno.EEXIST: "a file of this name exists, and files are never overwritten: choose another name or folder",
}

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_LINK_TO_THERE = _NO_HARD_LINKS | {errno.EXDEV}

PART = ".part"
"""The end of the name that a file has while it is written; it begins with a dot."""

_COPIED_AT_ONCE = 1 << 24

_FLUSHED_AT_ONCE = 1 << 23
"""Bytes after which the system is asked to begin writing: at the end little is left to wait for."""


class NotDurableError(ColdframeError):
    """A file could not be brought safely onto the disk.

    Attributes
    ----------
    path
        The file.
    errno
        What the operating system said.
    advice
        What to do about it.
    """

    def __init__(self, path: Path, errno_: int, advice: str) -> None:
        super().__init__(f"{path}: not saved ({os.strerror(errno_)}); {advice}")
        self.path = path
        self.errno = errno_
        self.advice = advice

    @classmethod
    def of(cls, path: Path, error: OSError) -> "NotDurableError":
        """Return what an error of the operating system means for a file."""
        number = error.errno or errno.EIO
        return cls(path, number, _ADVICE.get(number, "check the disk"))


def write_durably(path: Path, buffers: Iterable[Buffer]) -> None:
    """Write a new file so that it survives a power cut once this function has returned.

    The bytes go to a temporary file in the same folder, which is flushed to the disk and only then given its name;
    last the folder is flushed, since the name lives there. Until then nobody sees a file under `path`, and a file that
    exists under `path` is never touched, not even by two writers at once.

    Parameters
    ----------
    path
        The file to make; its folder exists.
    buffers
        Written one after the other.

    Raises
    ------
    NotDurableError
        If any step fails. The temporary file is removed where possible. If only the folder's flush failed, the
        complete file is there under its name, yet may vanish in a power cut.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        try:
            _write_flushed(temporary, buffers)
            _publish(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def replace_durably(path: Path, buffers: Iterable[Buffer]) -> None:
    """Write a file that may exist already: at any moment either the old or the new one is there, complete.

    For what we made ourselves and can make anew, never for frames. Errors are those of `write_durably`; after one the
    old file is still there, but for a failed flush of the folder, after which it may be either.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        try:
            _write_flushed(temporary, buffers)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise NotDurableError.of(path, error) from error


def link_durably(source: Path, path: Path) -> None:
    """Give a file that is on the disk another name, by a hard link or, where there is none, by a copy.

    Parameters
    ----------
    source
        The file; it stays.
    path
        The name to make; its folder exists. A file that exists under it is never touched.

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
    with source.open("rb") as file:
        write_durably(path, iter(lambda: file.read(_COPIED_AT_ONCE), b""))


def make_folder_durably(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there; it survives a power cut once this function has returned.

    A file is only as durable as the names of the folders above it.

    Raises
    ------
    NotDurableError
        If any step fails.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for made in reversed(missing):
            flush_folder(made.parent)
    except OSError as error:
        raise NotDurableError.of(folder, error) from error


def _write_flushed(path: Path, buffers: Iterable[Buffer]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        begun = written = 0
        for buffer in buffers:
            rest = memoryview(buffer).cast("B")
            while rest:
                count = os.write(descriptor, rest[:_FLUSHED_AT_ONCE])
                rest, written = rest[count:], written + count
                if written - begun >= _FLUSHED_AT_ONCE:
                    # Of pages that are not on the disk yet, Linux takes this as a request to bring them there.
                    os.posix_fadvise(descriptor, begun, written - begun, os.POSIX_FADV_DONTNEED)
                    begun = written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path) -> None:
    """Give the file its name unless the name is taken; a rename would silently replace what is there."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # FAT and exFAT know no hard links. There an empty file, created exclusively, reserves the name; it is ours
        # to replace.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        temporary.replace(path)


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder onto the disk.

    Raises
    ------
    OSError
        If that fails.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
