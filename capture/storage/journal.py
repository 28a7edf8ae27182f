"""Write the journal of a night, with one event per line as a JSON object."""

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import math
import os
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from coldframe.calibration.files.durable import NotDurableError, flush_folder
from coldframe.calibration.files.regular import open_regular
from coldframe.capture.events.kinds import (
    EVENT_KINDS,
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightStarted,
    StepEnded,
    StepStarted,
    TuningKept,
)
from coldframe.capture.threads import in_thread

log = logging.getLogger(__name__)

LANDMARKS = (NightStarted, NightEnded, StepStarted, StepEnded, FrameAccepted, FrameRejected, MasterWritten, TuningKept)
"""Events from which a night is resumed. Their lines are synced immediately, because they must survive a power cut."""


def is_journalled(event: Event) -> bool:
    """Return whether an event is written to the journal; previews are not."""
    return event.wire_name in EVENT_KINDS


def encode_event(event: Event) -> str:
    """Return an event as one line of JSON, without the newline.

    Parameters
    ----------
    event
        An event for which `is_journalled` is true.

    Returns
    -------
    str
        ``{"event": "frame-accepted", "at": "2026-11-22T04:12:33.250000+00:00", ...}``: the wire name, then the fields
        in the order of the dataclass. Nested dataclasses become objects, enum members become their values, and times
        become ISO 8601 strings. NaN and infinities become null, because JSON cannot represent them. The line is pure
        ASCII.

    Raises
    ------
    TypeError
        If a field has a type that the journal does not support, such as an array.
    """
    fields = {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}
    return json.dumps({"event": event.wire_name, **fields}, allow_nan=False)


def _plain(value: object) -> object:
    """Convert the value of a field to a type that `json` supports."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"the journal does not support values of type {type(value).__name__}")


class Journal:
    """An `EventStream` subscriber that appends events to a file.

    Enter the context of the journal before the first event is published. A thread passes each line to the kernel
    without delay, so the line survives if this process dies, and the event loop never waits for the disk. The lines of
    `LANDMARKS` are also synced to the disk; a sync takes up to half a second on an SD card, so pending syncs are merged
    into one. If a power cut left an incomplete line, the journal ends that line with a newline before it writes the
    next event. A kernel lock on the file marks a night that is still running (see `is_being_written`). The kernel
    releases the lock when this process ends, for any reason.

    Parameters
    ----------
    path
        Path of the file. A missing file is created. If the file exists, new lines are appended.

    Attributes
    ----------
    path
        Path of the file.
    failure
        First error while writing or syncing; None if no error occurred. Later events are still written if possible,
        because space may become available on a full disk.

    Raises
    ------
    OSError
        When the context is entered, if the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self.path = path
        self._descriptor = -1
        self._broken_line = False
        self._lines: list[str] = []
        self._has_landmark = False
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Open the file and start the task that writes."""
        await in_thread(self._open)
        self._writer = asyncio.create_task(self._write_news(), name="journal")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write and sync all lines, and close the file."""
        self._writer.cancel()
        await asyncio.wait([self._writer])
        await self.flush()
        # If the disk hangs, a thread still uses the descriptor, which the kernel closes when this process ends.
        with contextlib.suppress(NotDurableError):
            await in_thread(os.close, self._descriptor)

    def __call__(self, event: Event) -> None:
        """Append an event as one line."""
        if not is_journalled(event):
            return
        self._lines.append(encode_event(event))
        self._has_landmark = self._has_landmark or isinstance(event, LANDMARKS)
        self._news.set()

    async def flush(self) -> None:
        """Wait until the lines of all events so far are on the disk; set `failure` if they cannot be written."""
        await self._write(is_synced=True)

    async def _write_news(self) -> None:
        while True:
            await self._news.wait()
            await self._write(is_synced=self._has_landmark)

    async def _write(self, *, is_synced: bool) -> None:
        """Write the lines that wait, in the order of their events."""
        async with self._writing:
            lines, self._lines = self._lines, []
            self._has_landmark = False
            self._news.clear()
            try:
                await in_thread(self._append, lines, is_synced=is_synced)
            except NotDurableError as error:
                self._fail(OSError(error.errno, str(error)))
            except Exception as error:  # the task must go on to write later events
                log.exception("%s: events were not written", self.path)
                self._fail(OSError(errno.EIO, repr(error)))

    # The methods below run in threads, one at a time.

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # the file system may not support locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        flush_folder(self.path.parent)  # without its directory entry, a synced file is lost in a power cut
        self._broken_line = _ends_in_mid_line(self._descriptor)

    def _append(self, lines: Sequence[str], *, is_synced: bool) -> None:
        for line in lines:
            data = (("\n" if self._broken_line else "") + line + "\n").encode("ascii")
            try:
                self._broken_line = os.write(self._descriptor, data) < len(data)
            except OSError as error:
                self._fail(error)
        if is_synced:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or error


def is_being_written(path: Path) -> bool:
    """Return whether a running process is writing the journal.

    Raises
    ------
    OSError
        If the file exists and cannot be opened.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # the file system may not support locks
            return False
    return False


def _ends_in_mid_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
