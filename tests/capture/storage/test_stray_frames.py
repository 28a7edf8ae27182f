"""Frames that nobody requested are kept in quarantine and cannot fill memory or disk."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import read_frame
from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import Event, Notice
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Severity
from coldframe.capture.storage import stray_frames
from coldframe.capture.storage.night_folder import NightFolder
from coldframe.capture.storage.stray_frames import StrayFrames
from coldframe.devices.camera import StrayFrame

START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
PIXELS = np.arange(48, dtype=np.uint16).reshape(6, 8)
LATE = StrayFrame("camera", "came late", PIXELS, {"EXPTIME": 3.0, "OBJECT": "../../evil"})
CUT = StrayFrame("camera", "is cut", b"SIMPLE  =")


def found(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


async def kept(folder: Path, *strays: StrayFrame) -> list[Event]:
    clock, events, seen = NightClock(START), EventStream(), list[Event]()
    events.subscribe(seen.append)
    frames = StrayFrames(clock)
    async with frames.kept_in(NightFolder.create(folder, START), events):
        for stray in strays:
            frames.take(stray)
            await asyncio.sleep(0)
    return seen


async def test_pixels_and_bytes_are_saved_unchanged(tmp_path: Path) -> None:
    seen = await kept(tmp_path, LATE, CUT)
    (late,), (cut,) = found(tmp_path, "stray_*.fits"), found(tmp_path, "stray_*.bin")
    pixels, header = read_frame(late)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert header["EXPTIME"] == 3.0
    assert cut.read_bytes() == CUT.content
    assert {json.loads(path.read_text())["reason"] for path in found(tmp_path, "*.json")} == {"came late", "is cut"}
    assert [event.text.split(";")[0] for event in seen if isinstance(event, Notice)] == [
        "camera: came late",
        "camera: is cut",
    ]


async def test_the_number_of_stray_frames_per_night_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stray_frames, "MOST_KEPT", 3)
    seen = await kept(tmp_path, *[CUT] * 20)
    assert len(found(tmp_path, "*.bin")) == 3
    assert any(
        "further frames like this will be discarded" in event.text for event in seen if isinstance(event, Notice)
    )


async def test_a_full_disk_is_reported_and_does_not_end_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_folder: NightFolder, _stray: StrayFrame, _came: datetime) -> Path:
        raise NotDurableError(tmp_path, 28, "free some space")

    monkeypatch.setattr(NightFolder, "quarantine_stray", full)
    seen = await kept(tmp_path, LATE, CUT)
    assert [event.severity for event in seen if isinstance(event, Notice)] == [Severity.ERROR] * 2


async def test_stray_frames_outside_a_night_are_discarded(tmp_path: Path) -> None:
    StrayFrames(NightClock(START)).take(LATE)
    assert not found(tmp_path, "*")
