"""Each damaged file gives a result or a `FrameFileError` of one line, without a warning, a crash or a hang."""

import gzip
import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_master
from coldframe.capture.monitoring.report.pixels import summarise
from coldframe.cli.inspection import inspect_file
from tests.fuzzing.engine import Act, run
from tests.fuzzing.mutations import fits_inputs

COUNTS = {"tiles": 300, "gzip": 400, "plain": 600, "several-images": 100, "master": 400}
"""Number of files in the fast suite; the long suite reads a hundred times as many."""

PIXELS = np.random.default_rng(1).integers(900, 1100, (24, 30)).astype(np.uint16)
TOKENS = (b"ZTILE1  =", b"NAXIS   =", b"NAXIS1  =", b"TFORM1  = '1QB", b"PCOUNT  =", b"BSCALE  =", b"XTENSION=")


def file_of(*units: object) -> bytes:
    fits.HDUList(list(units)).writeto(content := io.BytesIO())
    return content.getvalue()


def in_tiles(pixels: NDArray[np.generic], kind: str, tile: tuple[int, int] = (1, 30)) -> bytes:
    cards = fits.Header([("IMAGETYP", "Dark Frame"), ("EXPTIME", 3.0)])
    return file_of(fits.PrimaryHDU(), fits.CompImageHDU(pixels, cards, compression_type=kind, tile_shape=tile))


def one_line(read: Callable[[], object]) -> None:
    """Call a reader; a fault must be text on one line that cannot act on a terminal."""
    try:
        read()
    except FrameFileError as error:
        assert str(error).isprintable(), str(error)  # noqa: PT017 - readers may also succeed


def shown(opened: ImageFile) -> None:
    summarise(opened, 60)
    assert np.isfinite(opened.pixels()).all()


def image(text: bytes, _chance: random.Random, place: Path) -> None:
    path = place / "image.fits"
    path.write_bytes(text)
    one_line(lambda: read_image_header(path))
    one_line(lambda: shown(open_image(path, place)))
    for copy in place.glob("tmp*"):
        copy.unlink()


def packed(text: bytes, chance: random.Random, place: Path) -> None:
    content = bytearray(gzip.compress(text, compresslevel=1, mtime=0))
    if chance.random() < 0.5:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    image(bytes(content), chance, place)


def several_images(text: bytes, chance: random.Random, place: Path) -> None:
    image(text, chance, place)
    one_line(lambda: open_image(place / "image.fits", place, 1))
    one_line(lambda: open_image(place / "image.fits", place, "mosaic"))
    for copy in place.glob("tmp*"):
        copy.unlink()


def master(text: bytes, chance: random.Random, place: Path) -> None:
    path = place / "master.fits"
    path.write_bytes(text)
    one_line(lambda: read_master(path))
    assert (integrity_fault(path) or "").isprintable()
    if chance.random() < 0.1:  # drawing takes longest
        inspect_file(path, None)


FILES: dict[str, tuple[Act, list[bytes]]] = {
    "tiles": (
        image,
        [
            in_tiles(PIXELS, "RICE_1"),
            in_tiles(PIXELS, "GZIP_1", (24, 30)),
            in_tiles(PIXELS, "GZIP_2"),
            in_tiles(PIXELS, "HCOMPRESS_1", (8, 30)),
            in_tiles((PIXELS % 50).astype(np.int16), "PLIO_1"),
            in_tiles(PIXELS.astype(np.float32), "RICE_1"),
        ],
    ),
    "gzip": (packed, [file_of(fits.PrimaryHDU(PIXELS))]),
    "plain": (
        image,
        [file_of(fits.PrimaryHDU(PIXELS.astype(kind))) for kind in (np.uint16, np.int32, np.float32, np.float64)],
    ),
    "several-images": (
        several_images,
        [
            file_of(
                fits.PrimaryHDU(),
                fits.ImageHDU(PIXELS, fits.Header([("DETSEC", "[1:30,1:24]")])),
                fits.ImageHDU(PIXELS, fits.Header([("DETSEC", "[60:31,1:24]")])),
            )
        ],
    ),
    "master": (
        master,
        [
            file_of(
                fits.PrimaryHDU(PIXELS.astype(np.float32), fits.Header([("IMAGETYP", "Master Dark"), ("STACKCNT", 9)])),
                fits.ImageHDU(np.ones(PIXELS.shape, np.float32), name="UNCERT"),
                fits.ImageHDU(PIXELS % 9, name="COUNTS"),
                fits.ImageHDU((PIXELS % 2).astype(np.uint8), name="MASK"),
            )
        ],
    ),
}


def fuzz(kind: str, count: int, seed: int, place: Path) -> None:
    act, valid = FILES[kind]
    run(act, fits_inputs(seed, count, valid, TOKENS), valid, f"{kind}, seed {seed}", place)


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_end_in_one_line(kind: str, tmp_path: Path) -> None:
    fuzz(kind, COUNTS[kind], 2026, tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize("kind", COUNTS)
def test_many_damaged_files_end_in_one_line(kind: str, tmp_path: Path) -> None:
    fuzz(kind, 100 * COUNTS[kind], random.SystemRandom().randrange(1 << 32), tmp_path)
