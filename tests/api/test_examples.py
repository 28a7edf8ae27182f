"""The examples run, as a user runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

from coldframe.calibration.library.library import Library
from tests.api.test_nights import bias_only
from tests.api.test_results import shoot
from tests.calibration.diagnosis import nights
from tests.patience import PATIENCE_S

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(example: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLES / example), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def test_combine_darks(tmp_path: Path) -> None:
    shoot(tmp_path / "darks", 9)
    shown = run("combine_darks.py", tmp_path / "darks", tmp_path / "MasterDark.fits")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("9 darks of 60 s: level 499.9 ADU\nnoise of the master: 3.")
    again = run("combine_darks.py", tmp_path / "darks", tmp_path / "MasterDark.fits")
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "exists, and files are never overwritten" in again.stderr


def test_calibrate_and_check(tmp_path: Path) -> None:
    simulated = nights.simulate(nights.draw(7, size=(256, 384), lights=5, program="nina"), None)
    lights, masters = nights.write(simulated, tmp_path / "night")
    library = Library(tmp_path / "library")
    for master in masters:
        library.file(master)
    shown = run("calibrate_and_check.py", lights[0].parent, library.folder, tmp_path / "calibrated")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{len(masters)} masters in {library.folder}" in shown.stdout
    assert shown.stdout.count("_calibrated.fits: mean ") == len(lights)
    assert "Your lights calibrate cleanly." in shown.stdout


def test_simulated_night(tmp_path: Path) -> None:
    shown = run("simulated_night.py", tmp_path / "nights", bias_only(tmp_path, 5))
    assert (shown.returncode, shown.stderr) == (0, "")
    *events, master, end = shown.stdout.splitlines()
    assert sum(line.endswith(" frame-accepted") for line in events) == 5
    assert events[-1].endswith(" night-ended")
    assert master.startswith("MasterBias_")
    assert master.endswith(": bias, 5 frames")
    assert end.startswith("complete; the rig is safe")


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_has_a_test(example: str) -> None:
    assert f'run("{example}"' in Path(__file__).read_text("utf-8")
