"""Nights drawn from seeds, with faults from the matrix. The oracle judges each night."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from coldframe.calibration.files.frame_file import read_header
from coldframe.capture.events.kinds import FrameAccepted, NightEnded
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.judging.frame_gate import FrameGate
from tests.nights import random_nights
from tests.nights.disk import DiskFault
from tests.nights.oracle import judge
from tests.nights.random_nights import ENDING, INTERRUPTION, KINDS, TroubledNight, TroubledRun, draw, run
from tests.nights.replay import main, play, play_all
from tests.nights.virtual_time import NightHangsError, VirtualTimeLoop

LEAST_MET = {80: 5, 10_000: 50}
"""How often each kind has to occur, by the number of nights."""
ONCE_A_NIGHT = {*ENDING, "hanging-abort", "no-room"}
"""Kinds that end a night, or occur once in it, so that few of them leave time for others."""
LEAST_MET_ONCE = {80: 3, 10_000: 15}


@pytest.mark.parametrize(
    "seeds", [range(80), pytest.param(range(1_000, 11_000), marks=pytest.mark.deep)], ids=["eighty", "ten-thousand"]
)
def test_nights_leave_what_they_should(seeds: range) -> None:
    tally = play_all(seeds)
    print(tally.table())
    assert tally.nights == len(seeds)
    assert not tally.failed, "\n".join(map(str, tally.failed))
    least, once = LEAST_MET[tally.nights], LEAST_MET_ONCE[tally.nights]
    wanted = {kind: once if kind in ONCE_A_NIGHT else least for kind in KINDS}
    rare = {kind: tally.times_met[kind] for kind, least in wanted.items() if tally.times_met[kind] < least}
    assert not rare, f"met too rarely: {rare}"
    assert {str(outcome) for outcome in NightOutcome} == tally.outcomes.keys()


@pytest.mark.parametrize("seed", range(3000, 3006))
def test_a_seed_gives_the_same_night_to_the_bit(seed: int, tmp_path: Path) -> None:
    place = tmp_path / "night"  # the journal tells where the files lie
    assert left_by(seed, place) == left_by(seed, place)


def left_by(seed: int, place: Path) -> dict[str, bytes]:
    place.mkdir()
    with run(draw(seed), place) as after:
        left = {str(path.relative_to(place)): path.read_bytes() for path in files(after.folder)}
    shutil.rmtree(place)
    return left


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_a_replay_tells_the_whole_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["replay", "7", "--keep", str(tmp_path / "kept")])
    assert main() == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == str(draw(7))
    assert '"event": "night-ended"' in said[-3] + said[-2] + said[-4]
    assert said[-1] == "all holds"
    assert list(files(tmp_path / "kept"))


# ---- the oracle is no rubber stamp ----


def clean(seed: int = 1) -> TroubledNight:
    return replace(draw(seed), kinds=(), disk_faults={}, interrupted_after_s=None, knows_the_rig=False)


@contextmanager
def after(night: TroubledNight) -> Iterator[TroubledRun]:
    with run(night) as left:
        assert judge(left).wrong == []
        yield left


def test_a_night_without_faults_violates_nothing() -> None:
    with after(clean()) as left:
        assert left.outcome is NightOutcome.COMPLETE
        assert left.met() == {}
        assert judge(left).limits == {}


def accepted(left: TroubledRun, number: int = 0) -> Path:
    return Path([event for event in left.events if isinstance(event, FrameAccepted)][number].path)


def lose_a_frame(left: TroubledRun) -> None:
    accepted(left).unlink()


def flip_a_bit(left: TroubledRun) -> None:
    content = bytearray(accepted(left).read_bytes())
    content[-2000] ^= 1
    accepted(left).write_bytes(content)


def count_one_twice(left: TroubledRun) -> None:
    accepted(left, 1).write_bytes(accepted(left).read_bytes())


def flip_a_bit_of_a_master(left: TroubledRun) -> None:
    path = next((left.folder / "masters").glob("*.fits"))
    content = bytearray(path.read_bytes())
    content[6000] ^= 1
    path.write_bytes(content)


def leave_the_lamp_burning(left: TroubledRun) -> None:
    left.telescope.panel.lit = True
    left.telescope.panel.brightness = 100


def leave_the_cooler_on(left: TroubledRun) -> None:
    assert left.telescope.cooler is not None
    left.telescope.cooler.cool_to(-10.0)


def leave_the_cover(left: TroubledRun) -> None:
    closed = left.night.settings.panel is not None and left.night.settings.panel.cover_at_end == "closed"
    left.telescope.panel.move_cover(0.0, closed=not closed)


def shine_on_a_dark(left: TroubledRun) -> None:
    truths = left.telescope.truths
    digest = next(each for each, truth in reversed(truths.items()) if truth.kind.needs_darkness)
    truths[digest] = replace(truths[digest], unwanted_adu=500.0)


def warm_a_frame(left: TroubledRun) -> None:
    truths = left.telescope.truths
    digest = next(reversed(truths))
    truths[digest] = replace(truths[digest], sensor_c=(-10.0, -8.0))


def take_too_long(left: TroubledRun) -> None:
    left.ended_s += 1e6


def end_otherwise(left: TroubledRun) -> None:
    ended = left.events[-1]
    assert isinstance(ended, NightEnded)
    left.events[-1] = replace(ended, outcome=NightOutcome.INCOMPLETE)
    left.outcome = NightOutcome.INCOMPLETE


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lose_a_frame, "is gone"),
        (flip_a_bit, "other bytes than were flushed"),
        (flip_a_bit, "no sound FITS file"),
        (count_one_twice, "counted more than once"),
        (flip_a_bit_of_a_master, "differs from the master recombined from its"),
        (leave_the_lamp_burning, "the lamp burns"),
        (leave_the_cooler_on, "the cooler is on"),
        (leave_the_cover, "the cover is"),
        (shine_on_a_dark, "frames with light in them"),
        (warm_a_frame, "off its setpoint"),
        (take_too_long, "the safe state took"),
        (end_otherwise, "nothing is missing"),
    ],
)
def test_each_violation_is_reported(spoil: Callable[[TroubledRun], None], told: str) -> None:
    night = clean()
    cooling = night.settings.cooling.model_copy(update={"at_end": "warm"})
    night = replace(night, settings=night.settings.model_copy(update={"cooling": cooling}))
    with after(night) as left:
        spoil(left)
        assert any(told in text for text in judge(left).wrong), judge(left).wrong


def test_a_spoilt_frame_that_counts_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrameGate, "fault", lambda *_: None)
    with run(replace(clean(2), kinds=("torn-frame",), seed=2)) as left:
        assert any("which torn-frame has spoilt" in text for text in judge(left).wrong)


# ---- no night hangs ----


def test_a_night_that_waits_for_ever_is_reported() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    report = play(1, prepare=lambda events: events.add_flush(wait))
    assert "NightHangsError: nothing will ever happen" in report.wrong[0]
    assert "python -m tests.nights.replay 1" in str(report)


def test_a_night_that_never_ends_is_reported() -> None:
    async def poll() -> None:
        while True:
            await asyncio.sleep(10.0)

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(3600.0)) as runner, pytest.raises(NightHangsError):
        runner.run(poll())


def test_a_night_in_which_no_time_passes_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    monkeypatch.setattr(random_nights, "LONGEST_RUN_S", 1)
    report = play(1, prepare=lambda events: events.add_flush(spin))
    assert "did not end within 1 s" in report.wrong[0]


# ---- what the seeds have found ----


def scripted(kind: str, seed: int, **changes: Any) -> TroubledNight:
    """Return a night on which one thing goes wrong."""
    night = clean()
    cooling = night.settings.cooling.model_copy(update={"at_end": "warm", **changes})
    return replace(night, kinds=(kind,), seed=seed, settings=night.settings.model_copy(update={"cooling": cooling}))


def of(left: TroubledRun, text: str) -> list[str]:
    return [str(event) for event in left.events if text in str(event)]


@pytest.mark.parametrize("seed", range(4))
def test_a_cooler_that_stays_on_is_switched_off_again_or_reported(seed: int) -> None:
    with after(scripted("cooler-stays-on", seed)) as left:
        assert left.telescope.cooler is not None
        assert left.met()
        is_on = left.telescope.cooler.setpoint_c is not None
        assert is_on is bool(of(left, "still reports that it is on"))


@pytest.mark.parametrize("nonsense_c", [float("nan"), 1e9, -273.15])
def test_a_ramp_does_not_start_at_a_nonsensical_reading(nonsense_c: float) -> None:
    with (
        patch("coldframe.simulators.faults.cooler_faults.NonsenseReading.choices_c", (nonsense_c,)),
        patch("coldframe.simulators.faults.cooler_faults.NonsenseReading.first", (1, 1)),
        after(scripted("nonsense-reading", 0)) as left,
    ):
        assert left.met()["nonsense-reading"] > 10


def test_a_torn_bias_is_rejected() -> None:
    with (
        patch("coldframe.simulators.faults.camera_faults.TornFrame.first", (6, 6)),
        after(scripted("torn-frame", 1)) as left,
    ):
        assert of(left, "was the readout interrupted?")


def test_the_frames_of_a_set_that_is_lit_from_the_start_are_reported_as_rejected() -> None:
    with (
        patch("coldframe.simulators.faults.light_faults.StrayLight.first", (2, 2)),
        after(scripted("stray-light", 1)) as left,
    ):
        assert len(of(left, "FrameRejected")) >= 2


def test_near_the_setpoint_is_not_at_the_setpoint() -> None:
    """The last setpoint of a ramp is not taken at once, and the sensor is near it meanwhile."""
    night = scripted("stubborn-cooler", 0, ramp_c_per_min=2.0, dwell_s=1.0, tolerance_c=2.0)
    with (
        patch("coldframe.simulators.faults.cooler_faults.StubbornCooler.first", (160, 175)),
        patch("coldframe.simulators.faults.cooler_faults.StubbornCooler.times", (1, 1)),
        after(night) as left,
    ):
        setpoints = {read_header(accepted(left, number))["SET-TEMP"] for number in (0, -1)}
        assert setpoints == {-10.0}


def test_a_cooler_configured_to_be_switched_off_is_switched_off_in_a_hurry_too() -> None:
    night = scripted("hanging-abort", 0, at_end="off")
    with after(replace(night, kinds=("hanging-abort", INTERRUPTION), interrupted_after_s=30.0)) as left:
        assert left.telescope.cooler is not None
        assert left.telescope.cooler.setpoint_c is None


@pytest.mark.parametrize(("error", "times"), [(errno.EIO, 2), (errno.ENOSPC, 1)])
def test_a_disk_that_fails_ends_the_night_safely(error: int, times: int) -> None:
    fault = DiskFault("link", error, 12, times)
    with after(replace(clean(), disk_faults={"bad-disk": fault}, kinds=("bad-disk",))) as left:
        assert left.outcome is NightOutcome.ABORTED
        assert os.strerror(error) in of(left, "NightEnded")[0]


def test_a_disk_that_fails_once_costs_nothing() -> None:
    fault = DiskFault("link", errno.EIO, 12, 1)
    with after(replace(clean(), disk_faults={"bad-disk": fault}, kinds=("bad-disk",))) as left:
        assert fault.met == 1
        assert left.outcome is NightOutcome.COMPLETE


@pytest.mark.parametrize("seed", [1125, 1772, 1803, 2793, 2886, 3143, 3401, 3673])
def test_nights_on_which_something_was_wrong_once(seed: int) -> None:
    assert play(seed).wrong == ()
