"""No accepted frame is lost if a run is killed at one of its calls to the disk, or if the power fails."""

import json
import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S


def tried(module: str, count: int) -> dict[str, int]:
    """Try deaths or power cuts in another process: it forks, which is safe only in a process without threads."""
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.crash.{module}", str(count)],
        capture_output=True,
        text=True,
        timeout=count * PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary: dict[str, int] = json.loads(ended.stdout[ended.stdout.index("{") :])
    return summary


def test_no_death_costs_an_accepted_frame() -> None:
    summary = tried("deaths", 12)
    assert summary["deaths"] >= 12
    assert summary["not survived"] == 0


def test_no_power_cut_costs_an_accepted_frame() -> None:
    summary = tried("power_cuts", 12)
    assert summary["cuts"] >= 8
    assert summary["not survived"] == 0


@pytest.mark.deep
def test_a_thousand_deaths_cost_no_accepted_frame() -> None:
    summary = tried("deaths", 1000)
    assert summary["deaths"] == 1000
    assert summary["not survived"] == 0


@pytest.mark.deep
def test_a_thousand_power_cuts_cost_no_accepted_frame() -> None:
    summary = tried("power_cuts", 1000)
    assert summary["cuts"] >= 900
    assert summary["not survived"] == 0
