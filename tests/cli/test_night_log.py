"""The log file of a night."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Notice, PanelChanged
from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.progress.line_logs import LineLog
from coldframe.devices.flat_panel import CoverState
from coldframe.operations.nights.night_log import MOST_LINES, NightLog

AT = datetime(2026, 11, 22, 4, 12, 33, tzinfo=UTC)
log = logging.getLogger("coldframe.devices.test")
EVENTS = (
    PanelChanged(AT, lit=True, brightness=40, cover=CoverState.CLOSED),
    Notice(AT, Severity.WARNING, "the lamp is dim"),
)


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


def test_the_log_has_the_lines_of_the_screen(tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w") as screen, NightLog(tmp_path / "log") as night_log:
        for event in EVENTS:
            night_log(event)
            LineLog(screen, UTC)(event)
    shown = [line.split(" ", 1)[1] for line in (tmp_path / "screen").read_text().splitlines()]
    logged = [line.split(" ", 3) for line in (tmp_path / "log").read_text().splitlines()]
    assert [text for _, _, _, text in logged] == shown
    assert [severity for _, _, severity, _ in logged] == ["INFO", "WARNING"]


def test_log_records_are_appended_with_their_tracebacks(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("an earlier run\n")
    with NightLog(tmp_path / "log"):
        log.debug("asked")
        try:
            int("lamp")
        except ValueError:
            log.exception("it failed")
    log.debug("after the night")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "an earlier run"
    assert lines[1].endswith("DEBUG coldframe.devices.test: asked")
    assert lines[2].endswith("ERROR coldframe.devices.test: it failed")
    assert lines[-1].startswith("ValueError: invalid literal")
    assert any(line.startswith('  File "') for line in lines), "the traceback keeps its indentation"


def test_the_log_level_is_restored_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger("coldframe")
    monkeypatch.setattr(root, "level", logging.ERROR)
    with NightLog(tmp_path / "coldframe.log"):
        assert root.level == logging.DEBUG
    assert root.level == logging.ERROR


def test_foreign_text_is_printable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A report with the bytes that are not UTF-8 could not be sent between the processes of a test run.
    monkeypatch.setattr(logging.getLogger("coldframe"), "propagate", False)
    with NightLog(tmp_path / "log"):
        log.warning("the server sent %s", "\x1b[2J\x9b\udcff")
    text = (tmp_path / "log").read_text("utf-8")
    assert "the server sent" in text
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_a_disk_that_hangs_delays_neither_a_line_nor_the_end(tmp_path: Path) -> None:
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # never reads, so that the writer blocks
    with NightLog(pipe, close_deadline_s=0.01) as night_log:
        for _ in range(2 * MOST_LINES):
            night_log(EVENTS[1])
    os.close(reader)
