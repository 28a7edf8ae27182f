"""Runs whose power is cut at a random moment, on a disk that loses what was not flushed, and the runs that go on.

The disk is that of tests/nights: bytes that were written and not flushed may be there, torn or gone; names whose folder
was not flushed may be there or gone. The rig loses its power, too: the next run finds it warm and dark.

    python -m tests.crash.power_cuts 100        # as many cuts, from seed 0 on; or A-B
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
from tests.crash.deaths import LEFT, assert_gone_on_with, few, in_child
from tests.nights.disk import SimulatedDisk
from tests.nights.nights import run_night
from tests.nights.test_troubled_nights import SMALL
from tests.nights.virtual_time import VirtualTimeLoop

NIGHT_S = 70.0
"""So long is the night; a cut that comes later finds it ended."""


def run_until_cut(place: Path, seed: int, told: Path) -> None:
    """Run a night in this process until its power is cut; write down which frames it has told as accepted."""
    random, accepted, disk = Random(seed), list[str](), SimulatedDisk(place)
    loop = VirtualTimeLoop(3600.0)

    def hear(event: Event) -> None:
        if isinstance(event, FrameAccepted):
            accepted.append(event.path)

    def cut() -> None:
        disk.power_cut(random)
        told.write_text(json.dumps(accepted))
        os._exit(LEFT)

    loop.call_later(random.uniform(0.0, NIGHT_S), cut)
    with disk.watched():
        loop.run_until_complete(run_night(few(), SMALL, place, hear=hear))


def survived(seed: int, place: Path) -> bool:
    """Cut the power of a run, let the next one go on, and check what it makes of it; False where the night had ended.

    Raises
    ------
    AssertionError
        Something is not as it must be.
    """
    storage, told = place.resolve() / "storage", place / "told.json"
    storage.mkdir()
    if in_child(lambda: run_until_cut(storage, seed, told)) != "left":
        return False
    assert_gone_on_with(storage, f"power cut {seed}", json.loads(told.read_text()))
    return True


def tried(seeds: Iterable[int]) -> tuple[int, list[str]]:
    """Return how many cuts there were in the middle of a night, and what went wrong."""
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
    """Try as many cuts as the argument says, and tell."""
    first, _, last = sys.argv[1].partition("-")
    seeds = range(int(first), int(last) + 1) if last else range(int(first))
    cuts, failures = tried(seeds)
    print(json.dumps({"cuts": cuts, "not survived": len(failures)}))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
