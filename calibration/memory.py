"""Memory that is used again, because the operating system clears new memory page by page."""

import ctypes
import math
import threading
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

_LARGE = 1 << 23
"""Size of the smallest arrays, in bytes, whose memory is returned at once: larger than any band."""

_FREED = 1 << 26
"""Number of bytes of freed bands that the C library keeps for each thread."""


class ThreadMemory(threading.local):
    """Memory for one array; each thread has its own, and uses it again for its next array."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
        """Return an array with undefined content; the next call overwrites it."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        if self._bytes.size < size:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size].view(kind).reshape(shape)


def keep_memory_of_bands() -> None:
    """Keep the memory of freed bands for the next bands; `return_memory_of_bands` returns it.

    By default, the C library of GNU returns a few megabytes as soon as a thread frees them. Getting them back takes
    three times as long as the work on a band. Other C libraries have no such setting.
    """
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_M_MMAP_THRESHOLD, _LARGE)
        change(_M_TRIM_THRESHOLD, _FREED)


def return_memory_of_bands() -> None:
    """Return freed memory to the operating system, after work with many bands."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
