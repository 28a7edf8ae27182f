"""Camera raws in a night's folder: their bytes, their descriptions, and the run that counts them again."""

from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.raws.sidecar import read_sidecar, sidecar_of
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames, Wanted
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame, RawFile, StrayFrame
from coldframe.simulators.dng import dng_file

needs_rawpy = pytest.mark.skipif(find_spec("rawpy") is None, reason="rawpy is not installed: pip install rawpy")

BEGAN = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
SETTINGS = ReadoutSettings(gain=800)
PIXELS = np.random.default_rng(5).integers(1000, 1200, (48, 64)).astype(np.uint16)
CONTENT = dng_file(PIXELS, iso=800, exposure=(30, 1))
HEADER: dict[str, HeaderValue] = {"INSTRUME": "Coldframe D1", "CFCAMERA": "DSLR", "ISOSPEED": 800, "BAYERPAT": "RGGB"}
FRAME = Frame(
    pixels=PIXELS,
    kind=FrameKind.DARK,
    exposure_s=30.0,
    started_at=BEGAN,
    settings=SETTINGS,
    sensor_c=14.0,
    setpoint_c=None,
    camera="DSLR",
    header=HEADER,
    raw=RawFile(".dng", CONTENT),
)
WANTED = Wanted("DSLR", FrameKind.DARK, SETTINGS, None, None, 30.0)


@pytest.fixture
def folder(tmp_path: Path) -> NightFolder:
    return NightFolder.create(tmp_path, BEGAN)


def test_the_bytes_are_those_delivered_and_the_description_says_the_rest(folder: NightFolder) -> None:
    path = folder.save_frame(FRAME, None, 1)
    assert path.relative_to(folder.path).as_posix() == "darks/ISO800_30s_1x1/dark_ISO800_30s_1x1_0001.dng"
    assert path.read_bytes() == CONTENT
    described = read_sidecar(path)
    assert described is not None
    assert (described.cards["CFROLE"], described.cards["EXPTIME"], described.cards["GAIN"]) == ("DARK", 30.0, 800)
    assert folder.raw_frames() == {path.name: path}


@needs_rawpy
def test_a_saved_raw_counts_again(folder: NightFolder) -> None:
    path = folder.save_frame(FRAME, None, 1)
    saved = SavedFrames(folder, [path])
    assert saved.count(WANTED) == 1
    found = saved.take(WANTED, SETTINGS)
    assert found is not None
    np.testing.assert_array_equal(found.frame.pixels, PIXELS)
    assert (found.frame.kind, found.frame.exposure_s, found.frame.sensor_c) == (FrameKind.DARK, 30.0, 14.0)


@needs_rawpy
def test_a_saved_raw_of_a_filter_with_a_greek_name_counts_again(folder: NightFolder) -> None:
    flat = replace(FRAME, kind=FrameKind.FLAT)
    saved = SavedFrames(folder, [folder.save_frame(flat, "H\u03b1 ", 1)])
    assert saved.count(replace(WANTED, kind=FrameKind.FLAT, filter_name="H\u03b1 ")) == 1


@needs_rawpy
def test_a_raw_that_changed_is_quarantined_with_its_description(folder: NightFolder) -> None:
    path = folder.save_frame(FRAME, None, 1)
    changed = bytearray(CONTENT)
    changed[-1] ^= 1
    path.write_bytes(changed)
    saved = SavedFrames(folder, [path])
    assert saved.take(WANTED, SETTINGS) is None
    (fault,) = saved.faults()
    assert "SHA-256" in fault
    aside = folder.path / "quarantine" / path.name
    assert aside.read_bytes() == changed
    assert sidecar_of(aside).is_file()
    assert not path.exists()
    assert not sidecar_of(path).exists()


def test_a_description_without_its_raw_makes_room_for_the_next_frame(folder: NightFolder) -> None:
    """The run ended between the two files."""
    path = folder.save_frame(FRAME, None, 1)
    path.unlink()
    assert folder.save_frame(FRAME, None, 1) == path
    assert read_sidecar(path) is not None
    kept = {each.name for each in (folder.path / "quarantine").iterdir()}
    assert kept == {f"{path.stem}-unused.cards", f"{path.stem}-unused.json"}


def test_a_stray_raw_keeps_its_format(folder: NightFolder) -> None:
    path = folder.quarantine_stray(StrayFrame("DSLR", "arrived late", RawFile(".cr2", b"II*")), BEGAN)
    assert (path.suffix, path.read_bytes()) == (".cr2", b"II*")


def test_a_json_file_of_another_program_is_no_description(tmp_path: Path) -> None:
    raw = tmp_path / "a.dng"
    raw.write_bytes(CONTENT)
    assert read_sidecar(raw) is None
    sidecar_of(raw).write_text('{"rating": 5}')
    assert read_sidecar(raw) is None
