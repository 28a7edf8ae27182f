"""Commands before and after the night have deadlines, and their results are published."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, HookEnded
from coldframe.capture.events.stream import EventStream
from coldframe.capture.session import hooks
from coldframe.capture.session.hooks import HookFailedError, Hooks, run_bounded
from coldframe.config.tables.night import HookSettings
from tests.patience import PATIENCE_S, until

PYTHON = sys.executable


def around(**commands: object) -> Hooks:
    return Hooks(HookSettings.model_validate(commands), NightClock(datetime(2026, 11, 22, tzinfo=UTC)))


def writes(path: Path) -> list[str]:
    return [PYTHON, "-c", f"open({str(path)!r}, 'a').write('ran ')"]


async def test_output_is_kept_and_no_shell_interprets_the_command() -> None:
    fault, output = await run_bounded((PYTHON, "-c", "import sys; print(sys.argv[1])", "$HOME; ls"), PATIENCE_S)
    assert (fault, output) == ("", "$HOME; ls")


async def test_only_the_end_of_long_output_is_kept() -> None:
    _, output = await run_bounded((PYTHON, "-c", "print('x' * 100000 + 'end')"), PATIENCE_S)
    assert len(output) <= hooks.LONGEST_OUTPUT
    assert output.endswith("end")


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (("/nowhere/command",), "cannot be run (No such file"),
        ((PYTHON, "-c", "raise SystemExit(3)"), "failed with exit status 3"),
        ((PYTHON, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), "was ended by signal 9"),
    ],
)
async def test_failures_are_described(command: tuple[str, ...], fault: str) -> None:
    found, _ = await run_bounded(command, PATIENCE_S)
    assert found.startswith(fault)


STUBBORN = ("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait")


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


async def test_a_command_that_does_not_end_is_killed_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "GRACE_S", 0.2)
    fault, output = await run_bounded(STUBBORN, 3.0)
    assert fault == "did not end within 3 s"
    await until(lambda: not is_running(int(output)))


FLEEING = (
    "import os, pathlib, signal, sys, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
    "        time.sleep(1000)\n"
    "    os._exit(0)\n"
    "time.sleep(1000)\n"
)
"""A command whose child leaves the session, and whose grandchild is an orphan that ignores SIGTERM."""


async def test_processes_that_leave_the_session_and_their_parent_are_ended_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "GRACE_S", 0.2)
    said = tmp_path / "pid"
    running = asyncio.create_task(run_bounded((PYTHON, "-c", FLEEING, str(said)), PATIENCE_S))
    await until(lambda: said.exists() and said.read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not is_running(int(said.read_text()))


async def test_a_child_in_another_session_is_asked_to_end_first(tmp_path: Path) -> None:
    cleaned, begun = tmp_path / "cleaned", tmp_path / "begun"
    child = f"trap 'touch {cleaned}; exit' TERM; touch {begun}; while :; do sleep 0.05; done"
    running = asyncio.create_task(run_bounded(("sh", "-c", f'setsid sh -c "{child}"; sleep 1000'), PATIENCE_S))
    await until(begun.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned.exists()


async def test_a_process_left_in_the_background_delays_nothing() -> None:
    fault, output = await run_bounded(("sh", "-c", f"sleep {4 * PATIENCE_S} & echo $!"), PATIENCE_S)
    os.kill(int(output), signal.SIGKILL)
    assert fault == ""


async def test_cancelling_ends_the_command(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    script = f"import os, time; open({str(said)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    running = asyncio.create_task(run_bounded((PYTHON, "-c", script), PATIENCE_S))
    await until(lambda: said.exists() and said.read_text())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not is_running(int(said.read_text()))


async def test_the_first_failure_before_the_night_stops_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    failing = [PYTHON, "-c", "print('the mount is not there'); raise SystemExit(1)"]
    with pytest.raises(HookFailedError, match=r"exit status 1 \(the mount is not there\); nothing was moved"):
        await around(before=[writes(ran), failing, writes(ran)]).before()
    assert ran.read_text() == "ran "


async def test_every_command_after_the_night_runs_once_whatever_fails(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    given = around(after=[["/nowhere/command"], writes(ran)])
    await given.after()
    await given.after()
    assert ran.read_text() == "ran "
    assert len(given.failures) == 1
    assert "(/nowhere/command) cannot be run" in given.failures[0]


async def test_cancelling_does_not_keep_the_roof_open(tmp_path: Path) -> None:
    ran, begun, goes_on = tmp_path / "ran", tmp_path / "begun", tmp_path / "goes-on"
    waits = ["sh", "-c", f"touch {begun}; until [ -e {goes_on} ]; do sleep 0.05; done"]
    closing = asyncio.create_task(around(after=[waits, writes(ran)]).after())
    await until(begun.exists)
    for _ in range(3):
        closing.cancel()
        await asyncio.sleep(0.05)
    goes_on.touch()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert ran.read_text() == "ran "


async def test_results_are_published_once_there_is_a_subscriber() -> None:
    given, events, heard = around(before=[[PYTHON, "-c", "print('parked')"]]), EventStream(), list[Event]()
    await given.before()
    events.subscribe(heard.append)
    given.publish_results(events)
    given.publish_results(events)
    (event,) = heard
    assert isinstance(event, HookEnded)
    assert (event.fault, event.output) == ("", "parked")
