"""Folders for temporary files are removed however the process ends."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.scratch import require_room, scratch_folder

HOLDER = """
import sys, time
from pathlib import Path
from coldframe.calibration.files.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "unpacked").write_bytes(bytes(99))
    print(folder, flush=True)
    sys.stdin.read()
"""


def holder(place: Path) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds a scratch folder until its input closes; return it with the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str], number: int | None) -> None:
    if number is not None:
        process.send_signal(number)
    process.communicate()


def test_the_folder_exists_only_in_the_block(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "a").touch()
        assert folder.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_the_folder_is_removed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_the_process_without_leaving_the_folder(number: int | None, tmp_path: Path) -> None:
    process, folder = holder(tmp_path)
    assert folder.is_dir()
    end(process, number)
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    process, folder = holder(tmp_path)
    end(process, signal.SIGKILL)
    assert (folder / "unpacked").exists()
    with scratch_folder(tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]


def test_the_folder_of_a_living_process_stays(tmp_path: Path) -> None:
    process, folder = holder(tmp_path)
    with scratch_folder(tmp_path):
        assert (folder / "unpacked").exists()
    end(process, None)


def test_handlers_of_the_program_are_kept(tmp_path: Path) -> None:
    with scratch_folder(tmp_path):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with scratch_folder(tmp_path):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_copy_that_the_disk_has_no_room_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5 * 10**8)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    require_room(tmp_path, 4 * 10**8, tmp_path / "a.fits.gz")
    with pytest.raises(FrameFileError, match=r"needs 0\.60 GB in .*, which has 0\.50 GB free"):
        require_room(tmp_path, 6 * 10**8, tmp_path / "a.fits.gz")


def test_a_missing_parent_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch_folder(tmp_path / "missing"):
        pass
    assert not list(tmp_path.iterdir())
