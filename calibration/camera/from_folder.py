"""Measurement of the camera from the frames in a night folder, for nights whose record is missing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, Measured, TileSeries
from coldframe.calibration.camera.record import CameraRecord
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.calibration.files.frame_file import FrameFileError, read_header, read_pixels
from coldframe.calibration.files.keywords import in_drivers_words
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.config.frames import FrameKind, ReadoutSettings

SKIPPED_FOLDERS = frozenset({"masters", "quarantine", "checks"})
"""Folders inside a night folder that contain no usable raw frames."""

TUNING_FOLDER = "tuning"
"""Folder of test frames. Single frames in it are skipped, because no other frame has the same illumination."""


@dataclass(slots=True)
class _Group:
    """Frames shot with the same settings."""

    setup: FrameSetup
    paths: list[Path] = field(default_factory=list)
    sensor_c: list[float] = field(default_factory=list)
    last_at: datetime | None = None

    def take(self, path: Path, setup: FrameSetup) -> None:
        self.paths.append(path)
        if setup.temperature_c is not None:
            self.sensor_c.append(setup.temperature_c)
        if setup.taken_at is not None and (self.last_at is None or setup.taken_at > self.last_at):
            self.last_at = setup.taken_at


def measure_night(folder: Path, known: Measured | None = None) -> tuple[list[CameraRecord], list[str]]:
    """Measure the camera from the raw frames of a night; return the records, and a sentence about each unreadable file.

    Parameters
    ----------
    folder
        Folder of the night.
    known
        Gain in electrons per ADU from another source, for a night without flats.

    Returns
    -------
    records
        One record for each camera and setting with enough frames.
    problems
        Unreadable files with the reasons.
    """
    problems: list[str] = []
    by_setting: dict[tuple[str, ReadoutSettings, int, int], list[_Group]] = {}
    for group in _groups(folder, problems):
        setup = group.setup
        key = (setup.camera or "", setup.readout, setup.width, setup.height)
        by_setting.setdefault(key, []).append(group)
    records = []
    for groups in by_setting.values():
        sets = [studied for group in groups if (studied := _studied(group, problems)) is not None]
        times = [group.last_at for group in groups if group.last_at is not None]
        record = study(sets, max(times, default=datetime.now(UTC)), known) if sets else None
        if record is not None:
            records.append(record)
    return records, problems


def _groups(folder: Path, problems: list[str]) -> Iterator[_Group]:
    groups: dict[tuple[object, ...], _Group] = {}
    for path in sorted(folder.rglob("*.fits")):
        if not SKIPPED_FOLDERS.isdisjoint(path.relative_to(folder).parts):
            continue
        try:
            setup = setup_of(in_drivers_words(read_header(path)))
        except FrameFileError as error:
            problems.append(str(error))
            continue
        if setup.kind in (None, FrameKind.LIGHT) or setup.exposure_s is None:
            continue
        size = (setup.width, setup.height)
        # The darks of one set are shot through two filters, to distinguish a light leak from dark current.
        filter_name = None if setup.kind is FrameKind.DARK else setup.filter_name
        shot = (setup.camera, setup.readout, setup.kind, setup.exposure_s, filter_name, setup.setpoint_c)
        groups.setdefault((path.parent, *shot, *size), _Group(setup)).take(path, setup)
    for group in groups.values():
        if group.paths[0].parent.name != TUNING_FOLDER or len(group.paths) > 1:
            yield group


def _studied(group: _Group, problems: list[str]) -> StudiedSet | None:
    setup, series = group.setup, TileSeries()
    if min(setup.width, setup.height) < TILE_PIXELS or setup.kind is None or setup.exposure_s is None:
        return None
    for path in group.paths:
        try:
            series.add(read_pixels(path))
        except FrameFileError as error:
            problems.append(str(error))
    if series.frames == 0:
        return None
    light = (setup.filter_name, None) if setup.kind is FrameKind.FLAT else None
    sensor_c = fmean(group.sensor_c) if group.sensor_c else None
    return StudiedSet(
        setup.camera or "unknown", setup.readout, setup.kind, setup.exposure_s, sensor_c, light, series.noise()
    )
