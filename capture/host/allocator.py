"""Configure the memory allocator of the C library."""

import ctypes
from contextlib import suppress

M_ARENA_MAX = -8
"""Parameter of mallopt(3) that limits the number of heaps, from malloc.h of glibc."""


def share_one_heap() -> None:
    """Make all threads allocate from one heap. Call this function before a second thread starts.

    By default, glibc creates up to eight heaps per core, and each call of `in_thread` may use a different one. Every
    heap keeps the memory of the largest frames that it ever held, so a run would grow by several hundred megabytes.
    Other C libraries are left unchanged.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
