"""The night's record: one JSON object per line, durable where it matters."""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import math
import os
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from coldframe.calibration.files.durable import flush_folder
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

LANDMARKS = (NightStarted, NightEnded, StepStarted, StepEnded, FrameAccepted, FrameRejected, MasterWritten, TuningKept)
"""Events whose lines must survive a power cut: a resumed night starts from them."""


def is_journalled(event: Event) -> bool:
    """Return whether an event has a line in the journal; pictures have none."""
    return event.wire_name in EVENT_KINDS


def encode_event(event: Event) -> str:
    """Write an event as one line of JSON, without the line's end.

    Parameters
    ----------
    event
        Any event that is journalled (see `is_journalled`).

    Returns
    -------
    str
        ``{"event": "frame-accepted", "at": "2026-11-22T04:12:33.250000+00:00", ...}``: the fields in the order of the
        dataclass, nested dataclasses as objects, enums as their values, times in ISO 8601. Numbers that JSON cannot
        hold (NaN, infinities) become null. The line is pure ASCII.

    Raises
    ------
    TypeError
        For a value that has no place in a journal, such as an array.
    """
    fields = {field.name: _plain(getattr(event, field.name)) for field in dataclasses.fields(event)}
    return json.dumps({"event": event.wire_name, **fields}, allow_nan=False)


def _plain(value: object) -> object:
    """Turn one field's value into what `json` knows."""
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
    raise TypeError(f"{type(value).__name__} has no place in the journal")


class Journal:
    """Appends events to a file; an `EventStream` subscriber, to be entered before the first event.

    Each line is handed to the kernel at once, so it survives the death of this process. Landmarks (frames, masters,
    steps) are also synced to the disk, in a worker thread, because that takes up to half a second on an SD card and the
    event loop must not wait for it; syncs that pile up become one. A half line that a power cut left behind is closed
    with a line's end before the next one is written. The kernel's lock on the file tells others that its night goes on
    (`is_being_written`), and ends with this process, however that ends.

    Parameters
    ----------
    path
        The file; made where there is none, added to where there is.

    Attributes
    ----------
    failure
        The first error met when writing or syncing, None while all went well. Events are written on regardless: a full
        disk may get room again.

    Raises
    ------
    OSError
        On entering, where the file can't be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.failure: OSError | None = None
        self._path = path
        self._descriptor = -1
        self._broken_line = False
        self._landmark = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Open the file and start the task that syncs."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        flush_folder(self._path.parent)  # a journal whose name is lost has no lines
        self._broken_line = _ends_within_a_line(self._descriptor)
        self._syncing = asyncio.create_task(self._sync_landmarks(), name="journal sync")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Sync what was written and close the file."""
        self._syncing.cancel()
        await asyncio.wait([self._syncing])
        self._sync()
        os.close(self._descriptor)

    def __call__(self, event: Event) -> None:
        """Append the event's line."""
        if not is_journalled(event):
            return
        line = ("\n" if self._broken_line else "") + encode_event(event) + "\n"
        data = line.encode("ascii")
        try:
            self._broken_line = os.write(self._descriptor, data) < len(data)
        except OSError as error:
            self.failure = self.failure or error
        if isinstance(event, LANDMARKS):
            self._landmark.set()

    async def kept(self) -> None:
        """Return once the lines of all events so far are on the disk, or `failure` tells why they are not."""
        await self._in_thread()

    async def _sync_landmarks(self) -> None:
        while True:
            await self._landmark.wait()
            self._landmark.clear()
            await self._in_thread()

    async def _in_thread(self) -> None:
        # Shielded: a cancelled wait would leave the thread with a descriptor that is about to be closed.
        sync = asyncio.ensure_future(asyncio.to_thread(self._sync))
        try:
            await asyncio.shield(sync)
        except asyncio.CancelledError:
            await sync
            raise

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.failure = self.failure or error


def is_being_written(path: Path) -> bool:
    """Tell whether a run that still lives writes this journal.

    Raises
    ------
    OSError
        The file is there and cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _ends_within_a_line(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
