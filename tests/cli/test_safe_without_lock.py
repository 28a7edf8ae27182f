"""`coldframe safe` makes the rig safe even if the lock of the rig cannot be read."""

from importlib import import_module
from pathlib import Path

import pytest

from coldframe.capture.host import rig_lock
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.safe import make_safe
from coldframe.config.settings import Settings
from coldframe.config.tables.rig import ServerSettings


def test_a_lock_that_cannot_be_opened_does_not_prevent_the_safe_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "coldframe.toml"
    config.write_text('[server]\nport = 7777\n[camera]\ndevice = "Camera"\n', encoding="utf-8")
    made: list[Settings] = []

    async def reach(settings: Settings, _patience_s: float) -> ExitCode:
        made.append(settings)
        return ExitCode.DONE

    monkeypatch.setattr(rig_lock, "FOLDERS", (tmp_path,))
    monkeypatch.setattr(import_module("coldframe.cli.safe"), "_make_safe", reach)
    rig_lock.lock_path(ServerSettings(port=7777)).symlink_to(tmp_path / "elsewhere")
    assert make_safe(config, 1.0) is ExitCode.DONE
    assert made
    assert "it is unknown whether a run is using the rig" in capsys.readouterr().err
