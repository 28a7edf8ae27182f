"""Nights that a script or a notebook runs."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import coldframe
from coldframe.config.examples import example_night
from tests.patience import PATIENCE_S

SCRIPT = """
import signal, sys
import coldframe

def show(event):
    print(event["event"], flush=True)

before = signal.getsignal(signal.SIGTERM)
try:
    coldframe.run_night(sys.argv[1], simulate="small", folder=sys.argv[2], on_event=show)
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.SIGTERM) is before)
"""


def bias_only(folder: Path, count: int) -> Path:
    """Write the configuration of a night with one set of the small rig, which cools within seconds; return its path."""
    night = example_night("small").read_text("utf-8")
    night = night.replace("setpoint_c = -10.0", "setpoint_c = 4.0").replace("dwell_s = 6.0", "dwell_s = 0.5")
    path = folder / "night.toml"
    path.write_text(f'{night[: night.index("[[sets]]")]}[[sets]]\nkind = "bias"\ncount = {count}\n', "utf-8")
    return path


def last_event(folder: Path) -> dict[str, Any]:
    (journal,) = folder.rglob("journal.jsonl")
    event: dict[str, Any] = json.loads(journal.read_text("utf-8").splitlines()[-1])
    return event


async def test_a_night_on_the_running_loop(tmp_path: Path) -> None:
    config = bias_only(tmp_path, 5)
    with pytest.raises(RuntimeError, match=r"await coldframe\.run_night_async"):
        coldframe.run_night(config, simulate="small", folder=tmp_path / "nights")
    events: list[Mapping[str, Any]] = []
    night = await coldframe.run_night_async(
        config, simulate="small", folder=tmp_path / "nights", on_event=events.append
    )
    assert (night.outcome, night.is_safe, night.hook_failures) == ("complete", True, ())
    assert night.folder is not None
    assert (night.folder / "report.html").is_file()
    assert night.messages == (f"report: {night.folder / 'report.html'}",)
    (master,) = night.masters
    assert coldframe.read_master(master).setup.kind == "bias"
    assert [each.setup.kind for each in coldframe.Library(tmp_path / "nights" / "library").masters()] == ["bias"]
    journal = (night.folder / "journal.jsonl").read_text("utf-8").splitlines()
    assert events == [json.loads(line) for line in journal]


async def test_a_cancelled_night_ends_in_the_safe_state(tmp_path: Path) -> None:
    config = bias_only(tmp_path, 200)

    def cancel(event: Mapping[str, Any]) -> None:
        if event["event"] == "frame-accepted" and not running.cancelling():  # again would skip the warm-up
            running.cancel()

    night = coldframe.run_night_async(config, simulate="small", folder=tmp_path / "nights", on_event=cancel)
    running = asyncio.create_task(night)
    with pytest.raises(asyncio.CancelledError):
        await running
    event = last_event(tmp_path / "nights")
    assert (event["event"], event["outcome"], event["rig_is_safe"]) == ("night-ended", "interrupted", True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_script_in_the_safe_state(tmp_path: Path, number: signal.Signals) -> None:
    config = bias_only(tmp_path, 200)
    command = [sys.executable, "-c", SCRIPT, str(config), str(tmp_path / "nights")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        while script.stdout.readline() != "frame-accepted\n":
            assert script.poll() is None
        script.send_signal(number)
        shown, _ = script.communicate(timeout=PATIENCE_S)
    assert script.returncode == 0
    assert shown.endswith("night-ended\ninterrupted True\n")
    event = last_event(tmp_path / "nights")
    assert (event["outcome"], event["rig_is_safe"]) == ("interrupted", True)


def test_a_night_in_a_thread(tmp_path: Path) -> None:
    config = bias_only(tmp_path, 3)
    results: list[coldframe.NightResult] = []

    def run() -> None:
        results.append(coldframe.run_night(config, simulate="small", folder=tmp_path / "nights"))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_S)
    assert [each.outcome for each in results] == ["complete"]


def test_a_night_without_a_configuration_does_not_begin(tmp_path: Path) -> None:
    with pytest.raises(coldframe.ColdframeError, match="no such file"):
        coldframe.run_night(tmp_path / "missing.toml")
    with pytest.raises(coldframe.ColdframeError, match="nothing"):
        coldframe.run_night(simulate="nothing", folder=tmp_path)
