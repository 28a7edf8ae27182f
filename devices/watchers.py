"""Conditions for which tasks are waiting. All of them are checked at every event of a stream."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Watchers:
    """The conditions of all waiting tasks, checked at every event.

    The check runs inside `wake`, before the next event. INDI drivers often send an Ok right after an Alert. If `wake`
    merely woke the task, the task would see both events as one change and would miss the Alert.
    """

    def __init__(self) -> None:
        self._checks: list[Callable[[], None]] = []

    async def until(self, seen: Callable[[], T | None], deadline_s: float) -> T:
        """Call `seen` at once and after every event until it returns a value other than None, and return that value.

        Raises
        ------
        TimeoutError
            If `deadline_s` passes first. Exceptions raised by `seen` also propagate.
        """
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def check() -> None:
            if found.done():
                return
            try:
                result = seen()
            except Exception as error:  # noqa: BLE001  # raised in the waiting task, not where the event is handled
                found.set_exception(error)
            else:
                if result is not None:
                    found.set_result(result)

        self._checks.append(check)
        try:
            check()
            async with asyncio.timeout(deadline_s):
                return await found
        finally:
            self._checks.remove(check)

    def wake(self) -> None:
        """Check all conditions after an event."""
        for check in tuple(self._checks):
            check()
