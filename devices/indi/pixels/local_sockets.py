"""The local sockets of INDI servers on this machine, found in the command lines of the running servers."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

PROCESSES = Path("/proc")
DEFAULT_PORT = "7624"
DEFAULT_SOCKET = "/tmp/indiserver"  # noqa: S108  indiserver's own default, an abstract name


def local_sockets(port: int) -> tuple[str, ...]:
    """Return the names, in the abstract namespace, of sockets that INDI servers with this TCP port may have opened.

    The option -u of indiserver sets the name. The INDI web manager derives it from the name of its FIFO.
    """
    return tuple(name for words in _command_lines() for name in _sockets(words, str(port)))


def _command_lines() -> Iterator[list[str]]:
    for place in PROCESSES.iterdir():
        if place.name.isdecimal():
            try:
                words = [os.fsdecode(word) for word in (place / "cmdline").read_bytes().split(b"\0")]
            except OSError:
                continue
            if words[0].rpartition("/")[2] == "indiserver":
                yield words


def _sockets(words: list[str], port: str) -> Iterator[str]:
    options = dict(pairwise(words))
    if options.get("-p", DEFAULT_PORT) == port:
        yield options.get("-u", DEFAULT_SOCKET)
        if fifo := options.get("-f"):
            yield f"{fifo}_sock"
