"""The installer refuses systems that it cannot install on, and removes only what it installed."""

import os
import shutil
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import load_rig
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parent.parent
INSTALLER = ROOT / "install.sh"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home folder with a folder `programs`, which comes first in PATH."""
    (tmp_path / "programs").mkdir()
    return tmp_path


def program(home: Path, name: str, script: str) -> None:
    path = home / "programs" / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def install(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    variables = {"HOME": str(home), "PATH": f"{home}/programs:{os.environ['PATH']}", **variables}
    return subprocess.run(
        [INSTALLER, *arguments], env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def refusal(home: Path, *arguments: str, **variables: str) -> str:
    ended = install(home, *arguments, **variables)
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2
    assert sorted(path.name for path in home.iterdir()) == ["programs"], "nothing is installed"
    return line


def test_the_extras_are_those_of_the_package(home: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    line = refusal(home, *extras, "bogus")
    assert "bogus is not an extra" in line
    assert all(extra in line for extra in extras)


@pytest.mark.parametrize("machine", ["armv7l", "i686", "riscv64"])
def test_other_processors_are_refused(home: Path, machine: str) -> None:
    program(home, "uname", f'[ "$1" = -s ] && echo Linux || echo {machine}')
    assert machine in refusal(home)


def test_other_systems_are_refused(home: Path) -> None:
    program(home, "uname", "echo Darwin")
    assert "this is Darwin" in refusal(home)


def test_an_old_python_is_refused_with_a_way_out(home: Path) -> None:
    program(home, "python3", '[ "$1" = --version ] && echo Python 3.10.12 || exit 1')
    for minor in range(11, 16):
        program(home, f"python3.{minor}", "exit 1")
    line = refusal(home)
    assert "needs Python 3.11 or newer, and this system has Python 3.10.12" in line
    assert "PYTHON=/path/to/python3.11 ./install.sh" in line
    assert "is not Python 3.11 or newer" in refusal(home, PYTHON=f"{home}/programs/python3")


def test_a_newer_python_beside_an_old_one_is_used(home: Path) -> None:
    program(home, "python3", "exit 1")
    # It stops at its next check, so that nothing is installed.
    program(home, "python3.15", 'case "$2" in *version_info\\ \\<*) exit 0 ;; *) exit 1 ;; esac')
    assert "python3.15 is a 32-bit program" in refusal(home)


def test_a_python_without_venv_is_refused_with_the_package_to_install(home: Path) -> None:
    program(home, "python3", f'case "$2" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac')
    assert refusal(home).endswith("sudo apt install python3-venv")


def test_sudo_is_refused(home: Path) -> None:
    program(home, "id", "echo 0")
    line = refusal(home, SUDO_USER="astro")
    assert "without sudo" in line
    assert "user astro" in line


def environment_with_pip(home: Path, pip: str) -> Path:
    """Return an installed environment whose Python runs `pip`, a shell script, instead of pip."""
    (venv_bin := home / "my data" / "coldframe" / "venv" / "bin").mkdir(parents=True)
    python = venv_bin / "python"
    python.write_text(f"#!/bin/sh\n{pip}\n", "utf-8")
    python.chmod(0o755)
    return python


def test_a_failure_of_pip_is_explained_in_a_folder_with_spaces(home: Path) -> None:
    environment_with_pip(home, '[ "$3" = --version ] || { echo "pip says: $3" >&2; exit 1; }')
    ended = install(home, XDG_DATA_HOME=f"{home}/my data")
    assert ended.returncode == 2
    said, explained = ended.stderr.splitlines()
    assert said == "pip says: install"
    assert "Check the network connection" in explained


def test_an_environment_with_a_different_python_than_the_chosen_one_is_replaced(home: Path) -> None:
    old = environment_with_pip(home, '[ "$1" != -c ] || echo 3.11')
    chosen = home / "programs" / "chosen"
    is_venv = '[ "$2" != venv ] || { echo "creates $3" >&2; exit 1; }'
    program(home, "chosen", f"{is_venv}\ncase $2 in *%d.%d*) echo 3.14 ;; esac")
    ended = install(home, PYTHON=str(chosen), XDG_DATA_HOME=f"{home}/my data")
    assert ended.stderr == f"creates {old.parent.parent}\n"
    assert not old.exists()


def test_settings_for_other_installations_do_not_reach_pip(home: Path) -> None:
    environment_with_pip(home, '[ "$3" = --version ] || { env | grep -E "^(PIP_|PYTHONPATH)" | sort >&2; exit 1; }')
    ended = install(
        home,
        XDG_DATA_HOME=f"{home}/my data",
        PYTHONPATH="/opt/other",
        PIP_USER="1",
        PIP_TARGET="/opt/other",
        PIP_NO_BINARY=":all:",
        PIP_INDEX_URL="file:///opt/mirror",
    )
    assert ended.stderr.splitlines()[:-1] == ["PIP_INDEX_URL=file:///opt/mirror", "PIP_USER=0"]


def test_uninstalling_removes_only_what_was_installed(home: Path) -> None:
    share, bin_folder = home / ".local" / "share", home / ".local" / "bin"
    venv = share / "coldframe" / "venv"
    for folder in (
        venv / "bin",
        bin_folder,
        share / "man" / "man1",
        home / ".config" / "coldframe",
        home / "coldframe",
    ):
        folder.mkdir(parents=True)
    (venv / "bin" / "coldframe").touch()
    (bin_folder / "coldframe").symlink_to(venv / "bin" / "coldframe")
    (bin_folder / "indi_coldframe_rig").symlink_to("/opt/another/indi_coldframe_rig")
    (share / "man" / "man1" / "coldframe.1").touch()

    ended = install(home, "--uninstall")

    assert ended.returncode == 0, ended.stderr
    assert not (share / "coldframe").exists()
    assert not (share / "man" / "man1" / "coldframe.1").exists()
    assert [path.name for path in bin_folder.iterdir()] == ["indi_coldframe_rig"]
    assert (home / ".config" / "coldframe").is_dir()
    assert (home / "coldframe").is_dir()


def test_nothing_is_replaced_while_coldframe_runs(home: Path) -> None:
    venv_bin = home / ".local" / "share" / "coldframe" / "venv" / "bin"
    venv_bin.mkdir(parents=True)
    sleeping = shutil.copy(shutil.which("sleep") or "/bin/sleep", venv_bin / "coldframe")
    running = subprocess.Popen([sleeping, str(PATIENCE_S)])
    try:
        ended = install(home, "--uninstall")
        assert (ended.returncode, f"(process {running.pid})" in ended.stderr) == (2, True), ended.stderr
        assert venv_bin.is_dir()
    finally:
        running.kill()
        running.wait()


def test_the_trial_night_fits_its_rig() -> None:
    night, rig = (
        load_settings(ROOT / "config" / "trial" / "night.toml"),
        load_rig(str(ROOT / "config" / "trial" / "rig.toml")),
    )
    assert (night.wheel, rig.wheel, night.camera.setpoint_c, rig.cooler) == (None, None, None, None)
    assert {each.kind.value for each in night.sets} == {"bias", "dark", "flat", "dark-flat"}
