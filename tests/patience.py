"""The time that tests wait for an event before it counts as missing.

Tests must not fail because a busy machine is slow. Therefore no test asserts the duration of an operation, which
`benchmarks/` measures. Each wait ends when its event occurs, and the deadline below only ends a test that hangs.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""Deadline for every event that must happen. It is much longer than a busy machine needs."""

POLL_S = 0.02


async def until(is_so: Callable[[], object]) -> None:
    """Wait in the event loop until `is_so()` returns a true value.

    Raises
    ------
    TimeoutError
        If it does not return a true value within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(POLL_S)


def block_until(is_so: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Block until `is_so()` returns a true value.

    Raises
    ------
    TimeoutError
        If it does not return a true value within `within_s`.
    """
    deadline_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not so after {within_s:g} s")
        time.sleep(POLL_S)
