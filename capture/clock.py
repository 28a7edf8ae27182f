"""UTC for everything a night dates, from the running loop's clock."""

import asyncio
from datetime import UTC, datetime, timedelta


class NightClock:
    """Counts from one reading of the wall clock, so that a clock that is set during the night moves no date backwards.

    Under virtual time it runs as the loop does: two simulated nights with the same start are dated alike.

    Parameters
    ----------
    start
        UTC at this moment.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime.now(UTC)
        self._start_s = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """Return UTC."""
        return self._start + timedelta(seconds=self.elapsed_s())

    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return asyncio.get_running_loop().time() - self._start_s
