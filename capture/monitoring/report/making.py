"""Makes the morning report of a night's folder: reads its journal and its masters, writes page and JSON twin."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from coldframe.calibration.files.durable import replace_durably
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.setup import setup_of
from coldframe.capture.monitoring.report.contents import FramePoint, MasterReport, NightReport, SetReport
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.monitoring.report.page import render
from coldframe.capture.monitoring.report.pixels import Look, level_of, look_at
from coldframe.capture.monitoring.report.runs import JOURNAL
from coldframe.capture.monitoring.report.writing import json_twin
from coldframe.capture.storage.journal_reader import read_journal

PAGE, TWIN = "report.html", "report.json"

RECENT = timedelta(minutes=2)
"""A journal without a last word that was added to within this time is that of a night that still goes on."""

PICTURES_PIXELS = 1_200_000
"""Of all whole pictures together: as PNG in base64 below 2 MB."""

WIDEST, NARROWEST = 480, 120

MOST_REJECTED = 50
"""Rejected frames that are looked at: a night gives up long before so many."""


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report that was written.

    Attributes
    ----------
    page
        The HTML file.
    faults
        A sentence about each master that could not be looked at.
    """

    page: Path
    report: NightReport
    faults: tuple[str, ...]


def make_report(
    folder: Path, *, zone: tzinfo | None = None, now: datetime | None = None, is_over: bool = False
) -> MadeReport:
    """Make the report of a night, or make it again.

    Parameters
    ----------
    folder
        Of the night, with its journal.
    zone
        Time zone of the clock times; None is the computer's own.
    now
        When it is made.
    is_over
        The night has ended, even if its journal had no room for its last word.

    Raises
    ------
    NoNightError
        The journal tells of no night.
    OSError
        There is no journal, or it cannot be read.
    NotDurableError
        The report cannot be written.
    """
    now = now or datetime.now(UTC)
    events = list(read_journal(folder / JOURNAL))
    is_running = not is_over and bool(events) and now - max(event.at for event in events) < RECENT
    report = gather(events, zone=zone, is_running=is_running)
    report, looks = with_looks(with_rejected(report, folder), folder)
    page = render(report, looks, folder, made_at=now, zone=zone)
    replace_durably(folder / TWIN, [json_twin(report).encode()])
    replace_durably(folder / PAGE, [page.encode()])
    faults = tuple(master.fault for made in report.sets for master in made.masters if master.fault)
    return MadeReport(folder / PAGE, report, faults)


def with_rejected(report: NightReport, folder: Path) -> NightReport:
    """Return the report with levels and temperatures of rejected frames from their files, of `MOST_REJECTED` at most.

    A file that cannot be read tells nothing.
    """
    read = count(1)

    def looked(frame: FramePoint) -> FramePoint:
        if not frame.rejected or next(read) > MOST_REJECTED:
            return frame
        try:
            with TemporaryDirectory(prefix="coldframe-") as unpacked:
                image = open_image(folder / frame.path, Path(unpacked))
                level_adu, setup = level_of(image), setup_of(image.header)
        except (FrameFileError, OSError):
            return frame
        sensor_c = frame.sensor_c if setup.temperature_c is None else setup.temperature_c
        return replace(frame, level_adu=level_adu, sensor_c=sensor_c, exposure_s=setup.exposure_s)

    def with_frames(made: SetReport) -> SetReport:
        return replace(made, frames=tuple(looked(frame) for frame in made.frames))

    return replace(report, sets=tuple(with_frames(made) for made in report.sets))


def with_looks(report: NightReport, folder: Path) -> tuple[NightReport, dict[str, Look]]:
    """Return the report with what its masters' pixels show, and the looks at them by their paths in the report."""
    width = picture_width(report)
    looks: dict[str, Look] = {}

    def looked(master: MasterReport) -> MasterReport:
        try:
            looks[master.path] = look_at(folder / master.path, width)
        except (FrameFileError, OSError) as error:
            return replace(master, fault=str(error))
        return replace(master, look=looks[master.path].figures)

    def with_masters(made: SetReport) -> SetReport:
        return replace(made, masters=tuple(looked(master) for master in made.masters))

    return replace(report, sets=tuple(with_masters(made) for made in report.sets)), looks


def picture_width(report: NightReport) -> int:
    """Return how wide pictures may be, so that all of them together keep the page below 5 MB."""
    masters = max(sum(len(made.masters) for made in report.sets), 1)
    aspect = min(max(report.width, 1) / max(report.height, 1), 4.0)
    return int(min(max((PICTURES_PIXELS / masters * aspect) ** 0.5, NARROWEST), WIDEST))
