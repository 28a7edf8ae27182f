"""What a watcher who comes later must be told to know the whole night, in bounded memory. Pure."""

from collections import deque
from datetime import timedelta

from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FrameShown,
    NightStarted,
    TemperatureRead,
)
from coldframe.capture.monitoring.watching.messages import encode_shown
from coldframe.capture.storage.journal import encode_event

FLEETING: dict[type[Event], int] = {TemperatureRead: 360, CoolingProgress: 1, ExposureStarted: 1}
"""Events that come all the time, and how many of the newest tell all that is shown of them."""

TEMPERATURE_INTERVAL = timedelta(seconds=5)
"""Readings closer together than this take the place of the last one."""

MOST_BYTES = 2_000_000
"""Of all lines: some 5,000 frames; the oldest give way."""


class History:
    """Takes events in as they happen, and gives them out as lines.

    Parameters
    ----------
    most_bytes
        Of the lasting events' lines.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._count = 0
        self._plan: tuple[int, str] | None = None
        self._lasting = deque[tuple[int, str]]()
        self._fleeting = {kind: deque[tuple[int, str]](maxlen=most) for kind, most in FLEETING.items()}
        self._thinned: TemperatureRead | None = None
        self._shown: FrameShown | None = None

    def add(self, event: Event) -> str:
        """Take an event in, and return its line."""
        if isinstance(event, FrameShown):
            self._shown = event
            return encode_shown(event)
        line = encode_event(event)
        self._count += 1
        entry = self._count, line
        if isinstance(event, TemperatureRead):
            self._thin(event)
        if isinstance(event, NightStarted):
            self._plan = entry
        elif (fleeting := self._fleeting.get(type(event))) is not None:
            fleeting.append(entry)
        else:
            self._lasting.append(entry)
            self._bytes += len(line)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._lasting.popleft()[1])
        return line

    def _thin(self, event: TemperatureRead) -> None:
        """Make room for a reading that comes soon after the last one that is kept."""
        last = self._thinned
        if last is not None and event.at - last.at < TEMPERATURE_INTERVAL:
            self._fleeting[TemperatureRead].pop()
        else:
            self._thinned = event

    def lines(self) -> list[str]:
        """Return what has happened, in its order, then the last picture."""
        entries = [*self._lasting, *([self._plan] if self._plan else [])]
        for fleeting in self._fleeting.values():
            entries.extend(fleeting)
        shown = [] if self._shown is None else [encode_shown(self._shown)]
        return [*(line for _, line in sorted(entries)), *shown]
