"""Name and locate the files in the folder of a night, and write them durably.

::

    2026-11-22/                           date of the evening on which the night began
        biases/G100_O50_-10C_1x1/         one folder per set: raw frames
        darks/...  dark-flats/...  flats/...
        tuning/                           test frames of the flat tuner
        checks/                           frames shot to check the gain and the lamp
        quarantine/                       rejected frames, each with a JSON file that gives the reason
        masters/                          one master per set
        journal.jsonl  coldframe.log  report.html  report.json
"""

import errno
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, count
from pathlib import Path

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.durable import (
    PART,
    NotDurableError,
    flush_folder,
    make_folder_durably,
    write_durably,
)
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.keywords import angle_of_set_deg, raw_cards, with_driver_cards
from coldframe.calibration.files.naming import name_part, settings_text
from coldframe.calibration.files.raws.frames import frame_files
from coldframe.calibration.files.raws.sidecar import described, sidecar_of
from coldframe.calibration.library.library import LIBRARY, Library
from coldframe.calibration.masters.master_frame import MasterFrame, is_written, master_name, write_master
from coldframe.capture.storage.retry_write import Beside, free_path, is_taken, numbered, write_with_retry
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame, RawFile, StrayFrame

MASTERS = "masters"
QUARANTINE = "quarantine"
TUNING = "tuning"
_NIGHT = re.compile(r"(?P<evening>\d{4}-\d{2}-\d{2})(?:-(?P<number>\d{1,9}))?")
VANISHED = (
    "the night's folder was removed, moved or unmounted during the night. Put it back and run coldframe again to "
    "resume the night"
)
HALF_DAY = timedelta(hours=12)
"""Time by which moments are shifted back, so that all moments between two noons get the date of the same evening."""

FOLDERS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.DARK_FLAT: "dark-flats",
    FrameKind.FLAT: "flats",
    FrameKind.LIGHT: "lights",
}


def evening_of(moment: datetime) -> str:
    """Return the local date, such as 2026-11-22, of the evening on which the night that contains `moment` began."""
    return (moment.astimezone() - HALF_DAY).date().isoformat()


def newest_night(storage: Path) -> Path | None:
    """Return the folder of the latest night in a storage folder, or None if it contains no night.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    return next(iter(nights_from_newest(storage)), None)


def nights_from_newest(storage: Path) -> list[Path]:
    """Return the folders of all nights in a storage folder, latest first.

    Raises
    ------
    OSError
        If the folder cannot be read.
    """
    nights = [(match, path) for path in storage.iterdir() if (match := _NIGHT.fullmatch(path.name)) and path.is_dir()]
    nights.sort(key=lambda night: (night[0]["evening"], int(night[0]["number"] or 1)), reverse=True)
    return [path for _, path in nights]


@dataclass(frozen=True, slots=True)
class NightFolder:
    """The folder of one night. The methods never overwrite a file. They block, so call them in threads.

    A folder from `create` or `existing` is identified by its device and inode. If the folder was removed, moved or
    unmounted, so that its path leads to another folder or to none, all methods that write raise NotDurableError.
    Without this check, they would create the folder again, and the night would continue without its earlier frames.
    """

    path: Path
    _encoder: FrameEncoder = field(default_factory=FrameEncoder)
    _place: tuple[int, int] | None = None

    @classmethod
    def create(cls, storage: Path, started: datetime) -> "NightFolder":
        """Create the folder of the night that began at `started`; append a number if that evening already has a folder.

        Raises
        ------
        OSError
            If the folder cannot be created.
        """
        if storage.is_symlink():
            storage.stat()  # reports a broken or circular link, which mkdir would report as existing
        storage.mkdir(parents=True, exist_ok=True)
        flush_folder(storage.parent)
        evening = evening_of(started)
        for number in count(1):
            path = storage / (evening if number == 1 else f"{evening}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            flush_folder(storage)
            return cls.existing(path)
        raise AssertionError("count never ends")

    @classmethod
    def existing(cls, path: Path) -> "NightFolder":
        """Return the folder of a night that already exists.

        Raises
        ------
        OSError
            If the folder cannot be examined.
        """
        return cls(path, _place=_place(path))

    def require_there(self) -> None:
        """Check that the folder is still the one in which the night began.

        Raises
        ------
        NotDurableError
            If the folder was removed, moved or unmounted.
        """
        try:
            place = _place(self.path)
        except FileNotFoundError:
            place = None
        except OSError as error:
            raise NotDurableError.of(self.path, error) from error
        if self._place is not None and place != self._place:
            raise NotDurableError(self.path, errno.ENOENT, VANISHED)

    def save_frame(self, frame: Frame, filter_name: str | None, index: int) -> Path:
        """Save a frame of a set durably and return the path of the file.

        Raises
        ------
        NotDurableError
            If the frame cannot be written durably.
        """
        set_name = _set_name(frame, filter_name)
        folder = f"{FOLDERS[frame.kind]}/{set_name}"
        return self._save(frame, filter_name, folder, f"{frame.kind}_{set_name}_{index:04d}")

    def save_test(self, frame: Frame, filter_name: str | None) -> Path:
        """Save a test frame of the tuner durably and return the path of the file.

        Raises
        ------
        NotDurableError
            If the frame cannot be written durably.
        """
        return self._save_aside(frame, filter_name, TUNING)

    def save_check(self, frame: Frame, filter_name: str | None) -> Path:
        """Durably save a frame that was shot to check the rig, and return the path of the file.

        Raises
        ------
        NotDurableError
            If the frame cannot be written durably.
        """
        return self._save_aside(frame, filter_name, "checks")

    def quarantine(self, frame: Frame, filter_name: str | None, reason: str) -> Path:
        """Save a rejected frame and a JSON file with the reason in quarantine, and return the path of the frame.

        Raises
        ------
        NotDurableError
            If the frame cannot be written durably.
        """
        path = self._save_aside(frame, filter_name, QUARANTINE)
        _write_reason(path, {"reason": reason, "started_at": frame.started_at.isoformat()})
        return path

    def quarantine_stray(self, stray: StrayFrame, came: datetime) -> Path:
        """Save an unrequested frame, or its raw bytes, in quarantine and return the path of the file.

        No part of the file name comes from the frame, because any program may have sent the frame.

        Raises
        ------
        NotDurableError
            If the frame cannot be written durably.
        """
        name, content = f"stray_{came:%H%M%S-%f}", stray.content
        folder = self._made(QUARANTINE)
        if isinstance(content, bytes | RawFile):
            suffix, written = (".bin", content) if isinstance(content, bytes) else (content.suffix, content.content)
            path = free_path(folder / f"{name}{suffix}", _reason_of)
            write_durably(path, [written])
        else:
            path = free_path(folder / f"{name}.fits", _reason_of)
            write_durably(path, FrameEncoder().encode(content, with_driver_cards([], stray.header)))
        _write_reason(path, {"reason": stray.reason, "came_at": came.isoformat()})
        return path

    def quarantine_saved(self, path: Path, reason: str) -> Path:
        """Move a saved frame to quarantine, write the reason to a JSON file, and return the new path.

        Raises
        ------
        NotDurableError
            If the frame cannot be moved, or the reason cannot be written durably.
        """
        return self._move_to_quarantine(path, path.name, reason)

    def quarantine_partial_files(self) -> list[Path]:
        """Move to quarantine all files that were still being written when a run ended, and return their new paths.

        Raises
        ------
        NotDurableError
            If a file cannot be moved, or the reason cannot be written durably.
        """
        partial = sorted(self.path.rglob(f".*{PART}"))
        reason = "the run ended while the file was being written"
        return [self._move_to_quarantine(path, path.name.lstrip("."), reason) for path in partial]

    def save_master(self, master: MasterFrame) -> Path:
        """Save a master durably and return its path, or the path of an existing master with the same frames and pixels.

        Raises
        ------
        NotDurableError
            If the master cannot be written durably.
        """
        first = self._made(MASTERS) / master_name(master)
        for path in numbered(first):
            if not is_taken(path):
                return write_with_retry(path, lambda path: write_master(path, master), self.path / QUARANTINE)
            if is_written(path, master):
                return path
        raise AssertionError("the numbers never end")

    def master(self, name: str) -> Path:
        """Return the path of the master with the given file name."""
        return self.path / MASTERS / name

    def masters(self) -> list[Path]:
        """Return the paths of all masters of the night, in the order in which they were written."""
        found = (self.path / MASTERS).glob("*.fits")
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def raw_frames(self) -> dict[str, Path]:
        """Return the paths of the saved frames of all sets, by file name."""
        found = (frame_files(self.path / folder, "*/*") for folder in FOLDERS.values())
        return {path.name: path for path in chain.from_iterable(found)}

    def frames_of(self, kind: FrameKind) -> list[Path]:
        """Return the paths of the saved frames of all sets of one kind, by name.

        Raises
        ------
        OSError
            If a folder cannot be listed.
        """
        return sorted(frame_files(self.path / FOLDERS[kind], "*/*"))

    def test_frames(self) -> list[Path]:
        """Return the paths of the test frames of the tuner, in the order in which they were written."""
        return sorted(frame_files(self.path / TUNING), key=lambda path: path.stat().st_mtime_ns)

    def kept_names(self) -> set[str]:
        """Return the names of all frames and masters in the folder, including quarantine."""
        return {path.name for path in frame_files(self.path, "**/*")}

    def raw_bytes(self) -> int:
        """Return the size of the saved frames of all sets, in bytes."""
        return sum(path.stat().st_size for path in self.raw_frames().values())

    def file_master(self, path: Path) -> Path:
        """Add a saved master to the library in the storage folder and return its path in the library.

        Raises
        ------
        NotDurableError
            If the master cannot be written durably.
        """
        return Library(self.path.parent / LIBRARY).file(path)

    def _move_to_quarantine(self, path: Path, name: str, reason: str) -> Path:
        aside = free_path(self._made(QUARANTINE) / name, _reason_of, sidecar_of)
        try:
            path.rename(aside)
            if (sidecar := sidecar_of(path)).exists():
                sidecar.rename(sidecar_of(aside))
            flush_folder(path.parent)  # without this, a power cut may undo the move
        except OSError as error:
            raise NotDurableError.of(path, error) from error
        _write_reason(aside, {"reason": reason})
        return aside

    def _save_aside(self, frame: Frame, filter_name: str | None, folder: str) -> Path:
        name = f"{frame.kind}_{_set_name(frame, filter_name)}_{_moment(frame)}"
        return self._save(frame, filter_name, folder, name)

    def _save(self, frame: Frame, filter_name: str | None, folder: str, name: str) -> Path:
        cards = raw_cards(
            kind=frame.kind,
            exposure_s=frame.exposure_s,
            settings=frame.settings,
            sensor_c=frame.sensor_c,
            setpoint_c=frame.setpoint_c,
            filter_name=filter_name,
            camera=frame.camera,
            started_at=frame.started_at,
            header=frame.header,
        )
        beside = (_reason_of,) if folder == QUARANTINE else ()
        if frame.raw is not None:
            return self._save_raw(frame.raw, cards, self._made(folder) / f"{name}{frame.raw.suffix}", *beside)
        content = self._encoder.encode(frame.pixels, cards)
        path = free_path(self._made(folder) / f"{name}.fits", *beside)
        return write_with_retry(path, lambda path: write_durably(path, content), self.path / QUARANTINE, *beside)

    def _save_raw(self, raw: RawFile, cards: list[Card], path: Path, *beside: Beside) -> Path:
        """Save a raw file after its description, because a raw file without one would not count as a frame."""
        description = described(cards, raw.content)

        def write(path: Path) -> None:
            sidecar = sidecar_of(path)
            if is_taken(sidecar):  # the description of a raw file that was not written before a run ended
                name = f"{path.stem}-unused.cards"
                self._move_to_quarantine(sidecar, name, "it describes a raw file that was not written")
            write_durably(sidecar, [description])
            write_durably(path, [raw.content])

        return write_with_retry(free_path(path, *beside), write, self.path / QUARANTINE, *beside)

    def _made(self, name: str) -> Path:
        """Return the path of a folder within the night's folder, after creating the folder if it is missing."""
        self.require_there()
        folder = self.path / name
        make_folder_durably(folder)
        return folder


def _reason_of(path: Path) -> Path:
    """Return the path of the JSON file that states why a frame is in quarantine."""
    return path.with_suffix(".json")


def _write_reason(path: Path, report: dict[str, str]) -> None:
    """Write a JSON file with the reason next to a quarantined frame."""
    write_durably(_reason_of(path), [json.dumps({"file": path.name, **report}, indent=2).encode()])


def _set_name(frame: Frame, filter_name: str | None) -> str:
    text = settings_text(
        frame.kind,
        frame.settings,
        frame.exposure_s,
        frame.setpoint_c,
        filter_name,
        is_iso="ISOSPEED" in frame.header,
        rotator_deg=angle_of_set_deg(frame.header),
    )
    return text or name_part(frame.camera)


def _moment(frame: Frame) -> str:
    return frame.started_at.strftime("%H%M%S-%f")


def _place(path: Path) -> tuple[int, int]:
    """Return the device and the inode of a folder."""
    status = path.stat()
    return status.st_dev, status.st_ino
