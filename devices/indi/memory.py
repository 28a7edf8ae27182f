"""The memory use of processes, read from Linux's /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

PROCESSES = Path("/proc")


def resident_bytes(process: int) -> int | None:
    """Return the resident memory of a process in bytes; None if unknown, for example because the process has ended."""
    try:
        pages = (PROCESSES / str(process) / "statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


def resident_bytes_of(programs: Iterable[str]) -> dict[str, int]:
    """Return the resident memory of each program in bytes, summed over its processes and keyed by its file name."""
    wanted, found = set(programs), dict[str, int]()
    for place in PROCESSES.iterdir() if wanted else ():
        if place.name.isdecimal() and (name := wanted & _names(place)):
            program = name.pop()
            found[program] = found.get(program, 0) + (resident_bytes(int(place.name)) or 0)
    return found


def _names(place: Path) -> set[str]:
    """Return the file names of a process's program and, for an interpreter, of its script.

    For indiserver, return only its own name, because its first argument is a driver, which has a separate process.
    """
    try:
        words = (place / "cmdline").read_bytes().split(b"\0")[:2]
    except OSError:
        return set()
    names = [os.fsdecode(word).rpartition("/")[2] for word in words if word]
    return set(names[:1] if names[:1] == ["indiserver"] else names)
