"""Measurement of the camera from the frames in a folder, such as the folder of a night whose record is missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from statistics import fmean

from coldframe.calibration.camera.photon_transfer import TILE_PIXELS, Measured, TileSeries
from coldframe.calibration.camera.record import CameraRecord
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import SUFFIXES, read_image_header
from coldframe.calibration.files.image_file import open_image, uint16_pixels
from coldframe.calibration.files.keywords import ROLES, in_drivers_words
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, require_readable, setup_of
from coldframe.config.frames import FrameKind, ReadoutSettings

SKIPPED_FOLDERS = frozenset({"masters", "quarantine", "checks"})
"""Folders inside a night folder that contain no usable raw frames."""

TUNING_FOLDER = "tuning"
"""Folder of test frames. A frame in it is skipped if no other frame has the same settings, because its illumination is
then unique."""


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


def measure_night(
    folder: Path, known: Measured | None = None, kinds: Mapping[FrameKind, str] | None = None
) -> tuple[list[CameraRecord], list[str]]:
    """Measure the camera from the raw frames in a folder; return the records, and messages about unusable files.

    Parameters
    ----------
    folder
        Folder of a night, or of frames from any program; its subfolders are included.
    known
        Gain in electrons per ADU from another source, for a night without flats.
    kinds
        Patterns, by kind of frame, for frames whose headers do not state the kind. A pattern is matched against the
        path relative to `folder`; it may also name a subfolder.

    Returns
    -------
    records
        One record for each camera and setting with enough frames.
    problems
        Messages that name the unusable files and give the reasons.
    """
    problems: list[str] = []
    by_setting: dict[tuple[str, ReadoutSettings, int, int], list[_Group]] = {}
    for group in _groups(folder, kinds or {}, problems):
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


def _groups(folder: Path, kinds: Mapping[FrameKind, str], problems: list[str]) -> Iterator[_Group]:
    groups: dict[tuple[object, ...], _Group] = {}
    lacking: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or not SKIPPED_FOLDERS.isdisjoint(below.parts):
            continue
        try:
            header = dict(in_drivers_words(read_image_header(path)))
            require_readable(setup_of(header), path)
        except FrameFileError as error:
            problems.append(str(error))
            continue
        named = next((kind for kind, pattern in kinds.items() if _is_named(below, pattern)), None)
        if named is not None and setup_of(header).kind is None:
            header["CFROLE"] = ROLES[named]
        setup = setup_of(header)
        if setup.kind is None:
            lacking.setdefault("kind of frame. Specify the kind with --bias, --dark or --flat", []).append(path)
        elif setup.kind is FrameKind.LIGHT or not is_single_frame(header):
            continue
        elif setup.exposure_s is None and setup.kind is not FrameKind.BIAS:
            lacking.setdefault("exposure", []).append(path)
        else:
            setup = replace(setup, exposure_s=setup.exposure_s or 0.0)
            groups.setdefault(_shot_alike(path, setup), _Group(setup)).take(path, setup)
    problems += [_left_out(paths, value) for value, paths in lacking.items()]
    for group in groups.values():
        if group.paths[0].parent.name != TUNING_FOLDER or len(group.paths) > 1:
            yield group


def _left_out(paths: list[Path], value: str) -> str:
    if len(paths) == 1:
        return f"{paths[0]} is left out: its header does not state the {value}"
    more = len(paths) - 1
    others = "1 other" if more == 1 else f"{more} others"
    return f"{paths[0]} and {others} are left out: their headers do not state the {value}"


def _is_named(below: Path, pattern: str) -> bool:
    """Return whether a path relative to the measured folder matches a pattern, or is in the subfolder `pattern`."""
    name = below.as_posix()
    return fnmatch(name, pattern) or fnmatch(name, f"{pattern.rstrip('/')}/*")


def _shot_alike(path: Path, setup: FrameSetup) -> tuple[object, ...]:
    """Return the properties that the frames of a group share."""
    # One set of darks is shot through two filters, so that a light leak can be distinguished from dark current.
    filter_name = None if setup.kind is FrameKind.DARK else setup.filter_name
    shot = (setup.camera, setup.readout, setup.kind, setup.exposure_s, filter_name, setup.setpoint_c)
    return (path.parent, *shot, setup.width, setup.height)


def _studied(group: _Group, problems: list[str]) -> StudiedSet | None:
    setup, series = group.setup, TileSeries()
    if min(setup.width, setup.height) < TILE_PIXELS or setup.kind is None or setup.exposure_s is None:
        return None
    for path in group.paths:
        try:
            with scratch_folder() as unpacked:
                series.add(uint16_pixels(open_image(path, unpacked)))
        except FrameFileError as error:
            problems.append(str(error))
    if series.frames == 0:
        return None
    light = (setup.filter_name, None) if setup.kind is FrameKind.FLAT else None
    sensor_c = fmean(group.sensor_c) if group.sensor_c else None
    return StudiedSet(
        setup.camera or "unknown", setup.readout, setup.kind, setup.exposure_s, sensor_c, light, series.noise()
    )
