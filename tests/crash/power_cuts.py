"""Runs that lose power at a random moment, on a disk that loses unflushed data, and the runs that resume them.

The simulated disk is in tests/nights. Unflushed bytes may be complete, torn or lost, and a name in an unflushed folder
may be lost. The rig also loses its power, so that it is warm and dark when the next run starts.

    python -m tests.crash.power_cuts 100        # test 100 power cuts with the seeds 0 to 99; or give a range A-B
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from random import Random

from coldframe.capture.events.kinds import Event, FrameAccepted
from tests.crash.deaths import LEFT, assert_resumed, few, in_child, warm_up
from tests.nights.disk import SimulatedDisk
from tests.nights.nights import run_night
from tests.nights.test_troubled_nights import SMALL
from tests.nights.virtual_time import VirtualTimeLoop

NIGHT_S = 70.0
"""Duration of the night. A later power cut has no effect on it."""


def run_until_cut(place: Path, seed: int, saved: Path) -> None:
    """Run a night in this process until the power fails, and save the names of the accepted frames."""
    random, accepted, disk = Random(seed), list[str](), SimulatedDisk(place)
    loop = VirtualTimeLoop(3600.0)

    def hear(event: Event) -> None:
        if isinstance(event, FrameAccepted):
            accepted.append(event.path)

    def cut() -> None:
        disk.power_cut(random)
        saved.write_text(json.dumps(accepted))
        os._exit(LEFT)

    loop.call_later(random.uniform(0.0, NIGHT_S), cut)
    with disk.watched():
        loop.run_until_complete(run_night(few(), SMALL, place, hear=hear))


def survived(seed: int, place: Path) -> bool:
    """Cut the power of a run, resume it, and check the results. Return False if the night had already ended.

    Raises
    ------
    AssertionError
        If a check fails.
    """
    storage, saved = place.resolve() / "storage", place / "accepted.json"
    storage.mkdir()
    if in_child(lambda: run_until_cut(storage, seed, saved)) != "left":
        return False
    assert_resumed(storage, f"power cut {seed}", json.loads(saved.read_text()))
    return True


def tried(seeds: Iterable[int]) -> tuple[int, list[str]]:
    """Return the number of power cuts during a night, and the failures."""
    cuts, failures = 0, list[str]()
    for seed in seeds:
        place = Path(tempfile.mkdtemp(prefix="coldframe-power-"))
        try:
            cuts += survived(seed, place)
        except AssertionError as error:
            failures.append(f"{error}; kept in {place}; replay: python -m tests.crash.power_cuts {seed}-{seed}")
            print(f"FAILED {failures[-1]}", flush=True)
        else:
            shutil.rmtree(place)
    return cuts, failures


def main() -> None:
    """Test the number or range of power cuts given as the argument, and print a summary."""
    first, _, last = sys.argv[1].partition("-")
    seeds = range(int(first), int(last) + 1) if last else range(int(first))
    warm_up()
    cuts, failures = tried(seeds)
    print(json.dumps({"cuts": cuts, "not survived": len(failures)}))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
