"""An event loop whose time passes only when nothing is left to do: a night takes as long as its arithmetic."""

import asyncio
import math
import selectors
import time

from tests.nights.nights import Inline


class NightHangsError(Exception):
    """Nothing will ever happen any more, or not within the time that a night may take."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Blocking work is done on the spot, so nothing but the loop's own timers moves the clock.

    Parameters
    ----------
    end_s
        Time at which whatever still runs counts as hanging.
    real_s
        Seconds of real time after which it does so without letting the time pass.
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

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  as the base's
        """Do nothing: no thread works, and waiting for one would be waiting for ever."""

    def look_at_real_time(self) -> None:
        """Give up between two rounds of the loop, once: what is cancelled then still gets its turns."""
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
    """Looks for what is ready, and instead of waiting lets the time pass."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.look_at_real_time()
        ready = super().select(0)
        if not ready and timeout != 0:
            self._loop.pass_time(timeout)
        return ready
