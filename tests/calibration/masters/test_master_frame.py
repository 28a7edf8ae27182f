import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.files.cards import STRUCTURAL, Card
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.keywords import frame_name_cards, frame_names
from coldframe.calibration.masters.master_frame import (
    MasterFrame,
    is_written,
    master_header,
    master_name,
    write_master,
)
from coldframe.calibration.masters.reading import planes_of_new, read_master, typical_variance
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.counts import MOST_FRAMES
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (30, 40)
MOMENT = datetime(2026, 11, 22, 4, 5, 6, 250000, UTC)


def master(kind: FrameKind = FrameKind.DARK) -> MasterFrame:
    rng = np.random.default_rng(1)
    stack = Stack(
        frames=20,
        mean=rng.normal(500, 2, SHAPE).astype(np.float32),
        uncertainty=rng.uniform(0.5, 0.6, SHAPE).astype(np.float32),
        counts=rng.integers(18, 21, SHAPE).astype(np.uint16),
        recomputed=0,
    )
    return MasterFrame(
        kind=kind,
        stack=stack,
        camera="ASI2600MM",
        settings=ReadoutSettings(gain=100, offset=50, binning=1),
        exposure_s=300.0,
        sensor_c=-9.97,
        setpoint_c=-10.0,
        filter_name=None,
        method=Clipping(),
        inputs=tuple(f"dark_{number:04d}.fits" for number in range(20)),
        first_at=MOMENT,
        last_at=MOMENT + timedelta(hours=2),
        header={"BAYERPAT": "RGGB", "RA": 12.5, "ROWORDER": "BOTTOM-UP"},
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "MasterDark_ASI2600MM_G100_O50_-10C_300s_1x1.fits"),
        ({"exposure_s": 0.5}, "MasterDark_ASI2600MM_G100_O50_-10C_0.5s_1x1.fits"),
        ({"kind": FrameKind.BIAS, "exposure_s": 0.001}, "MasterBias_ASI2600MM_G100_O50_-10C_1x1.fits"),
        ({"kind": FrameKind.FLAT, "filter_name": "Ha"}, "MasterFlat_ASI2600MM_G100_O50_-10C_1x1_Ha.fits"),
        (
            {"kind": FrameKind.DARK_FLAT, "filter_name": "H\N{GREEK SMALL LETTER ALPHA} 3nm", "exposure_s": 1.234567},
            "MasterDarkFlat_ASI2600MM_G100_O50_-10C_1.234567s_1x1_Halpha-3nm.fits",
        ),
        (
            {"settings": ReadoutSettings(gain=1.5, binning=2, readout_mode="Low noise/slow"), "setpoint_c": None},
            "MasterDark_ASI2600MM_G1.5_-10C_300s_2x2_Low-noise-slow.fits",
        ),
        ({"setpoint_c": None, "sensor_c": None}, "MasterDark_ASI2600MM_G100_O50_300s_1x1.fits"),
        ({"setpoint_c": None, "sensor_c": -0.02}, "MasterDark_ASI2600MM_G100_O50_0C_300s_1x1.fits"),
        ({"setpoint_c": -12.5, "sensor_c": -12.3}, "MasterDark_ASI2600MM_G100_O50_-12.5C_300s_1x1.fits"),
        ({"setpoint_c": -20.0}, "MasterDark_ASI2600MM_G100_O50_-10C_300s_1x1.fits"),
        ({"camera": "../ZWO CCD: é"}, "MasterDark_..-ZWO-CCD-e_G100_O50_-10C_300s_1x1.fits"),
    ],
)
def test_the_name_contains_every_setting(changes: dict[str, object], name: str) -> None:
    assert master_name(replace(master(), **changes)) == name  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT, FrameKind.DARK_FLAT])
def test_masters_pass_fitsverify_and_have_the_right_headers(tmp_path: Path, kind: FrameKind) -> None:
    written = replace(master(kind), filter_name="L", subtracted="MasterDarkFlat.fits", masked=np.eye(*SHAPE) > 0)
    path = tmp_path / master_name(written)
    write_master(path, written)
    with fits.open(path, checksum=True) as file:
        header = file[0].header
        assert [hdu.name for hdu in file] == ["PRIMARY", "UNCERT", "COUNTS", "MASK"]
        assert header["IMAGETYP"] == {"bias": "Master Bias", "flat": "Master Flat"}.get(kind, "Master Dark")
        assert header["CFROLE"] == kind.replace("-", "").upper()
        assert header["STACKCNT"] == header["NCOMBINE"] == 20
        assert header["LIVETIME"] == 6000
        assert header["EXPTIME"] == header["EXPOSURE"] == 300
        assert (header["GAIN"], header["OFFSET"]) == (100, 50)
        assert isinstance(header["GAIN"], int)
        assert (header["SET-TEMP"], header["CCD-TEMP"]) == (-10, -9.97)
        assert (header["BAYERPAT"], header["ROWORDER"]) == ("RGGB", "BOTTOM-UP")
        assert "RA" not in header
        assert header["IMCOM001"] == "dark_0000.fits"
        assert header["IMCOM020"] == "dark_0019.fits"
        assert header["CFKAPPA"] == 3
        assert header["CFTRIM"] == 4
        assert header["CFSUBTR"] == "MasterDarkFlat.fits"
        assert header["BUNIT"] == ("relative" if kind is FrameKind.FLAT else "adu")
        np.testing.assert_array_equal(file[0].data, written.stack.mean)
        np.testing.assert_array_equal(file["UNCERT"].data, written.stack.uncertainty)
        np.testing.assert_array_equal(file["COUNTS"].data, written.stack.counts)
        np.testing.assert_array_equal(file["MASK"].data, np.eye(*SHAPE))
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian package fitsverify)")
    report = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True, check=False).stdout
    assert "verification OK" in report


def test_a_master_flat_records_the_level_of_its_frames(tmp_path: Path) -> None:
    flat = master(FrameKind.FLAT)
    write_master(tmp_path / "flat.fits", replace(flat, stack=replace(flat.stack, flat_level_adu=24_000.04)))
    assert read_header(tmp_path / "flat.fits")["CFLEVEL"] == 24_000.0
    write_master(tmp_path / "unknown.fits", flat)
    assert "CFLEVEL" not in read_header(tmp_path / "unknown.fits")


def test_a_master_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "MasterDark.fits"
    write_master(path, master())
    before = path.read_bytes()
    with pytest.raises(NotDurableError):
        write_master(path, replace(master(), exposure_s=1.0))
    assert path.read_bytes() == before


def test_a_masters_header_can_be_read_without_its_pixels(tmp_path: Path) -> None:
    write_master(tmp_path / "m.fits", master())
    header = read_header(tmp_path / "m.fits")
    assert (header["IMAGETYP"], header["BITPIX"], header["NAXIS1"]) == ("Master Dark", -32, SHAPE[1])


@pytest.mark.parametrize("kind", [FrameKind.DARK, FrameKind.FLAT])
@pytest.mark.parametrize("rounding_adu2", [0.0, 0.04])
@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_the_planes_of_a_new_master_are_those_of_its_file(
    tmp_path: Path, kind: FrameKind, rounding_adu2: float, unknown: float
) -> None:
    made = replace(master(kind), remarks=(Card("REMARK1", "long text that continues on other cards " * 5),))
    made = replace(made, stack=replace(made.stack, rounding_adu2=rounding_adu2))
    made.stack.uncertainty[3, 6], made.stack.counts[3, 6] = unknown, 1
    if kind is FrameKind.FLAT:
        made = replace(made, masked=np.arange(made.stack.mean.size).reshape(SHAPE) % 7 == 0)
    before = made.stack.mean.copy(), made.stack.uncertainty.copy()
    write_master(tmp_path / "master.fits", made)
    new = planes_of_new(tmp_path / "master.fits", made.stack, made.masked, master_header(made))
    read = read_master(tmp_path / "master.fits")
    np.testing.assert_array_equal(new.mean, read.mean)
    np.testing.assert_array_equal(new.uncertainty, read.uncertainty)
    np.testing.assert_array_equal(new.masked, read.masked)
    assert typical_variance(new) == typical_variance(read) > 0
    assert new.rounding_adu2 == read.rounding_adu2
    assert {key: value for key, value in read.header.items() if key not in STRUCTURAL} == new.header
    np.testing.assert_array_equal(before, (made.stack.mean, made.stack.uncertainty), "the planes are not changed")


def test_a_new_master_with_values_that_are_not_finite_is_refused_as_when_it_is_read(tmp_path: Path) -> None:
    made = master()
    made.stack.mean[0, 0] = np.inf
    write_master(tmp_path / "master.fits", made)
    with pytest.raises(FrameFileError) as of_file:
        read_master(tmp_path / "master.fits")
    with pytest.raises(FrameFileError) as of_new:
        planes_of_new(tmp_path / "master.fits", made.stack, None, master_header(made))
    assert str(of_new.value) == str(of_file.value)


def large_master(length: int, frames: int = 10_000) -> MasterFrame:
    inputs = tuple(f"{number:05d}".rjust(length, "d") for number in range(1, frames + 1))
    return replace(master(), inputs=inputs, stack=replace(master().stack, frames=frames))


@pytest.mark.parametrize(("length", "listed"), [(67, 10_000), (130, 10_000), (255, 7500)])
def test_the_header_lists_the_frames_of_large_sets_as_long_as_it_stays_readable(
    length: int, listed: int, tmp_path: Path
) -> None:
    path, written = tmp_path / "m.fits", large_master(length)
    write_master(path, written)
    header = read_header(path)
    assert frame_names(header) == list(written.inputs[:listed])
    assert (header["IMCOM999"], header["IMCO1000"]) == written.inputs[998:1000]
    assert read_image_header(path)["STACKCNT"] == 10_000
    with fits.open(path, checksum=True) as file:
        assert file[0].header["IMCO1000"] == written.inputs[999]
    assert is_written(path, written)
    assert not is_written(path, replace(written, inputs=("another.fits", *written.inputs[1:])))


def test_the_largest_set_of_a_night_is_listed() -> None:
    assert len(frame_name_cards([f"{'d' * 120}.fits"] * MOST_FRAMES)) == MOST_FRAMES


def test_a_master_whose_header_lists_only_some_frames_cannot_be_verified(tmp_path: Path) -> None:
    path = tmp_path / "m.fits"
    write_master(path, large_master(255))
    with pytest.raises(FrameFileError, match="lists 7500 of its 10000 frames, so not all of them"):
        recombined(path, {})
