"""Pauses between attempts to reconnect. This module uses no clock."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses after failed attempts, each twice as long as the previous one, up to a limit."""

    first_s: float
    longest_s: float

    def pauses_s(self) -> Iterator[float]:
        """Yield the pauses indefinitely. After a success, call this method again to start with the first pause."""
        pause_s = self.first_s
        while True:
            yield pause_s
            pause_s = min(2 * pause_s, self.longest_s)
