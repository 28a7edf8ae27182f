"""The names, durability and quarantine of a night folder."""

import errno
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import read_frame
from coldframe.calibration.files.raws.sidecar import sidecar_of
from coldframe.capture.storage.night_folder import NightFolder, evening_of
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.devices.camera import Frame, RawFile, StrayFrame

START = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)


def frame(kind: FrameKind = FrameKind.FLAT, value: int = 1000) -> Frame:
    return Frame(
        pixels=np.full((8, 12), value, np.uint16),
        kind=kind,
        exposure_s=0.78,
        started_at=START,
        settings=ReadoutSettings(gain=100, offset=50),
        sensor_c=-10.1,
        setpoint_c=-10.0,
        camera="Camera",
        header={},
    )


def test_a_night_has_the_date_of_its_evening() -> None:
    local = datetime(2026, 11, 23, 4, 0).astimezone()
    assert evening_of(local) == "2026-11-22"
    assert evening_of(local + timedelta(hours=14)) == "2026-11-23"


def test_a_second_night_of_an_evening_gets_a_numbered_folder(tmp_path: Path) -> None:
    first, second = (NightFolder.create(tmp_path / "new", START) for _ in range(2))
    assert first.path != second.path
    assert second.path.name == f"{first.path.name}-2"


def test_a_saved_frame_has_its_pixels_and_settings(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    path = folder.save_frame(frame(), "Ha", 7)
    pixels, header = read_frame(path)
    assert (pixels == 1000).all()
    assert (header["EXPTIME"], header["FILTER"], header["GAIN"]) == (0.78, "Ha", 100)
    assert path.parent.parent.name == "flats"
    assert path.stem.endswith("_0007")


@pytest.mark.parametrize("fails_at", ["data", "folder"])
def test_a_failed_write_is_retried_and_the_frame_counts_once(
    fails_at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flush, calls = NightFolder.create(tmp_path, START), os.fsync, list[int]()
    first = folder.save_frame(frame(), "Ha", 6)  # creates the folders, which are flushed as well

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == ("data", "folder").index(fails_at) + 1:
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    path = folder.save_frame(frame(), "Ha", 7)
    assert path.stem.endswith("_0007-2")
    assert (read_frame(path)[0] == 1000).all()
    assert sorted(path.parent.glob("*.fits")) == [first, path]
    assert len(list(folder.path.glob("quarantine/*-not-flushed.fits"))) == (fails_at == "folder")


def test_remnants_of_two_failed_writes_are_both_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, flush, calls = NightFolder.create(tmp_path, START), os.fsync, list[int]()
    saved = [folder.save_frame(frame(value=value), "Ha", 7) for value in (1, 2)]
    assert [path.stem[-4:] for path in saved] == ["0007", "07-2"]

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) in {2, 6}:  # the folders of the first and the third file
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    for path in saved:
        path.rename(tmp_path / path.name)  # so that the names are free again
    monkeypatch.setattr(os, "fsync", failing)
    again = [folder.save_frame(frame(value=3), "Ha", 7)]
    again[0].rename(tmp_path / "third.fits")
    again.append(folder.save_frame(frame(value=4), "Ha", 7))
    kept = sorted(folder.path.glob("quarantine/*-not-flushed*.fits"))
    assert [int(read_frame(path)[0][0, 0]) for path in kept] == [4, 3]


def test_a_write_that_fails_again_or_on_a_full_disk_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, calls = NightFolder.create(tmp_path, START), list[int]()
    folder.save_frame(frame(), "Ha", 6)
    for number, tries in ((errno.EIO, 2), (errno.ENOSPC, 1)):
        calls.clear()

        def failing(descriptor: int, number: int = number) -> None:
            calls.append(descriptor)
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", failing)
        with pytest.raises(NotDurableError):
            folder.save_frame(frame(), "Ha", 7)
        assert len(calls) == tries


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    paths = [folder.save_frame(frame(value=value), "L", 1) for value in (1, 2, 3)]
    assert len(set(paths)) == 3
    assert [int(read_frame(path)[0][0, 0]) for path in paths] == [1, 2, 3]


def test_a_quarantined_frame_has_a_file_with_the_reason(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    path = folder.quarantine(frame(FrameKind.DARK), None, "light on the sensor")
    report = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert report["reason"] == "light on the sensor"
    assert report["file"] == path.name
    assert path.is_file()


@given(name=st.text(min_size=1, max_size=63))
def test_no_filter_name_leads_outside_the_folder(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = NightFolder.create(tmp_path_factory.mktemp("night"), START)
    path = folder.save_frame(frame(), name, 1)
    assert path.resolve().is_relative_to(folder.path.resolve())
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", path.name)


def test_a_folder_that_was_moved_is_not_created_again(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    kept = folder.save_frame(frame(), "Ha", 1)
    folder.path.rename(tmp_path / "elsewhere")
    with pytest.raises(NotDurableError, match="removed, moved or unmounted") as caught:
        folder.save_frame(frame(), "Ha", 2)
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(NotDurableError, match="removed, moved or unmounted"):
        folder.quarantine(frame(), None, "dark")
    assert not folder.path.exists()
    assert (tmp_path / "elsewhere" / kept.relative_to(folder.path)).exists()


def test_another_folder_under_the_same_name_is_not_the_night(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    folder.path.rename(tmp_path / "elsewhere")
    folder.path.mkdir()
    with pytest.raises(NotDurableError, match="removed, moved or unmounted"):
        folder.save_test(frame(), "Ha")
    assert not list(folder.path.iterdir())
    folder.path.rmdir()
    (tmp_path / "elsewhere").rename(folder.path)
    assert folder.save_test(frame(), "Ha").exists()


def test_a_reason_that_is_left_in_quarantine_is_kept_and_does_not_end_a_night(tmp_path: Path) -> None:
    """The user deletes frames in quarantine to free space, but not their reasons."""
    folder = NightFolder.create(tmp_path, START)

    def withdrawn() -> Path:
        return folder.quarantine_saved(folder.save_frame(frame(FrameKind.DARK), None, 1), "light leak")

    def rejected() -> Path:
        return folder.quarantine(frame(FrameKind.DARK), None, "cloud")

    def stray() -> Path:
        return folder.quarantine_stray(StrayFrame("Camera", "it is late", frame().pixels), START)

    for quarantined in (withdrawn, rejected, stray):
        first = quarantined()
        reason = first.with_suffix(".json")
        before = reason.read_bytes()
        first.unlink()
        second = quarantined()
        assert second == first.with_stem(f"{first.stem}-2")
        assert json.loads(second.with_suffix(".json").read_text("utf-8"))["file"] == second.name
        assert reason.read_bytes() == before


def test_the_description_of_a_raw_in_quarantine_is_not_overwritten(tmp_path: Path) -> None:
    folder = NightFolder.create(tmp_path, START)
    shot = replace(frame(FrameKind.DARK), raw=RawFile(".cr2", b"raw"))
    first = folder.quarantine_saved(folder.save_frame(shot, None, 1), "light leak")
    description = sidecar_of(first)
    description.write_bytes(b"of the first")
    first.unlink()
    first.with_suffix(".json").unlink()
    second = folder.quarantine_saved(folder.save_frame(shot, None, 1), "light leak")
    assert second == first.with_stem(f"{first.stem}-2")
    assert sidecar_of(second).exists()
    assert description.read_bytes() == b"of the first"


def test_a_frame_whose_write_failed_gets_a_name_with_a_free_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, flush = NightFolder.create(tmp_path, START), os.fsync
    first = folder.quarantine(frame(), None, "cloud")
    taken = first.with_name(f"{first.stem}-2-2.json")
    taken.write_text("of a deleted frame")
    failures = iter([OSError(errno.EIO, "Input/output error")])

    def failing(descriptor: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{descriptor}") and (error := next(failures, None)):  # noqa: PTH113
            raise error
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    second = folder.quarantine(frame(), None, "cloud")
    assert second.stem == f"{first.stem}-2-2-2"
    assert taken.read_text() == "of a deleted frame"
