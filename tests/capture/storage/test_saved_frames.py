"""Frames of an earlier run, which are found by their headers, verified, and returned once."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames, Wanted
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame
from tests.calibration.files.failing_disk import fail_reads

START = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
SETTINGS = ReadoutSettings(gain=100, offset=50)
DARKS = Wanted("Camera", FrameKind.DARK, SETTINGS, -10.0, None, 10.0)
DARK = Frame(
    pixels=np.arange(96, dtype=np.uint16).reshape(8, 12),
    kind=FrameKind.DARK,
    exposure_s=10.0,
    started_at=START,
    settings=SETTINGS,
    sensor_c=-10.1,
    setpoint_c=-10.0,
    camera="Camera",
    header={},
)


@pytest.fixture
def folder(tmp_path: Path) -> NightFolder:
    return NightFolder.create(tmp_path, START)


def saved(folder: NightFolder) -> SavedFrames:
    return SavedFrames(folder, folder.raw_frames().values())


def test_each_frame_of_a_set_is_returned_once_in_order(folder: NightFolder) -> None:
    paths = [folder.save_frame(DARK, "Ha", index) for index in (1, 2)]
    frames = saved(folder)
    assert frames.count(DARKS) == 2
    taken = [frames.take(DARKS, SETTINGS) for _ in range(3)]
    assert [each.path for each in taken if each is not None] == paths
    assert taken[2] is None
    assert taken[0] is not None
    np.testing.assert_array_equal(taken[0].frame.pixels, DARK.pixels)
    assert (taken[0].frame.sensor_c, taken[0].frame.started_at) == (-10.1, START)
    assert frames.faults() == ()


@pytest.mark.parametrize(
    "other",
    [
        replace(DARKS, camera="Guider"),
        replace(DARKS, kind=FrameKind.BIAS),
        replace(DARKS, readout=replace(SETTINGS, gain=0)),
        replace(DARKS, readout=replace(SETTINGS, binning=2)),
        replace(DARKS, setpoint_c=-5.0),
        replace(DARKS, filter_name="L"),
        replace(DARKS, exposure_s=20.0),
    ],
)
def test_frames_of_other_sets_do_not_count(folder: NightFolder, other: Wanted) -> None:
    folder.save_frame(DARK, "Ha", 1)
    assert saved(folder).count(other) == 0


def test_settings_that_a_set_leaves_open_may_differ(folder: NightFolder) -> None:
    folder.save_frame(DARK, "Ha", 1)
    assert saved(folder).count(replace(DARKS, readout=ReadoutSettings(), exposure_s=None)) == 1


def test_a_damaged_frame_goes_to_quarantine(folder: NightFolder) -> None:
    path = folder.save_frame(DARK, None, 1)
    content = bytearray(path.read_bytes())
    content[-2800] ^= 1
    path.write_bytes(content)
    frames = saved(folder)
    assert frames.take(DARKS, SETTINGS) is None
    assert not path.exists()
    assert (folder.path / "quarantine" / path.name).exists()
    (fault,) = frames.faults()
    assert path.name in fault
    assert frames.faults() == ()


def test_a_frame_with_other_settings_than_the_camera_is_left_out(folder: NightFolder) -> None:
    path = folder.save_frame(DARK, None, 1)
    frames = saved(folder)
    assert frames.take(replace(DARKS, readout=ReadoutSettings()), replace(SETTINGS, gain=120)) is None
    assert path.exists()
    assert len(frames.faults()) == 1


def test_released_frames_are_not_returned(folder: NightFolder) -> None:
    paths = [folder.save_frame(DARK, None, index) for index in (1, 2)]
    frames = saved(folder)
    frames.release([paths[0].name])
    taken = frames.take(DARKS, SETTINGS)
    assert taken is not None
    assert taken.path == paths[1]


@pytest.mark.parametrize(("planned_deg", "is_counted"), [(30.04, True), (30.3, False), (None, False)])
def test_flats_of_an_angle_within_the_tolerance_count(
    folder: NightFolder, planned_deg: float | None, *, is_counted: bool
) -> None:
    flat = replace(DARK, kind=FrameKind.FLAT, header={"CFROTANG": 30.02, "ROTATANG": 30.2})
    folder.save_frame(flat, "Ha", 1)
    wanted = replace(DARKS, kind=FrameKind.FLAT, rotator_deg=planned_deg, tolerance_deg=0.2)
    assert saved(folder).count(wanted) == is_counted


@pytest.mark.parametrize("damaged", [-2800, 3], ids=["pixels", "header"])
def test_a_damaged_frame_of_another_set_stays_where_it_is(folder: NightFolder, damaged: int) -> None:
    path = folder.save_frame(DARK, None, 1)
    content = bytearray(path.read_bytes())
    content[damaged] ^= 1
    path.write_bytes(content)
    frames = SavedFrames(folder, [path], are_shared=True)
    assert frames.take(DARKS, SETTINGS) is None
    assert path.read_bytes() == content
    assert not (folder.path / "quarantine").exists()
    (fault,) = frames.faults()
    assert fault.startswith(f"{path.name} cannot be reused for this set; the file stays where it is: ")


@pytest.mark.parametrize("good_reads", [0, 1, 2])
def test_a_frame_that_the_disk_cannot_read_stays_with_the_other_set(
    good_reads: int, folder: NightFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.save_frame(DARK, None, 1)
    frames = SavedFrames(folder, [path], are_shared=True)
    fail_reads(path, monkeypatch, good_reads)
    assert frames.take(DARKS, SETTINGS) is None
    assert path.exists()
    (fault,) = frames.faults()
    assert fault.endswith("the file stays where it is: Input/output error")
