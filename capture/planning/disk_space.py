"""Room on the disk for a plan, checked before it begins. Pure but for `free_bytes`."""

import os
from collections.abc import Iterable
from pathlib import Path

from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.capture.steps import ShootStep, SkyStep, Step, TuneStep
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


def require_room(steps: Iterable[Step], camera: CameraFeatures, folder: Path, free_bytes: int) -> None:
    """Compare what a plan will write with the room that there is.

    Raises
    ------
    UnfitPlanError
        It does not fit; the text names the first set that does not.
    """
    needed, first = SPARE_FRAMES * frame_bytes(camera, ReadoutSettings()), None
    for step in steps:
        needed += _step_bytes(step, camera)
        if first is None and needed > free_bytes - RESERVE_BYTES:
            first = step.title
    if first is not None:
        raise UnfitPlanError(
            f"{folder}: no room for {first} and what follows: the night needs {size_text(needed)}, and "
            f"{size_text(free_bytes)} are free, of which {size_text(RESERVE_BYTES)} are left alone. "
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


def _step_bytes(step: Step, camera: CameraFeatures) -> int:
    match step:
        case TuneStep():
            return TEST_FRAMES * frame_bytes(camera, step.readout)
        case ShootStep():
            return _set_bytes(step.count, step.readout, camera)
        case SkyStep():
            return sum(_step_bytes(flat, camera) for flat in step.flats) + _set_bytes(
                step.dark_flats * step.flats[0].count, step.readout, camera
            )
    return 0


def _set_bytes(frames: int, readout: ReadoutSettings, camera: CameraFeatures) -> int:
    master = _pixels(camera, readout) * MASTER_BYTES_PER_PIXEL + HEADER_BYTES
    return frames * frame_bytes(camera, readout) + master


def frame_bytes(camera: CameraFeatures, readout: ReadoutSettings) -> int:
    """Return the size of a raw frame's file."""
    return _pixels(camera, readout) * RAW_BYTES_PER_PIXEL + HEADER_BYTES


def _pixels(camera: CameraFeatures, readout: ReadoutSettings) -> int:
    return (camera.width // readout.binning) * (camera.height // readout.binning)


def size_text(count: int) -> str:
    """Return a number of bytes for messages, such as 1.2 GB."""
    return f"{count / 1e9:.1f} GB"
