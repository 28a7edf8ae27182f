"""Runs killed at one of their calls to the disk, gone on with, and compared with what an unbroken run gives."""

import json
import subprocess
import sys

import pytest


def tried(count: int, deadline_s: float) -> dict[str, int]:
    """Try deaths in a process of its own, which forks: not from one that has threads."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash.deaths", str(count)],
        capture_output=True,
        text=True,
        timeout=deadline_s,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, int] = json.loads(ended.stdout[ended.stdout.index("{") :])
    return told


def test_no_death_costs_an_accepted_frame() -> None:
    told = tried(12, 300.0)
    assert told["deaths"] >= 12
    assert told["not survived"] == 0


@pytest.mark.deep
def test_a_thousand_deaths_cost_no_accepted_frame() -> None:
    told = tried(1000, 10_000.0)
    assert told["deaths"] == 1000
    assert told["not survived"] == 0
