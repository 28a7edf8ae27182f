"""Nights drawn from seeds, on which calls to the disk hang. Afterwards, the disk is healed and the night resumed."""

import asyncio
import logging
import math
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from coldframe.calibration.files.frame_file import read_frame
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.stacking.accumulator import pixel_digest
from coldframe.capture import threads
from coldframe.capture.events.kinds import Event, FrameAccepted, MasterWritten, NightEnded, NightStarted, Notice
from coldframe.capture.events.values import AbortedBy, NightOutcome, Severity, Topic
from coldframe.capture.recovery.disk_hangs import SLOW_S
from coldframe.capture.session.context import NightContext
from coldframe.capture.threads import DISK_DEADLINE_S
from coldframe.config.settings import Settings
from tests.nights.hanging import OPERATIONS, Hang, HangingDisk
from tests.nights.nights import START, NightRun, run_night
from tests.nights.test_hanging_disk import SAFE_WITHIN_S
from tests.nights.test_resuming import assert_whole
from tests.nights.test_troubled_nights import SMALL, Rigged, three_sets
from tests.nights.virtual_time import VirtualTimeLoop
from tests.patience import PATIENCE_S

LONGEST_S = 4 * 3600.0
NIGHTS_AT_A_TIME = 5


@dataclass(repr=False)
class Aftermath:
    """A night on a disk that hangs, and what is wrong with it."""

    disk: HangingDisk
    night: NightRun
    wrong: list[str] = field(default_factory=list)


def plan() -> Settings:
    """Return a small night whose warm-up takes minutes."""
    settings = three_sets()
    cooling = settings.cooling.model_copy(update={"warm_ramp_c_per_min": 10.0})
    return settings.model_copy(update={"cooling": cooling})


def draw(seed: int) -> list[Hang]:
    """Draw the hangs of a night. Consecutive seeds draw each operation about equally often."""
    random, calls = Random(f"hanging disk {seed}"), usual_calls()
    count = random.choice([1, 1, 2, 3])
    operations = [OPERATIONS[(seed + 5 * number) % len(OPERATIONS)] for number in range(count)]
    return [
        Hang(
            operation,
            random.randint(1, max(1, calls.get(operation, 1))),
            random.choice([random.uniform(1, 15), random.uniform(25, 150), random.uniform(190, 900), math.inf]),
            random.random() < 0.5,
        )
        for operation in operations
    ]


@cache
def usual_calls() -> dict[str, int]:
    """Return the numbers of calls of a night without hangs."""
    with TemporaryDirectory(prefix="coldframe-night-") as scratch:
        return dict(run(Path(scratch).resolve(), []).disk.calls)


def run(folder: Path, hangs: list[Hang]) -> Aftermath:
    """Run a night, until its process ends, and check its rig."""
    disk, rigged, seen = HangingDisk(folder, hangs), Rigged(), list[Event]()

    def hear(event: Event) -> None:
        seen.append(event)
        disk.is_watched = not isinstance(event, NightEnded) and (disk.is_watched or isinstance(event, NightStarted))

    async def night() -> Aftermath:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with disk.night(loop):
            after = Aftermath(disk, await run_night(plan(), SMALL, folder, rigged, hear=hear))
            try:
                rigged.assert_safe()
            except AssertionError as error:
                after.wrong.append(f"the rig is not safe: {error}")
            return after

    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, LONGEST_S, PATIENCE_S)) as runner:
        after = runner.run(night())
    after.wrong += disk.on_the_loop[:1]
    return after


def check(after: Aftermath) -> list[str]:
    """Return what is wrong with a night."""
    night, hangs = after.night, [each for each in after.disk.hangs if each.began_s is not None]
    wrong, (ended,) = after.wrong, night.of(NightEnded)
    if not ended.rig_is_safe:
        wrong.append(f"the night says that its rig is not safe: {ended.summary}")
    internal = [each.text for each in night.of(Notice) if each.topic is Topic.INTERNAL_ERROR]
    if ended.aborted_by is AbortedBy.INTERNAL_ERROR or internal:
        wrong.append(f"internal error: {ended.summary} {internal}")
    said = [each for each in night.of(Notice) if "the disk has not answered" in each.text]
    longest_s = max((each.duration_s for each in hangs), default=0.0)
    total_s = sum(each.duration_s for each in hangs)
    if total_s < SLOW_S and (night.outcome is not NightOutcome.COMPLETE or said):
        wrong.append(f"{night.outcome}, although the disk hung for only {total_s:.0f} s: {ended.summary} {said}")
    if total_s < DISK_DEADLINE_S and night.outcome is not NightOutcome.COMPLETE:
        wrong.append(f"{night.outcome}, although the disk hung for only {total_s:.0f} s: {ended.summary}")
    began_s = [each.began_s for each in hangs if each.began_s is not None and each.duration_s > DISK_DEADLINE_S]
    if (ended.at - START).total_seconds() > min(began_s, default=math.inf) + total_short_s(
        hangs
    ) + DISK_DEADLINE_S + SAFE_WITHIN_S:
        wrong.append(f"the night ended at {ended.at}, long after the disk hung")
    if night.outcome is NightOutcome.ABORTED and "the disk has not answered" not in ended.result:
        wrong.append(f"the end does not name the disk: {ended.summary}")
    if night.outcome is NightOutcome.COMPLETE and any(each.severity is Severity.ERROR for each in night.of(Notice)):
        wrong.append("complete, with an error")
    if longest_s > DISK_DEADLINE_S and night.outcome is NightOutcome.COMPLETE and not said:
        wrong.append("nothing was said of a disk that hung")
    if sum("the night ends" in each.text for each in said) > len(hangs):
        wrong.append(f"said too often: {[each.text for each in said]}")
    wrong += accepted_wrongly(night)
    return wrong


def total_short_s(hangs: list[Hang]) -> float:
    return sum(each.duration_s for each in hangs if each.duration_s <= DISK_DEADLINE_S)


def accepted_wrongly(night: NightRun) -> list[str]:
    """Return what is wrong with the accepted frames of a night."""
    digests: dict[bytes, str] = {}
    wrong = []
    for event in night.of(FrameAccepted):
        path = Path(event.path)
        try:
            digest = pixel_digest(read_frame(path)[0])
        except (OSError, FrameFileError) as error:
            wrong.append(f"{path.name} was accepted and cannot be read: {error}")
            continue
        if digest in digests:
            wrong.append(f"{path.name} was accepted twice, also as {digests[digest]}")
        digests[digest] = path.name
    return wrong


def resumed(folder: Path) -> NightRun:
    """Resume a night on a disk that no longer hangs."""
    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, LONGEST_S, PATIENCE_S)) as runner:
        return runner.run(run_night(plan(), SMALL, folder))


def play(seed: int) -> list[str]:
    """Run a drawn night, resume it, and return what is wrong."""
    hangs = draw(seed)
    with TemporaryDirectory(prefix="coldframe-night-") as scratch:
        folder = Path(scratch).resolve()
        after = run(folder, hangs)
        wrong = check(after)
        try:
            if after.night.outcome is NightOutcome.COMPLETE:
                assert_whole(after.night, plan())
            else:
                again = resumed(folder)
                assert again.folder == after.night.folder, "the night was not resumed"
                assert_whole(again, plan())
                assert len(again.of(MasterWritten)) == len(plan().sets)
        except AssertionError as error:
            wrong.append(f"the night is not whole afterwards: {error}")
    met = [each for each in hangs if each.began_s is not None]
    return [f"seed {seed}, {met}, {after.night.outcome}: {each}" for each in wrong]


def test_a_disk_that_hangs_at_drawn_moments(caplog: pytest.LogCaptureFixture) -> None:
    wrong = [text for seed in range(NIGHTS_AT_A_TIME) for text in play(seed)]
    assert not wrong, "\n".join(wrong)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


@pytest.mark.deep
@pytest.mark.parametrize("first", range(1000, 1400, 40))
def test_a_disk_that_hangs_at_many_drawn_moments(first: int) -> None:
    wrong = [text for seed in range(first, first + 40) for text in play(seed)]
    assert not wrong, "\n".join(wrong)


# ---- the checks are no rubber stamp ----


def test_a_call_to_the_disk_in_the_event_loop_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NightContext, "require_time", lambda context, _: context.folder.path.exists())
    after = run(tmp_path.resolve(), [])
    assert "stat " in check(after)[0]


def test_a_disk_for_which_the_night_waits_too_long_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "DISK_DEADLINE_S", math.inf)
    after = run(tmp_path.resolve(), [Hang("link", 10, math.inf, is_whole=True)])
    assert any("long after the disk hung" in each for each in check(after))


def test_a_lost_frame_and_a_frame_that_counts_twice_are_reported(tmp_path: Path) -> None:
    after = run(tmp_path.resolve(), [])
    assert check(after) == []
    first, second, third = (Path(event.path) for event in after.night.of(FrameAccepted)[:3])
    first.unlink()
    second.write_bytes(third.read_bytes())
    lost, twice = check(after)
    assert "cannot be read" in lost
    assert "was accepted twice" in twice
