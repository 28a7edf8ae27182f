"""Check before the night whether the disk has room for the plan.

Only `free_bytes` and `require_writable` access the disk.
"""

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.capture.steps import ShootStep, SkyStep, Step, TuneStep
from coldframe.config.frames import ReadoutSettings
from coldframe.devices.camera import CameraFeatures

RAW_BYTES_PER_PIXEL = 2
MASTER_BYTES_PER_PIXEL = 10
"""A master contains the mean and the uncertainty as float32, and the number of combined values as uint16."""

HEADER_BYTES = 16 * 2880
TEST_FRAMES = 20
"""Assumed number of test frames per tuning, including the frames that measure the saturation level."""

SPARE_FRAMES = 10
"""Allowance for frames that must be shot again during the night."""

RESERVE_BYTES = 256 << 20
"""Space left for other programs, so that the user can still log in and free space."""

RESERVE_INODES = 100
"""Inodes left for other programs."""

_OTHER_FOLDER = "specify a different folder with --folder or in [storage]"


def require_room(steps: Iterable[Step], camera: CameraFeatures, folder: Path, free_bytes: int) -> None:
    """Check that the files of a plan fit into the free space.

    Raises
    ------
    UnfitPlanError
        If the files do not fit; the message names the first step for which there is no space.
    """
    needed, first = SPARE_FRAMES * frame_bytes(camera, ReadoutSettings()), None
    for step in steps:
        needed += _step_bytes(step, camera)
        if first is None and needed > free_bytes - RESERVE_BYTES:
            first = step.title
    if first is not None:
        raise UnfitPlanError(
            f"{folder}: there is no space for {first} and the following steps: the night needs {size_text(needed)}, "
            f"and {size_text(free_bytes)} are free, of which {size_text(RESERVE_BYTES)} are reserved for other "
            "programs. Free some space, or set another [storage] folder"
        )


def free_bytes(folder: Path) -> int:
    """Return the number of bytes that can be written to a folder, even if the folder does not exist yet.

    A file system that has no inodes left for new files counts as full.

    Raises
    ------
    OSError
        If the file system cannot be queried.
    """
    disk = os.statvfs(_existing(folder))
    # File systems that create inodes as needed, such as Btrfs, report 0 inodes in total.
    is_out_of_inodes = disk.f_files > 0 and disk.f_favail < RESERVE_INODES
    return 0 if is_out_of_inodes else disk.f_bavail * disk.f_frsize


def require_writable(folder: Path) -> None:
    """Check that files can be created in a folder or, if it does not exist yet, in its nearest existing parent.

    A full disk passes this check.

    Raises
    ------
    UnfitPlanError
        If the path leads to a file, or if files cannot be created.
    """
    there = _existing(folder)
    if not there.is_dir():
        raise UnfitPlanError(f"{there} is a file; {_OTHER_FOLDER}")
    if os.statvfs(there).f_blocks == 0:
        raise UnfitPlanError(f"{there} is in a file system that stores no files; {_OTHER_FOLDER}")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            advice = f"correct its permissions and attributes (ls -ld, lsattr -d), or {_OTHER_FOLDER}"
            raise UnfitPlanError(f"files cannot be created in {there} ({error.strerror}); {advice}") from error


def _existing(folder: Path) -> Path:
    """Return the folder if it exists, otherwise its nearest existing parent."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


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
    """Return the file size of a raw frame, in bytes."""
    return _pixels(camera, readout) * RAW_BYTES_PER_PIXEL + HEADER_BYTES


def _pixels(camera: CameraFeatures, readout: ReadoutSettings) -> int:
    return (camera.width // readout.binning) * (camera.height // readout.binning)


def size_text(count: int) -> str:
    """Return a number of bytes as text, such as 1.2 GB."""
    return f"{count / 1e9:.1f} GB"
