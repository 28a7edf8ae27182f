import io
import mmap
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from coldframe.calibration.files.cards import (
    Card,
    GarbledValue,
    HeaderValue,
    ascii_text,
    checksum_text,
    format_card,
    parse_cards,
)
from coldframe.calibration.files.frame_file import (
    FrameEncoder,
    extension_pieces,
    parse,
    primary_pieces,
    read_frame,
    read_header,
    read_pixels,
)
from coldframe.calibration.files.headers.file_error import FrameFileError

planes = hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=60))
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
header_values = st.one_of(
    # Astropy takes a quote before a slash for the end of the string.
    printable.map(str.rstrip).filter(lambda text: "'/" not in text.replace(" ", "")),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
keywords = st.from_regex(r"X[A-Z0-9_-]{1,6}", fullmatch=True)


def written(pixels: NDArray[np.uint16], cards: list[Card] | None = None) -> bytes:
    header, data = FrameEncoder().encode(pixels, cards or [])
    return header + bytes(data)


def foreign(pixels: NDArray[np.generic], **cards: HeaderValue) -> bytes:
    """Return a file as astropy writes it."""
    file = io.BytesIO()
    hdu = fits.PrimaryHDU(pixels)
    hdu.header.update(cards)
    hdu.writeto(file)
    return file.getvalue()


def changed(keyword: str, value: object, other: str) -> bytes:
    """Return a good file with one value of its header replaced."""
    good, bad = (f"{keyword:<8}= {text:>20}".encode() for text in (str(value), other))
    content = written(np.zeros((9, 9), np.uint16))
    assert content.count(good) == 1
    return content.replace(good, bad)


def verified(path: Path) -> str:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian package fitsverify)")
    return subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True, check=False).stdout


def same(found: HeaderValue, wanted: HeaderValue) -> bool:
    return type(found) is type(wanted) and found == wanted


@given(planes, st.dictionaries(keywords, header_values, max_size=8))
@settings(max_examples=100, deadline=None)
def test_written_frames_are_read_back_here_and_in_astropy(
    pixels: NDArray[np.uint16], values: dict[str, HeaderValue]
) -> None:
    content = written(pixels, [Card(keyword, value, "a comment") for keyword, value in values.items()])
    assert len(content) % 2880 == 0
    found, header = parse(content)
    np.testing.assert_array_equal(found, pixels)
    assert header.keys() == values.keys()
    assert all(same(header[keyword], value) for keyword, value in values.items())
    # With checksum=True astropy warns of a wrong CHECKSUM or DATASUM, which fails the test.
    with fits.open(io.BytesIO(content), checksum=True) as file:
        np.testing.assert_array_equal(file[0].data, pixels)
        for keyword, value in values.items():
            assert file[0].header[keyword] == value


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 1441), (640, 960)])
def test_files_pass_fitsverify(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, shape).astype(np.uint16)
    cards = [
        Card("EXPTIME", 0.1 + 0.2, "[s] " + "long " * 20),
        Card("GAIN", 100),
        Card("FILTER", "H\N{GREEK SMALL LETTER ALPHA}"),
        Card("QUOTES", "'" * 150),
        Card("LONG", "words and more " * 15, "of several cards"),
        Card("TINY", -5e-324),
        Card("LARGE", 1e22),
        Card("FLAG", False),
    ]
    path = tmp_path / "a.fits"
    path.write_bytes(written(pixels, cards))
    assert "verification OK" in verified(path)
    np.testing.assert_array_equal(read_pixels(path), pixels)
    header = read_header(path)
    assert header["NAXIS1"] == shape[1]
    assert header["EXPTIME"] == 0.1 + 0.2
    assert header["FILTER"] == "Halpha"
    assert header["QUOTES"] == "'" * 150


def test_masters_with_extensions_pass_fitsverify(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    mean = rng.normal(500, 3, (41, 33)).astype(np.float32)
    counts = rng.integers(0, 65536, (41, 33)).astype(np.uint16)
    mask = rng.integers(0, 2, (41, 33)).astype(np.uint8)
    parts = [
        primary_pieces(mean, [Card("BUNIT", "adu")]),
        extension_pieces("UNCERT", mean[::-1], []),
        extension_pieces("COUNTS", counts, []),
        extension_pieces("MASK", mask, []),
    ]
    path = tmp_path / "a.fits"
    path.write_bytes(b"".join(bytes(buffer) for part in parts for buffer in part))
    assert "verification OK" in verified(path)
    with fits.open(path, checksum=True) as file:
        np.testing.assert_array_equal(file[0].data, mean)
        np.testing.assert_array_equal(file["UNCERT"].data, mean[::-1])
        np.testing.assert_array_equal(file["COUNTS"].data, counts)
        np.testing.assert_array_equal(file["MASK"].data, mask)


def test_one_encoder_writes_many_frames() -> None:
    encoder, rng = FrameEncoder(), np.random.default_rng(2)
    for shape in [(30, 40), (30, 40), (3, 5), (35, 41), (40, 30)]:
        pixels = rng.integers(0, 65536, shape).astype(np.uint16)
        header, data = encoder.encode(pixels, [])
        assert header + bytes(data) == written(pixels)


def test_structural_cards_cannot_be_overridden() -> None:
    with pytest.raises(ValueError, match="BITPIX, NAXIS1"):
        written(np.zeros((2, 2), np.uint16), [Card("NAXIS1", 7), Card("BITPIX", 8)])


@pytest.mark.parametrize(
    "card", [Card("TOOLONGKEY", 1), Card("lower", 1), Card("", 1), Card("X", float("nan")), Card("X", float("inf"))]
)
def test_values_that_fits_cannot_hold_are_refused(card: Card) -> None:
    with pytest.raises(ValueError, match="FITS"):
        format_card(card)


def test_text_becomes_ascii() -> None:
    assert ascii_text("H\u03b1 H\u03b2 \u03a9 caf\u00e9 5\u00b5m \u65e5") == "Halpha Hbeta Omega cafe 5mum U65E5"
    assert ascii_text("a\nb\tc\0") == "a?b?c?"


def test_values_of_other_programs_are_parsed() -> None:
    cards = [
        "EXPTIME =                  300",
        "GAIN    = 1.5D+02 / double",
        "FILTER  = 'O''III   ' / it's",
        "EMPTY   = ''",
        "BLANK   = / nothing",
        "SWAPPED =T",
        "COOLED  = T",
        "GAIN    = 7",
        "COMPLEX = (1, 2)",
        "HUGE    = 1E999",
        "UNENDED = 'abc",
        "COMMENT = 5",
    ]
    found = parse_cards(cards)
    garbled = {keyword: str(value) for keyword, value in found.items() if isinstance(value, GarbledValue)}
    assert garbled == {"COMPLEX": "(1, 2)", "HUGE": "1E999", "UNENDED": "'abc"}
    read = {keyword: value for keyword, value in found.items() if keyword not in garbled}
    assert read == {"EXPTIME": 300, "GAIN": 150.0, "FILTER": "O'III", "EMPTY": "", "COOLED": True, "COMMENT": 5}


@given(st.integers(0, 0xFFFFFFFF))
def test_checksums_are_alphanumeric_and_add_up(complement: int) -> None:
    text = checksum_text(complement)
    assert len(text) == 16
    assert text.isalnum()
    assert text.isascii()
    turned = text[1:] + text[0]
    words = sum(int.from_bytes(turned[i : i + 4].encode()) - 0x30303030 for i in range(0, 16, 4))
    assert words == complement


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_frames_of_other_programs_are_read(dtype: type[np.generic]) -> None:
    pixels = np.random.default_rng(3).integers(0, 200, (31, 17)).astype(dtype)
    found, header = parse(foreign(pixels, GAIN=5))
    np.testing.assert_array_equal(found, pixels)
    assert found.dtype == np.uint16
    assert header == {"GAIN": 5}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_read(kind: type[bytes]) -> None:
    pixels = np.arange(35, dtype=np.uint16).reshape(5, 7)
    np.testing.assert_array_equal(parse(kind(written(pixels)))[0], pixels)


def test_unaligned_and_mapped_buffers_are_read() -> None:
    pixels = np.arange(35, dtype=np.uint16).reshape(5, 7)
    content = written(pixels)
    np.testing.assert_array_equal(parse(memoryview(b"x" + content)[1:])[0], pixels)
    with mmap.mmap(-1, len(content)) as mapped, memoryview(mapped) as view:
        view[:] = content
        np.testing.assert_array_equal(parse(view)[0], pixels)


def test_padding_may_be_missing_or_odd() -> None:
    pixels = np.arange(35, dtype=np.uint16).reshape(5, 7)
    content = written(pixels)
    for odd in (content[: 2880 + 70], content + b"stray", content[: 2880 + 70] + b"\xff" * 11):
        np.testing.assert_array_equal(parse(odd)[0], pixels)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "does not end"),
        (b"<html>" + b" " * 3000, "SIMPLE"),
        (foreign(np.zeros((4, 4), np.float32)), "BITPIX -32"),
        (foreign(np.zeros((4, 4), np.int32)), "BITPIX 32"),
        (foreign(np.zeros((2, 4, 4), np.uint16)), "NAXIS 3"),
        (foreign(np.zeros(4, np.uint16)), "NAXIS2 must be an integer, but is missing"),
        (foreign(np.full((4, 4), -1, np.int16)), "below zero"),
        (written(np.zeros((99, 99), np.uint16))[:10000], "truncated"),
        (written(np.zeros((99, 99), np.uint16))[:500], "does not end"),
        (changed("NAXIS1", 9, "1000000000000000000 "), "truncated"),
        (changed("NAXIS1", 9, "-9"), "not a valid two-dimensional image"),
        (changed("NAXIS1", 9, "'a'"), "NAXIS1 must be an integer, but is 'a'"),
        (changed("BSCALE", 1, "2"), "BSCALE 2"),
        (changed("SIMPLE", "T", "F"), "not T"),
    ],
)
def test_other_content_is_refused_with_the_reason(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(FrameFileError, match=what):
        parse(content)
    path = tmp_path / "a.fits"
    path.write_bytes(content)
    with pytest.raises(FrameFileError) as caught:
        read_frame(path)
    assert caught.value.path == path


def test_a_header_without_end_is_refused_quickly() -> None:
    endless = b"SIMPLE  =                    T".ljust(80) + b"KEY     =                    1".ljust(80) * 3_000_000
    began_s = time.thread_time()  # which does not depend on what else the machine does
    with pytest.raises(FrameFileError, match="does not end within 2880000 bytes"):
        parse(endless)
    assert time.thread_time() - began_s < 1


GOOD = written(np.arange(600, dtype=np.uint16).reshape(20, 30), [Card("FILTER", "L"), Card("LONG", "x" * 100)])


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=40)), max_size=6), st.data())
@settings(max_examples=300, deadline=None)
def test_hostile_bytes_raise_only_frame_file_error(changes: list[tuple[int, bytes]], data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for place, patch in changes:
        content[place : place + len(patch)] = patch
    try:
        pixels, _ = parse(content[: data.draw(st.integers(0, len(content)))])
    except FrameFileError:
        return
    assert pixels.nbytes <= 2 * len(content)


@given(st.binary(max_size=6000))
@settings(max_examples=100, deadline=None)
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(FrameFileError):
        parse(b"SIMPLE  =                    T".ljust(80) + content)


@pytest.mark.parametrize("read", [read_frame, read_header])
def test_unreadable_files_are_refused(tmp_path: Path, read: Callable[[Path], object]) -> None:
    (tmp_path / "empty.fits").touch()
    with pytest.raises(FrameFileError, match="empty"):
        read(tmp_path / "empty.fits")
    with pytest.raises(FrameFileError, match="No such file"):
        read(tmp_path / "missing.fits")
    with pytest.raises(FrameFileError, match="directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("comment", "seconds"),
    [
        ("[ms] exposure", 5.0),
        ("exposure in us", 0.005),
        ("exposure in minutes", 300_000.0),
        ("[h]", 18_000_000.0),
        ("exposure in seconds", 5000),
        ("resolution 1 ms", 5000),
        ("[s] in total", 5000),
        ("set by us", 5000),
        ("min and max are equal", 5000),
    ],
)
def test_the_unit_of_an_exposure_is_taken_from_its_comment(comment: str, seconds: float) -> None:
    assert parse_cards([f"EXPTIME =                 5000 / {comment}".ljust(80)])["EXPTIME"] == pytest.approx(seconds)


def test_a_ratio_is_not_a_number_with_a_comment() -> None:
    assert parse_cards(["EXPTIME = 1/60".ljust(80)]) == {"EXPTIME": GarbledValue("1/60")}
