"""A full disk pauses the night, and nothing is deleted."""

import os
from pathlib import Path

import pytest

from coldframe.capture.events.kinds import Event, FrameAccepted, Notice, StepStarted
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.planning.disk_space import free_bytes
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.recovery import disk_full
from coldframe.capture.steps import TuneStep
from coldframe.config.examples import example_night
from coldframe.config.loading import load_settings
from coldframe.config.simulated_rig import load_rig
from tests.nights.nights import run_night, tiny

SETTINGS = load_settings(example_night("small"))


def saved(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.fits") if "library" not in path.parts]


@pytest.mark.looptime
async def test_a_night_pauses_while_the_disk_is_full_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([1 << 40] * 20 + [0] * 5)
    monkeypatch.setattr(disk_full, "free_bytes", lambda _folder: next(looks, 1 << 40))
    night = await run_night(SETTINGS, tiny(load_rig("small")), tmp_path)
    assert night.outcome is NightOutcome.COMPLETE
    assert sum("exposing pauses" in notice.text for notice in night.of(Notice)) == 1


@pytest.mark.looptime
async def test_a_disk_that_stays_full_ends_the_night_and_costs_nothing_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([1 << 40] * 60)
    monkeypatch.setattr(disk_full, "free_bytes", lambda _folder: next(looks, 0))
    night = await run_night(SETTINGS, tiny(load_rig("small")), tmp_path)
    assert night.outcome is NightOutcome.ABORTED
    assert {accepted.path for accepted in night.of(FrameAccepted)} <= {str(path) for path in saved(tmp_path)}
    assert len(night.of(FrameAccepted)) > 20


@pytest.mark.looptime
async def test_the_tuners_time_limit_does_not_run_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_tuning, full = list[int](), iter([0] * 30)

    def free(_folder: Path) -> int:
        return next(full, 1 << 40) if is_tuning else 1 << 40

    def hear(event: Event) -> None:
        if isinstance(event, StepStarted):
            is_tuning[:] = [event.step] if event.step in tuned else []

    monkeypatch.setattr(disk_full, "free_bytes", free)
    flats = SETTINGS.flats.model_copy(update={"tuning_deadline_s": 60.0})
    settings = SETTINGS.model_copy(update={"flats": flats})
    tuned = {number for number, step in enumerate(plan_night(settings), start=1) if isinstance(step, TuneStep)}
    night = await run_night(settings, tiny(load_rig("small")), tmp_path, hear=hear)
    assert night.outcome is NightOutcome.COMPLETE
    assert next(full, None) is None, "the disk was full while the tuner ran"


def test_a_disk_without_inodes_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(total: int, free: int) -> os.statvfs_result:
        return os.statvfs_result((4096, 4096, 1000, 500, 500, total, free, free, 0, 255))

    for total, free, expected in ((10_000, 5_000, 500 * 4096), (10_000, 3, 0), (0, 0, 500 * 4096)):
        monkeypatch.setattr(os, "statvfs", lambda _path, total=total, free=free: disk(total, free))
        assert free_bytes(tmp_path) == expected
