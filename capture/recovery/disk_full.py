"""Pause exposing while the disk is full, so that the user can free space. coldframe deletes no files."""

import asyncio
import errno
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.values import Severity
from coldframe.capture.planning.disk_space import RESERVE_BYTES, frame_bytes, free_bytes, size_text
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import in_thread
from coldframe.config.frames import ReadoutSettings

FRAMES_AHEAD = 4
"""Number of frames that can be in memory at the same time. The disk must have room for all of them."""

PAUSE_S = 600.0
CHECK_PERIOD_S = 15.0


async def wait_for_room(context: NightContext) -> None:
    """Wait while the disk has no room for the next frames.

    Raises
    ------
    NotDurableError
        If the disk stays full for `PAUSE_S`, or the night's folder was removed, moved or unmounted.
    StepFailedError
        If the deadline passed during the wait.
    """
    needed = FRAMES_AHEAD * frame_bytes(context.rig.camera.features, ReadoutSettings()) + RESERVE_BYTES
    folder, ends_s = context.folder.path, context.clock.elapsed_s() + PAUSE_S
    is_announced = False
    await in_thread(context.folder.require_there)
    while await in_thread(_free_or_plenty, folder, needed) < needed:
        context.require_time(0.0)
        if context.clock.elapsed_s() >= ends_s:
            raise NotDurableError(folder, errno.ENOSPC, "the disk is full: free some space")
        if not is_announced:
            is_announced = True
            text = f"less than {size_text(needed)} is free at {folder}: exposing pauses for up to {PAUSE_S / 60:g} min"
            context.notice(Severity.ERROR, text)
        context.steering.count_pause(CHECK_PERIOD_S)  # the tuner's time limit does not run during this wait
        await asyncio.sleep(CHECK_PERIOD_S)


def _free_or_plenty(folder: Path, plenty: int) -> int:
    """Return the free space in bytes, or `plenty` if it cannot be determined. Writing a frame may then fail."""
    try:
        return free_bytes(folder)
    except OSError:
        return plenty
