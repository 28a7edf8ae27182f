from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import extension_pieces, primary_pieces
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_adu_master, read_master

SHAPE = (13, 21)
RNG = np.random.default_rng(1)
MEAN = RNG.normal(500, 3, SHAPE).astype(np.float32)
UNCERT = RNG.uniform(1, 2, SHAPE).astype(np.float32)
COUNTS = RNG.integers(40000, 60000, SHAPE).astype(np.uint16)
MASK = RNG.integers(0, 2, SHAPE).astype(np.uint8)


def written(path: Path, *extensions: tuple[str, NDArray[np.float32 | np.uint16 | np.uint8]]) -> Path:
    parts = [primary_pieces(MEAN, [Card("IMAGETYP", "Master Dark")])]
    parts += [extension_pieces(name, plane, []) for name, plane in extensions]
    write_durably(path, [buffer for part in parts for buffer in part])
    return path


def test_masters_are_read_back_as_written(tmp_path: Path) -> None:
    path = written(tmp_path / "m.fits", ("UNCERT", UNCERT), ("COUNTS", COUNTS), ("MASK", MASK), ("OTHER", COUNTS))
    planes = read_master(path)
    np.testing.assert_array_equal(planes.mean, MEAN)
    np.testing.assert_array_equal(planes.uncertainty, UNCERT)
    np.testing.assert_allclose(planes.frame_variance, UNCERT.astype(float) ** 2 * COUNTS, rtol=1e-6)
    assert planes.masked is not None
    np.testing.assert_array_equal(planes.masked, MASK == 1)
    assert planes.header["IMAGETYP"] == "Master Dark"
    assert integrity_fault(path) is None


def test_a_bare_image_of_another_program_counts_as_a_master(tmp_path: Path) -> None:
    for dtype in (np.float32, np.float64, np.int16, np.uint16, np.int32, np.uint8):
        path = tmp_path / f"{np.dtype(dtype).name}.fits"
        data = np.arange(12, dtype=dtype).reshape(3, 4)
        fits.writeto(path, data, checksum=True)
        planes = read_master(path)
        np.testing.assert_array_equal(planes.mean, data)
        assert (planes.uncertainty == 0).all()
        assert planes.masked is None
        assert integrity_fault(path) is None


def test_the_unknown_scatter_of_single_frames_counts_as_zero(tmp_path: Path) -> None:
    unknown = np.full(SHAPE, np.nan, np.float32)
    planes = read_master(written(tmp_path / "m.fits", ("UNCERT", unknown), ("COUNTS", np.ones(SHAPE, np.uint16))))
    assert (planes.uncertainty == 0).all()
    assert (planes.frame_variance == 0).all()


def test_a_master_with_nan_is_refused(tmp_path: Path) -> None:
    holes = MEAN.copy()
    holes[2, 3] = np.nan
    fits.writeto(tmp_path / "m.fits", holes)
    with pytest.raises(FrameFileError, match="not numbers"):
        read_master(tmp_path / "m.fits")


def test_extensions_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="size"):
        read_master(written(tmp_path / "m.fits", ("UNCERT", UNCERT[:5])))


@pytest.mark.parametrize("length", [0, 100, 2880, 4000, -2880, -1])
def test_truncated_files_are_refused(tmp_path: Path, length: int) -> None:
    path = written(tmp_path / "m.fits", ("UNCERT", UNCERT))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FrameFileError):
        read_master(path)
    assert integrity_fault(path) is not None


def test_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="No such file"):
        read_master(tmp_path / "missing.fits")
    assert integrity_fault(tmp_path / "missing.fits") == "No such file or directory"


def test_a_header_that_claims_too_much_is_refused_without_allocating(tmp_path: Path) -> None:
    path = written(tmp_path / "m.fits")
    content = path.read_bytes().replace(b"NAXIS1  =                   21", b"NAXIS1  =           9999999999")
    path.write_bytes(content)
    with pytest.raises(FrameFileError, match="truncated"):
        read_master(path)


@pytest.mark.parametrize("place", [1000, 2900, 6000, 9000])
def test_a_changed_byte_is_found(tmp_path: Path, place: int) -> None:
    path = written(tmp_path / "m.fits", ("UNCERT", UNCERT))
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    assert integrity_fault(path) is not None


def test_files_without_checksums_are_reported(tmp_path: Path) -> None:
    fits.writeto(tmp_path / "m.fits", MEAN)
    assert integrity_fault(tmp_path / "m.fits") == "image 1: it has no CHECKSUM"


@pytest.mark.parametrize(("cards", "refused"), [({}, True), ({"CALSTAT": "B"}, False), ({"OVERSCAN": "row"}, False)])
def test_fractions_of_the_full_range_are_not_adu(tmp_path: Path, cards: dict[str, str], refused: bool) -> None:  # noqa: FBT001
    fits.writeto(tmp_path / "m.fits", MEAN / 65535, fits.Header(cards))
    with pytest.raises(FrameFileError, match="not in ADU") if refused else nullcontext():
        read_adu_master(tmp_path / "m.fits")


def test_extensions_after_a_table_are_read(tmp_path: Path) -> None:
    strings = fits.Column("names", "PA()", array=np.array(["one" * 999, "three" * 999], dtype=object))
    units = [fits.PrimaryHDU(MEAN), fits.BinTableHDU.from_columns([strings]), fits.ImageHDU(UNCERT, name="UNCERT")]
    fits.HDUList(units).writeto(tmp_path / "m.fits")
    assert fits.getheader(tmp_path / "m.fits", 1)["PCOUNT"] == 8 * 999
    np.testing.assert_array_equal(read_master(tmp_path / "m.fits").uncertainty, UNCERT)


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("BZERO", "'abc'", "BZERO = 'abc' is not a number"),
        ("BSCALE", "T", "BSCALE = True is not a number"),
        ("BSCALE", "1E39", "exceed the range of 32-bit floats"),
        ("GCOUNT", "'one'", "GCOUNT one: not valid"),
        ("GCOUNT", "2", "GCOUNT 2: not valid"),
        ("PCOUNT", "'none'", "PCOUNT none"),
    ],
)
def test_structural_cards_with_wrong_values_are_refused(keyword: str, value: str, message: str, tmp_path: Path) -> None:
    card = f"{keyword:<8}= {value:>20}".encode().ljust(80)
    path = tmp_path / "master.fits"
    content = b"".join(primary_pieces(np.ones((4, 5), np.float32), []))
    path.write_bytes(content.replace(content[content.index(b"EXTEND") :][:80], card, 1))
    with pytest.raises(FrameFileError, match=message):
        read_master(path)


def test_float64_values_beyond_float32_are_refused(tmp_path: Path) -> None:
    pixels = np.ones((4, 5))
    pixels[1, 2] = 1e39
    fits.PrimaryHDU(pixels).writeto(tmp_path / "master.fits")
    with pytest.raises(FrameFileError, match="exceed the range of 32-bit floats"):
        read_master(tmp_path / "master.fits")


@pytest.mark.parametrize("name", ["UNCERT", "COUNTS"])
def test_infinite_values_in_extensions_are_refused(name: str, tmp_path: Path) -> None:
    mean = np.ones((4, 5), np.float32)
    planes = {"UNCERT": mean.copy(), "COUNTS": mean.copy()}
    planes[name][2, 3] = np.inf
    extensions = [extension_pieces(key, plane, []) for key, plane in planes.items()]
    (tmp_path / "master.fits").write_bytes(b"".join(chain(primary_pieces(mean, []), *extensions)))
    with pytest.raises(FrameFileError, match="values in its extensions"):
        read_master(tmp_path / "master.fits")
