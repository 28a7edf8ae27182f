"""Files with several images."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import open_image, read_image_header

SENSOR = np.arange(8 * 12, dtype=np.uint16).reshape(8, 12) + 40_000


def amplifiers(folder: Path, *, packed: bool = False, sections: bool = True) -> Path:
    """Write a sensor as two amplifiers; the right one is read from the right, with a strip of overscan at its end."""
    halves = [
        (SENSOR[:, :6], "[1:6,1:8]"),
        (np.hstack([SENSOR[:, :5:-1], np.full((8, 2), 300, np.uint16)]), "[12:7,1:8]"),
    ]
    first = fits.PrimaryHDU()
    first.header["IMAGETYP"] = "Bias"
    units: list[Any] = [first]
    for number, (pixels, place) in enumerate(halves):
        unit = fits.CompImageHDU(pixels) if packed else fits.ImageHDU(pixels, name=f"AMP{number}")
        if sections:
            unit.header["DETSEC"] = place
            unit.header["DATASEC"] = "[1:6,1:8]"
        units.append(unit)
    path = folder / "amplifiers.fits"
    fits.HDUList(units).writeto(path)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_several_images_is_refused_with_their_number(tmp_path: Path, *, packed: bool) -> None:
    path = amplifiers(tmp_path, packed=packed)
    with pytest.raises(FrameFileError, match=r"holds 2 images \(HDU 1, 2\): .* take one with --extension N"):
        open_image(path, tmp_path)
    with pytest.raises(FrameFileError, match="holds 2 images"):
        read_image_header(path)


@pytest.mark.parametrize("packed", [False, True])
def test_one_of_several_images_is_opened(tmp_path: Path, *, packed: bool) -> None:
    path = amplifiers(tmp_path, packed=packed)
    image = open_image(path, tmp_path, 2)
    assert (image.shape, image.header["IMAGETYP"]) == ((8, 8), "Bias")
    np.testing.assert_array_equal(image.pixels()[:, :6], SENSOR[:, :5:-1])
    assert read_image_header(path, 2)["NAXIS1"] == 8


def test_a_missing_image_is_refused_with_those_present(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="HDU 3 is not an image; HDUs with an image: 1, 2"):
        open_image(amplifiers(tmp_path), tmp_path, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_amplifiers_are_assembled_by_their_places(tmp_path: Path, *, packed: bool) -> None:
    path = amplifiers(tmp_path, packed=packed)
    image = open_image(path, tmp_path, "mosaic")
    np.testing.assert_array_equal(image.pixels(), SENSOR)
    assert "DATASEC" not in image.header
    header = read_image_header(path, "mosaic")
    assert (header["NAXIS1"], header["NAXIS2"]) == (12, 8)


def test_a_mosaic_needs_the_places_of_its_images(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="have no DETSEC or CCDSEC"):
        open_image(amplifiers(tmp_path, sections=False), tmp_path, "mosaic")


def test_places_that_leave_a_gap_give_no_mosaic(tmp_path: Path) -> None:
    path = amplifiers(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"[12:7,1:8]", b"[14:9,1:8]"))
    with pytest.raises(FrameFileError, match="leave gaps"):
        open_image(path, tmp_path, "mosaic")


def test_a_compressed_file_of_several_images_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "amplifiers.fits.gz"
    path.write_bytes(gzip.compress(amplifiers(tmp_path).read_bytes()))
    with pytest.raises(FrameFileError, match="holds 2 images"):
        open_image(path, tmp_path)
    np.testing.assert_array_equal(open_image(path, tmp_path, 1).pixels(), SENSOR[:, :6])


def test_one_image_among_tables_needs_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "with-table.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(SENSOR), table]).writeto(path)
    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), SENSOR)
