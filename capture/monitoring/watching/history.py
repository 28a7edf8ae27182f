"""The events that a new watcher needs to show the whole night, in bounded memory. This module performs no I/O."""

from collections import deque
from datetime import timedelta

from coldframe.capture.events.kinds import CoolingProgress, Event, ExposureStarted, NightStarted, TemperatureRead
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.watching.messages import encode_shown
from coldframe.capture.storage.journal import encode_event

TRANSIENT: dict[type[Event], int] = {TemperatureRead: 360, CoolingProgress: 1, ExposureStarted: 1}
"""Kinds of events that occur continually, and the number of latest events of each kind that the dashboard needs."""

TEMPERATURE_INTERVAL = timedelta(seconds=5)
"""Shortest time between two kept readings. A reading that follows sooner replaces the last one."""

MOST_BYTES = 2_000_000
"""Maximum total size of the lines, enough for about 5,000 frames. Beyond this size, the oldest lines are discarded."""


class History:
    """The events of a night, stored as they happen and returned as lines.

    Parameters
    ----------
    most_bytes
        Maximum total size of the lines, excluding those of transient events.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._count = 0
        self._plan: tuple[int, str] | None = None
        self._lasting = deque[tuple[int, str]]()
        self._transient = {kind: deque[tuple[int, str]](maxlen=most) for kind, most in TRANSIENT.items()}
        self._thinned: TemperatureRead | None = None
        self._shown: FrameShown | None = None

    def add(self, event: Event) -> str:
        """Add an event and return its line."""
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
        elif (transient := self._transient.get(type(event))) is not None:
            transient.append(entry)
        else:
            self._lasting.append(entry)
            self._bytes += len(line)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._lasting.popleft()[1])
        return line

    def _thin(self, event: TemperatureRead) -> None:
        """Discard the latest reading if the new one belongs to the same `TEMPERATURE_INTERVAL`."""
        last = self._thinned
        if last is not None and event.at - last.at < TEMPERATURE_INTERVAL:
            self._transient[TemperatureRead].pop()
        else:
            self._thinned = event

    def lines(self) -> list[str]:
        """Return the lines of all events in order, then the last picture."""
        entries = [*self._lasting, *([self._plan] if self._plan else [])]
        for transient in self._transient.values():
            entries.extend(transient)
        shown = [] if self._shown is None else [encode_shown(self._shown)]
        return [*(line for _, line in sorted(entries)), *shown]
