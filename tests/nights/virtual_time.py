"""An event loop whose time advances only when no task can run, so that a night takes only its computing time."""

import asyncio
import math
import selectors
import time

from tests.nights.nights import Inline


class NightHangsError(Exception):
    """The night cannot continue, or exceeds its time limit."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that runs blocking work in its own thread, so that only its timers advance the clock.

    Parameters
    ----------
    end_s
        Virtual time at which a running night counts as hanging.
    real_s
        Seconds of real time after which a night counts as hanging.
    """

    def __init__(self, end_s: float, real_s: float = math.inf) -> None:
        self.now_s = 0.0
        self._end_s = end_s
        self._real_s = real_s
        self._overdue_at_s = time.monotonic() + real_s
        super().__init__(_Timer(self))
        self.set_default_executor(Inline())

    def time(self) -> float:
        return self.now_s

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  as in the base
        """Do nothing, because there is no thread to wait for."""

    def look_at_real_time(self) -> None:
        """Raise an error between two rounds of the loop, but only once, so that cancelled tasks can still end."""
        if time.monotonic() > self._overdue_at_s:
            self._overdue_at_s = math.inf
            raise NightHangsError(f"no time passes: it did not end within {self._real_s} s")

    def pass_time(self, timeout_s: float | None) -> None:
        if timeout_s is None:
            raise NightHangsError(f"nothing will ever happen after {self.now_s:.0f} s")
        self.now_s += timeout_s
        if self.now_s > self._end_s:
            raise NightHangsError(f"still running after {self._end_s:.0f} s")


class _Timer(selectors.DefaultSelector):
    """A selector that advances the virtual time instead of waiting."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.look_at_real_time()
        ready = super().select(0)
        if not ready and timeout != 0:
            self._loop.pass_time(timeout)
        return ready
