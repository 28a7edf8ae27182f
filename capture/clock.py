"""Provide UTC during a night, measured with the event loop's clock, and local time for messages."""

import time
from datetime import UTC, datetime, timedelta


def clock_text(moment: datetime) -> str:
    """Return the local time of day, such as 06:30."""
    return f"{moment.astimezone():%H:%M}"


class NightClock:
    """A UTC clock that reads the system clock only once, so that later changes to the system clock do not affect it.

    Under virtual time, this clock follows the event loop, so two simulated nights with the same start have the same
    timestamps.
    Any thread may read the clock.

    Parameters
    ----------
    start
        UTC at which the clock starts; by default, the time of the system clock.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        import asyncio  # noqa: PLC0415 - commands that only print a time save the import

        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self._wall_ahead_s = _wall_ahead_s()

    @property
    def wall_step_s(self) -> float:
        """Seconds by which the system clock has been set forward since the start, in a step or gradually."""
        return _wall_ahead_s() - self._wall_ahead_s

    def now(self) -> datetime:
        """Return the current UTC time."""
        return self._start + timedelta(seconds=self.elapsed_s())

    def elapsed_s(self) -> float:
        """Return the number of seconds since the start."""
        return self._loop.time() - self._start_s


def _wall_ahead_s() -> float:
    """Return the number of seconds by which the system clock is ahead of the monotonic clock."""
    return time.time() - time.monotonic()
