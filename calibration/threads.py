"""Threads that share the work on a frame; they run in parallel because compiled loops and hashing release the GIL."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")

MOST_THREADS = 4
"""Maximum number of threads that work at once; any more would only wait for memory."""

FEWEST_PIXELS = 1 << 20
"""Minimum number of pixels in each part of the work."""

THREAD_NAME = "pixels"
"""Prefix of the names of all threads that share the work on pixels."""


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
    return pool().map(work, *zip(*calls, strict=True)) if calls else iter(())


def parts_of(pixels: int) -> int:
    """Return the number of parts into which to divide work on pixels; smaller parts would not be worth a thread."""
    return max(1, min(thread_count(), pixels // FEWEST_PIXELS))


def pixel_threads() -> list[int | None]:
    """Return the kernel's IDs of the threads that share the work on pixels; other threads may wait for them."""
    return [each.native_id for each in threading.enumerate() if each.name.startswith(THREAD_NAME)]


@cache
def pool() -> ThreadPoolExecutor:
    """Return the pool of threads that all work on pixels shares."""
    return ThreadPoolExecutor(thread_count(), THREAD_NAME)
