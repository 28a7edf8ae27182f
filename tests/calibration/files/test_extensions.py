"""Files with several images."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import open_image

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


def test_a_mosaic_with_a_hole_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "three.fits"
    units: list[Any] = [fits.PrimaryHDU()]
    for place in ("[1:4,1:8]", "[1:4,1:8]", "[9:12,1:8]"):
        unit = fits.ImageHDU(SENSOR[:, :4])
        unit.header["DETSEC"] = place
        units.append(unit)
    fits.HDUList(units).writeto(path)
    with pytest.raises(FrameFileError, match="overlap"):
        open_image(path, tmp_path, "mosaic")


def test_binned_amplifiers_have_places_in_unbinned_pixels(tmp_path: Path) -> None:
    path = tmp_path / "binned.fits"
    units: list[Any] = [fits.PrimaryHDU()]
    for pixels, place in ((SENSOR[:, :6], "[1:12,1:16]"), (SENSOR[:, 6:], "[13:24,1:16]")):
        unit = fits.ImageHDU(pixels)
        unit.header["DETSEC"], unit.header["CCDSUM"] = place, "2 2"
        units.append(unit)
    fits.HDUList(units).writeto(path)
    np.testing.assert_array_equal(open_image(path, tmp_path, "mosaic").pixels(), SENSOR)


def test_an_image_in_the_first_unit_and_another_are_two_images(tmp_path: Path) -> None:
    path = tmp_path / "two.fits"
    fits.HDUList([fits.PrimaryHDU(SENSOR), fits.ImageHDU(SENSOR + 1)]).writeto(path)
    with pytest.raises(FrameFileError, match=r"holds 2 images \(HDU 0, 1\)"):
        open_image(path, tmp_path)
    companions = tmp_path / "uncertain.fits"
    fits.HDUList([fits.PrimaryHDU(SENSOR), fits.ImageHDU(SENSOR, name="UNCERT")]).writeto(companions)
    np.testing.assert_array_equal(open_image(companions, tmp_path).pixels(), SENSOR)


def test_the_scale_of_the_first_unit_is_not_that_of_an_extension(tmp_path: Path) -> None:
    path = tmp_path / "scaled.fits"
    first = fits.PrimaryHDU()
    fits.HDUList([first, fits.ImageHDU(np.full((8, 12), 1000, np.int16))]).writeto(path)
    content = path.read_bytes()
    end = content.index(b"END" + b" " * 77)
    cards = b"BZERO   =                32768".ljust(80)
    path.write_bytes(content[:end] + cards + content[end : end + 2880 - end - 80] + content[2880:])
    assert (open_image(path, tmp_path).pixels() == 1000).all()


@pytest.mark.parametrize("length", [b"-2880", b"1" + b"0" * 30])
def test_impossible_lengths_end_the_reading(tmp_path: Path, length: bytes) -> None:
    path = amplifiers(tmp_path)
    content = path.read_bytes()
    at = content.index(b"NAXIS1  =", 2880)
    path.write_bytes(
        content[:at] + b"NAXIS1  = " + length.rjust(20 if len(length) < 20 else 31).ljust(70) + content[at + 80 :]
    )
    with pytest.raises(FrameFileError):
        open_image(path, tmp_path)


def test_one_image_among_tables_needs_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "with-table.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(SENSOR), table]).writeto(path)
    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), SENSOR)
