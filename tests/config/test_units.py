import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[2] / "config"
UNITS = (
    "coldframe.service",
    "coldframe.timer",
    "coldframe-alarm@.service",
    "coldframe-listen.service",
    "coldframe-serve.service",
)


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((CONFIG / name).read_text(encoding="utf-8"))
    return parser


def test_the_service_ends_in_the_safe_state() -> None:
    service = unit("coldframe.service")["Service"]

    assert service["Type"] == "notify"
    assert service["WatchdogSec"] == "3min"
    assert service["TimeoutStartSec"] == "infinity"
    assert service["ExecStart"].split("/")[-1] == "coldframe run --no-dashboard"
    assert service["ExecStopPost"].split("/")[-1] == "coldframe safe --patience 600"
    assert service["KillMode"] == "mixed"


def test_the_service_can_write_the_folder_and_compile_its_kernels() -> None:
    service = unit("coldframe.service")["Service"]

    # The minus sign: with a drop-in for another user, this home may be missing. The other folder contains the lock that
    # all runs of a rig share.
    assert service["ReadWritePaths"].split() == [f"-/home/{service['User']}", "/run/lock"]
    assert "ProtectHome" not in service
    assert "MemoryDenyWriteExecute" not in service


def test_a_run_without_a_final_message_raises_an_alarm() -> None:
    assert unit("coldframe.service")["Unit"]["OnFailure"] == "coldframe-alarm@%n.service"
    alarm = unit("coldframe-alarm@.service")["Service"]
    assert alarm["ExecStart"].split("/", 5)[-1] == 'coldframe notify --alarm "%i on %H"'
    assert alarm["User"] == unit("coldframe.service")["Service"]["User"]


def test_a_night_survives_its_listener_unless_that_is_stopped() -> None:
    listener, night = unit("coldframe-listen.service")["Service"], unit("coldframe.service")["Service"]
    assert listener["ExecStart"].split("/")[-1] == "coldframe listen"
    assert listener["KillMode"] == "process"
    assert listener["TimeoutStopSec"] == night["TimeoutStopSec"]
    for setting in ("User", "ReadWritePaths", "SystemCallFilter", "RestrictAddressFamilies"):
        assert listener[setting] == night[setting], "as the night inherits it"


def test_the_page_may_attach_to_the_night() -> None:
    page, night = unit("coldframe-serve.service")["Service"], unit("coldframe.service")["Service"]
    assert page["ExecStart"].split("/")[-1] == "coldframe serve"
    assert page["User"] == night["User"], "a run shows itself only to its own user"


def test_a_missed_morning_is_not_made_up_for() -> None:
    assert unit("coldframe.timer")["Timer"]["Persistent"] == "false"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = (CONFIG / name).read_text(encoding="utf-8").replace("/home/astro/.local/bin/coldframe", "/bin/true")
        (tmp_path / name).write_text(text, encoding="utf-8")

    units = [str(path) for path in tmp_path.iterdir()]
    ended = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (ended.returncode, [line for line in ended.stderr.splitlines() if "coldframe" in line]) == (0, [])
