"""Notify systemd that coldframe is ready, and feed systemd's watchdog while the night is making progress.

A running event loop does not prove that the night is making progress. coldframe therefore feeds the watchdog only while
the night publishes events. Each event determines how long the wait for the next event may last. When the events stop,
systemd ends the process and runs `coldframe safe`.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from coldframe.capture.events.kinds import Event, ExposureStarted, NightEnded, TemperatureRead

SILENCE_S = 900.0
"""Maximum time between two signs of progress.

It is longer than any wait without events, because each wait has its own deadline of at most 10 min.
"""

READOUT_S = 300.0


class Progress:
    """The progress of a night, judged from its events. The class performs no I/O.

    Progress is required only between the first event and the last event. Before the first event, the process can wait
    for hours until the imaging session ends.
    """

    def __init__(self) -> None:
        self._expected_by_s: float | None = None
        self._is_over = False
        self._setpoint_c: float | None = None

    def observe(self, event: Event, now_s: float) -> None:
        """Count the event as a sign of progress."""
        match event:
            case TemperatureRead(setpoint_c=setpoint_c):
                # A separate task reads the temperature even if the night is stuck. Only the night moves the setpoint.
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
        """Count a sign of progress. It never shortens the time that an event has allowed for a long exposure."""
        self._expected_by_s = max(self._expected_by_s or 0.0, now_s + SILENCE_S)

    def is_alive(self, now_s: float) -> bool:
        """Return True unless the next sign of progress is overdue."""
        return self._is_over or self._expected_by_s is None or now_s <= self._expected_by_s


class ServiceWatch:
    """Notifications to systemd about a night, if systemd started the process.

    Parameters
    ----------
    environment
        Environment variables of the process: NOTIFY_SOCKET is the socket to notify (sd_notify(3)), and WATCHDOG_USEC
        is the watchdog's period (sd_watchdog_enabled(3)).
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        period_us = environment.get("WATCHDOG_USEC", "")
        # Feed the watchdog three times per period, so that two late iterations of the event loop do not trigger it.
        self._feed_s = int(period_us) / 3e6 if period_us.isdecimal() and int(period_us) else None
        self._progress = Progress()

    def observe(self, event: Event) -> None:
        """Count an event of the night as a sign of progress."""
        self._progress.observe(event, asyncio.get_running_loop().time())

    def beat(self) -> None:
        """Count a beat during a wait as a sign of progress."""
        self._progress.beat(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def notified(self) -> AsyncIterator[None]:
        """Report that the process is ready, and feed the watchdog while the block runs."""
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
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify_socket:
            notify_socket.setblocking(False)
            notify_socket.sendto(text.encode(), address)
