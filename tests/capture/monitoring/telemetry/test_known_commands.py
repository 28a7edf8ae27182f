"""The identifiers of commands that outlast a run."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldframe.capture.monitoring.telemetry.commands import CommandError, CommandGate, parse_command
from coldframe.capture.monitoring.telemetry.known_commands import KnownCommands

NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)


def payload(command_id: str, seconds: float = 60) -> bytes:
    expires = (NOW + timedelta(seconds=seconds)).isoformat()
    return f'{{"id": "{command_id}", "command": "abort", "expires": "{expires}"}}'.encode()


def test_the_next_run_refuses_a_command_until_it_has_expired(tmp_path: Path) -> None:
    known = KnownCommands(tmp_path / "known.json")
    known.keep(parse_command(payload("a1")), NOW)
    next_run = KnownCommands(tmp_path / "known.json")
    gate = CommandGate(next_run.unexpired(NOW))
    with pytest.raises(CommandError, match="used before"):
        gate.admit(payload("a1"), NOW, is_retained=False)
    assert gate.admit(payload("a2"), NOW, is_retained=False).id == "a2"
    assert next_run.unexpired(NOW + timedelta(seconds=60)) == ()


def test_expired_commands_leave_the_file(tmp_path: Path) -> None:
    known = KnownCommands(tmp_path / "known.json")
    known.keep(parse_command(payload("a1", 10)), NOW)
    known.keep(parse_command(payload("a2", 60)), NOW + timedelta(seconds=20))
    assert known.unexpired(NOW) == ("a2",)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b'{"a1": 5}', b'{"a1": "soon"}', b'{"a1": "2026-11-22"}'])
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "known.json"
    path.write_bytes(content)
    known = KnownCommands(path)
    assert known.unexpired(NOW) == ()
    known.keep(parse_command(payload("a1")), NOW)
    assert known.unexpired(NOW) == ("a1",)


def test_a_file_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    KnownCommands(tmp_path / "nowhere" / "known.json").keep(parse_command(payload("a1")), NOW)
    assert "could be carried out again" in caplog.text
