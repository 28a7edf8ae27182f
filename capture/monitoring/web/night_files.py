"""The picture of the latest frame or master, and the morning report, from the folder of a night."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import setup_of
from coldframe.capture.events.kinds import FrameAccepted, MasterWritten, NightStarted
from coldframe.capture.monitoring.progress.night_words import frame_title
from coldframe.capture.monitoring.progress.quantities import noise_text, printable
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.report.making import PAGE
from coldframe.capture.monitoring.report.pixels import picture_of
from coldframe.capture.monitoring.report.png import png_bytes
from coldframe.capture.monitoring.watching.watched_night import WatchedNight
from coldframe.capture.storage.night_folder import nights_from_newest
from coldframe.capture.threads import read_in_thread
from coldframe.counted import counted

PICTURE_COLUMNS = 480
"""Maximum width of the picture in pixels. A noisy picture of this width makes a PNG file of about 150 kB."""

LOOK_S = 3.0
"""Time between checks of the folder."""

LEAST_PAUSE_S = 15.0
"""Shortest time between two pictures, long enough for a phone with a weak connection."""

LARGEST_SHARE = 0.02
"""Maximum fraction of time to spend on reading pictures."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A stretched picture for the page.

    Attributes
    ----------
    number
        Number that distinguishes the picture from earlier pictures.
    facts
        Measured values of the frame or master; empty for a preview.
    png
        Contents of a PNG file.
    is_preview
        True if this is only the small preview that the run sends.
    """

    number: int
    title: str
    facts: str
    png: bytes
    is_preview: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The morning report of the night."""

    path: Path
    written_at: datetime


class NightFiles:
    """The files of the night that is shown. Only files in the storage folder are read.

    Parameters
    ----------
    storage
        The folder that contains the folders of the nights.
    night
        The night that is shown.
    """

    def __init__(self, storage: Path, night: WatchedNight) -> None:
        self._storage = storage
        self._night = night
        self._source: object = None
        self._next_s = 0.0
        self._looking = asyncio.Lock()
        self._pictures = 0
        self._drawn_night: NightStarted | None = None
        self.picture: Picture | None = None
        self.report: Report | None = None

    async def look(self) -> None:
        """Look for a new picture and for the report."""
        async with self._looking:
            await self.find_report()
            state = self._night.state
            if state.night != self._drawn_night:
                self._drawn_night, self.picture, self._source, self._next_s = state.night, None, None, 0.0
            with suppress(OSError, NotDurableError):  # the disk hangs or was removed: keep the current picture
                await self._look_for_picture(state)
            self._show_preview(self._night.state)

    async def find_report(self) -> None:
        """Look only for the report, without waiting for a picture to be read."""
        state = self._night.state
        try:
            self.report = await read_in_thread(report_of, self._storage, state)
        except (OSError, NotDurableError, ValueError, OverflowError):  # the last two if the file has an impossible date
            self.report = None

    async def _look_for_picture(self, state: DashboardState) -> None:
        newest = newest_image(state)
        if newest is None or newest is self._source or time.monotonic() < self._next_s:
            return
        night = state.night
        title = title_of(newest, state)
        began_s = time.monotonic()
        png = await read_in_thread(_drawn, self._storage, state, newest.path)
        if self._night.state.night != night:  # the next night has begun in the meantime
            return
        self._source = newest
        ended_s = time.monotonic()
        self._next_s = ended_s + max(LEAST_PAUSE_S, (ended_s - began_s) / LARGEST_SHARE)
        self.picture = self._numbered(title, facts_of(newest), png) if png is not None else None

    def _show_preview(self, state: DashboardState) -> None:
        """If no file could be read, show the preview that the run sent; never show a picture from an earlier night."""
        if newest_image(state) is None and state.shown is None:
            self.picture = None
        elif state.shown is not None and (self.picture is None or self.picture.is_preview):
            png = png_bytes(state.shown.picture)
            if self.picture is None or self.picture.png != png:
                self.picture = self._numbered(printable(state.shown.title), "", png, is_preview=True)

    def _numbered(self, title: str, facts: str, png: bytes, *, is_preview: bool = False) -> Picture:
        self._pictures += 1
        return Picture(self._pictures, title, facts, png, is_preview)


def newest_image(state: DashboardState) -> FrameAccepted | MasterWritten | None:
    """Return the event of the latest frame or master of a night; None if there is neither a frame nor a master."""
    images = [each for each in (state.frame, state.masters[-1] if state.masters else None) if each is not None]
    return max(images, key=lambda each: each.at, default=None)


def title_of(image: FrameAccepted | MasterWritten, state: DashboardState) -> str:
    """Return the title of a picture."""
    if isinstance(image, FrameAccepted):
        return frame_title(state)
    step = state.steps.get(image.step)
    name = printable(step.planned.title) if step else f"step {image.step}"
    return f"Master of {name}, {counted(image.frames, 'frame')}"


def facts_of(image: FrameAccepted | MasterWritten) -> str:
    """Return the measured values of a frame or master as text."""
    if isinstance(image, MasterWritten):
        return f"level {image.level:,.4g}, noise {noise_text(image.noise)}"
    figures = image.statistics
    facts = f"level {figures.level_adu:,.0f}, noise {noise_text(figures.noise_adu)} ADU"
    clipped = figures.saturated_fraction
    return f"{facts}, clipped {100 * clipped:.2g} %" if clipped > 0 else facts


def night_folder(storage: Path, state: DashboardState) -> Path | None:
    """Return the folder of the night that is shown; None if the storage folder does not contain it.

    Only the name is taken from the event, because a manipulated journal could name any folder.
    """
    if state.night is None:
        return None
    name = Path(state.night.folder).name
    return next((night for night in nights_from_newest(storage) if night.name == name), None)


def report_of(storage: Path, state: DashboardState) -> Report | None:
    """Return the report of a night that is over or out of contact; None if there is no report."""
    if state.ended is None and state.lost_at is None:
        return None
    folder = night_folder(storage, state)
    try:
        return None if folder is None else Report(path := folder / PAGE, _written_at(path))
    except FileNotFoundError:
        return None


def _written_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _drawn(storage: Path, state: DashboardState, name: str) -> bytes | None:
    """Return an image of a night as a PNG file; None if it is not in the night's folder or cannot be read."""
    folder = night_folder(storage, state)
    if folder is None:
        return None
    try:
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            return None
        with scratch_folder() as unpacked:
            image = open_image(path, unpacked)
            return png_bytes(picture_of(image, PICTURE_COLUMNS, setup_of(image.header).mosaic))
    except (FrameFileError, OSError, ValueError):
        return None
