"""The line that names the machine and the versions under which a benchmark ran."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "numba", "llvmlite")


def machine_line() -> str:
    """Return the processor, its usable cores, and the versions of Python and of the packages that compute."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores; Python {platform.python_version()}, {packages}"


def _processor() -> str:
    """Return the name of the processor, or its architecture if Linux does not name it, as on ARM."""
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    names = (value.strip() for key, _, value in lines if key.strip() == "model name")
    return next(names, platform.machine())
