"""`coldframe notify`, by hand and as systemd's alarm, and what is checked before a night."""

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


def within(*arguments: str | Path) -> Result:
    """Run a command in this process, which is much faster."""
    return CliRunner().invoke(app, [str(each) for each in arguments])


def config(folder: Path, text: str) -> Path:
    path = folder / "coldframe.toml"
    path.write_text(text)
    return path


def test_a_message_and_an_alarm_arrive_whatever_else_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    path = config(tmp_path, CAMERA + f'[notify]\nurls_file = "{urls}"\n[flats]\ntarget = 7\n')
    with server() as taken:
        urls.write_text(taken.address)
        sent = coldframe("notify", "hello", "--config", path)
        assert (sent.returncode, sent.stderr) == (0, "")
        killed = {"MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": "KILL"}
        assert coldframe("notify", "--alarm", "coldframe.service", "--config", path, **killed).returncode == 0
        told = {"MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_CODE": "exited", "MONITOR_EXIT_STATUS": "1"}
        assert coldframe("notify", "--alarm", "coldframe.service", "--config", path, **told).returncode == 0
    assert [(message["title"], message["message"]) for message in taken.messages] == [
        ("Cam: message", "hello"),
        ("Cam: alarm", "coldframe.service: killed by signal KILL, without a final message"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CAMERA, "no [notify] table"),
        (CAMERA + '[notify]\nurls = ["json://user:secret@host"]\n', "urls_file"),
        (CAMERA + "[notify]\n", "notify.urls_file: missing"),
        (CAMERA + '[notify]\nurls_from = ["NO_SUCH"]\n', "NO_SUCH"),
    ],
)
def test_bad_settings_exit_2_and_show_no_secret(tmp_path: Path, text: str, said: str) -> None:
    refused = within("notify", "hello", "--config", config(tmp_path, text))
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert "secret" not in refused.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[notify]\nurls_from = ["NO_SUCH"]\n', "the environment has no NO_SUCH"),
        ('[mqtt]\nuser = "rig"\npassword_file = "/no/such"\n', "/no/such"),
        ('[mqtt]\npassword = "secret"\n', "password_file"),
        ('[mqtt]\ntls = true\nca_file = "/no/such"\n', "no certificate"),
        ('[mqtt]\nca_file = "/no/such"\n', "tls = true"),
        ('[mqtt]\nbase_topic = "a/#"\n', "mqtt.base_topic"),
    ],
)
def test_what_cannot_be_told_is_said_before_the_night(tmp_path: Path, table: str, said: str) -> None:
    night = CAMERA + table + '[[sets]]\nkind = "bias"\ncount = 5\n'
    refused = within("run", "--config", config(tmp_path, night), "--folder", tmp_path / "out")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert said in refused.stderr
    assert "secret" not in refused.stderr


@pytest.mark.parametrize(
    ("result", "code", "status", "said"),
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
def test_an_alarm_tells_how_the_run_ended(result: str, code: str, status: str, said: str | None) -> None:
    found = how_it_ended({"MONITOR_SERVICE_RESULT": result, "MONITOR_EXIT_CODE": code, "MONITOR_EXIT_STATUS": status})
    assert (found is None) if said is None else (said in (found or ""))
