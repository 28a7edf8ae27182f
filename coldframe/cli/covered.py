"""A telescope without a cover that coldframe can close must be covered by hand before the first dark."""

import asyncio
import sys

from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.devices.rig import Rig

ANSWER_S = 60.0
"""Longest wait for the user's answer. An unattended night must not wait for the user."""

UNCOVERED = (
    "coldframe cannot close a cover on this telescope: it must be covered for bias frames and darks, with its cap or "
    "with the unlit panel"
)


def must_be_covered(settings: Settings, rig: Rig) -> bool:
    """Return True if the night has frames without light, and no device of the rig covers the telescope."""
    return rig.covering is None and any(each.kind is not FrameKind.FLAT for each in settings.sets)


def can_ask() -> bool:
    """Return True if a user may be sitting at a terminal."""
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
