"""Reading plain, compressed and broken images of other programs."""

import gzip
import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files import unpacking
from coldframe.calibration.files.headers.file_error import FrameFileError
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
        (HUGE, "truncated: 100000 x 100000 pixels need 20000000000 bytes, but the file has 0"),
        (gzip.compress(HUGE, mtime=0), "announces .*"),
        (
            gzip.compress(header("SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 9", "NAXIS2  = 9"), mtime=0),
            "truncated",
        ),
        (gzip.compress(HUGE, mtime=0)[:60], "truncated or damaged"),
        (CUBE, "not a valid two-dimensional image: NAXIS 3"),
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


def compressed(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    header = fits.Header([("IMAGETYP", "Dark Frame")])
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header, **options)]).writeto(path)
    return path


def with_card(path: Path, keyword: str, value: str) -> Path:
    """Replace the value of a card's first occurrence, even if this makes the file invalid."""
    content = path.read_bytes()
    start = content.index(f"{keyword:<8}=".encode())
    path.write_bytes(content[:start] + f"{keyword:<8}= {value:>20}".encode().ljust(80) + content[start + 80 :])
    return path


@pytest.mark.parametrize(("tile", "rows"), [((1, 32), 256), ((5, 7), 255), ((300, 32), 300), ((700, 32), 700)])
def test_whole_tiles_are_unpacked_so_that_each_is_unpacked_once(
    tile: tuple[int, int], rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (700, 32)).astype(np.uint16)
    path = compressed(tmp_path / "a.fits.fz", pixels, compression_type="GZIP_1", tile_shape=tile)
    answer = Mock(side_effect=unpacking.ask_server)
    monkeypatch.setattr(unpacking, "ask_server", answer)
    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), pixels)
    assert json.loads(answer.call_args.args[0])["rows"] == rows


def test_a_tile_that_unpacks_to_more_than_the_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "BASE_BYTES", 64 << 20)
    pixels = np.random.default_rng(1).integers(0, 65536, (300, 512)).astype(np.uint16)
    path = compressed(tmp_path / "a.fits.fz", pixels, compression_type="GZIP_1", tile_shape=(300, 512))
    content, bomb = path.read_bytes(), gzip.compress(bytes(200 << 20), 1)
    start = content.index(b"\x1f\x8b\x08")
    path.write_bytes(content[:start] + bomb + content[start + len(bomb) :])
    with pytest.raises(FrameFileError, match="needs more memory than is available"):
        open_image(path, tmp_path)


def test_images_are_unpacked_after_the_process_that_unpacks_was_killed(tmp_path: Path) -> None:
    path = compressed(tmp_path / "a.fits.fz", noise(1))
    open_image(path, tmp_path)
    server = unpacking.server_of(os.getpid())
    server.kill()
    server.wait()
    with pytest.raises(FrameFileError, match="try again"):
        open_image(path, tmp_path)
    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), noise(1))


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("ZNAXIS1", "99999999", "announces 99999999 x 24 pixels, more than any camera has"),
        ("ZNAXIS1", "9999999", "9999999 x 24 pixels cannot come from"),
        ("ZNAXIS1", "300", "table of 24 rows does not describe 240 tiles"),
        ("ZTILE1", "0", "ZTILE1 is 0, not a positive integer"),
        ("TFIELDS", "99999999", "the header of HDU 1 is not valid"),
        ("ZCMPTYPE", "'RICE_TWO'", "damaged: "),
        ("ZCMPTYPE", "3", "damaged: "),
        ("TFORM1", "'1QB(7)'", "damaged: "),
        ("PCOUNT", "-5", "damaged: |truncated"),
    ],
)
def test_a_compressed_file_with_a_damaged_header_is_refused(
    keyword: str, value: str, message: str, tmp_path: Path
) -> None:
    path = with_card(compressed(tmp_path / "a.fits.fz", noise(1), tile_shape=(1, 32)), keyword, value)
    with pytest.raises(FrameFileError, match=message) as raised:
        open_image(path, tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("dtype", "cards", "message"),
    [
        ("f8", {}, "exceed the range of 32-bit floats"),
        ("f4", {"BSCALE": 1e10}, "exceed the range of 32-bit floats"),
        ("i2", {"BSCALE": 1e300}, "exceed the range of 32-bit floats"),
        ("i4", {"BZERO": -1e39}, "exceed the range of 32-bit floats"),
        ("f8", {"BSCALE": 1e306}, "not numbers"),
    ],
)
def test_values_beyond_32_bit_floats_are_refused(
    dtype: str, cards: dict[str, float], message: str, tmp_path: Path
) -> None:
    pixels = np.full(SHAPE, 1e38 if dtype == "f4" else 1000).astype(dtype)
    if not cards:
        pixels[3, 4] = 3.5e38
    path = save(tmp_path / "a.fits", pixels)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as units:
        units[0].header.update(cards)
    with pytest.raises(FrameFileError, match=message):
        open_image(path, tmp_path)


def test_a_long_header_walk_in_a_damaged_file_ends(tmp_path: Path) -> None:
    backwards = header("XTENSION= 'IMAGE   '", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 0", "PCOUNT  = -2880")
    path = tmp_path / "a.fits"
    path.write_bytes(header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0") + backwards)
    with pytest.raises(FrameFileError, match="the header of HDU 1 is not valid FITS"):
        open_image(path, tmp_path)


def test_nan_is_refused(tmp_path: Path) -> None:
    pixels = noise(1).astype(np.float32)
    pixels[20, 7] = np.nan
    with pytest.raises(FrameFileError, match="not numbers"):
        open_image(save(tmp_path / "nan.fits", pixels), tmp_path)
