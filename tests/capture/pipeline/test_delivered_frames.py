"""Every delivered frame is saved in a file, even if the rescue is cancelled or a write fails."""

import asyncio
import errno
import json
from pathlib import Path

import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import read_header
from coldframe.capture.events.kinds import FrameRejected, Notice
from coldframe.capture.events.values import Severity
from coldframe.capture.pipeline import delivered_frames
from coldframe.capture.pipeline.delivered_frames import NOT_JUDGED, DeliveredFrames
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.threads import in_thread
from coldframe.devices.camera import Frame
from tests.capture.contexts import context_in, frame_of


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def reasons(folder: Path) -> list[str]:
    return [json.loads(path.read_text())["reason"] for path in sorted(folder.rglob("quarantine/*.json"))]


async def test_frames_go_where_they_belong_and_the_rest_is_rescued(tmp_path: Path) -> None:
    context, seen = context_in(tmp_path)
    delivered = DeliveredFrames(context, 7)
    good, test, bad, *rest = frames = [frame_of(seed) for seed in range(5)]
    for frame in frames:
        delivered.add(frame, "Ha")
    path = await delivered.save(good, 3)
    await delivered.save_test(test)
    await delivered.reject(bad, "too bright")
    await delivered.rescue()
    assert path.name.endswith("_0003.fits")
    assert read_header(path)["FILTER"] == "Ha"
    assert len(files(tmp_path, "tuning/*.fits")) == 1
    assert sorted(reasons(tmp_path)) == sorted(["too bright", *[NOT_JUDGED] * len(rest)])
    rejected = [event for event in seen if isinstance(event, FrameRejected)]
    assert [(event.step, event.reason) for event in rejected] == [(7, "too bright"), *[(7, NOT_JUDGED)] * len(rest)]
    assert sorted(event.path for event in rejected) == [str(path) for path in files(tmp_path, "quarantine/*.fits")]


async def test_a_frame_delivered_twice_is_kept_twice(tmp_path: Path) -> None:
    context, _ = context_in(tmp_path)
    delivered, frame = DeliveredFrames(context, 1), frame_of(1)
    delivered.add(frame, None)
    delivered.add(frame, None)
    await delivered.save(frame, 1)
    await delivered.reject(frame, "repeated")
    await delivered.rescue()
    assert reasons(tmp_path) == ["repeated"]


async def test_a_frame_whose_file_fails_is_rescued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, _ = context_in(tmp_path)
    delivered, frame = DeliveredFrames(context, 1), frame_of(1)
    delivered.add(frame, None)

    def full(_folder: NightFolder, _frame: Frame, _filter: str | None, _index: int) -> Path:
        raise NotDurableError(tmp_path, errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(NightFolder, "save_frame", full)
    with pytest.raises(NotDurableError):
        await delivered.save(frame, 1)
    await delivered.rescue()
    assert reasons(tmp_path) == [NOT_JUDGED]


async def test_a_frame_that_cannot_be_rescued_is_reported_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, seen = context_in(tmp_path)
    delivered, frames = DeliveredFrames(context, 1), [frame_of(seed) for seed in range(3)]
    for frame in frames:
        delivered.add(frame, None)
    quarantine = NightFolder.quarantine

    def failing(folder: NightFolder, frame: Frame, filter_name: str | None, reason: str) -> Path:
        if frame is frames[1]:
            raise NotDurableError(tmp_path, errno.EIO, "a bad sector")
        return quarantine(folder, frame, filter_name, reason)

    monkeypatch.setattr(NightFolder, "quarantine", failing)
    await delivered.rescue()
    assert len(reasons(tmp_path)) == 2
    (notice,) = [event for event in seen if isinstance(event, Notice)]
    assert notice.severity is Severity.ERROR
    assert "a frame is lost" in notice.text


async def test_a_rescue_that_is_cancelled_saves_all_frames_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, seen = context_in(tmp_path)
    delivered = DeliveredFrames(context, 1)
    for seed in range(4):
        delivered.add(frame_of(seed), None)
    began = asyncio.Event()

    async def noted(work: object, *args: object) -> object:
        began.set()
        return await in_thread(work, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(delivered_frames, "in_thread", noted)
    rescuing = asyncio.ensure_future(delivered.rescue())
    await began.wait()
    rescuing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rescuing
    assert len(reasons(tmp_path)) == 4
    assert len([event for event in seen if isinstance(event, FrameRejected)]) == 4
