"""Collect the events of the night so far in one message for new watchers. This module performs no I/O.

Each line is an event in the format of the journal, with two additional fields: `run` identifies the run, and `n` is the
number of the event within the run. Lines that are superseded by later lines are omitted, so there are gaps in the
numbers.
"""

import zlib
from collections import deque
from collections.abc import Iterator

from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FrameAccepted,
    FrameRejected,
    MasterGrew,
    Notice,
    PanelChanged,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.storage.journal import encode_event

KEPT: dict[type[Event], int] = {
    CoolingProgress: 1,
    ExposureStarted: 1,
    FilterChanged: 1,
    PanelChanged: 1,
    FlatTested: 20,
    FrameAccepted: 20,
    FrameRejected: 200,
    MasterGrew: 60,
    Notice: 100,
    TemperatureRead: 120,
}
"""Maximum number of events to keep, by kind."""

KEPT_OTHERS = 500
"""Maximum number of events to keep for each kind that is not in `KEPT`, such as the events of steps and masters."""

READINGS_S = 15.0
"""Shortest time between two kept readings. A reading that follows sooner supersedes the previous one."""

LONGEST_UNPACKED = 4_000_000
"""Largest uncompressed size, in bytes, that a reader accepts; a digest within the limits above is far smaller."""

_GZIP = 31


class Digest:
    """The events that a new watcher needs, bounded in size.

    Parameters
    ----------
    run
        Identifier of the run, consisting of letters and digits.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._count = 0
        self._kept: dict[object, deque[tuple[int, str]]] = {}
        self._last_reading: TemperatureRead | None = None
        self._grown: int | None = None

    def add(self, event: Event) -> str:
        """Add an event and return its line without the newline."""
        self._count += 1
        line = f'{{"run": "{self._run}", "n": {self._count}, {encode_event(event)[1:]}'
        self._discard_superseded(event)
        self._lines(event).append((self._count, line))
        return line

    def packed(self) -> bytes:
        """Return all kept lines in order, compressed with gzip."""
        lines = sorted(pair for kept in self._kept.values() for pair in kept)
        packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        return packer.compress("".join(f"{line}\n" for _, line in lines).encode("ascii")) + packer.flush()

    def _lines(self, event: Event) -> deque[tuple[int, str]]:
        kind = type(event)
        # A watcher needs all frames of the running step, but only the last frame of each earlier step, for its number.
        key = (kind, event.step) if isinstance(event, FrameAccepted) else kind
        return self._kept.setdefault(key, deque(maxlen=KEPT.get(kind, KEPT_OTHERS)))

    def _discard_superseded(self, event: Event) -> None:
        match event:
            case FrameAccepted():
                for key, lines in self._kept.items():
                    if isinstance(key, tuple) and key[1] != event.step:
                        while len(lines) > 1:
                            lines.popleft()
            case TemperatureRead():
                self._thin_readings(event)
            case MasterGrew():
                if self._grown != event.step:
                    self._kept.pop(MasterGrew, None)
                    self._grown = event.step

    def _thin_readings(self, event: TemperatureRead) -> None:
        """Discard the latest reading if the new one belongs to the same interval of `READINGS_S`."""
        last = self._last_reading
        if last is not None and (event.at - last.at).total_seconds() < READINGS_S and self._kept.get(TemperatureRead):
            if len(self._kept[TemperatureRead]) > 1:
                self._kept[TemperatureRead].pop()
            return
        self._last_reading = event


def is_in_digest(event: Event) -> bool:
    """Return True if the event belongs in the digest. Pictures have a separate topic."""
    return not isinstance(event, FrameShown)


def unpack(payload: bytes) -> Iterator[str]:
    """Yield the lines of a digest.

    Raises
    ------
    ValueError
        If the payload is not ASCII text compressed with gzip, is truncated, or contains more than `LONGEST_UNPACKED`
        bytes.
    """
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(payload, LONGEST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from error
    if not unpacker.eof:
        raise ValueError("truncated, or too long")
    yield from text.decode("ascii").splitlines()
