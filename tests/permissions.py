"""File permissions that also apply to tests that run as root."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION_3 = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3, from linux/capability.h; the numbers of the capabilities are from there, too."""
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


class Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def permissions_apply() -> Iterator[None]:
    """Give up the right to ignore file permissions, for this thread and the threads that it starts in the block."""
    libc, header, sets = ctypes.CDLL(None, use_errno=True), Header(VERSION_3, 0), (Sets * 2)()

    def call(function: str) -> None:
        if getattr(libc, function)(ctypes.byref(header), sets):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    call("capget")
    before = sets[0].effective
    sets[0].effective = before & ~(1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH)
    call("capset")
    try:
        yield
    finally:
        sets[0].effective = before
        call("capset")
