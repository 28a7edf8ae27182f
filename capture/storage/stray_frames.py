"""Quarantine frames that coldframe did not request. These frames never count towards a set."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.threads import in_thread
from coldframe.devices.camera import StrayFrame

log = logging.getLogger(__name__)

MOST_WAITING = 4
"""Maximum number of stray frames that wait in memory to be written."""

MOST_KEPT = 100
"""Maximum number of frames kept per night, so that a program that streams from the camera cannot fill the disk."""

DRAIN_DEADLINE_S = 30.0


class StrayFrames:
    """The stray frames of a night, which go to quarantine.

    Stray frames that arrive before or after the night are discarded, because they belong to other programs. The only
    exception is a frame that coldframe itself requested before the night; it is saved when the night begins.
    """

    def __init__(self, clock: NightClock) -> None:
        self._clock = clock
        self._waiting = asyncio.Queue[tuple[StrayFrame, datetime]](MOST_WAITING)
        self._is_keeping = False
        self._kept = 0

    def take(self, stray: StrayFrame) -> None:
        """Queue a stray frame for quarantine, or discard it if there are too many; never block."""
        is_ours = self._is_keeping or stray.was_requested
        if not is_ours or self._kept >= MOST_KEPT or self._waiting.full():
            log.warning("%s: an unrequested frame was discarded: %s", stray.camera, stray.reason)
            return
        self._kept += 1
        self._waiting.put_nowait((stray, self._clock.now()))

    @asynccontextmanager
    async def kept_in(self, folder: NightFolder, events: EventStream) -> AsyncIterator[None]:
        """Write stray frames to the quarantine of a night while the `with` block runs."""
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
                path = await in_thread(folder.quarantine_stray, stray, came)
            except NotDurableError as error:
                text = f"an unrequested frame could not be saved: {error}"
                events.publish(Notice(self._clock.now(), Severity.ERROR, text))
            else:
                more = (
                    "; further frames like this will be discarded"
                    if self._kept >= MOST_KEPT and self._waiting.empty()
                    else ""
                )
                text = f"{stray.camera}: {stray.reason}; the frame is kept as quarantine/{path.name}{more}"
                severity = Severity.INFO if stray.was_requested else Severity.WARNING
                events.publish(Notice(self._clock.now(), severity, text))
            self._waiting.task_done()
