"""`coldframe notify`, run by hand and by systemd, and the checks before a night."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coldframe.cli import app
from coldframe.cli.notify import how_it_ended
from tests.capture.monitoring.notifications.servers import server
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="apprise is not installed")

CAMERA = '[camera]\ndevice = "Cam"\n'


def coldframe(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coldframe", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment},
        timeout=PATIENCE_S,
        check=False,
    )


def invoke(*arguments: str | Path) -> Result:
    """Run a command in this process, which is faster."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


def config(folder: Path, text: str) -> Path:
    path = folder / "coldframe.toml"
    path.write_text(text)
    return path


def test_message_and_alarm_are_sent_despite_other_faults_of_the_configuration(tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    path = config(tmp_path, CAMERA + f'[notify]\nurls_file = "{urls}"\n[flats]\ntarget = 7\n')
    with server() as receiver:
        urls.write_text(receiver.address)
        sent = coldframe("notify", "hello", "--config", path)
        assert (sent.returncode, sent.stderr) == (0, "")
        killed = {"MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": "KILL"}
        assert coldframe("notify", "--alarm", "coldframe.service", "--config", path, **killed).returncode == 0
        reported = {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_CODE": "exited", "MONITOR_EXIT_STATUS": "1"}
        assert coldframe("notify", "--alarm", "coldframe.service", "--config", path, **reported).returncode == 0
    assert [(message["title"], message["message"]) for message in receiver.messages] == [
        ("Cam: message", "hello"),
        ("Cam: alarm", "coldframe.service: killed by signal KILL, without a final message"),
    ]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (CAMERA, "no [notify] table"),
        (CAMERA + '[notify]\nurls = ["json://user:secret@host"]\n', "urls_file"),
        (CAMERA + "[notify]\n", "notify.urls_file: missing"),
        (CAMERA + '[notify]\nurls_from = ["NO_SUCH"]\n', "NO_SUCH"),
    ],
)
def test_bad_settings_exit_2_without_showing_secrets(tmp_path: Path, settings: str, text: str) -> None:
    refused = invoke("notify", "hello", "--config", config(tmp_path, settings))
    assert refused.exit_code == 2
    assert text in refused.stderr
    assert "secret" not in refused.stderr


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ('[notify]\nurls_from = ["NO_SUCH"]\n', "NO_SUCH is not set"),
        ('[mqtt]\nuser = "rig"\npassword_file = "/no/such"\n', "/no/such"),
        ('[mqtt]\npassword = "secret"\n', "password_file"),
        ('[mqtt]\ntls = true\nca_file = "/no/such"\n', "certificate"),
        ('[mqtt]\nca_file = "/no/such"\n', "tls = true"),
        ('[mqtt]\nbase_topic = "a/#"\n', "mqtt.base_topic"),
    ],
)
def test_unusable_settings_are_reported_before_the_night(tmp_path: Path, table: str, text: str) -> None:
    night = CAMERA + table + '[[sets]]\nkind = "bias"\ncount = 5\n'
    refused = invoke("run", "--config", config(tmp_path, night), "--folder", tmp_path / "out")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert text in refused.stderr
    assert "secret" not in refused.stderr


@pytest.mark.parametrize(
    ("result", "code", "status", "text"),
    [
        ("", "", "", "without a final message"),
        ("watchdog", "dumped", "ABRT", "watchdog"),
        ("oom-kill", "killed", "KILL", "signal KILL"),
        ("exit-code", "exited", "2", "exit code 2"),
        ("exit-code", "exited", "0", "safe state"),
        ("timeout", "", "", "timeout"),
        ("exit-code", "exited", "1", None),
        ("exit-code", "exited", "3", None),
    ],
)
def test_alarm_says_how_the_run_ended(result: str, code: str, status: str, text: str | None) -> None:
    found = how_it_ended({"MONITOR_SERVICE_RESULT": result, "MONITOR_EXIT_CODE": code, "MONITOR_EXIT_STATUS": status})
    assert (found is None) if text is None else (text in (found or ""))
