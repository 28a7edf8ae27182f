"""How long tests wait for an event before they count it as missing.

On a busy machine everything takes longer, and a test must not fail for that. So no test asserts how long something
takes (`benchmarks/` measures that), and each wait ends with its event: the deadline below only ends a test that hangs.
"""

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 240.0
"""Deadline of everything that is sure to happen; far above what a loaded machine needs."""

POLL_S = 0.02


async def until(is_so: Callable[[], object]) -> None:
    """Wait in the event loop until `is_so()` returns something true.

    Raises
    ------
    TimeoutError
        If it does not within `PATIENCE_S`.
    """
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():
            await asyncio.sleep(POLL_S)


def block_until(is_so: Callable[[], object]) -> None:
    """Block until `is_so()` returns something true.

    Raises
    ------
    TimeoutError
        If it does not within `PATIENCE_S`.
    """
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not so after {PATIENCE_S:g} s")
        time.sleep(POLL_S)
