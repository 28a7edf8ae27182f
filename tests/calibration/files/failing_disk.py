"""A disk that fails to read one file."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def fail_reads(path: Path, monkeypatch: pytest.MonkeyPatch, first_good: int = 0) -> None:
    """Let the disk report an error when a file is read; a few reads before that succeed."""
    good = iter(range(first_good))

    def fail() -> None:
        if next(good, None) is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    before_reads(path, monkeypatch, fail)


def before_reads(path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call a function each time before a part of a file is read."""
    read, place = os.preadv, path.resolve()

    def reading(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == place:
            act()
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", reading)
