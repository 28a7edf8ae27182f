"""What the frames of a night's folder tell of the camera: the records anew, or of nights from before there were any."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, Measured, TileSeries
from coldframe.calibration.camera.record import CameraRecord
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.calibration.files.frame_file import FrameFileError, read_header, read_pixels
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.config.frames import FrameKind, ReadoutSettings

NOT_STUDIED = frozenset({"masters", "quarantine", "checks"})
"""Folders of a night whose frames tell nothing of the camera, or nothing good."""

TUNING = "tuning"
"""Folder of test frames: only those of which there are several alike are studied, as others may be of any light."""


@dataclass(slots=True)
class _Group:
    """Frames shot alike."""

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
    """Return what a night's raw frames tell of the camera, and a sentence about each file that cannot be read.

    Parameters
    ----------
    folder
        Of one night.
    known
        Electrons for one ADU from elsewhere, for a night without flats.

    Returns
    -------
    records
        One for each camera and setting of which enough is there.
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
        if not NOT_STUDIED.isdisjoint(path.relative_to(folder).parts):
            continue
        try:
            setup = setup_of(read_header(path))
        except FrameFileError as error:
            problems.append(str(error))
            continue
        if setup.kind in (None, FrameKind.LIGHT) or setup.exposure_s is None:
            continue
        size = (setup.width, setup.height)
        # Darks of one set are shot through two filters, to tell light from dark current.
        filter_name = None if setup.kind is FrameKind.DARK else setup.filter_name
        shot = (setup.camera, setup.readout, setup.kind, setup.exposure_s, filter_name, setup.setpoint_c)
        groups.setdefault((path.parent, *shot, *size), _Group(setup)).take(path, setup)
    for group in groups.values():
        if group.paths[0].parent.name != TUNING or len(group.paths) > 1:
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
