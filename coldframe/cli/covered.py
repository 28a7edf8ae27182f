"""Ask the user whether the telescope is covered, if no device can cover it."""

import asyncio
import sys

from coldframe.operations.nights.covered import UNCOVERED

ANSWER_S = 60.0
"""Maximum wait for the user's answer; an unattended night must not wait for ever."""


def can_ask() -> bool:
    """Return True if the process has a terminal at which a user might be sitting."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


async def is_covered() -> bool:
    """Ask on the terminal whether the telescope is covered. No answer within `ANSWER_S` counts as yes."""
    print(f"{UNCOVERED}.\nIs it covered, or will it be in time? [Y/n] ", end="", flush=True)
    loop, answered = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, answered.set)
    try:
        async with asyncio.timeout(ANSWER_S):
            await answered.wait()
    except TimeoutError:
        print("no answer: starting")
        return True
    finally:
        loop.remove_reader(sys.stdin)
    return not sys.stdin.readline().strip().lower().startswith("n")
