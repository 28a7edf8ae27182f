"""A few threads among which the pixels of a frame are shared: compiled loops and hashes release the GIL."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")

MOST_THREADS = 4
"""More only wait for the memory."""


def thread_count() -> int:
    """Return how many threads work at once."""
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def parallel_map(work: Callable[..., T], *arguments: Iterable[object]) -> Iterator[T]:
    """Do `work` for all arguments, a few at a time; return what comes out, in order.

    The work must not call this function itself: it would wait for threads that wait for it.
    """
    return _pool().map(work, *arguments)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_count(), "pixels")
