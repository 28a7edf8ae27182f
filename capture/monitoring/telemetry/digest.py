"""Collect the night so far in one message, which shows a new watcher what the others have seen. Pure.

Each line is an event as in the journal, with two more fields: `run` identifies the run, and `n` counts its events.
Lines that later ones supersede are omitted, so the counts have gaps.
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
    FrameShown,
    MasterGrew,
    Notice,
    PanelChanged,
    TemperatureRead,
)
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
"""Number of events kept of each kind."""

KEPT_OTHERS = 500
"""Number of events kept of each other kind, such as steps and masters."""

READINGS_S = 15.0
"""Shortest time between two kept readings. A reading that follows sooner supersedes the previous one."""

LONGEST_UNPACKED = 4_000_000
"""Size in bytes that a reader accepts, far more than the limits above allow."""

_GZIP = 31


class Digest:
    """Keeps the events that a new watcher needs, within a bounded size.

    Parameters
    ----------
    run
        Identifies the run: letters and digits.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._count = 0
        self._kept: dict[object, deque[tuple[int, str]]] = {}
        self._last_reading: TemperatureRead | None = None
        self._grown: int | None = None

    def add(self, event: Event) -> str:
        """Add an event, and return its line without the newline."""
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
        # For earlier steps, only the last frame is needed (for the count); for the running step, all frames are.
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
        """Replace the last reading by the new one if the new one follows too soon after the reading before the last."""
        last = self._last_reading
        if last is not None and (event.at - last.at).total_seconds() < READINGS_S and self._kept.get(TemperatureRead):
            if len(self._kept[TemperatureRead]) > 1:
                self._kept[TemperatureRead].pop()
            return
        self._last_reading = event


def is_in_digest(event: Event) -> bool:
    """Return whether the event belongs in the digest. Pictures have their own topic."""
    return not isinstance(event, FrameShown)


def unpack(payload: bytes) -> Iterator[str]:
    """Yield the lines of a digest.

    Raises
    ------
    ValueError
        If the payload is not ASCII text compressed with gzip, is truncated, or exceeds `LONGEST_UNPACKED`.
    """
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(payload, LONGEST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"not gzip: {error}") from error
    if not unpacker.eof:
        raise ValueError("truncated, or too long")
    yield from text.decode("ascii").splitlines()
