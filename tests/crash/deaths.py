"""Runs that are killed at one of their system calls to the disk, and the runs that resume their nights.

Each run is a process that is forked from a process with all modules imported. It shoots a night with a simulated rig
under virtual time. It sends SIGKILL to itself before, during or after its n-th call, so that nothing is cleaned up, as
if the machine had stopped. `power_cuts` simulates the losses of a disk in a power cut.

    python -m tests.crash.deaths 1000        # test 1000 points, spread over all calls of a night, and print a table
"""

import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import looptime
import numpy as np

from coldframe.calibration import threads
from coldframe.calibration.combining.verify import recombined
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.capture.events.kinds import FrameAccepted, MasterWritten, NightEnded
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from tests.nights.nights import Inline, NightRun, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S

CALLS = ("open", "write", "fsync", "link", "unlink", "rename", "replace", "mkdir", "ftruncate", "pwrite")
MOMENTS = ("before", "within", "after")


@dataclass(frozen=True)
class Death:
    """The number of the call at which a run is killed, and whether it is killed before, within or after the call."""

    number: int
    moment: str


@dataclass
class Disk:
    """A counter of a run's calls to the disk, which kills the run at one of them.

    Attributes
    ----------
    calls
        Names of the calls so far.
    """

    death: Death | None
    calls: list[str] = field(default_factory=list)

    def intercept(self) -> None:
        """Replace the calls for the rest of this process."""
        for name in CALLS:
            setattr(os, name, self._counting(name, getattr(os, name)))

    def _counting(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_CREAT:
                return call(*arguments, **named)  # opened for reading
            self.calls.append(name)
            mine = self.death is not None and len(self.calls) == self.death.number
            if mine and self.death is not None and self.death.moment == "within" and name == "write":
                call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            elif mine and self.death is not None and self.death.moment == "after":
                call(*arguments, **named)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counted


LEFT = 3
"""Exit code of a child that ended during its work, as in a power cut."""


def in_child(work: Callable[[], Any]) -> Any:
    """Call `work` in a forked process. Return its result, or "killed" or "left" if the process ended early.

    Raises
    ------
    AssertionError
        If `work` raised an exception, or hangs.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        signal.alarm(int(PATIENCE_S))
        try:
            result = ("done", work())
        except BaseException:  # noqa: BLE001  the parent process raises it
            result = ("failed", traceback.format_exc())
        with os.fdopen(writer, "wb") as told:
            pickle.dump(result, told)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        answer = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the run hangs: ended by signal {os.WTERMSIG(status)}"
        return "killed"
    if os.WEXITSTATUS(status) == LEFT:
        return "left"
    outcome, value = pickle.loads(answer)
    assert outcome == "done", value
    return value


def few() -> Settings:
    """Return a night of one filter, with bias, dark flats, flats and darks."""
    settings = short()
    kept = [each for each in settings.sets if each.filter in {None, "L"}]
    sets = tuple(each.model_copy(update={"count": 6 if each.kind is FrameKind.DARK_FLAT else 5}) for each in kept)
    return settings.model_copy(update={"sets": sets})


def run(folder: Path, death: Death | None = None) -> tuple[list[str], str, list[str], list[str]]:
    """Run a night in this process. Return its calls, its outcome, the accepted files and the masters."""
    disk, rigged = Disk(death), Rigged()
    disk.intercept()

    async def to_the_end() -> NightRun:
        night = await run_night(few(), SMALL, folder, rigged)
        rigged.assert_safe()
        return night

    night: NightRun = looptime.new_event_loop().run_until_complete(to_the_end())
    return (
        disk.calls,
        night.outcome.value,
        [event.path for event in night.of(FrameAccepted)],
        [event.path for event in night.of(MasterWritten)],
    )


def survived(death: Death, place: Path) -> bool:
    """Kill and resume a run. Check that no frame is lost or used twice, and that the masters are correct.

    Returns
    -------
    bool
        False if the run made fewer calls, because the number of syncs of its journal depends on timing.

    Raises
    ------
    AssertionError
        If a check fails.
    """
    if in_child(lambda: run(place, death)) != "killed":
        return False
    before = [event for journal in place.glob("20*/journal.jsonl") for event in read_journal(journal)]
    accepted = [event.path for event in before if isinstance(event, FrameAccepted)]
    assert_resumed(place, str(death), accepted)
    return True


def assert_resumed(place: Path, what: str, accepted: list[str]) -> None:
    """Resume the night in a folder after an accident, and check the results.

    Raises
    ------
    AssertionError
        If a check fails. The message begins with `what`, a description of the accident.
    """
    assert set(accepted) <= {str(path) for path in place.glob("20*/*/*/*.fits")}, f"{what}: accepted frames are lost"
    contents = {path: Path(path).read_bytes() for path in accepted}
    # If the run was killed after it had journalled its end, the next run starts another night.
    journalled = [event for journal in place.glob("20*/journal.jsonl") for event in read_journal(journal)]
    is_over = any(isinstance(event, NightEnded) and event.outcome is NightOutcome.COMPLETE for event in journalled)
    _, outcome, counted, masters = in_child(lambda: run(place))
    assert outcome == NightOutcome.COMPLETE.value, f"{what}: {outcome}"
    assert len(counted) == len(set(counted)), f"{what}: a frame counts twice"
    assert is_over or set(accepted) <= set(counted), f"{what}: accepted frames do not count"
    assert all(Path(path).read_bytes() == content for path, content in contents.items()), f"{what}: a frame has changed"
    assert len(masters) == len(few().sets), f"{what}: {masters}"
    folders = [NightFolder(path) for path in place.glob("20*")]
    assert len(folders) == 1 + is_over, f"{what}: {folders}"
    for folder in folders:
        assert_masters_match(folder, what)


def assert_masters_match(folder: NightFolder, what: str) -> None:
    """Check that the masters of a night were computed from its frames.

    Raises
    ------
    AssertionError
        If a file is damaged, torn or duplicate, or a master differs from the master computed from its frames.
    """
    raw = folder.raw_frames()
    for master in folder.masters():
        shown = recombined(master, raw)
        assert shown.equal, f"{what}: {master.name} {shown}"
    digests = Counter(path.read_bytes()[-40000:] for path in raw.values())
    assert max(digests.values()) == 1, f"{what}: a frame exists twice"
    for path in [*raw.values(), *folder.masters()]:
        assert integrity_fault(path) is None, f"{what}: {path} is damaged"
    assert not list(folder.path.rglob(".*.part")), f"{what}: torn files remain"


def warm_up() -> None:
    """Run a night in this process, so that its children load no machine code and collect no garbage of modules.

    Work on pixels runs in the calling thread from now on, because a forked process has no other threads.
    """
    threads.pool = cache(Inline)
    with tempfile.TemporaryDirectory(prefix="coldframe-deaths-") as place:
        VirtualTimeLoop(3600.0).run_until_complete(run_night(few(), SMALL, Path(place)))


def calls_of_a_night() -> list[str]:
    """Return the calls of a night that is not killed."""
    with tempfile.TemporaryDirectory(prefix="coldframe-deaths-") as place:
        calls, outcome, *_ = in_child(lambda: run(Path(place)))
        assert outcome == NightOutcome.COMPLETE.value
        return list(calls)


def deaths(count: int, calls: list[str]) -> Iterator[Death]:
    """Yield one point for each call of a night, at a random moment, followed by random points."""
    chance = np.random.default_rng(2026)
    for index in range(count):
        number = index + 1 if index < len(calls) else int(chance.integers(1, len(calls) + 1))
        yield Death(number, MOMENTS[int(chance.integers(len(MOMENTS)))])


def main() -> None:
    """Test the number of points given as the first argument, and print a table."""
    count = int(sys.argv[1])
    warm_up()
    calls = calls_of_a_night()
    chosen = list(deaths(count, calls)) if count >= len(calls) else spread(count, calls)
    began_s, met, lost = time.monotonic(), Counter[str](), 0
    for index, death in enumerate(chosen, start=1):
        place = Path(tempfile.mkdtemp(prefix="coldframe-deaths-"))
        try:
            met[f"{calls[death.number - 1]} {death.moment}" if survived(death, place) else "not reached"] += 1
            shutil.rmtree(place)
        except AssertionError as error:
            lost += 1
            print(f"FAILED, kept in {place}: {error}", flush=True)
        if index % 50 == 0:
            print(f"{index} deaths, {lost} not survived, {time.monotonic() - began_s:.0f} s", flush=True)
    summary = {
        "calls of a night": len(calls),
        "deaths": len(chosen),
        "not survived": lost,
        "met": dict(sorted(met.items())),
    }
    print(json.dumps(summary, indent=1))
    sys.exit(lost > 0)


def spread(count: int, calls: list[str]) -> list[Death]:
    """Return points that are spread evenly over a night and include each kind of call."""
    numbers = {round(1 + index * (len(calls) - 1) / max(count - 1, 1)) for index in range(count)}
    for name in set(calls):
        places = [place for place, call in enumerate(calls, start=1) if call == name]
        numbers.add(places[len(places) // 2])
    return [Death(number, MOMENTS[place % len(MOMENTS)]) for place, number in enumerate(sorted(numbers))]


if __name__ == "__main__":
    main()
