"""Only regular files are opened."""

import os
import socket
from pathlib import Path

import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.regular import NotRegularError, open_regular, read_regular
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import read_master


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(path := tmp_path / "fifo.fits")
    return path


def test_a_regular_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12")
    assert read_regular(path) == b"12"
    (link := tmp_path / "link").symlink_to(path)
    assert read_regular(link) == b"12"


def test_a_fifo_and_a_link_to_one_are_refused(fifo: Path, tmp_path: Path) -> None:
    (link := tmp_path / "link").symlink_to(fifo)
    for path in (fifo, link):
        with pytest.raises(NotRegularError, match="is a FIFO, not a regular file"):
            open_regular(path)


def test_a_fifo_that_took_the_place_of_a_file_is_refused(
    fifo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.touch()
    was = path.stat()
    monkeypatch.setattr(Path, "stat", lambda _: was)
    with pytest.raises(NotRegularError, match="FIFO"):
        open_regular(fifo)


def test_a_socket_and_a_device_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path := tmp_path / "socket"))
        with pytest.raises(NotRegularError, match="is a socket"):
            open_regular(path)
    with pytest.raises(NotRegularError, match="is a device"):
        open_regular(Path("/dev/null"))


def test_folders_missing_files_and_impossible_names_are_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")
    with pytest.raises(OSError, match="not a valid file name"):
        open_regular(tmp_path / "a\0b")


def test_every_reader_refuses_a_fifo(fifo: Path, tmp_path: Path) -> None:
    for read in (read_header, read_image_header, read_master, lambda path: open_image(path, tmp_path)):
        with pytest.raises(FrameFileError, match="is a FIFO"):
            read(fifo)
    assert "is a FIFO" in (integrity_fault(fifo) or "")
