"""Write the journal of a night: one event per line, as a JSON object."""

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import json
import logging
import math
import os
import threading
from datetime import datetime
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
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
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.verification import LightsVerified
from coldframe.capture.threads import in_thread

log = logging.getLogger(__name__)

LANDMARKS = (
    NightStarted,
    NightEnded,
    StepStarted,
    StepEnded,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    TuningKept,
    LightsVerified,
    RotatorTurned,
)
"""Events that are needed to resume a night. Their lines must survive a power cut, so they are synced immediately."""


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


HANDOVER_S = 0.25
"""Maximum time for which `Journal` waits until its thread has passed a line to the kernel. This usually takes 0.1
ms.
"""


class Journal:
    """An `EventStream` subscriber that appends events to a file.

    Enter the context of the journal before the first event is published. Each line is passed to the kernel immediately,
    so the line survives if this process dies. A thread does this, because the disk may hang: the event loop waits for
    the thread for at most `HANDOVER_S`, and not at all while earlier lines are still waiting. The lines of `LANDMARKS`
    are also synced to disk. A sync takes up to half a second on an SD card, so it runs in another thread, and
    pending syncs are merged into one. If a power cut left an incomplete line, the journal ends that line with a newline
    before it writes the next event. A kernel lock on the file marks a night that is still running (see
    `is_being_written`). The kernel releases the lock when this process ends, whatever the reason.

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
        self._landmark = asyncio.Event()
        self._lines = SimpleQueue[tuple[str, threading.Event] | None]()
        self._last_written = threading.Event()
        self._last_written.set()
        self._writer = threading.Thread(target=self._write_lines, name="journal", daemon=True)

    async def __aenter__(self) -> Self:
        """Open the file, and start the thread that writes and the task that syncs."""
        await in_thread(self._open)
        self._writer.start()
        self._syncing = asyncio.create_task(self._sync_landmarks(), name="journal sync")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sync the file and close it. If the disk hangs, the kernel closes the file when this process ends."""
        self._syncing.cancel()
        await asyncio.wait([self._syncing])
        await self.flush()
        self._lines.put(None)
        with contextlib.suppress(NotDurableError):
            await in_thread(self._close)

    def __call__(self, event: Event) -> None:
        """Append an event as a line."""
        if not is_journalled(event):
            return
        line, written = encode_event(event), threading.Event()
        is_up_to_date, self._last_written = self._last_written.is_set(), written
        self._lines.put((line, written))
        if is_up_to_date:
            written.wait(HANDOVER_S)
        if isinstance(event, LANDMARKS):
            self._landmark.set()

    async def flush(self) -> None:
        """Wait until the lines of all events so far are on disk; set `failure` if the sync fails."""
        try:
            await in_thread(self._sync, self._last_written)
        except NotDurableError as error:
            self._fail(OSError(error.errno, str(error)))

    async def _sync_landmarks(self) -> None:
        while True:
            await self._landmark.wait()
            self._landmark.clear()
            await self.flush()

    # The methods below run in threads.

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # the file system may not support locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        flush_folder(self.path.parent)  # without its directory entry, a synced file is lost in a power cut
        self._broken_line = _ends_in_mid_line(self._descriptor)

    def _write_lines(self) -> None:
        while (item := self._lines.get()) is not None:
            line, written = item
            try:
                self._append(line)
            except OSError as error:
                self._fail(error)
            except Exception as error:  # the thread must continue, to write later events
                log.exception("%s: an event was not written", self.path)
                self._fail(OSError(errno.EIO, repr(error)))
            written.set()

    def _append(self, line: str) -> None:
        data = (("\n" if self._broken_line else "") + line + "\n").encode("ascii")
        self._broken_line = os.write(self._descriptor, data) < len(data)

    def _sync(self, written: threading.Event) -> None:
        written.wait()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._fail(error)

    def _close(self) -> None:
        self._writer.join()
        os.close(self._descriptor)

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
