"""What systemd is told of a night: that it is ready, and again and again that it makes progress.

A process whose event loop turns is not yet a night that goes on. So the watchdog is fed only while the night itself
shows signs of life, each of which is good for as long as it may rightly be silent afterwards. When they stop, systemd
ends the process, and `coldframe safe` follows.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from coldframe.capture.events.kinds import Event, ExposureStarted, NightEnded, TemperatureRead

SILENCE_S = 900.0
"""Longer than any wait of a night that tells nothing: each has a deadline of its own, and the longest is 10 min."""

READOUT_S = 300.0


class Progress:
    """Whether a night goes on, from what it tells. Pure.

    Before the first sign nothing is expected, as waiting for the end of the night may take hours; nor after its end.
    """

    def __init__(self) -> None:
        self._expected_by_s: float | None = None
        self._is_over = False
        self._setpoint_c: float | None = None

    def observe(self, event: Event, now_s: float) -> None:
        """Take an event for what it proves."""
        match event:
            case TemperatureRead(setpoint_c=setpoint_c):
                # Read by a task of its own, whatever becomes of the night; but only the night moves the setpoint.
                if setpoint_c != self._setpoint_c:
                    self._setpoint_c = setpoint_c
                    self.beat(now_s)
            case ExposureStarted(exposure_s=exposure_s):
                self.beat(now_s + exposure_s + READOUT_S)
            case NightEnded():
                self._is_over = True
            case _:
                self.beat(now_s)

    def beat(self, now_s: float) -> None:
        """Take a sign that a wait goes on as it should; what was granted before, to an exposure say, stays granted."""
        self._expected_by_s = max(self._expected_by_s or 0.0, now_s + SILENCE_S)

    def is_alive(self, now_s: float) -> bool:
        """Tell whether the next sign is not overdue."""
        return self._is_over or self._expected_by_s is None or now_s <= self._expected_by_s


class ServiceWatch:
    """Tells systemd of a night, where systemd has started it.

    Parameters
    ----------
    environment
        NOTIFY_SOCKET: where to tell (sd_notify(3)). WATCHDOG_USEC: how often (sd_watchdog_enabled(3)).
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        period_us = environment.get("WATCHDOG_USEC", "")
        self._feed_s = int(period_us) / 3e6 if period_us.isdecimal() and int(period_us) else None
        self._progress = Progress()

    def observe(self, event: Event) -> None:
        """Take in an event of the night."""
        self._progress.observe(event, asyncio.get_running_loop().time())

    def beat(self) -> None:
        """Take in that a wait goes on."""
        self._progress.beat(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Tell that the process is ready, and feed the watchdog for the length of the block."""
        self._notify("READY=1")
        feeding = asyncio.create_task(self._feed(), name="watchdog")
        try:
            yield
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
            self._notify("STOPPING=1")

    async def _feed(self) -> None:
        while self._feed_s is not None:
            if self._progress.is_alive(asyncio.get_running_loop().time()):
                self._notify("WATCHDOG=1")
            await asyncio.sleep(self._feed_s)

    def _notify(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            told.setblocking(False)
            told.sendto(text.encode(), address)
