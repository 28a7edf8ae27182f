"""Those who wait for something to be seen in a stream of events look within each event, not some time after it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Watchers:
    """Wakes those who wait.

    An Alert and the Ok right behind it would be one change to a task that is woken later.
    """

    def __init__(self) -> None:
        self._looks: list[Callable[[], None]] = []

    async def until(self, seen: Callable[[], T | None], deadline_s: float) -> T:
        """Wait until `seen()`, asked after every single event, returns something other than None, and return that.

        Raises
        ------
        TimeoutError
            `deadline_s` passed; and whatever `seen` raises.
        """
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def look() -> None:
            if found.done():
                return
            try:
                result = seen()
            except Exception as error:  # noqa: BLE001  # the waiter's to deal with, not the event's
                found.set_exception(error)
            else:
                if result is not None:
                    found.set_result(result)

        self._looks.append(look)
        try:
            look()
            async with asyncio.timeout(deadline_s):
                return await found
        finally:
            self._looks.remove(look)

    def wake(self) -> None:
        """Have all look: something has happened."""
        for look in tuple(self._looks):
            look()
