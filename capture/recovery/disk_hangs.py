"""Report that the disk has stopped responding, before the deadline for a response ends the night."""

from coldframe.capture.events.values import Severity
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import DISK_DEADLINE_S, waiting_for_disk_s

SLOW_S = 20.0
"""Wait after which a disk is reported as not answering. A memory card may need 10 s to write a frame from a large
sensor.
"""


class DiskWatch:
    """A watch that publishes one notice each time the disk stops responding."""

    def __init__(self, context: NightContext) -> None:
        self._context = context
        self._is_announced = False

    def look(self) -> None:
        """Publish a notice if the disk has not answered for `SLOW_S`. Call this method once a second."""
        waited_s = waiting_for_disk_s()
        if waited_s >= SLOW_S and not self._is_announced:
            text = (
                f"the disk has not answered for {waited_s:.0f} s; after {DISK_DEADLINE_S:.0f} s, the night ends in the "
                f"safe state"
            )
            self._context.notice(Severity.WARNING, text)
        self._is_announced = waited_s >= SLOW_S
