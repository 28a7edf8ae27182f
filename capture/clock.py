"""UTC of a night, counted on the event loop's clock, and local time for messages."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


def clock_text(moment: datetime) -> str:
    """Return the local time of day, such as 06:30."""
    return f"{moment.astimezone():%H:%M}"


class NightClock:
    """Counts from one reading of the system clock, so that a step of that clock during the night moves no date.

    Under virtual time it runs like the loop: two simulated nights with the same start have the same dates. It may be
    read from any thread.

    Parameters
    ----------
    start
        UTC at this moment.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self._wall_ahead_s = _wall_ahead_s()

    @property
    def wall_step_s(self) -> float:
        """Seconds by which the system clock was set forward since the start, by a step or slowly."""
        return _wall_ahead_s() - self._wall_ahead_s

    def now(self) -> datetime:
        """Return UTC."""
        return self._start + timedelta(seconds=self.elapsed_s())

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return self._loop.time() - self._start_s


def _wall_ahead_s() -> float:
    """Return the seconds by which the system clock is ahead of the monotonic clock."""
    return time.time() - time.monotonic()
