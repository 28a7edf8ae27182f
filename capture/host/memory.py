"""Memory between sets: a link that has grown is started anew, a driver that has grown is told of."""

import logging
from collections.abc import Mapping

from coldframe.capture.events.kinds import Severity
from coldframe.capture.recovery.retrying import ensure_ready
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import in_thread
from coldframe.devices.errors import DeviceError

MOST_LINK_BYTES = 256 << 20
"""The link carries no pixels, and takes a tenth of it."""

MOST_DRIVER_GROWTH_BYTES = 1 << 30
"""Buffers of the largest frames, in base64, are a few hundred megabytes."""

log = logging.getLogger(__name__)


class MemoryWatch:
    """Looks at the memory of link and drivers; whatever it finds, the night goes on."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._first: dict[str, int] = {}
        self._told: set[str] = set()

    async def look(self) -> None:
        """Look, between two sets."""
        connection = self._context.rig.connection
        if connection is None:
            return
        try:
            self._tell_drivers(await in_thread(connection.drivers_memory_bytes))
            taken = connection.memory_bytes()
            if taken is not None and taken > MOST_LINK_BYTES:
                text = f"the link to the INDI server has grown to {taken / 1e6:.0f} MB: it is started anew"
                self._context.notice(Severity.INFO, text)
                await connection.recycle()
                await ensure_ready(self._context)
        except DeviceError as error:  # what uses the link next waits for it
            self._context.notice(Severity.WARNING, str(error))
        except OSError as error:
            log.info("the memory of drivers is not known: %s", error)

    def _tell_drivers(self, taken: Mapping[str, int]) -> None:
        for program, now in taken.items():
            grown = now - self._first.setdefault(program, now)
            if grown > MOST_DRIVER_GROWTH_BYTES and program not in self._told:
                self._told.add(program)
                text = f"{program} takes {now / 1e9:.1f} GB of memory, {grown / 1e9:.1f} GB more than at the start: "
                text += "start the INDI server again before the next night"
                self._context.notice(Severity.WARNING, text)
