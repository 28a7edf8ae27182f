"""`coldframe safe` makes the rig safe even if its lock cannot be read, or is held by a run that no longer responds."""

import io
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from coldframe.capture.host import rig_lock
from coldframe.capture.host.rig_lock import rig_locked
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.safe import make_safe
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import ServerSettings

SERVER = ServerSettings(port=7777)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a configuration whose rig has its lock in the test's folder."""
    monkeypatch.setattr(rig_lock, "FOLDERS", (tmp_path,))
    config = tmp_path / "coldframe.toml"
    config.write_text('[server]\nport = 7777\n[camera]\ndevice = "Camera"\n', encoding="utf-8")
    return config


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Return the settings of the rigs that are made safe."""
    made: list[Settings] = []

    async def reach(settings: Settings, _patience_s: float) -> ExitCode:
        made.append(settings)
        return ExitCode.DONE

    monkeypatch.setattr(import_module("coldframe.cli.safe"), "reach_safe_state", reach)
    return made


def test_a_lock_that_cannot_be_opened_does_not_prevent_the_safe_state(
    config: Path, made: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    rig_lock.lock_path(SERVER).symlink_to(config.with_name("elsewhere"))
    assert make_safe(config, 1.0) is ExitCode.DONE
    assert made
    assert "it is unknown whether a run is using the rig" in capsys.readouterr().err


def test_a_rig_in_use_is_left_alone_and_the_option_is_named(
    config: Path, made: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    with rig_locked(SERVER):
        assert make_safe(config, 1.0) is ExitCode.BAD_INPUT
    assert not made
    said = capsys.readouterr().err
    assert f"is in use by process {os.getpid()}" in said
    assert "coldframe safe --override" in said


def test_a_run_that_no_longer_reacts_can_be_overridden(config: Path, made: list[Settings]) -> None:
    with rig_locked(SERVER):
        assert make_safe(config, 1.0, overrides=True) is ExitCode.DONE
    assert made


@pytest.mark.parametrize(
    ("answer", "code"), [("y\n", ExitCode.DONE), ("\n", ExitCode.BAD_INPUT), ("", ExitCode.BAD_INPUT)]
)
def test_on_a_terminal_the_user_decides(
    config: Path, made: list[Settings], monkeypatch: pytest.MonkeyPatch, answer: str, code: ExitCode
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown)
    with rig_locked(SERVER):
        assert make_safe(config, 1.0) is code
    assert bool(made) is (code is ExitCode.DONE)
    assert "Make the rig safe anyway? [y/N]" in shown.getvalue()
