"""Camera raws: pixels as the sensor delivers them, headers from LibRaw and EXIF, and damaged files in one line."""

import os
import random
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files import raw_file
from coldframe.calibration.files.exif import MAKE, MODEL, read_exif
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import UINT16_STORAGES, open_image
from coldframe.calibration.frames.setup import setup_of
from coldframe.errors import MissingPackageError
from coldframe.simulators.dng import SHORT
from tests.camera_raws import sensor, write_dng

pytest.importorskip("rawpy", reason="rawpy is not installed: pip install rawpy")

X_TRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"
PIXELS = sensor(100, 120)


@pytest.fixture(autouse=True)
def no_known_cameras() -> None:
    raw_file.known_looks.clear()


@pytest.mark.parametrize("pattern", ["RGGB", "GRBG", "GBRG", "BGGR", X_TRANS])
def test_pixels_are_those_of_the_sensor(tmp_path: Path, pattern: str) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS, pattern=pattern)

    image = open_image(path, tmp_path)

    np.testing.assert_array_equal(image.pixels(), PIXELS)
    assert image.storage in UINT16_STORAGES
    assert setup_of(image.header).mosaic == pattern


def test_a_sensor_without_a_filter_array_has_no_pattern(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS, pattern=None)

    image = open_image(path, tmp_path)

    np.testing.assert_array_equal(image.pixels(), PIXELS)
    assert setup_of(image.header).mosaic is None


@pytest.mark.parametrize(
    ("active", "pattern"), [((4, 6, 96, 118), "RGGB"), ((3, 6, 96, 118), "GBRG"), ((4, 5, 96, 118), "GRBG")]
)
def test_the_visible_area_is_read_and_its_pattern_named(
    tmp_path: Path, active: tuple[int, int, int, int], pattern: str
) -> None:
    # The pattern of a DNG begins with the visible area; LibRaw begins the area in the next even row and column.
    path = write_dng(tmp_path / "a.dng", PIXELS, active=active)

    image = open_image(path, tmp_path)

    top, left = active[0] + active[0] % 2, active[1] + active[1] % 2
    height, width = image.shape
    np.testing.assert_array_equal(image.pixels(), PIXELS[top : top + height, left : left + width])
    assert setup_of(image.header).mosaic == pattern
    assert read_image_header(path) == image.header


def test_the_header_names_the_settings(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS, iso=1600, exposure=(1, 4000), zone="+02:00", subsecond="25")

    header = read_image_header(path)
    setup = setup_of(header)

    assert (setup.camera, setup.readout.gain, setup.exposure_s) == ("Coldframe D1", 1600, 1 / 4000)
    assert setup.taken_at == datetime(2026, 11, 20, 20, 10, 5, 250000, tzinfo=UTC)
    assert (setup.kind, setup.row_order, setup.train.focal_length_mm) == (None, "TOP-DOWN", 500)
    assert (header["LENS"], header["SERIALNO"], header["ORIENTAT"]) == ("Refractor 500", "1234567", 1)
    assert header == open_image(path, tmp_path).header
    assert not setup.unreadable


def test_a_clock_without_a_zone_runs_in_that_of_this_machine(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS, zone=None)

    taken_at = setup_of(read_image_header(path)).taken_at

    assert taken_at is not None
    assert taken_at == datetime(2026, 11, 20, 22, 10, 5).astimezone()


@pytest.mark.parametrize("taken", ["", "0000:00:00 00:00:00", "2026-11-20", "9999:12:31 23:59:59"])
def test_a_default_date_is_absent(tmp_path: Path, taken: str) -> None:
    assert setup_of(read_image_header(write_dng(tmp_path / "a.dng", PIXELS, taken=taken))).taken_at is None


def test_pixels_are_decoded_for_the_first_header_of_a_camera_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_dng(tmp_path / f"{number}.dng", PIXELS, iso=number) for number in (100, 200)]
    other = write_dng(tmp_path / "other.dng", PIXELS, pattern="GBRG")
    decoded = []
    answer = raw_file.ask_libraw

    def counted(path: Path, size: list[int], copy: Path | None) -> dict[str, object]:
        decoded.extend([path] if size[0] else [])
        return answer(path, size, copy)

    monkeypatch.setattr(raw_file, "ask_libraw", counted)

    assert [read_image_header(path)["ISOSPEED"] for path in paths] == [100, 200]
    assert read_image_header(other)["BAYERPAT"] == "GBRG"
    assert decoded == [paths[0], other]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claimed": (200, 120)}, "truncated or damaged"),
        ({"claimed": (60000, 60000)}, "announces 60000 x 60000 pixels"),
        ({"claimed": (16000, 16000)}, "truncated"),
        ({"samples": 3}, "several colours in each pixel"),
    ],
)
def test_wrong_sizes_and_colour_images_end_in_one_line(
    tmp_path: Path, changes: dict[str, tuple[int, int]], message: str
) -> None:
    pixels = np.stack([PIXELS] * 3, axis=-1) if "samples" in changes else PIXELS
    path = write_dng(tmp_path / "a.dng", pixels, **changes)

    with pytest.raises(FrameFileError, match=message) as caught:
        open_image(path, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", sorted(raw_file.SUFFIXES))
@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"SIMPLE  =" + b" " * 5000])
def test_files_that_are_no_raws_end_in_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)

    for read in (read_image_header, lambda path: open_image(path, tmp_path)):
        with pytest.raises(FrameFileError, match="not a camera raw that LibRaw can read"):
            read(path)


@pytest.mark.parametrize("length", [8, 100, 300, 600, 5000, 20000])
def test_a_truncated_raw_ends_in_one_line(tmp_path: Path, length: int) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(FrameFileError):
        open_image(path, tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_ends_in_one_line_or_in_pixels(tmp_path: Path, seed: int) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS)
    text, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(chance.randrange(1, 12)):
        text[chance.randrange(900)] = chance.randrange(256)
    path.write_bytes(text)

    try:
        open_image(path, tmp_path)
        read_image_header(path)
    except FrameFileError as error:
        assert "\n" not in str(error)  # noqa: PT017 - damage may also leave a readable file


def test_an_extension_cannot_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="--extension"):
        open_image(write_dng(tmp_path / "a.dng", PIXELS), tmp_path, 1)


def test_a_name_that_is_not_utf8_is_opened(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"l\xefcht.dng")
    write_dng(path, PIXELS)

    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), PIXELS)


def test_without_rawpy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dng(tmp_path / "a.dng", PIXELS)
    monkeypatch.setattr("coldframe.calibration.files.unpacking.find_spec", lambda _: None)

    for read in (read_image_header, lambda path: open_image(path, tmp_path)):
        with pytest.raises(MissingPackageError, match=r"pip install rawpy"):
            read(path)


MEASURED = """
import resource, sys
from pathlib import Path
from coldframe.calibration.files.decoding_server import decode_raw
import rawpy
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode_raw(Path(sys.argv[1]), {"decode": True, "copy": sys.argv[2]})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_decoding_needs_less_memory_than_two_frames(tmp_path: Path) -> None:
    pixels = sensor(3000, 4000)
    path = write_dng(tmp_path / "a.dng", pixels)

    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, path, tmp_path / "copy"], capture_output=True, text=True, check=True
    )

    assert int(measured.stdout) * 1024 < 2 * pixels.nbytes
    assert (tmp_path / "copy").stat().st_size == pixels.nbytes


def structure(order: str, entries: dict[int, tuple[int, int, bytes]]) -> bytes:
    """Return a TIFF structure whose values follow its only directory."""
    head, tail, at = struct.pack(f"{order}H", len(entries)), b"", 8 + 2 + 12 * len(entries) + 4
    for tag, (form, count, text) in sorted(entries.items()):
        place = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(f"{order}I", at + len(tail))
        head += struct.pack(f"{order}HHI", tag, form, count) + place
        tail += text if len(text) > 4 else b""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(f"{order}I", 8) + head + bytes(4) + tail


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def test_tags_are_found_in_the_boxes_of_cr3(tmp_path: Path) -> None:
    camera = structure("<", {MAKE: (2, 6, b"Canon\0"), MODEL: (2, 13, b"Canon EOS R6\0")})
    exposure = structure("<", {33434: (5, 1, struct.pack("<II", 120, 1)), 34855: (3, 1, struct.pack("<H", 3200))})
    shot = structure("<", {4: (3, 20, struct.pack("<20H", *[0] * 12, 128 + 17, *[0] * 7))})
    boxes = box(b"CMT1", camera) + box(b"CMT2", exposure) + box(b"CMT3", shot)
    identifier = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    path = tmp_path / "a.cr3"
    path.write_bytes(box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", box(b"uuid", identifier + boxes)))

    exif = read_exif(path)

    assert (exif.camera, exif.iso, exif.number(33434), exif.sensor_c) == ("Canon EOS R6", 3200, 120, 17)


def test_tags_are_found_in_the_preview_of_raf(tmp_path: Path) -> None:
    camera = structure(">", {MAKE: (2, 9, b"FUJIFILM\0"), MODEL: (2, 5, b"X-T3\0")})
    preview = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(camera) + 8) + b"Exif\0\0" + camera
    path = tmp_path / "a.raf"
    path.write_bytes(b"FUJIFILMCCD-RAW ".ljust(84, b"0") + struct.pack(">I", 200) + bytes(112) + preview)

    assert read_exif(path).camera == "FUJIFILM X-T3"


def test_iso_values_above_16_bits_have_a_tag_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(
        structure("<", {34855: (SHORT, 1, struct.pack("<H", 65535)), 34866: (4, 1, struct.pack("<I", 102400))})
    )

    assert read_exif(path).iso == 102400


@pytest.mark.parametrize("seed", range(20))
def test_random_tags_are_skipped(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + random.Random(seed).randbytes(4000))

    read_exif(path)


def test_an_exposure_of_zero_is_not_that_of_the_first_file(tmp_path: Path) -> None:
    first = write_dng(tmp_path / "a.dng", PIXELS, exposure=(30, 1), iso=800)
    zero = write_dng(tmp_path / "b.dng", PIXELS, exposure=(0, 1), iso=0)
    assert read_image_header(first)["EXPTIME"] == 30
    header = read_image_header(zero)
    assert "EXPTIME" not in header
    assert "ISOSPEED" not in header
