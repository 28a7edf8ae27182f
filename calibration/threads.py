"""Threads that share the work on a frame; they run in parallel because compiled loops and hashing release the GIL."""

import ctypes
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Number = TypeVar("Number", bound=np.generic)

MOST_THREADS = 4
"""Maximum number of threads that work at once; any more would only wait for memory."""

FEWEST_PIXELS = 1 << 20
"""Minimum number of pixels in each part of the work."""

THREAD_NAME = "pixels"
"""Prefix of the names of all threads that share the work on pixels."""


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3) in the C library of GNU."""

_LARGE = 1 << 22
"""Size of arrays, in bytes, from which NumPy requests huge pages."""

_FREE = 1 << 26
"""Number of freed bytes that each thread may keep."""


def thread_count() -> int:
    """Return the number of threads that work at once."""
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def parallel_map(work: Callable[..., T], *arguments: Iterable[object]) -> Iterator[T]:
    """Call `work` with each set of arguments, several at a time; return the results in the order of the arguments.

    `work` must not call this function, because both calls share one pool of threads and could wait for each other
    forever.
    """
    calls = list(zip(*arguments, strict=False))
    if len(calls) == 1:
        return iter([work(*calls[0])])
    return _pool().map(work, *zip(*calls, strict=True)) if calls else iter(())


def parts_of(pixels: int) -> int:
    """Return the number of parts into which to divide work on pixels; smaller parts would not be worth a thread."""
    return max(1, min(thread_count(), pixels // FEWEST_PIXELS))


def pixel_threads() -> list[int | None]:
    """Return the kernel's IDs of the threads that share the work on pixels; other threads may wait for them."""
    return [each.native_id for each in threading.enumerate() if each.name.startswith(THREAD_NAME)]


class ThreadArray(threading.local, Generic[Number]):
    """Memory for the numbers of a plane or band; each thread has its own array, and uses it again for the next one.

    The operating system clears new memory page by page, which can take as long as the work.
    """

    def __init__(self, kind: type[Number]) -> None:
        self._kind = kind
        self._array = np.empty(0, kind)

    def of(self, shape: tuple[int, ...]) -> NDArray[Number]:
        """Return an array with the given shape; its content is undefined, and the next call overwrites it."""
        size = math.prod(shape)
        if self._array.size < size:
            self._array = np.empty(size, self._kind)
        return self._array[:size].reshape(shape)


@cache
def keep_freed_memory() -> None:
    """Keep the memory of freed bands for the next bands, and return that of larger arrays to the operating system.

    By default, the C library returns the memory of each freed band if a thread uses a few megabytes at a time. Getting
    it back, page by page, takes three times as long as the work on a band. Of large arrays, it keeps up to 64 MB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have no such function
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _FREE)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count(), THREAD_NAME)
