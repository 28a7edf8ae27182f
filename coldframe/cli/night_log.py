"""The log file of a night. It contains the log records of coldframe and the INDI library, not the events."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue

CLOSE_DEADLINE_S = 5.0
"""Longest wait for the last records. The disk may hang."""


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Append log records to a file for the duration of the block. A thread writes them, because the disk may hang."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    records = SimpleQueue[logging.LogRecord | None]()
    writer = threading.Thread(target=_write_all, args=(records, handler), name="log", daemon=True)
    writer.start()
    queued = QueueHandler(records)
    root = logging.getLogger("coldframe")
    root.addHandler(queued)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(queued)
        records.put(None)
        writer.join(CLOSE_DEADLINE_S)


def _write_all(records: "SimpleQueue[logging.LogRecord | None]", handler: logging.Handler) -> None:
    """Write records until None arrives, then close the handler."""
    while (record := records.get()) is not None:
        handler.handle(record)
    handler.close()
