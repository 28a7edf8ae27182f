"""The picture comes from the newest frame or master in the night's folder, and from no other file."""

import os
import struct
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import Event, FrameAccepted, MasterWritten, NightStarted, StepStarted
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.watching.watched_night import WatchedNight
from coldframe.capture.monitoring.web import night_files
from coldframe.capture.monitoring.web.night_files import NightFiles
from tests.capture.monitoring.dashboard.test_dashboard import DUSK, PLAN

STATISTICS = FrameStatistics(26_180.0, 26_180.0, 26_180.0, 142.0, 1, 2, 0.01)
PREVIEW = FrameShown(DUSK, "flat L 1/20", np.zeros((64, 96), np.uint8), np.arange(128))


def written(path: Path, shape: tuple[int, int] = (640, 960)) -> Path:
    """Write a frame with a bright left half."""
    pixels = np.full(shape, 100, np.uint16)
    pixels[:, : shape[1] // 2] = 30_000
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(bytes(piece) for piece in FrameEncoder().encode(pixels, [])))
    return path


def accepted(path: Path | str, index: int = 1) -> FrameAccepted:
    return FrameAccepted(DUSK + timedelta(seconds=index), 2, index, str(path), 0.842, -10.0, STATISTICS)


class Shown:
    """The files of a night whose events were these."""

    def __init__(self, tmp_path: Path) -> None:
        self.storage = tmp_path / "nights"
        self.folder = self.storage / "2026-11-21"
        self.folder.mkdir(parents=True)
        self.night = WatchedNight(self.storage)
        self.files = NightFiles(self.storage, self.night)
        self.apply(NightStarted(DUSK, str(self.folder), "Camera", None, None, 960, 640, PLAN), StepStarted(DUSK, 2))

    def apply(self, *events: Event) -> None:
        for event in events:
            self.night.state.apply(event)

    async def size(self) -> tuple[int, int] | None:
        """Return width and height of the picture."""
        await self.files.look()
        picture = self.files.picture
        return None if picture is None else struct.unpack(">II", picture.png[16:24])


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr(night_files, "LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr(night_files, "LARGEST_SHARE", 1e9)
    return Shown(tmp_path)


async def test_the_newest_frame_is_drawn_with_its_values(shown: Shown) -> None:
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    assert await shown.size() == (480, 320)
    picture = shown.files.picture
    assert picture is not None
    assert picture.title == "Last frame: flat L 1, 0.842 s"
    assert picture.facts == "level 26,180, noise 142 ADU, clipped 1 %"


async def test_a_later_master_replaces_the_frame(shown: Shown) -> None:
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    await shown.files.look()
    master = written(shown.folder / "masters" / "m.fits", (64, 96))
    shown.apply(MasterWritten(DUSK + timedelta(minutes=1), 2, str(master), 20, 1.0, 0.002, 0.0))
    assert await shown.size() == (96, 64)
    assert shown.files.picture is not None
    assert shown.files.picture.title == "Master of flat L, 20 frames"
    assert shown.files.picture.number == 2


async def test_pictures_are_not_read_again_within_the_pause(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(night_files, "LEAST_PAUSE_S", 1e9)
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    await shown.files.look()
    shown.apply(accepted(written(shown.folder / "flats" / "2.fits"), 2))
    await shown.files.look()
    assert shown.files.picture is not None
    assert shown.files.picture.title == "Last frame: flat L 1, 0.842 s"


async def test_the_preview_is_shown_until_a_file_can_be_read(shown: Shown) -> None:
    assert await shown.size() is None
    shown.apply(PREVIEW)
    assert await shown.size() == (96, 64)
    assert shown.files.picture is not None
    assert shown.files.picture.is_preview
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    assert await shown.size() == (480, 320)


@pytest.mark.parametrize("kind", ["outside", "link", "climbing", "fifo", "text", "missing", "folder", "nul"])
async def test_other_files_are_never_drawn(shown: Shown, tmp_path: Path, kind: str) -> None:
    secret = written(tmp_path / "secret.fits")
    inside = shown.folder / "frame.fits"
    match kind:
        case "link":
            inside.symlink_to(secret)
        case "fifo":
            os.mkfifo(inside)
        case "text":
            inside.write_text("root:")
        case "folder":
            inside.mkdir()
    names = {"outside": str(secret), "climbing": f"{shown.folder}/../../secret.fits", "nul": "\0"}
    shown.apply(accepted(names.get(kind, str(inside))))
    assert await shown.size() is None
    shown.apply(PREVIEW)
    assert await shown.size() == (96, 64)


async def test_the_next_night_has_neither_the_picture_nor_the_pause_of_the_last_one(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_files, "LEAST_PAUSE_S", 1e9)
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    assert await shown.size() == (480, 320)
    tomorrow = DUSK + timedelta(days=1)
    shown.night.state = WatchedNight(shown.storage).state
    shown.apply(NightStarted(tomorrow, str(shown.folder), "Camera", None, None, 960, 640, PLAN), PREVIEW)
    assert await shown.size() == (96, 64)
    shown.apply(accepted(written(shown.folder / "flats" / "2.fits"), 2))
    assert await shown.size() == (480, 320)


async def test_a_picture_of_an_earlier_night_is_withdrawn(shown: Shown) -> None:
    shown.apply(accepted(written(shown.folder / "flats" / "1.fits")))
    assert await shown.size() == (480, 320)
    later = WatchedNight(shown.storage)
    shown.night.state = later.state
    shown.apply(NightStarted(DUSK, str(shown.folder), "Camera", None, None, 960, 640, PLAN))
    assert await shown.size() is None
