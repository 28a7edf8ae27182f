"""The night so far, short enough for one message: what a watcher who comes late needs to see what the others see.

Each line is an event as the journal has it, with two more fields: `run`, which names the run, and `n`, which counts its
events. Lines that later ones outdate are left out, so the counts have gaps.
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
"""How many events of a kind are kept."""

KEPT_OTHERS = 500
"""Steps, masters, verdicts and so on, of each kind."""

READINGS_S = 15.0
"""Temperatures closer together than this are outdated by the next one."""

LONGEST_UNPACKED = 4_000_000
"""Bytes of a night that a reader takes, far more than the above can have."""

_GZIP = 31


class Digest:
    """Keeps what a latecomer needs; its size has a bound.

    Parameters
    ----------
    run
        Names the run: letters and digits.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._count = 0
        self._kept: dict[object, deque[tuple[int, str]]] = {}
        self._last_reading: TemperatureRead | None = None
        self._grown: int | None = None

    def add(self, event: Event) -> str:
        """Take an event in and return its line, without the line's end."""
        self._count += 1
        line = f'{{"run": "{self._run}", "n": {self._count}, {encode_event(event)[1:]}'
        self._forget_outdated(event)
        self._lines(event).append((self._count, line))
        return line

    def packed(self) -> bytes:
        """Return all that is kept, in order, as gzip of lines."""
        lines = sorted(pair for kept in self._kept.values() for pair in kept)
        packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        return packer.compress("".join(f"{line}\n" for _, line in lines).encode("ascii")) + packer.flush()

    def _lines(self, event: Event) -> deque[tuple[int, str]]:
        kind = type(event)
        # The last frame of each step tells how far it came; more than that is of interest of the step under way only.
        key = (kind, event.step) if isinstance(event, FrameAccepted) else kind
        return self._kept.setdefault(key, deque(maxlen=KEPT.get(kind, KEPT_OTHERS)))

    def _forget_outdated(self, event: Event) -> None:
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
        """Let the new reading take the last one's place where the one before that is not old enough."""
        last = self._last_reading
        if last is not None and (event.at - last.at).total_seconds() < READINGS_S and self._kept.get(TemperatureRead):
            if len(self._kept[TemperatureRead]) > 1:
                self._kept[TemperatureRead].pop()
            return
        self._last_reading = event


def is_in_digest(event: Event) -> bool:
    """Tell whether an event has a line; pictures have a topic of their own."""
    return not isinstance(event, FrameShown)


def unpack(payload: bytes) -> Iterator[str]:
    """Yield the lines of a digest.

    Raises
    ------
    ValueError
        It is no gzip of ASCII, is cut short, or has more than `LONGEST_UNPACKED` bytes.
    """
    unpacker = zlib.decompressobj(_GZIP)
    try:
        text = unpacker.decompress(payload, LONGEST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"no gzip: {error}") from error
    if not unpacker.eof:
        raise ValueError("cut short, or too long")
    yield from text.decode("ascii").splitlines()
