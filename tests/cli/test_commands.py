"""The command line as a process."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from coldframe.cli.command_line import with_default_rig
from coldframe.config.simulated_rig import shipped_rigs
from tests.patience import PATIENCE_S

COLDFRAME = [sys.executable, "-m", "coldframe"]


def coldframe(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COLDFRAME, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "plan",
        "serve",
        "listen",
        "simulate",
        "devices",
        "init",
        "safe",
        "combine",
        "calibrate",
        "diagnose",
        "bisect",
        "library",
        "report",
        "inspect",
    ],
)
def test_every_command_has_a_complete_help(command: str) -> None:
    shown = coldframe(*command.split(), "--help")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) > 8
    assert not any(line.endswith("...") for line in shown.stdout.splitlines()[2:])


@pytest.mark.parametrize("command", ["run", "plan", "simulate"])
def test_the_help_lists_all_shipped_rigs(command: str) -> None:
    shown = "".join(coldframe(command, "--help").stdout.split())  # a line may end within a name
    assert [name for name in shipped_rigs() if f"{name}," not in shown and f"{name}." not in shown] == []


def test_help_loads_none_of_the_heavy_libraries() -> None:
    """A command imports its work only when it runs: this keeps `coldframe --help` fast."""
    heavy = {"numpy", "numba", "llvmlite", "astropy", "pydantic", "asyncio"}
    program = f"import sys, coldframe.cli; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


def test_simulate_without_a_name_means_the_small_rig() -> None:
    assert with_default_rig(["run", "--simulate"]) == ["run", "--simulate", "small"]
    assert with_default_rig(["run", "--simulate", "--dry-run"]) == ["run", "--simulate", "small", "--dry-run"]
    assert with_default_rig(["run", "--simulate", "uncooled"]) == ["run", "--simulate", "uncooled"]


def test_a_dry_run_shows_the_plan_in_its_order() -> None:
    shown = coldframe("run", "--simulate", "--dry-run")
    assert shown.returncode == 0
    rows = [line[2:].split("  ")[0] for line in shown.stdout.splitlines() if line.startswith("  ")]
    flats = [title.format(name) for name in ("L", "Ha") for title in ("tune flat {}", "dark flat {}", "flat {}")]
    steps = [row for row in rows if row not in {"", "step", "total"}]
    assert steps == ["cool to -10 C", "bias", *flats, "dark 2 s", "warm up"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--config", "/nowhere/coldframe.toml"], "no such file"),
        (["run", "--simulate", "nothing"], "no example night has this name"),
        (["simulate", "nothing"], "neither a file nor a shipped rig"),
        (["devices", "--port", "1"], "Is indiserver running there"),
        (["init", "--port", "1", "--config", "new.toml"], "Is indiserver running there"),
        (["run", "--no-such-option"], "No such option"),
    ],
)
def test_bad_input_gives_a_clear_message_and_exit_code_2(arguments: list[str], said: str) -> None:
    ended = coldframe(*arguments)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_init_does_not_overwrite_a_file(tmp_path: Path) -> None:
    path = tmp_path / "coldframe.toml"
    path.write_text("# mine", "utf-8")
    assert coldframe("init", "--config", str(path)).returncode == 2
    assert path.read_text("utf-8") == "# mine"


def test_all_mistakes_of_a_configuration_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "coldframe.toml"
    path.write_text('[camera]\ndevice = 7\nbining = 2\n[[sets]]\nkind = "bias"\ncount = 0\n', "utf-8")
    ended = coldframe("run", "--config", str(path))
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}:") for line in lines)


def test_json_lines_report_a_night_until_it_is_interrupted(tmp_path: Path) -> None:
    night = subprocess.Popen(
        [*COLDFRAME, "run", "--simulate", "small", "--json", "--folder", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert night.stdout is not None
    names = []
    for line in night.stdout:
        names.append(json.loads(line)["event"])
        if names[-1] == "temperature-read" and len(names) > 5:
            night.send_signal(signal.SIGINT)
            break
    names += [json.loads(line)["event"] for line in night.stdout]
    assert night.stderr is not None
    assert "Traceback" not in night.stderr.read()
    assert night.wait(timeout=PATIENCE_S) == 130
    night.stdout.close()
    night.stderr.close()
    assert names[0] == "night-started"
    assert names[-1] == "night-ended"


def test_the_safe_state_needs_only_its_own_part_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "coldframe.toml"
    path.write_text('[server]\nport = 1\n[camera]\ndevice = "C"\n[flats]\ntarget = 7\n', "utf-8")
    ended = coldframe("safe", "--patience", "0", "--config", str(path))
    assert ended.returncode == 4
    assert "flats" not in ended.stderr
    assert "INDI server 127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_simulated_server_ends_with_its_parent() -> None:
    server = subprocess.Popen(
        [*COLDFRAME, "simulate", "--port", "0", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert "serving" in server.stdout.readline()
    server.stdin.close()
    assert server.wait(timeout=PATIENCE_S) == 0
    server.stdout.close()
