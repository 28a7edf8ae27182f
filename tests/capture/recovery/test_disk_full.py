"""A full disk pauses the night, and nothing is deleted."""

from pathlib import Path

import pytest

from coldframe.capture.events.kinds import FrameAccepted, Notice
from coldframe.capture.events.values import NightOutcome
from coldframe.capture.recovery import disk_full
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
