"""Tiny frames and masters in the files of an export."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (12, 16)
NIGHT = datetime(2026, 11, 22, 4, tzinfo=UTC)
RAW_WORDS = {"bias": "Bias Frame", "dark": "Dark Frame", "flat": "Flat Frame", "light": "Light Frame"}


def write(
    folder: Path, kind: FrameKind = FrameKind.DARK, *, level: float = 500, days: float = 0, exposure_s: float = 300.0,
    setpoint_c: float = -10.0, filter_name: str | None = None, gain: float = 100, rotator_deg: float | None = None,
) -> Path:  # fmt: skip
    """Write a master and return its path."""
    plane = np.full(SHAPE, level, np.float32)
    plane[3, 5] *= 1.5
    stack = Stack(20, plane, np.full(SHAPE, level / 100, np.float32), np.full(SHAPE, 20, np.uint16), 0)
    taken_at = NIGHT + timedelta(days=days)
    master = MasterFrame(
        kind=kind,
        stack=stack,
        camera="ASI2600MM",
        settings=ReadoutSettings(gain=gain, offset=50),
        exposure_s=exposure_s,
        sensor_c=setpoint_c,
        setpoint_c=setpoint_c,
        filter_name=filter_name,
        method=Clipping(),
        inputs=(),
        first_at=taken_at,
        last_at=taken_at,
        header={} if rotator_deg is None else {"ROTATANG": rotator_deg, "CFROTANG": rotator_deg},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / master_name(master)
    write_master(path, master)
    return path


def raw(path: Path, kind: str, **cards: Any) -> Path:
    """Write a raw frame; a card that is None is left out."""
    usual = {
        "IMAGETYP": RAW_WORDS.get(kind, kind), "INSTRUME": "ASI2600MM", "EXPTIME": 300.0, "GAIN": 100, "OFFSET": 50,
        "XBINNING": 1, "YBINNING": 1, "SET-TEMP": -10.0, "CCD-TEMP": -10.0, "ROWORDER": "TOP-DOWN",
        "DATE-OBS": "2026-11-22T04:00:00",
    }  # fmt: skip
    named = {keyword.replace("_", "-"): value for keyword, value in cards.items() if keyword != "shape"}
    header = fits.Header([(key, value) for key, value in (usual | named).items() if value is not None])
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = cards.get("shape", SHAPE)
    fits.PrimaryHDU(np.full(shape, 1000, np.uint16), header).writeto(path)
    return path


def setups(*paths: Path) -> dict[Path, FrameSetup]:
    return {path: setup_of(read_header(path)) for path in paths}


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
