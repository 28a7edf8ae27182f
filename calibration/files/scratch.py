"""Folders for unpacked copies of compressed files; the folders of killed processes are removed, too."""

import fcntl
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from coldframe.calibration.files.headers.file_error import FrameFileError

_PREFIX = ".coldframe-scratch-"
_ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Create a folder for temporary files, and remove it at the end of the block.

    SIGTERM and SIGHUP end the block as Ctrl-C does, unless the program handles them itself. A process that is killed
    cannot remove its folder. Therefore, each folder is locked for the lifetime of its process, and this function first
    removes the folders that ended processes left behind.

    Parameters
    ----------
    parent
        Folder in which the new folder is created; None for the system's folder for temporary files.

    Raises
    ------
    OSError
        If the folder cannot be created.
    KeyboardInterrupt
        In the block, if SIGTERM or SIGHUP arrives.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_left_over(place)
    folder, lock = _locked_folder(place)
    try:
        with _ended_by_signals():
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def require_room(folder: Path, needed_bytes: int, path: Path) -> None:
    """Raise unless the disk of a folder has room for the unpacked copy of a file.

    Raises
    ------
    FrameFileError
        If there is not enough room; the error states how much is needed and how much is free.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise FrameFileError(
            path,
            f"unpacking it needs {needed_bytes / 1e9:.2f} GB in {folder.parent}, which has {free_bytes / 1e9:.2f} GB "
            "free: unpack it on a larger disk",
        )


def _locked_folder(place: Path) -> tuple[Path, int]:
    """Create a folder and lock it; try again if another process mistook it for a leftover and removed it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(OSError):  # some file systems do not support locks; folders there never count as left over
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _remove_left_over(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block for signals that would otherwise end the process at once."""
    is_main = threading.current_thread() is threading.main_thread()
    unhandled = [each for each in _ENDING_SIGNALS if is_main and signal.getsignal(each) is signal.SIG_DFL]
    for each in unhandled:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each in unhandled:
            signal.signal(each, signal.SIG_DFL)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
