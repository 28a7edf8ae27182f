"""Room on the disk: for the whole plan before it begins, and for the next frames while it runs. Nothing is deleted."""

import asyncio
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.events.kinds import Severity
from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.capture.session.context import NightContext
from coldframe.capture.steps import ShootStep, SkyStep, Step, TuneStep
from coldframe.capture.threads import in_thread
from coldframe.config.frames import ReadoutSettings
from coldframe.devices.camera import CameraFeatures

RAW_BYTES_PER_PIXEL = 2
MASTER_BYTES_PER_PIXEL = 10
"""Mean and uncertainty as float32, the number of values kept as uint16."""

HEADER_BYTES = 16 * 2880
TEST_FRAMES = 20
"""For each tuning: the tuner's, and those up to saturation."""

SPARE_FRAMES = 10
"""Frames that may have to be shot again, of a whole night."""

RESERVE_BYTES = 256 << 20
"""Left to everybody else on the disk: its owner must still be able to log in and look."""

FRAMES_AHEAD = 4
"""Frames that may be on their way to the disk at once."""

PAUSE_S = 600.0
LOOK_S = 15.0


def require_room(steps: Iterable[Step], camera: CameraFeatures, folder: Path, free_bytes: int) -> None:
    """Compare what a plan will write with the room that there is.

    Raises
    ------
    UnfitPlanError
        It does not fit; the text names the first set that does not.
    """
    needed, first = SPARE_FRAMES * _frame_bytes(camera, ReadoutSettings()), None
    for step in steps:
        needed += _step_bytes(step, camera)
        if first is None and needed > free_bytes - RESERVE_BYTES:
            first = step.title
    if first is not None:
        raise UnfitPlanError(
            f"{folder}: no room for {first} and what follows: the night needs {_words(needed)}, and "
            f"{_words(free_bytes)} are free, of which {_words(RESERVE_BYTES)} are left alone. "
            "Free some space, or name another [storage] folder"
        )


def free_bytes(folder: Path) -> int:
    """Return what may still be written where a folder is, or will be.

    Raises
    ------
    OSError
        Nobody knows.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    disk = os.statvfs(there)
    return disk.f_bavail * disk.f_frsize


async def wait_for_room(context: NightContext) -> None:
    """Pause while there is no room for the next frames: somebody may free some.

    Raises
    ------
    NotDurableError
        Nobody did.
    StepFailedError
        The time was up.
    """
    needed = FRAMES_AHEAD * _frame_bytes(context.rig.camera.features, ReadoutSettings()) + RESERVE_BYTES
    folder, ends_s = context.folder.path, context.clock.elapsed_s() + PAUSE_S
    is_told = False
    while await in_thread(_free_or_plenty, folder, needed) < needed:
        context.require_time(0.0)
        if context.clock.elapsed_s() >= ends_s:
            raise NotDurableError(folder, errno.ENOSPC, "the disk is full: free some space")
        if not is_told:
            is_told = True
            text = f"less than {_words(needed)} are free at {folder}: exposing pauses, {PAUSE_S / 60:g} min at most"
            context.notice(Severity.ERROR, text)
        await asyncio.sleep(LOOK_S)


def _free_or_plenty(folder: Path, plenty: int) -> int:
    """Return the free room; where nobody knows, the frame that does not fit will tell."""
    try:
        return free_bytes(folder)
    except OSError:
        return plenty


def _step_bytes(step: Step, camera: CameraFeatures) -> int:
    match step:
        case TuneStep():
            return TEST_FRAMES * _frame_bytes(camera, step.readout)
        case ShootStep():
            return _set_bytes(step.count, step.readout, camera)
        case SkyStep():
            return sum(_step_bytes(flat, camera) for flat in step.flats) + _set_bytes(
                step.dark_flats * step.flats[0].count, step.readout, camera
            )
    return 0


def _set_bytes(frames: int, readout: ReadoutSettings, camera: CameraFeatures) -> int:
    master = _pixels(camera, readout) * MASTER_BYTES_PER_PIXEL + HEADER_BYTES
    return frames * _frame_bytes(camera, readout) + master


def _frame_bytes(camera: CameraFeatures, readout: ReadoutSettings) -> int:
    return _pixels(camera, readout) * RAW_BYTES_PER_PIXEL + HEADER_BYTES


def _pixels(camera: CameraFeatures, readout: ReadoutSettings) -> int:
    return (camera.width // readout.binning) * (camera.height // readout.binning)


def _words(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
