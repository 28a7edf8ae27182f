"""XISF files: what PixInsight and N.I.N.A. write is read, and damaged files end in one line."""

import hashlib
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import UINT16_STORAGES, open_image
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library.library import Library
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_adu_master, read_master
from coldframe.config.frames import FrameKind
from coldframe.errors import MissingPackageError
from tests.xisf_files import DATA_AT, keywords, properties, write_xisf

for package in ("lz4", "zstandard"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")

RNG = np.random.default_rng(5)
FRAME = RNG.integers(0, 65536, (60, 70)).astype(np.uint16)
FRACTIONS = (RNG.random((60, 70)) * 0.01).astype(np.float32)


def xisf_package() -> Any:
    return pytest.importorskip("xisf", reason="the package xisf is not installed: pip install xisf").XISF


@pytest.mark.parametrize("form", ["uint8", "uint16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("order", ["little", "big"])
def test_pixels_of_every_type_and_byte_order_are_read(tmp_path: Path, form: str, order: str) -> None:
    values = FRAME % 256 if form == "uint8" else FRAME
    stored = values.astype(np.dtype(form).newbyteorder(">" if order == "big" else "<"))
    path = write_xisf(tmp_path / "a.xisf", values.astype(form), data=stored.tobytes(), attributes={"byteOrder": order})

    image = open_image(path, tmp_path)

    expected = values.astype(np.float64) / (65537 if form == "uint32" else 1)  # its range is that of 32 bits
    np.testing.assert_allclose(image.pixels(), expected, rtol=1e-6)
    assert (image.storage in UINT16_STORAGES) == (form in {"uint8", "uint16"})


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("codec", ["zlib", "lz4", "lz4hc", "zstd"])
def test_files_of_the_package_xisf_are_read(tmp_path: Path, codec: str, shuffle: bool) -> None:  # noqa: FBT001 - a parameter
    package = xisf_package()
    frame = (FRAME // 64).astype(np.uint16)
    keyword = {"EXPTIME": [{"value": "300", "comment": ""}], "INSTRUME": [{"value": "'ZWO ASI2600MM'", "comment": ""}]}
    package.write(
        str(tmp_path / "a.xisf"),
        frame[..., None],
        image_metadata={"FITSKeywords": keyword},
        codec=codec,
        shuffle=shuffle,
    )

    image = open_image(tmp_path / "a.xisf", tmp_path)

    np.testing.assert_array_equal(image.pixels(), frame)
    setup = setup_of(image.header)
    assert (setup.camera, setup.exposure_s, setup.width, setup.height) == ("ZWO ASI2600MM", 300, 70, 60)


def test_the_subblocks_in_which_pixinsight_compresses_are_shuffled_together(tmp_path: Path) -> None:
    shuffled = np.ascontiguousarray(FRAME.view(np.uint8).reshape(-1, 2).T).tobytes()
    pieces = [shuffled[:5001], shuffled[5001:]]
    packed = [zlib.compress(piece) for piece in pieces]
    path = write_xisf(
        tmp_path / "a.xisf",
        FRAME,
        data=b"".join(packed),
        attributes={
            "compression": f"zlib+sh:{FRAME.nbytes}:2",
            "subblocks": ":".join(f"{len(each)},{len(piece)}" for each, piece in zip(packed, pieces, strict=True)),
        },
    )

    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), FRAME)


def test_keywords_describe_a_frame_and_properties_what_they_leave_out(tmp_path: Path) -> None:
    path = write_xisf(
        tmp_path / "a.xisf",
        FRAME,
        attributes={"imageType": "Light"},
        inside=keywords(INSTRUME="'QHY 268M'", GAIN="56", DATE_OBS="'2026-11-20T22:10:05.5'", NAXIS1="9", BZERO="7")
        + properties(
            Instrument__ExposureTime="180",
            Instrument__Camera__Name="a different name",
            Instrument__Sensor__Temperature="-9.8",
            Instrument__Telescope__FocalLength="0.53",
            Instrument__Camera__XBinning="2",
            Instrument__Camera__YBinning="nan",
        )
        + '<Property id="Instrument:Filter:Name" type="String">H\u03b1</Property>'
        + '<ColorFilterArray pattern="GRBG" width="2" height="2"/>',
    )

    setup = setup_of(read_image_header(path))

    assert (setup.kind, setup.camera, setup.exposure_s, setup.filter_name) == (
        FrameKind.LIGHT,
        "QHY 268M",
        180,
        "H\u03b1",
    )
    assert (setup.readout.gain, setup.readout.binning, setup.sensor_c, setup.mosaic) == (56, 2, -9.8, "GRBG")
    assert (setup.train.focal_length_mm, setup.width, setup.height) == (530, 70, 60)
    assert setup.taken_at is not None
    assert setup.taken_at.isoformat() == "2026-11-20T22:10:05.500000+00:00"
    assert not setup.unreadable


def test_reading_a_header_reads_no_pixels(tmp_path: Path) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME, data=b"\xff" * FRAME.nbytes, attributes={"checksum": "sha-1:00"})

    assert read_image_header(path)["NAXIS1"] == 70
    with pytest.raises(FrameFileError, match="checksum"):
        open_image(path, tmp_path)


@pytest.mark.parametrize("name", ["sha-1", "sha-256", "sha-512", "sha3-256", "sha3-512"])
def test_a_correct_checksum_is_accepted(tmp_path: Path, name: str) -> None:
    algorithm = name.replace("sha-", "sha").replace("sha3-", "sha3_")
    digest = hashlib.new(algorithm, FRAME.tobytes()).hexdigest()
    path = write_xisf(tmp_path / "a.xisf", FRAME, attributes={"checksum": f"{name}:{digest}"})

    np.testing.assert_array_equal(open_image(path, tmp_path).pixels(), FRAME)


def test_masters_with_fractions_are_scaled_to_adu(tmp_path: Path) -> None:
    inside = keywords(IMAGETYP="'Master Dark'", EXPTIME="300")
    path = write_xisf(tmp_path / "dark.xisf", FRACTIONS, attributes={"bounds": "0:1"}, inside=inside)

    master = read_adu_master(path)

    np.testing.assert_allclose(master.mean, FRACTIONS.astype(np.float64) * 65535, rtol=1e-6)
    assert not master.uncertainty.any()
    assert setup_of(master.header).kind is FrameKind.DARK
    assert integrity_fault(path) is None


def test_a_master_flat_is_made_relative_to_its_mean(tmp_path: Path) -> None:
    path = write_xisf(tmp_path / "flat.xisf", FRACTIONS + 0.4, attributes={"bounds": "0:1", "imageType": "MasterFlat"})

    master = read_master(path)

    flat = (FRACTIONS + 0.4).astype(np.float64)
    np.testing.assert_allclose(master.mean, flat / flat.mean(), rtol=1e-5)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {new} "{f"&{old};" * 10}">' for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
XML_BOMB = BOMB + "]>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attributes": {"geometry": "70:60:3"}}, "colour image"),
        ({"attributes": {"colorSpace": "RGB"}}, "colour image"),
        ({"attributes": {"geometry": "70:60"}}, "not a valid two-dimensional image"),
        ({"attributes": {"geometry": "70:-60:1"}}, "not a valid two-dimensional image"),
        ({"attributes": {"geometry": None}}, "not a valid two-dimensional image"),
        ({"attributes": {"geometry": "70000:70000:1"}}, "its header announces"),
        ({"attributes": {"geometry": "99999999999999:99999999999999:1"}}, "its header announces"),
        ({"attributes": {"sampleFormat": "Complex32"}}, "pixel type is Complex32"),
        ({"attributes": {"location": f"attachment:{DATA_AT}:999999"}}, "truncated"),
        ({"attributes": {"location": "inline:base64"}}, "not attached"),
        ({"attributes": {"location": None}}, "not attached"),
        ({"attributes": {"compression": "zlib:123"}}, "its header announces 123"),
        ({"attributes": {"compression": "lzma:8400"}}, "compression"),
        ({"attributes": {"compression": "zlib:8400"}}, "damaged"),
        ({"attributes": {"compression": "lz4:8400"}}, "damaged"),
        ({"attributes": {"compression": "zstd:8400"}}, "damaged"),
        ({"attributes": {"compression": "zlib+sh:8400:0"}, "data": zlib.compress(FRAME.tobytes())}, "shuffled"),
        ({"attributes": {"compression": "zlib:8400", "subblocks": "1,8400"}}, "subblocks"),
        ({"attributes": {"compression": "zlib:8400", "subblocks": "x"}}, "subblocks"),
        ({"attributes": {"compression": "zlib:8400"}, "data": zlib.compress(bytes(100))}, "100 instead of 8400"),
        ({"attributes": {"bounds": "-1:1", "sampleFormat": "Float32", "geometry": "35:60:1"}}, "range from -1 to 1"),
        ({"images": 2}, "holds 2 images"),
        ({"images": 0}, "holds no images"),
        ({"before": XML_BOMB}, "document type"),
        ({"before": '<!DOCTYPE x SYSTEM "file:///etc/passwd">'}, "document type"),
        ({"inside": "<a>" * 200 + "</a>" * 200}, "nested too deeply"),
        ({"inside": "<unclosed>"}, "mismatched tag"),
    ],
)
def test_damaged_and_unusual_files_end_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME, **changes)

    with pytest.raises(FrameFileError, match=message) as caught:
        open_image(path, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_small_file_is_not_unpacked_beyond_its_announced_size(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(400 << 20), 9)
    path = write_xisf(tmp_path / "a.xisf", FRAME, data=bomb, attributes={"compression": f"zlib:{FRAME.nbytes}"})

    assert not open_image(path, tmp_path).pixels().any()


@pytest.mark.parametrize("length", [0, 5, 16, 100, DATA_AT, DATA_AT + 100])
def test_a_truncated_file_ends_in_one_line(tmp_path: Path, length: int) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(FrameFileError):
        open_image(path, tmp_path)


def test_a_different_format_or_a_huge_header_is_refused(tmp_path: Path) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME)
    text = path.read_bytes()
    path.write_bytes(b"SIMPLE  =" + text)
    with pytest.raises(FrameFileError, match="not a monolithic XISF file"):
        read_image_header(path)
    path.write_bytes(text[:8] + b"\xff\xff\xff\xff" + text[12:])
    with pytest.raises(FrameFileError, match="announces a header"):
        read_image_header(path)


@pytest.mark.parametrize("seed", range(30))
def test_random_damage_ends_in_one_line_or_in_pixels(tmp_path: Path, seed: int) -> None:
    packed = zlib.compress(FRAME.tobytes())
    compressed = {"data": packed, "attributes": {"compression": f"zlib:{FRAME.nbytes}"}}
    path = write_xisf(tmp_path / "a.xisf", FRAME, inside=keywords(EXPTIME="1"), **(compressed if seed % 2 else {}))  # type: ignore[arg-type]
    text, chance = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(600) if chance.random() < 0.8 else chance.randrange(len(text))
        text[place] = chance.randrange(32, 127)
    path.write_bytes(text)

    try:
        open_image(path, tmp_path)
    except FrameFileError as error:
        assert "\n" not in str(error)  # noqa: PT017 - damage may also leave a readable file


def test_a_master_in_the_library_whose_codec_is_missing_is_a_fault_of_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME, attributes={"compression": f"lz4:{FRAME.nbytes}"})
    monkeypatch.setattr("coldframe.calibration.files.unpacking.find_spec", lambda _: None)

    catalogue = Library(tmp_path).catalogue()

    assert (list(catalogue.headers), list(catalogue.faults)) == ([], [path])
    assert "pip install lz4" in (integrity_fault(path) or "")


def test_an_extension_cannot_be_chosen(tmp_path: Path) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME)

    with pytest.raises(FrameFileError, match="--extension"):
        open_image(path, tmp_path, 1)


def test_without_its_package_a_codec_is_named_before_pixels_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_xisf(tmp_path / "a.xisf", FRAME, attributes={"compression": f"lz4:{FRAME.nbytes}"})
    monkeypatch.setattr("coldframe.calibration.files.unpacking.find_spec", lambda _: None)

    with pytest.raises(MissingPackageError, match=r"pip install lz4"):
        read_image_header(path)


def test_values_that_contradict_the_bounds_are_refused(tmp_path: Path) -> None:
    adu = (500 + 3 * FRACTIONS).astype(np.float32)
    path = write_xisf(tmp_path / "dark.xisf", adu, attributes={"bounds": "0:1"})
    with pytest.raises(FrameFileError, match=r"exceed the range in its header \(bounds\)"):
        open_image(path, tmp_path)
    assert (
        np.median(open_image(write_xisf(tmp_path / "b.xisf", adu, attributes={"bounds": "0:65535"}), tmp_path).pixels())
        > 499
    )
