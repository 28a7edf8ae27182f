"""Frames of an earlier run, which are counted until the set is complete, left out, or withdrawn."""

import json
from pathlib import Path

from coldframe.capture.events.kinds import FrameRejected, Notice
from coldframe.capture.pipeline.taking_over import take_over, withdraw
from coldframe.capture.steps import ShootStep
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.saved_frames import SavedFrame, Wanted
from coldframe.config.frames import FrameKind, ReadoutSettings
from tests.capture.contexts import READOUT, START, context_in, frame_of

WANTED = Wanted.of(ShootStep(FrameKind.BIAS, 9, None, None, READOUT, -10.0), "Camera", 1.0)


def saved(folder: Path, count: int) -> list[Path]:
    night = NightFolder.create(folder / "earlier", START)
    return [night.save_frame(frame_of(seed), None, seed) for seed in range(count)]


async def test_frames_are_counted_until_the_set_is_complete(tmp_path: Path) -> None:
    context, _ = context_in(tmp_path, saved=saved(tmp_path, 5))
    counted: list[SavedFrame] = []

    async def count(frame: SavedFrame) -> None:
        counted.append(frame)

    await take_over(context, WANTED, READOUT, lambda: len(counted) >= 3, count)
    assert [each.path.name[-9:-5] for each in counted] == ["0000", "0001", "0002"]
    await take_over(context, WANTED, READOUT, lambda: False, count)
    assert len(counted) == 5, "each once, and no more than there are"


async def test_frames_with_other_settings_do_not_count_and_are_reported(tmp_path: Path) -> None:
    context, seen = context_in(tmp_path, saved=saved(tmp_path, 1))
    counted: list[SavedFrame] = []

    async def count(frame: SavedFrame) -> None:
        counted.append(frame)

    await take_over(context, WANTED, ReadoutSettings(gain=100, offset=51), lambda: False, count)
    assert not counted
    assert [event for event in seen if isinstance(event, Notice)]


async def test_a_withdrawn_frame_is_in_quarantine_with_its_reason(tmp_path: Path) -> None:
    context, seen = context_in(tmp_path)
    path = context.folder.save_frame(frame_of(1), None, 1)
    await withdraw(context, 3, path, "light leaks in")
    (rejected,) = [event for event in seen if isinstance(event, FrameRejected)]
    assert (rejected.step, rejected.reason) == (3, "light leaks in")
    assert rejected.path != str(path)
    beside = Path(rejected.path).with_suffix(".json")
    assert json.loads(beside.read_text())["reason"] == "light leaks in"
