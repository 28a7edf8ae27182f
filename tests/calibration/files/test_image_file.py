"""Reading plain, compressed and broken images of other programs."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import open_image
from tests.calibration.combining.raw_files import DARK, SHAPE, noise, save


def header(*cards: str) -> bytes:
    return "".join(card.ljust(80) for card in (*cards, "END")).ljust(2880).encode()


HUGE = header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 100000", "NAXIS2  = 100000", "BZERO   = 32768")
CUBE = header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 3", "NAXIS1  = 4", "NAXIS2  = 4", "NAXIS3  = 3")
ODD = header("SIMPLE  = T", "BITPIX  = 12", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4")


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("form", ["plain", "gzip", "tiles"])
def test_every_type_of_pixel_is_read(dtype: str, form: str, tmp_path: Path) -> None:
    pixels = (noise(1) % 200).astype(dtype)
    path = save(tmp_path / "a.fits", pixels, **DARK)
    if form == "gzip":
        packed = tmp_path / "a.fits.gz"
        packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = packed
    elif form == "tiles":
        path = tmp_path / "a.fits.fz"
        compressed = fits.CompImageHDU(
            pixels, fits.Header([("EXPTIME", 300.0)]), compression_type="GZIP_1", quantize_level=0
        )
        fits.HDUList([fits.PrimaryHDU(), compressed]).writeto(path)
    image = open_image(path, tmp_path)
    assert image.shape == SHAPE
    assert image.header["EXPTIME"] == 300.0
    np.testing.assert_array_equal(image.rows(0, SHAPE[0]), pixels)
    places = np.array([0, 7, 401, pixels.size - 1])
    if dtype in {"u1", "i2", "u2"}:
        np.testing.assert_array_equal(image.values(places), pixels.reshape(-1)[places])
    assert image.path == path


def test_an_image_after_an_empty_hdu_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    first = fits.PrimaryHDU(header=fits.Header([("INSTRUME", "fa01")]))
    fits.HDUList([first, fits.ImageHDU(noise(2), fits.Header([("EXPTIME", 5.0)]))]).writeto(path)
    image = open_image(path, tmp_path)
    np.testing.assert_array_equal(image.rows(0, SHAPE[0]), noise(2))
    assert (image.header["INSTRUME"], image.header["EXPTIME"]) == ("fa01", 5.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"GIF89a" * 100, "not a FITS file"),
        (HUGE, "truncated: 100000 x 100000 pixels need 20000000000 bytes, the file has 0"),
        (gzip.compress(HUGE, mtime=0), "truncated: 100000 x 100000 pixels"),
        (
            gzip.compress(header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 9", "NAXIS2  = 9"), mtime=0),
            "truncated",
        ),
        (gzip.compress(HUGE, mtime=0)[:60], "truncated or damaged"),
        (CUBE, "not a plane image: NAXIS 3"),
        (ODD, "BITPIX 12"),
        (header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"), "does not end"),
    ],
)
def test_broken_files_are_refused_with_the_reason(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)
    with pytest.raises(FrameFileError, match=message) as raised:
        open_image(path, tmp_path)
    assert raised.value.path == path


def test_nan_is_refused(tmp_path: Path) -> None:
    pixels = noise(1).astype(np.float32)
    pixels[20, 7] = np.nan
    with pytest.raises(FrameFileError, match="not numbers"):
        open_image(save(tmp_path / "nan.fits", pixels), tmp_path)
