"""Read the settings of the night's lights from file headers, whichever program wrote the files."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import (
    SUFFIXES,
    UNREAD_FORMATS,
    image_headers,
    without_packed_copies,
)
from coldframe.calibration.frames.names import is_same_camera
from coldframe.calibration.frames.setup import FrameSetup, fault_of_raw_frame, require_readable, setup_of
from coldframe.config.counts import LightNoise
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.tables.sets import FrameSet
from coldframe.errors import ColdframeError, MissingPackageError

_IMAGES = SUFFIXES | UNREAD_FORMATS.keys()


MOSAIC_KEYWORDS = ("BAYERPAT", "COLORTYP", "XBAYROFF", "YBAYROFF")


class NoLightsError(ColdframeError):
    """A folder has no usable lights; the message lists what the folder contains."""


@dataclass(frozen=True, slots=True)
class Lights:
    """The lights of a folder.

    Attributes
    ----------
    setups
        Setup of each light by path, in order of date; lights without a date come first.
    set_aside
        Number of skipped files by reason, such as "without an exposure in the header".
    faults
        Errors of the files that could not be read.
    noises
        Noise of the measured lights, by path.
    words
        Name of the camera (INSTRUME) and cards about the colour filter array as the lights state them, by path.
    """

    setups: Mapping[Path, FrameSetup] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[FrameFileError, ...] = ()
    noises: Mapping[Path, LightNoise] = field(default_factory=dict)
    words: Mapping[Path, Mapping[str, HeaderValue]] = field(default_factory=dict)


def light_files(folder: Path, faults: list[FrameFileError] | None = None) -> list[Path]:
    """Return the image files in and below a folder: FITS, XISF, camera raws, and files of unsupported formats.

    Hidden files are skipped, because capture programs use them for frames that are still being written.

    Parameters
    ----------
    folder
        The folder.
    faults
        List to which an error is added for each subfolder that the user has no permission to read.

    Raises
    ------
    NoLightsError
        If the folder does not exist or cannot be read, or its disk has a fault.
    """
    try:
        if not folder.is_dir():
            raise NoLightsError(f"{folder}: no such folder")
        return sorted(_images_in(folder, [] if faults is None else faults), key=lambda path: path.parts)
    except OSError as error:
        raise NoLightsError(f"{folder}: {error.strerror or error}") from error


def _images_in(folder: Path, faults: list[FrameFileError]) -> Iterator[Path]:
    """Yield the visible images in and below a folder; add an error to `faults` for each subfolder that is not readable.

    A subfolder that has vanished since it was listed is skipped. All other errors are raised.
    """

    def skip(error: OSError) -> None:
        if isinstance(error, FileNotFoundError):  # a program has moved the subfolder since it was listed
            return
        if not isinstance(error, PermissionError) or Path(error.filename) == folder:
            raise error
        faults.append(FrameFileError(error.filename, f"the lights in this folder cannot be read: {error.strerror}"))

    for inside, folders, names in os.walk(folder, onerror=skip):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            is_image = os.path.splitext(name)[1].lower() in _IMAGES  # noqa: PTH122 - faster than a Path for each file
            if is_image and not name.startswith(".") and (path := Path(inside, name)).is_file():
                yield path


def read_lights(folder: Path, camera_names: Iterable[str]) -> Lights:
    """Read the headers of all lights of a camera, and count the other files by the reason for skipping them.

    Parameters
    ----------
    folder
        Folder that contains the lights at any depth.
    camera_names
        Names of the camera; see `is_same_camera`. The first name is the driver's; all returned setups contain it.

    Raises
    ------
    NoLightsError
        If the folder has no usable light.
    """
    names = tuple(camera_names)
    setups: dict[Path, FrameSetup] = {}
    words: dict[Path, Mapping[str, HeaderValue]] = {}
    set_aside: Counter[str] = Counter()
    faults: list[FrameFileError] = []
    files, copies = without_packed_copies(light_files(folder, faults))
    if copies:
        set_aside["as compressed copies of other files"] = len(copies)
    with image_headers() as index:
        for path in files:
            if path.suffix.lower() in UNREAD_FORMATS:
                set_aside[f"in the format {UNREAD_FORMATS[path.suffix.lower()]}, which is not read"] += 1
                continue
            try:
                header = index.header(path)
                setup = setup_of(header)
                reason = "already stacked or calibrated" if fault_of_raw_frame(header) else _unfit(setup, names)
                if reason is None:
                    require_readable(setup, path)
            except FrameFileError as error:
                faults.append(error)
                continue
            except MissingPackageError as error:  # the night continues with the lights that can be read
                set_aside[f"not readable, because {error}"] += 1
                continue
            if reason is None:
                setups[path] = setup if setup.camera == names[0] else replace(setup, camera=names[0])
                words[path] = _words(setup, header)
            else:
                set_aside[reason] += 1
    if not setups:
        raise NoLightsError(_no_lights_text(folder, set_aside, faults))
    in_order = sorted(setups.items(), key=lambda item: item[1].taken_at.timestamp() if item[1].taken_at else 0.0)
    return Lights(dict(in_order), dict(set_aside), tuple(faults), words=words)


def _words(setup: FrameSetup, header: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    camera: dict[str, HeaderValue] = {} if setup.camera is None else {"INSTRUME": setup.camera}
    return camera | {keyword: header[keyword] for keyword in MOSAIC_KEYWORDS if keyword in header}


def _unfit(setup: FrameSetup, camera_names: tuple[str, ...]) -> str | None:
    if setup.kind not in (FrameKind.LIGHT, None):
        return f"shot as {setup.kind.replace('-', ' ')}, not as lights"
    if setup.kind is None and setup.kind_word is not None:
        return f"of type {setup.kind_word!r}, which is not a word for lights"
    if setup.camera is not None and not any(is_same_camera(setup.camera, name) for name in camera_names):
        return f"from a different camera ({setup.camera})"
    if not setup.exposure_s or setup.exposure_s <= 0:
        return "without an exposure in the header"
    return _impossible(setup.readout, setup.exposure_s, setup.setpoint_c, setup.filter_name)


@lru_cache
def _impossible(
    readout: ReadoutSettings, exposure_s: float, setpoint_c: float | None, filter_name: str | None
) -> str | None:
    """Return why a value in the header cannot be used to shoot a set, or None if all values can be used."""
    dark = {"kind": FrameKind.DARK, "exposure_s": exposure_s, "setpoint_c": setpoint_c}
    try:
        FrameSet.model_validate(
            {"count": 1, **dark, "gain": readout.gain, "offset": readout.offset, "binning": readout.binning}
        )
        FrameSet.model_validate({"count": 1, "kind": FrameKind.FLAT, "filter": filter_name})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        return f"with an invalid {wrong['loc'][0]} in the header ({wrong['input']})"
    return None


def _no_lights_text(folder: Path, set_aside: Mapping[str, int], faults: list[FrameFileError]) -> str:
    found = [f"{count} {reason}" for reason, count in set_aside.items()]
    found += [f"{len(faults)} unreadable, the first: {faults[0]}"] if faults else []
    wanted = "expected FITS (.fits, .fit, .fts, .fz, .gz), XISF or camera raw files of this camera"
    return f"{folder}: no lights; found {'; '.join(found) or 'no such files'}; {wanted}"
