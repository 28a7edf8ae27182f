"""Private caches of coldframe: files that no other user can have written, and whose loss does no harm."""

import errno
import os
import stat
import time
from pathlib import Path

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def user_caches() -> Path | None:
    """Return coldframe's cache folder (XDG Base Directory Specification); None for a user without a home folder."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(base) if os.path.isabs(base) else Path.home() / ".cache"  # noqa: PTH117 - `base` may be empty
    except RuntimeError:
        return None
    return caches / "coldframe"


def read_private(file: Path, most_bytes: int) -> bytes:
    """Return the content of a file that no other user can have written.

    If the cache folder is in /tmp, for example, other users can place files in it, or links to files that the user has
    downloaded.

    Raises
    ------
    OSError
        If the file cannot be read or is larger than `most_bytes`, or other users can have written it.
    """
    # Opening a FIFO without O_NONBLOCK would wait for its other end.
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(errno.EPERM, "is not a regular file", str(file))
        if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS or status.st_nlink > 1:
            raise PermissionError(errno.EPERM, "may have been written by another user", str(file))
        if status.st_size > most_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(file))
        return stream.read()


def write_private(file: Path, content: bytes) -> None:
    """Replace a file atomically, so that several processes can write it; create its folder if necessary.

    The file is not flushed to disk, so it may be damaged after a power cut. Its content must therefore
    include a digest.

    Raises
    ------
    OSError
        If the file cannot be written; an existing file is then unchanged.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.stem}.{os.getpid()}.{time.time_ns()}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
