"""Hot pixels of a master dark, and whether lights can be mended with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.defects.finding import NotJudgeableError
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.hot_pixels import filter_array_fault, hot_pixels, single
from coldframe.calibration.masters.reading import read_adu_master

SHAPE = (96, 128)
HOT = ((20, 30), (20, 32), (70, 100), (95, 127))


def master(path: Path, level: float, *, hot_adu: float = 0.0, **cards: object) -> Path:
    """Write a master of another program, without uncertainty: noise, and hot pixels."""
    pixels = np.random.default_rng(1).normal(level, 2, SHAPE).astype(np.float32)
    for place in HOT:
        pixels[place] += hot_adu
    fits.PrimaryHDU(pixels, fits.Header({"IMAGETYP": "Master Dark"} | cards)).writeto(path)
    return path


def found_in(dark: Path, bias: Path | None = None) -> BadPixels:
    return hot_pixels(dark, read_adu_master(dark), None if bias is None else read_adu_master(bias))


def places(found: BadPixels) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in zip(*np.nonzero(found.bad), strict=True)}


def test_hot_pixels_are_found_with_and_without_a_bias(tmp_path: Path) -> None:
    dark = master(tmp_path / "dark.fits", 500, hot_adu=400)
    found = found_in(dark)
    assert (found.path, places(found)) == (dark, set(HOT))
    flat_bias = np.full(SHAPE, 500, np.float32)
    flat_bias[HOT[0]] = 900  # its bias is high, and its dark current is not
    fits.PrimaryHDU(flat_bias).writeto(tmp_path / "bias.fits")
    assert places(found_in(dark, tmp_path / "bias.fits")) == set(HOT[1:])
    without = master(tmp_path / "without.fits", 0, hot_adu=400, CALSTAT="B")
    assert places(found_in(without, tmp_path / "bias.fits")) == set(HOT)


def test_a_dark_in_which_too_many_pixels_are_unstable_shows_no_defects(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    uncertainty = np.where(random.random(SHAPE) < 0.3, 30, 1).astype(np.float32)
    path = tmp_path / "dark.fits"
    fits.HDUList(
        [
            fits.PrimaryHDU(random.normal(500, 2, SHAPE).astype(np.float32)),
            fits.ImageHDU(uncertainty, name="UNCERT"),
            fits.ImageHDU(np.full(SHAPE, 20, np.uint16), name="COUNTS"),
        ]
    ).writeto(path)
    with pytest.raises(NotJudgeableError, match=r"30% of its pixels differ too much from their neighbours"):
        found_in(path)


def test_only_pixels_among_good_ones_are_kept() -> None:
    bad = np.zeros((40, 40), bool)
    bad[5, 5] = bad[0, 39] = True
    bad[:, 20] = True
    bad[30:38, 2:12] = True
    kept = single(bad)
    assert kept[5, 5]
    assert kept[0, 39]
    assert kept[:, 20].all()
    assert not kept[31:37, 3:11].any()
    assert not (kept & ~bad).any()


@pytest.mark.parametrize(
    ("dark", "light", "fault"),
    [
        ("RGGB", "RGGB", None),
        (None, "RGGB", None),
        ("RGGB", None, None),
        (None, None, None),
        ("RGGB", "GBRG", "the colour filter array of the dark is RGGB instead of GBRG"),
        (None, "CYGM", "colour filter array 'CYGM': only 2x2 patterns, such as RGGB, and X-Trans are supported"),
    ],
)
def test_lights_are_mended_if_the_colours_of_their_pixels_are_known(
    dark: str | None, light: str | None, fault: str | None
) -> None:
    found = BadPixels(Path("dark.fits"), np.zeros(SHAPE, bool), replace(setup_of({}), mosaic=dark))
    assert filter_array_fault(found, light) == fault
