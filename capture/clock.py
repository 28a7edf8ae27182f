"""UTC for everything a night dates, from the running loop's clock, and local time for people."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


def clock_text(moment: datetime) -> str:
    """Return the local time of day, such as 06:30."""
    return f"{moment.astimezone():%H:%M}"


class NightClock:
    """Counts from one reading of the wall clock, so that a clock that is set during the night moves no date backwards.

    Under virtual time it runs as the loop does: two simulated nights with the same start are dated alike. Threads may
    ask it, too.

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
        """By how many seconds the wall clock has been set forward since the start; adjusting it slowly shows, too."""
        return _wall_ahead_s() - self._wall_ahead_s

    def now(self) -> datetime:
        """Return UTC."""
        return self._start + timedelta(seconds=self.elapsed_s())

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return self._loop.time() - self._start_s


def _wall_ahead_s() -> float:
    """Return the seconds by which the wall clock is ahead of the one that nobody sets."""
    return time.time() - time.monotonic()
