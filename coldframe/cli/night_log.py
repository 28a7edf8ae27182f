"""The log file of a night. It contains the log records of coldframe and the INDI library, not the events."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coldframe.cli.terminal import VisibleFormatter


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append log records to a file for the duration of the block."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("coldframe")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
