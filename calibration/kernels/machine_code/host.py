"""Identification of the processor and the compiler for which machine code is valid."""

import hashlib
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm
import numpy as np


@cache
def host() -> str:
    """Return the digest of the processor and of the versions with which this process began to use machine code.

    Raises
    ------
    OSError
        If the versions cannot be read.
    """
    return present_host()


def present_host() -> str:
    """Return a digest of the processor, and of the installed versions of Python, NumPy, Numba and llvmlite.

    Raises
    ------
    OSError
        If the versions cannot be read.
    """
    parts = (
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        np.__version__,
        EXTENSION_SUFFIXES[0],  # the version of Python, and the properties of its binary interface
        *((folder / "_version.py").read_text("utf-8") for folder in (numba_folder(), Path(llvmlite.__file__).parent)),
    )
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


@cache
def numba_folder() -> Path:
    """Return the folder of the package Numba, without importing it.

    Raises
    ------
    FileNotFoundError
        If the folder cannot be found.
    """
    found = find_spec("numba")
    if found is None or found.origin is None:
        raise FileNotFoundError("the folder of the package Numba cannot be found")
    return Path(found.origin).parent
