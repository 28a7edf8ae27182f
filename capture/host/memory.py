"""Between sets, check the memory use of the drivers and of the link to the INDI server.

Free the memory of the last set, restart the link if its memory use has grown, and report drivers whose memory use has
grown. INDI drivers and the client library can leak memory (indi#1528).
"""

import gc
import logging
from collections.abc import Mapping

from coldframe.capture.events.values import Severity
from coldframe.capture.recovery.retrying import ensure_ready
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import in_thread
from coldframe.devices.errors import DeviceError

MOST_LINK_BYTES = 256 << 20
"""Memory use above which the link is restarted: ten times that of a healthy link, which carries no pixels."""

MOST_DRIVER_GROWTH_BYTES = 1 << 30
"""Growth above which a driver is reported.

It exceeds the size of any image buffer: in base64, the largest frames take a few hundred megabytes.
"""

log = logging.getLogger(__name__)


class MemoryWatch:
    """A check of the memory that the link and the drivers use. The night continues even if they use too much."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._first: dict[str, int] = {}
        self._announced: set[str] = set()

    async def check(self) -> None:
        """Free the memory of the last set, and check the memory of the link and the drivers.

        Call this method between two sets, when restarting the link interrupts no exposure.
        """
        # The objects of a set refer to each other, so only the garbage collector frees them. By itself, it would run
        # too late, because it counts objects instead of bytes: the arrays of many sets would stay in memory.
        gc.collect()
        connection = self._context.rig.connection
        if connection is None:
            return
        try:
            self._report_drivers(await in_thread(connection.drivers_memory_bytes))
            taken = connection.memory_bytes()
            if taken is not None and taken > MOST_LINK_BYTES:
                text = f"the link to the INDI server has grown to {taken / 1e6:.0f} MB of memory; restarting it"
                self._context.notice(Severity.INFO, text)
                await connection.recycle()
                await ensure_ready(self._context)
        except DeviceError as error:  # the next step waits until the link is back
            self._context.notice(Severity.WARNING, str(error))
        except OSError as error:
            log.info("the memory use of the drivers is unknown: %s", error)

    def _report_drivers(self, taken: Mapping[str, int]) -> None:
        for program, now in taken.items():
            grown = now - self._first.setdefault(program, now)
            if grown > MOST_DRIVER_GROWTH_BYTES and program not in self._announced:
                self._announced.add(program)
                text = f"{program} uses {now / 1e9:.1f} GB of memory, {grown / 1e9:.1f} GB more than at the start: "
                text += "restart the INDI server before the next night"
                self._context.notice(Severity.WARNING, text)
