"""Create the morning report of a night from its journal and masters, as an HTML page and a JSON file."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path

from coldframe.calibration.files.durable import replace_durably
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.library import LIBRARY, Library
from coldframe.capture.monitoring.report.contents import FramePoint, MasterReport, NightReport, SetReport
from coldframe.capture.monitoring.report.earlier_masters import change_text, earlier_master
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.monitoring.report.judgements import judgement_of
from coldframe.capture.monitoring.report.page import render
from coldframe.capture.monitoring.report.pixels import ImageSummary, level_of, summarise_file
from coldframe.capture.monitoring.report.runs import JOURNAL
from coldframe.capture.monitoring.report.writing import json_twin
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import evening_of

PAGE, TWIN = "report.html", "report.json"

RECENT = timedelta(minutes=2)
"""Age of the last event below which a night without an ending is considered to be running."""

PICTURES_PIXELS = 1_200_000
"""Total number of pixels in all pictures of whole frames. Encoded as PNG and base64, they take up less than 2 MB."""

WIDEST, NARROWEST = 480, 120

MOST_REJECTED = 50
"""Maximum number of rejected frames to read. coldframe stops shooting long before it rejects this many frames."""


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A written report.

    Attributes
    ----------
    page
        Path of the HTML file.
    faults
        A message for each master that could not be read.
    """

    page: Path
    report: NightReport
    faults: tuple[str, ...]


def make_report(
    folder: Path, *, zone: tzinfo | None = None, now: datetime | None = None, is_over: bool = False
) -> MadeReport:
    """Create the report of a night, and replace an existing report.

    Parameters
    ----------
    folder
        Folder of the night.
    zone
        Time zone for clock times; None for the local time zone.
    now
        Current time; None to use the system clock.
    is_over
        True if the night has ended, even if its ending is missing from the journal, for example because the disk was
        full.

    Raises
    ------
    NoNightError
        If the journal does not contain the start of a night.
    OSError
        If the journal is missing or cannot be read.
    NotDurableError
        If the report cannot be written.
    """
    now = now or datetime.now(UTC)
    events = list(read_journal(folder / JOURNAL))
    is_running = not is_over and bool(events) and now - max(event.at for event in events) < RECENT
    report = gather(events, zone=zone, is_running=is_running)
    report, summaries = with_pixels(with_rejected(report, folder), folder)
    report = with_judgements(report, folder)
    page = render(report, summaries, folder, made_at=now, zone=zone)
    replace_durably(folder / TWIN, [json_twin(report).encode()])
    replace_durably(folder / PAGE, [page.encode()])
    faults = tuple(master.fault for made in report.sets for master in made.masters if master.fault)
    return MadeReport(folder / PAGE, report, faults)


def with_rejected(report: NightReport, folder: Path) -> NightReport:
    """Return the report with levels and temperatures from the files of at most `MOST_REJECTED` rejected frames.

    A frame whose file cannot be read is left unchanged.
    """
    read = count(1)

    def looked(frame: FramePoint) -> FramePoint:
        if not frame.rejected or next(read) > MOST_REJECTED:
            return frame
        try:
            with scratch_folder() as unpacked:
                image = open_image(folder / frame.path, unpacked)
                level_adu, setup = level_of(image), setup_of(image.header)
        except (FrameFileError, OSError):
            return frame
        sensor_c = frame.sensor_c if setup.temperature_c is None else setup.temperature_c
        return replace(frame, level_adu=level_adu, sensor_c=sensor_c, exposure_s=setup.exposure_s)

    def with_frames(made: SetReport) -> SetReport:
        return replace(made, frames=tuple(looked(frame) for frame in made.frames))

    return replace(report, sets=tuple(with_frames(made) for made in report.sets))


def with_pixels(report: NightReport, folder: Path) -> tuple[NightReport, dict[str, ImageSummary]]:
    """Return the report with the statistics of its masters, and the image summaries by path in the report."""
    width = picture_width(report)
    summaries: dict[str, ImageSummary] = {}

    def read(master: MasterReport) -> MasterReport:
        try:
            summaries[master.path] = summarise_file(folder / master.path, width)
        except (FrameFileError, OSError) as error:
            return replace(master, fault=str(error))
        return replace(master, look=summaries[master.path].statistics)

    def with_masters(made: SetReport) -> SetReport:
        return replace(made, masters=tuple(read(master) for master in made.masters))

    return replace(report, sets=tuple(with_masters(made) for made in report.sets)), summaries


def with_judgements(report: NightReport, folder: Path) -> NightReport:
    """Return the report with its masters judged and compared with masters from earlier nights."""
    try:
        library = Library(folder.parent / LIBRARY).catalogue().setups
    except (FrameFileError, OSError, sqlite3.Error):
        library = {}

    def judged(made: SetReport, master: MasterReport) -> MasterReport:
        words = judgement_of(made, master, report.lights, report.cameras)
        return replace(master, judgement=words, change=_change(made, folder / master.path, library))

    def with_masters(made: SetReport) -> SetReport:
        return replace(made, masters=tuple(judged(made, master) for master in made.masters))

    return replace(report, sets=tuple(map(with_masters, report.sets)))


def _change(made: SetReport, path: Path, library: Mapping[Path, FrameSetup]) -> str:
    try:
        earlier = earlier_master(setup_of(read_header(path)), library)
        if earlier is None:
            return ""
        taken_at = library[earlier].taken_at
        night = "" if taken_at is None else evening_of(taken_at)
        return change_text(made.kind, path, earlier, night)
    except (FrameFileError, OSError):
        return ""


def picture_width(report: NightReport) -> int:
    """Return the largest picture width, in pixels, for which the page stays below 5 MB."""
    masters = max(sum(len(made.masters) for made in report.sets), 1)
    aspect = min(max(report.width, 1) / max(report.height, 1), 4.0)
    return int(min(max((PICTURES_PIXELS / masters * aspect) ** 0.5, NARROWEST), WIDEST))
