"""`coldframe report`, and the report at the end of a run."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.capture.monitoring.report import making
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.report import report_night
from coldframe.cli.screen import Screen
from coldframe.operations.nights.morning_report import report_after
from tests.capture.monitoring.report.stories import whole_night

SCREEN = Screen(wants_dashboard=False, wants_json=False)

CONFIG = """
[storage]
folder = "{folder}"
[camera]
device = "Camera"
[[sets]]
kind = "bias"
count = 10
"""


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    for evening in ("2026-11-21", "2026-11-22", "2026-11-22-2"):
        whole_night().write(tmp_path / "nights" / evening)
    return tmp_path / "nights"


@pytest.fixture
def config(tmp_path: Path, storage: Path) -> Path:
    path = tmp_path / "coldframe.toml"
    path.write_text(CONFIG.format(folder=storage), "utf-8")
    return path


@pytest.mark.parametrize(
    ("named", "evening"),
    [(None, "2026-11-22-2"), (Path("2026-11-21"), "2026-11-21")],
)
def test_night_in_the_storage_is_the_newest_or_the_named_one(
    storage: Path, config: Path, named: Path | None, evening: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The files of its masters do not exist, so they are missing from the report.
    assert report_night(named, config) is ExitCode.INCOMPLETE
    output = capsys.readouterr()
    assert output.out.splitlines() == [
        "All 3 masters were made. The rig is safe.",
        str(storage / evening / "report.html"),
    ]
    assert output.err.count("No such file") == 3
    assert json.loads((storage / evening / "report.json").read_text("utf-8"))["masters_made"] == 3


def test_folder_is_that_of_a_night_or_of_nights(storage: Path) -> None:
    report_night(storage / "2026-11-21", None)
    assert (storage / "2026-11-21" / "report.html").exists()
    report_night(storage, None)
    assert (storage / "2026-11-22-2" / "report.html").exists()
    assert not (storage / "2026-11-22" / "report.html").exists()


@pytest.mark.parametrize("named", ["empty", "file", "none/at/all", "torn"])
def test_other_folders_are_refused_in_one_line(tmp_path: Path, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "journal.jsonl").write_text('{"event": "night-st')
    assert report_night(tmp_path / named, None) is ExitCode.BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_storage_folder_that_does_not_exist_yet_has_no_nights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "coldframe.toml").write_text(CONFIG.format(folder=tmp_path / "nights"), "utf-8")
    assert report_night(None, path) is ExitCode.BAD_INPUT
    assert capsys.readouterr().err == f"{tmp_path}/nights: no such night; {tmp_path} contains no nights\n"


def test_missing_configuration_is_reported_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_night(None, tmp_path / "missing.toml") is ExitCode.BAD_INPUT
    assert "coldframe report FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("wants_json", [False, True])
def test_path_is_printed_after_a_night(storage: Path, capsys: pytest.CaptureFixture[str], *, wants_json: bool) -> None:
    report_after(storage / "2026-11-21", Screen(wants_dashboard=False, wants_json=wants_json))
    line = f"report: {storage / '2026-11-21' / 'report.html'}\n"
    assert capsys.readouterr() == (("", line) if wants_json else (line, ""))


def test_failure_after_a_night_is_one_line(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_folder: Path, *, is_over: bool) -> None:
        assert is_over
        raise ZeroDivisionError("an unforeseen fault")

    monkeypatch.setattr(making, "make_report", fail)
    report_after(storage / "2026-11-21", SCREEN)
    assert capsys.readouterr().err == f"{storage / '2026-11-21'}: the report was not written: an unforeseen fault\n"


def test_night_that_is_over_is_not_reported_as_running(tmp_path: Path) -> None:
    story = whole_night()
    story.events.pop()  # the disk had no room for it
    now = datetime.now(UTC)
    story.events = [replace(event, at=now - (story.now - event.at)) for event in story.events]
    folder = story.write(tmp_path)
    assert report_night(folder, None) is ExitCode.INCOMPLETE
    assert "still running" in (folder / "report.html").read_text("utf-8")
    report_after(folder, SCREEN)
    assert "stopped unexpectedly" in (folder / "report.html").read_text("utf-8")


def test_report_that_cannot_be_written_is_reported(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = storage / "2026-11-21"
    (folder / "report.json").mkdir()  # stands for anything that prevents replacing the file
    report_after(folder, SCREEN)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{folder}: the report was not written: ")
