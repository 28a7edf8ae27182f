"""Where a night's files go, and how they are called.

::

    2026-11-22/                           the evening on which the night began
        biases/G100_O50_-10C_1x1/         one folder per set: raw frames, as shot
        darks/...  dark-flats/...  flats/...
        tuning/                           test frames of the flat tuner
        quarantine/                       frames that were turned away, each with its reason beside it
        masters/                          one master per set
        journal.jsonl  coldframe.log
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from coldframe.calibration.durable import NotDurableError, write_durably
from coldframe.calibration.frame_cards import raw_cards
from coldframe.calibration.frame_file import FrameEncoder
from coldframe.calibration.library import LIBRARY, Library
from coldframe.calibration.masters import MasterFrame, master_name, name_part, settings_text, write_master
from coldframe.config.frames import FrameKind
from coldframe.devices.camera import Frame

HALF_DAY = timedelta(hours=12)
FOLDERS = {
    FrameKind.BIAS: "biases",
    FrameKind.DARK: "darks",
    FrameKind.DARK_FLAT: "dark-flats",
    FrameKind.FLAT: "flats",
    FrameKind.LIGHT: "lights",
}


def evening_of(moment: datetime) -> str:
    """Return the local date of the evening on which the night around `moment` began, such as 2026-11-22."""
    return (moment.astimezone() - HALF_DAY).date().isoformat()


@dataclass(frozen=True, slots=True)
class NightFolder:
    """The folder of one night. Nothing in it is ever overwritten; writing blocks, so it is done in threads."""

    path: Path
    _encoder: FrameEncoder = field(default_factory=FrameEncoder)

    @classmethod
    def create(cls, storage: Path, started: datetime) -> "NightFolder":
        """Make the folder of a night that starts now; a second run of one night gets a number.

        Raises
        ------
        OSError
            The folder cannot be made.
        """
        storage.mkdir(parents=True, exist_ok=True)
        evening = evening_of(started)
        for number in count(1):
            path = storage / (evening if number == 1 else f"{evening}-{number}")
            try:
                path.mkdir()
            except FileExistsError:
                continue
            return cls(path)
        raise AssertionError("count never ends")

    def save_frame(self, frame: Frame, filter_name: str | None, index: int) -> Path:
        """Save a frame of a set durably and return its path.

        Raises
        ------
        NotDurableError
            The frame could not be brought onto the disk.
        """
        folder = self.path / FOLDERS[frame.kind] / _set_name(frame, filter_name)
        return self._save(frame, filter_name, folder, f"{frame.kind}_{folder.name}_{index:04d}")

    def save_test(self, frame: Frame, filter_name: str | None) -> Path:
        """Save a test frame of the tuner durably and return its path.

        Raises
        ------
        NotDurableError
            The frame could not be brought onto the disk.
        """
        name = f"{frame.kind}_{_set_name(frame, filter_name)}_{_moment(frame)}"
        return self._save(frame, filter_name, self.path / "tuning", name)

    def quarantine(self, frame: Frame, filter_name: str | None, reason: str) -> Path:
        """Save a frame that was turned away, with the reason in a JSON file beside it, and return the frame's path.

        Raises
        ------
        NotDurableError
            The frame could not be brought onto the disk.
        """
        name = f"{frame.kind}_{_set_name(frame, filter_name)}_{_moment(frame)}"
        path = self._save(frame, filter_name, self.path / "quarantine", name)
        report = {"file": path.name, "reason": reason, "started_at": frame.started_at.isoformat()}
        write_durably(path.with_suffix(".json"), [json.dumps(report, indent=2).encode()])
        return path

    def save_master(self, master: MasterFrame) -> Path:
        """Save a master durably and return its path.

        Raises
        ------
        NotDurableError
            The master could not be brought onto the disk.
        """
        path = _free(_made(self.path / "masters") / master_name(master))
        write_master(path, master)
        return path

    def file_master(self, path: Path) -> Path:
        """Take a saved master into the library beside the nights' folders and return its path there.

        Raises
        ------
        NotDurableError
            It could not be brought onto the disk.
        """
        return Library(self.path.parent / LIBRARY).file(path)

    def _save(self, frame: Frame, filter_name: str | None, folder: Path, name: str) -> Path:
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
        path = _free(_made(folder) / f"{name}.fits")
        write_durably(path, self._encoder.encode(frame.pixels, cards))
        return path


def _set_name(frame: Frame, filter_name: str | None) -> str:
    text = settings_text(frame.kind, frame.settings, frame.exposure_s, frame.setpoint_c, filter_name)
    return text or name_part(frame.camera)


def _moment(frame: Frame) -> str:
    return frame.started_at.strftime("%H%M%S-%f")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotDurableError.of(folder, error) from error
    return folder


def _free(path: Path) -> Path:
    """Return the path, or one with a number where a file has its name."""
    if not path.exists():
        return path
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(candidate for candidate in numbered if not candidate.exists())
