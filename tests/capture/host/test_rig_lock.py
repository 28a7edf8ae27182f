"""A rig has only one run at a time, and terminated runs do not count."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coldframe.capture.host import rig_lock
from coldframe.capture.host.rig_lock import (
    RigInUseError,
    listening_locked,
    lock_path,
    rig_holder,
    rig_in_use,
    rig_locked,
)
from coldframe.config.tables.rig import ServerSettings

HOLD = """
import sys
from pathlib import Path
from coldframe.capture.host import rig_lock
from coldframe.config.tables.rig import ServerSettings
rig_lock.FOLDERS = (Path(sys.argv[1]),)
with rig_lock.rig_locked(ServerSettings(port=7777)):
    print("held", flush=True)
    sys.stdin.read()
"""
SERVER = ServerSettings(port=7777)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig_lock, "FOLDERS", (tmp_path,))


@contextmanager
def other_run(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the rig."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        try:
            yield run
        finally:
            run.kill()


def test_a_second_run_is_refused_and_the_holder_named(tmp_path: Path) -> None:
    with other_run(tmp_path) as run:
        with pytest.raises(RigInUseError) as refused, rig_locked(SERVER):
            pass
        assert f"process {run.pid} of user" in str(refused.value)
        assert "kill -TERM" in str(refused.value)
        with rig_locked(ServerSettings(port=7778)):
            pass


def test_a_run_that_died_is_reported_and_holds_nothing(tmp_path: Path) -> None:
    with other_run(tmp_path) as run:
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        with rig_locked(SERVER) as notes:
            assert len(notes) == 1
            assert f"process {run.pid}" in notes[0]
    with rig_locked(SERVER) as notes:
        assert notes == ()


def test_a_run_that_failed_did_not_die() -> None:
    with pytest.raises(ValueError, match="bad plan"), rig_locked(SERVER):
        raise ValueError("bad plan")
    with rig_locked(SERVER) as notes:
        assert notes == ()


@pytest.mark.parametrize(
    "note",
    ["", "[]", "{", '{"process": "x"}', '{"process": 1, "user": "a\\u001b[2J", "since": "2026-01-01T00:00:00+00:00"}'],
)
def test_foreign_content_of_the_lock_does_no_harm(note: str) -> None:
    lock_path(SERVER).write_text(note)
    with rig_locked(SERVER) as notes:
        assert notes == ()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    lock_path(SERVER).symlink_to(victim)
    with pytest.raises(OSError), rig_locked(SERVER):  # noqa: PT011
        pass
    assert victim.read_text() == "precious"


def test_all_names_of_this_machine_give_one_lock() -> None:
    assert lock_path(ServerSettings(host="localhost")) == lock_path(ServerSettings(host="127.0.0.1"))
    assert lock_path(ServerSettings(host="Observatory.local")) == lock_path(ServerSettings(host="observatory.local"))
    assert lock_path(ServerSettings(host="../../etc/x")).parent == rig_lock.FOLDERS[0]


def test_the_holder_is_found_without_taking_the_lock() -> None:
    assert (rig_holder(SERVER), rig_in_use(SERVER)) == (None, None)
    with rig_locked(SERVER):
        holder, said = rig_holder(SERVER), rig_in_use(SERVER)
        assert holder is not None
        assert said is not None
        assert f"is in use by process {holder.process} of user" in said
    assert (rig_holder(SERVER), rig_in_use(SERVER)) == (None, None)


def test_a_rig_whose_run_died_is_free() -> None:
    lock_path(SERVER).write_text('{"process": 7, "user": "astro", "since": "2026-11-22T04:00:00+00:00"}')
    assert rig_holder(SERVER) is not None
    assert rig_in_use(SERVER) is None
    with rig_locked(SERVER) as notes:
        assert "process 7" in notes[0]


def test_a_listener_does_not_keep_the_rig_from_a_run() -> None:
    with listening_locked(SERVER), rig_locked(SERVER):
        refused = pytest.raises(RigInUseError, match="another listener is running")
        with refused, listening_locked(SERVER):
            pass
