"""Runs killed at one of their calls to the disk, or whose power is cut, and what the next run makes of them."""

import json
import subprocess
import sys

import pytest

from tests.patience import PATIENCE_S


def tried(module: str, count: int) -> dict[str, int]:
    """Try deaths or power cuts in a process of its own, which forks: not from one that has threads."""
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.crash.{module}", str(count)],
        capture_output=True,
        text=True,
        timeout=count * PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, int] = json.loads(ended.stdout[ended.stdout.index("{") :])
    return told


def test_no_death_costs_an_accepted_frame() -> None:
    told = tried("deaths", 12)
    assert told["deaths"] >= 12
    assert told["not survived"] == 0


def test_no_power_cut_costs_an_accepted_frame() -> None:
    told = tried("power_cuts", 20)
    assert told["cuts"] >= 15
    assert told["not survived"] == 0


@pytest.mark.deep
def test_a_thousand_deaths_cost_no_accepted_frame() -> None:
    told = tried("deaths", 1000)
    assert told["deaths"] == 1000
    assert told["not survived"] == 0


@pytest.mark.deep
def test_a_thousand_power_cuts_cost_no_accepted_frame() -> None:
    told = tried("power_cuts", 1000)
    assert told["cuts"] >= 900
    assert told["not survived"] == 0
