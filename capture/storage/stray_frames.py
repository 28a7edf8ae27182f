"""What the camera delivers beside the frames that were asked for is kept, too: in quarantine, and never counted."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice, Severity
from coldframe.capture.events.stream import EventStream
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.threads import in_thread
from coldframe.devices.camera import StrayFrame

log = logging.getLogger(__name__)

MOST_WAITING = 4
"""In memory, on their way to the disk."""

MOST_KEPT = 100
"""In a night: a program that streams from the same camera must not fill the disk."""

DRAIN_DEADLINE_S = 30.0


class StrayFrames:
    """Keeps strays while a night runs; what comes before or after is another program's to keep."""

    def __init__(self, clock: NightClock) -> None:
        self._clock = clock
        self._waiting = asyncio.Queue[tuple[StrayFrame, datetime]](MOST_WAITING)
        self._is_keeping = False
        self._kept = 0

    def take(self, stray: StrayFrame) -> None:
        """Take in a stray; never blocks."""
        if not self._is_keeping or self._kept >= MOST_KEPT or self._waiting.full():
            log.warning("%s: a frame is not kept: %s", stray.camera, stray.reason)
            return
        self._kept += 1
        self._waiting.put_nowait((stray, self._clock.now()))

    @asynccontextmanager
    async def kept_in(self, folder: NightFolder, events: EventStream) -> AsyncIterator[None]:
        """Keep strays in a night's quarantine for the length of the block."""
        keeping = asyncio.create_task(self._keep_all(folder, events), name="strays")
        self._is_keeping = True
        try:
            yield
        finally:
            self._is_keeping = False
            drained = asyncio.ensure_future(self._waiting.join())
            await asyncio.wait([drained, keeping], timeout=DRAIN_DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
            for task in (drained, keeping):
                task.cancel()
            await asyncio.wait([drained, keeping])

    async def _keep_all(self, folder: NightFolder, events: EventStream) -> None:
        while True:
            stray, came = await self._waiting.get()
            try:
                path = await in_thread(folder.set_aside, stray, came)
            except NotDurableError as error:
                events.publish(Notice(self._clock.now(), Severity.ERROR, f"a frame that does not count: {error}"))
            else:
                more = "; no more such frames are kept" if self._kept >= MOST_KEPT and self._waiting.empty() else ""
                told = f"{stray.camera}: {stray.reason}; kept as quarantine/{path.name}{more}"
                events.publish(Notice(self._clock.now(), Severity.WARNING, told))
            self._waiting.task_done()
