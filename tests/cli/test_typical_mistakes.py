"""Each typical mistake is answered with one sentence that names the way out, and exit code 2."""

import errno
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coldframe.capture.monitoring.report.runs import JOURNAL
from coldframe.capture.planning.disk_space import require_writable
from coldframe.capture.planning.preflight import UnfitPlanError
from coldframe.cli import app
from tests.patience import PATIENCE_S

OTHER_FOLDER = "specify a different folder with --folder or in [storage]"


def answer(*arguments: str | Path) -> str:
    """Return the last line on standard error of a command that must be refused."""
    ended = CliRunner().invoke(app, [str(each) for each in arguments])
    assert ended.exit_code == 2, ended.output
    return ended.stderr.splitlines()[-1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.mark.parametrize("text", ["25:99", "6", "noon", "06:30:00"])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_time_that_does_not_exist(command: str, text: str) -> None:
    line = answer(command, "--simulate", "small", "--until", text)
    assert line.endswith(f"'--until': {text} is not a time of day; write hours and minutes, such as 06:30")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--simulate", "small", "--folder"],
        ["plan", "--simulate", "small", "--folder"],
        ["plan", "--simulate", "small", "--lights"],
        ["watch", "--folder"],
        ["library", "list", "--library"],
        ["camera", "--folder"],
        ["simulate", "--lights"],
    ],
    ids=" ".join,
)
def test_a_file_where_a_folder_is_wanted(words: list[str], file: Path) -> None:
    line = answer(*words, file)
    assert line.endswith(f"'{words[-1]}': {file} is a file; specify a folder")


def refusal(folder: Path) -> str:
    with pytest.raises(UnfitPlanError) as caught:
        require_writable(folder)
    return str(caught.value)


def test_a_configured_folder_that_is_a_file(file: Path) -> None:
    assert refusal(file) == f"{file} is a file; {OTHER_FOLDER}"


@pytest.mark.parametrize("folder", ["/proc", "/proc/nights"])
def test_a_file_system_that_stores_no_files(folder: str) -> None:
    assert refusal(Path(folder)) == f"/proc is in a file system that stores no files; {OTHER_FOLDER}"


def test_an_immutable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = errno.EPERM

    def refuse(**_: Any) -> None:
        raise OSError(code, "Operation not permitted")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    problem = f"files cannot be created in {tmp_path} (Operation not permitted)"
    assert refusal(tmp_path / "nights") == (
        f"{problem}; correct its permissions and attributes (ls -ld, lsattr -d), or {OTHER_FOLDER}"
    )
    code = errno.ENOSPC  # a full disk has its own message, and a night may wait for space
    require_writable(tmp_path)


def test_a_folder_that_can_be_written_gets_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "nights")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Return a storage folder with seven nights, of which one has no journal."""
    for day in range(1, 8):
        night = tmp_path / "nights" / f"2026-11-0{day}"
        night.mkdir(parents=True)
        if day < 7:
            (night / JOURNAL).touch()
    return tmp_path / "nights"


NEWEST = "contains the nights 2026-11-07, 2026-11-06, 2026-11-05, 2026-11-04, 2026-11-03, ..."


@pytest.mark.parametrize("command", ["report", "verify"])
def test_a_wrong_night(command: str, storage: Path, file: Path) -> None:
    assert answer(command, storage / "2026-11-31") == f"{storage / '2026-11-31'}: no such night; {storage} {NEWEST}"
    assert answer(command, file) == f"{file} is a file; specify the folder of a night"


def test_a_wrong_name_of_a_night_in_the_configured_folder(storage: Path, tmp_path: Path) -> None:
    config = tmp_path / "rig.toml"
    config.write_text(
        f'sets = [{{ kind = "bias", count = 9 }}]\nstorage.folder = "{storage}"\ncamera.device = "C"', "utf-8"
    )
    line = answer("report", "2026-11-99", "--config", config)
    assert line == f"{storage / '2026-11-99'}: no such night; {storage} {NEWEST}"
    line = answer("report", "2026-11-07", "--config", config)
    assert line == f"{storage / '2026-11-07'}: no night with a journal here; {storage} {NEWEST}"


def test_a_filter_that_is_not_shot() -> None:
    line = answer("plan", "--simulate", "small", "--only", "flats:OIII")
    assert line == "--only flats:OIII: the plan has no such filter; choices: L, Ha"
    line = answer("plan", "--simulate", "uncooled", "--only", "flats:Ha")
    assert line == "--only flats:Ha: the plan has no such set; choices: darks, bias, flats, dark-flats"


def test_a_busy_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-m", "coldframe", "simulate", "small", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in line
    assert line.endswith("Is another INDI server running? Stop it or choose another port")


@pytest.mark.parametrize("words", [["list"], ["verify"]])
def test_a_library_that_does_not_exist(words: list[str], tmp_path: Path) -> None:
    line = answer("library", *words, "--library", tmp_path / "nowhere")
    assert line.startswith(f"{tmp_path / 'nowhere'}: there is no library here yet; ")
    assert list(tmp_path.iterdir()) == []
