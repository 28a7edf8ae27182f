"""No command waits for a FIFO that lies in place of a file."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.capture.storage.journal import is_being_written
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrames
from coldframe.cli import main


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(path := tmp_path / "fifo.fits")
    return path


def fifo_at(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def calls(fifo: Path, place: Path) -> Iterator[tuple[object, ...]]:
    """Yield commands that meet a FIFO, each as an argument or in a folder."""
    place.mkdir()
    yield "inspect", fifo
    yield "combine", fifo, fifo, "-o", place / "master.fits"
    yield "combine", "-o", place / "master.fits", "--state", fifo
    yield "defects", "--dark", fifo, "-o", place / "defects.fits"
    yield "calibrate", fifo, "--library", place
    library = place / "library"
    fifo_at(library / "camera/darks/MasterDark.fits")
    for command in ("list", "verify", "rebuild", "prune"):
        yield "library", command, "--library", library
    yield "library", "add", fifo, "--library", library
    yield "library", "show", fifo, "--library", library
    yield "library", "match", fifo, "--library", library
    night = place / "2026-11-22"
    fifo_at(night / "masters/MasterDark.fits")
    yield "verify", night
    fifo_at(night / "journal.jsonl")
    yield "report", night
    fifo_at(night / "darks/G100/dark_G100_0001.fits")
    yield "camera", "--measure", night, "--folder", place
    fifo_at(place / "cameras/ASI/record.json")
    yield "camera", "--folder", place


def test_every_command_refuses_a_fifo(
    fifo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in calls(fifo, tmp_path / "place"):
        monkeypatch.setattr(sys, "argv", ["coldframe", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = "".join(capsys.readouterr())
        assert ended.value.code in {0, 1, 2}
        assert "is a FIFO, not a regular file" in printed or arguments[:2] == ("library", "prune"), (arguments, printed)


def test_an_index_of_the_library_that_is_a_fifo_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fifo_at(tmp_path / "library/index.sqlite")
    monkeypatch.setattr(sys, "argv", ["coldframe", "library", "list", "--library", str(tmp_path / "library")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"0 masters in {tmp_path / 'library'}\n")


def test_a_resumed_night_puts_a_fifo_among_its_frames_aside(tmp_path: Path) -> None:
    path = fifo_at(tmp_path / "darks/G100/dark_G100_0001.fits")
    saved = SavedFrames(NightFolder(tmp_path), [path])
    (fault,) = saved.faults()
    assert "moved to quarantine: it is a FIFO" in fault
    assert (tmp_path / "quarantine" / path.name).is_fifo()


def test_a_journal_that_is_a_fifo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is a FIFO"):
        is_being_written(fifo_at(tmp_path / "journal.jsonl"))


def test_a_name_with_nul_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="not a valid file name"):
        read_header(tmp_path / "a\0b.fits")
