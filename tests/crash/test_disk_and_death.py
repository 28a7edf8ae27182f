"""Accepted frames of real runs are kept if a call to the disk fails, or if the run is killed during a call.

strace makes the n-th call of a thread fail, or kills the process at this call.
"""

import json
import os
import random
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from tests.indi.servers import CAMERA, NIGHT, NIGHT_DEADLINE_S, PANEL, SCRIPTS, coldframe, indiserver
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.indi,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt install strace"),
]

NIGHT_WITHOUT_COOLING = NIGHT.replace("setpoint_c = 15.0\n", "")
SETS = """
[[sets]]
kind = "bias"
count = 6
[[sets]]
kind = "dark"
count = 6
exposure_s = 0.1
"""


@dataclass(frozen=True)
class Point:
    """A call, its number within a thread, and the fault that strace injects."""

    call: str
    number: int
    fault: str

    @property
    def kills(self) -> bool:
        return self.fault == "signal=KILL"

    def __str__(self) -> str:
        return f"{self.call}-{self.number}-{self.fault.split('=')[1]}"


POINTS = [
    Point("fsync", 2, "error=EIO"),
    Point("fsync", 5, "error=ENOSPC"),
    Point("link", 3, "error=ENOSPC"),
    Point("fsync", 3, "signal=KILL"),
    Point("fsync", 6, "signal=KILL"),
    Point("link", 2, "signal=KILL"),
    Point("link", 4, "signal=KILL"),
    Point("unlink", 3, "signal=KILL"),
]
CALLS = ("fsync", "link", "unlink", "rename", "fadvise64", "ftruncate", "mkdir")
FAULTS = ("signal=KILL", "signal=KILL", "error=EIO", "error=ENOSPC")


def random_points(count: int) -> list[Point]:
    chance = random.Random(2026)
    drawn = (Point(chance.choice(CALLS), chance.randint(1, 14), chance.choice(FAULTS)) for _ in repeat(None))
    # Errors of the other calls have no consequences.
    return list(islice((point for point in drawn if point.kills or point.call in {"fsync", "link", "mkdir"}), count))


@dataclass(frozen=True)
class Hit:
    """Result of a run with an injected fault."""

    point: Point
    code: int
    said: str
    folder: Path
    safe_code: int
    lit: str
    exposing: str
    calls: str
    accepted: list[str]
    resumed: "Resumed | None"

    @property
    def was_killed(self) -> bool:
        return self.code in {-9, 137}

    @property
    def was_hit(self) -> bool:
        """False if no thread made so many calls."""
        return self.was_killed or "INJECTED" in self.calls


@dataclass(frozen=True)
class Resumed:
    """Result of the next run."""

    code: int
    said: str
    verify_code: int


def resumed(config: Path, place: Path) -> Resumed:
    """Run again after a run was killed, and verify the masters."""
    run = coldframe("run", "--config", config, "--no-dashboard", home=place)
    said, _ = run.communicate(timeout=NIGHT_DEADLINE_S)
    verify = coldframe("verify", place / "out", home=place)
    verified, _ = verify.communicate(timeout=PATIENCE_S)
    return Resumed(run.returncode, said + verified, verify.returncode)


def hit(point: Point, place: Path) -> Hit:
    with indiserver(place / "home") as server:
        config = place / "coldframe.toml"
        config.write_text(
            NIGHT_WITHOUT_COOLING.format(port=server.port, unix_socket=server.unix_socket, folder=place / "out") + SETS
        )
        inject = ["-e", f"trace={point.call}", "-e", f"inject={point.call}:{point.fault}:when={point.number}"]
        # strace cannot inject signals with --seccomp-bpf.
        quickly = [] if point.kills else ["--seccomp-bpf"]
        command = [str(SCRIPTS / "coldframe"), "run", "--config", str(config), "--no-dashboard"]
        ended = subprocess.run(
            ["strace", "-f", *quickly, "-qq", "-o", str(place / "calls"), *inject, *command],
            env={**os.environ, "HOME": str(place)},
            capture_output=True,
            text=True,
            timeout=NIGHT_DEADLINE_S,
            check=False,
        )
        server.set(f"{PANEL}.CONNECTION.CONNECT=On")
        if point.kills:
            server.set(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON=On")
        safe = coldframe("safe", "--config", config, home=place)
        safe_said, _ = safe.communicate(timeout=PATIENCE_S)
        lit, exposing = server.get(f"{PANEL}.FLAT_LIGHT_CONTROL.FLAT_LIGHT_ON"), server.state(f"{CAMERA}.CCD_EXPOSURE")
        return Hit(
            point,
            ended.returncode,
            ended.stdout + ended.stderr + safe_said,
            place / "out",
            safe.returncode,
            lit,
            exposing,
            (place / "calls").read_text(errors="replace"),
            [event["path"] for event in accepted(place / "out")],
            resumed(config, place) if point.kills else None,
        )


def accepted(folder: Path) -> list[dict[str, Any]]:
    """Return the accepted frames in the journal, whose last line may be torn."""
    lines = [line for path in folder.glob("20*/journal.jsonl") for line in path.read_text().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in events if event["event"] == "frame-accepted"]


def assert_nothing_is_lost(outcome: Hit) -> None:
    assert outcome.was_killed or outcome.code in {0, 1, 2, 3}, outcome.said
    assert not outcome.was_killed or outcome.point.kills
    assert "Traceback" not in outcome.said
    assert "internal error" not in outcome.said
    paths = [Path(path) for path in outcome.accepted]
    assert len(set(paths)) == len(paths)
    assert all(path.exists() for path in paths), outcome.said
    # Each file with its final name is complete, accepted or not.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in outcome.folder.rglob("[!.]*.fits"):
            with fits.open(path, checksum=True) as file:
                assert file[0].data is not None
    assert outcome.safe_code == 0, outcome.said
    assert outcome.lit == "Off"
    assert outcome.exposing != "Busy"
    if outcome.resumed is not None:
        assert_resumed(outcome, outcome.resumed)


def assert_resumed(outcome: Hit, resumed: Resumed) -> None:
    """The next run counts the accepted frames and shoots the missing ones. Its masters are those of the raw frames."""
    assert resumed.code == 0, resumed.said
    assert resumed.verify_code == 0, resumed.said
    frames = [path.name for path in outcome.folder.glob("20*/*/*/*.fits")]
    masters = [fits.getheader(path) for path in outcome.folder.glob("20*/masters/*.fits")]
    inputs = [header[f"IMCOM{number:03d}"] for header in masters for number in range(1, header["STACKCNT"] + 1)]
    assert sorted(inputs) == sorted(frames)
    assert {Path(path).name for path in outcome.accepted} <= set(frames)


@pytest.fixture(scope="module")
def hits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Point, Future[Hit]]]:
    """Run several at the same time, because they mostly wait."""
    with ThreadPoolExecutor(4) as pool:
        yield {point: pool.submit(hit, point, tmp_path_factory.mktemp("hit")) for point in POINTS}


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_accepted_frames_survive(hits: dict[Point, Future[Hit]], point: Point) -> None:
    outcome = hits[point].result()
    assert outcome.was_hit
    assert outcome.was_killed is point.kills
    assert_nothing_is_lost(outcome)


@pytest.mark.deep
def test_accepted_frames_survive_a_thousand_faults(tmp_path: Path) -> None:
    points = random_points(1000)
    hit_points = 0
    with ThreadPoolExecutor(4) as pool:
        places = (tmp_path / str(number) for number in range(len(points)))
        for outcome in pool.map(hit, points, places):
            assert_nothing_is_lost(outcome)
            hit_points += outcome.was_hit
            shutil.rmtree(outcome.folder.parent)
    assert hit_points > len(points) / 2
