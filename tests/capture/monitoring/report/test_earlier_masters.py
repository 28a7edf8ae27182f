"""Tests for the comparison with masters of earlier nights."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.frames.setup import setup_of
from coldframe.capture.monitoring.report.earlier_masters import change_text, earlier_master
from coldframe.config.frames import FrameKind

TONIGHT = datetime(2026, 11, 22, 4, tzinfo=UTC)
FLAT = replace(
    setup_of({"IMAGETYP": "Master Flat", "INSTRUME": "C", "FILTER": "Ha", "NAXIS1": 600, "NAXIS2": 400}),
    taken_at=TONIGHT,
)


def test_the_newest_master_of_an_earlier_night_is_compared() -> None:
    library = {
        Path("tonight"): FLAT,
        Path("again tonight"): replace(FLAT, taken_at=TONIGHT - timedelta(hours=1)),
        Path("last night"): replace(FLAT, taken_at=TONIGHT - timedelta(days=1)),
        Path("last week"): replace(FLAT, taken_at=TONIGHT - timedelta(days=7)),
        Path("other filter"): replace(FLAT, taken_at=TONIGHT - timedelta(days=1), filter_name="L"),
    }
    assert earlier_master(FLAT, library) == Path("last night")
    assert earlier_master(replace(FLAT, filter_name="OIII"), library) is None
    assert earlier_master(replace(FLAT, taken_at=None), library) is None


def flat(seed: int, moved_px: int = 0) -> NDArray[np.float32]:
    rows, columns = np.ogrid[:400, :600]
    distance = np.hypot(rows - 150, columns - 310 - moved_px)
    shadow = 0.04 * ((distance < 12) & (distance > 4))
    noise = np.random.default_rng(seed).normal(0, 0.002, (400, 600))
    return np.asarray((1 - 0.2 * ((columns - 300) / 300) ** 2) * (1 - shadow) + noise, np.float32)


def written(folder: Path, name: str, pixels: NDArray[np.float32]) -> Path:
    path = folder / name
    fits.writeto(path, pixels)
    return path


def test_moved_dust_is_found_with_its_place(tmp_path: Path) -> None:
    now, before = written(tmp_path, "a.fits", flat(1, 15)), written(tmp_path, "b.fits", flat(2))
    text = change_text(FrameKind.FLAT, now, before, "2026-11-20")
    assert "since 2026-11-20" in text
    assert "dust moved" in text
    row = int(text.split("row ")[1].split(")")[0])
    assert abs(row - 150) < 20


def test_equal_flats_are_unchanged(tmp_path: Path) -> None:
    now, before = written(tmp_path, "a.fits", flat(1)), written(tmp_path, "b.fits", flat(2))
    assert change_text(FrameKind.FLAT, now, before, "2026-11-20").startswith("small structures unchanged since")


def test_a_dark_is_compared_by_its_level(tmp_path: Path) -> None:
    now = written(tmp_path, "a.fits", np.full((40, 60), 501.5, np.float32))
    before = written(tmp_path, "b.fits", np.full((40, 60), 500.0, np.float32))
    assert change_text(FrameKind.DARK, now, before, "2026-11-20") == "level +1.50 ADU since 2026-11-20"


def test_masters_of_other_sizes_are_not_compared(tmp_path: Path) -> None:
    now = written(tmp_path, "a.fits", np.ones((40, 60), np.float32))
    assert change_text(FrameKind.FLAT, now, written(tmp_path, "b.fits", flat(1)), "2026-11-20") == ""
