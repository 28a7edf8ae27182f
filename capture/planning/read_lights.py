"""Read the settings of the night's lights from the headers of the files in a folder, written by any program."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import SUFFIXES, read_image_header
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.config.counts import LightNoise
from coldframe.config.frames import FrameKind
from coldframe.config.tables.sets import FrameSet
from coldframe.errors import ColdframeError

_WORDS = re.compile(r"[A-Z0-9]+")
_GENERIC_WORDS = frozenset({"CAMERA", "CCD", "CMOS", "ZWO", "QHY", "QHYCCD", "PLAYERONE", "TOUPTEK", "INDI"})
"""Words in camera names that do not distinguish models, and that only some programs write."""


MOSAIC_KEYWORDS = ("BAYERPAT", "COLORTYP", "XBAYROFF", "YBAYROFF")


class NoLightsError(ColdframeError):
    """A folder has no usable lights; the message lists what the folder contains."""


@dataclass(frozen=True, slots=True)
class Lights:
    """The lights of a folder.

    Attributes
    ----------
    setups
        How each light was shot, by path, in order of date; lights without a date come first.
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


def light_files(folder: Path) -> list[Path]:
    """Return the FITS files in and below a folder, including compressed files.

    Hidden files are skipped, because capture programs use them for frames that are still being written.

    Raises
    ------
    NoLightsError
        If the folder does not exist or cannot be read.
    """
    try:
        if not folder.is_dir():
            raise NoLightsError(f"{folder}: no such folder")
        found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise NoLightsError(f"{folder}: {error.strerror or error}") from error
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def read_lights(folder: Path, camera_names: Iterable[str]) -> Lights:
    """Read the headers of all lights of a camera, and count the other files by the reason for skipping them.

    Parameters
    ----------
    folder
        Folder that contains the lights at any depth.
    camera_names
        Names of the camera, see `is_same_camera`. The first is the driver's name, which the returned lights get.

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
    for path in light_files(folder):
        try:
            header = read_image_header(path)
        except FrameFileError as error:
            faults.append(error)
            continue
        setup = setup_of(header)
        reason = "already stacked or calibrated" if _is_processed(header) else _unfit(setup, names)
        if reason is None:
            setups[path] = replace(setup, camera=names[0])
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


def _is_processed(header: Mapping[str, HeaderValue]) -> bool:
    return "CALSTAT" in header or header.get("NCOMBINE", header.get("STACKCNT", 1)) not in {0, 1}


def _unfit(setup: FrameSetup, camera_names: tuple[str, ...]) -> str | None:
    if setup.kind not in (FrameKind.LIGHT, None):
        return f"shot as {setup.kind.replace('-', ' ')}, not as lights"
    if setup.camera is not None and not any(is_same_camera(setup.camera, name) for name in camera_names):
        return f"of another camera ({setup.camera})"
    if not setup.exposure_s or setup.exposure_s <= 0:
        return "without an exposure in the header"
    return _impossible(setup)


def _impossible(setup: FrameSetup) -> str | None:
    """Return which header value no set can be shot with, or None if all values are usable."""
    readout = setup.readout
    dark = {"kind": FrameKind.DARK, "exposure_s": setup.exposure_s, "setpoint_c": setup.setpoint_c}
    try:
        FrameSet.model_validate(
            {"count": 1, **dark, "gain": readout.gain, "offset": readout.offset, "binning": readout.binning}
        )
        FrameSet.model_validate({"count": 1, "kind": FrameKind.FLAT, "filter": setup.filter_name})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        return f"with an invalid {wrong['loc'][0]} in the header ({wrong['input']})"
    return None


def _no_lights_text(folder: Path, set_aside: Mapping[str, int], faults: list[FrameFileError]) -> str:
    found = [f"{count} {reason}" for reason, count in set_aside.items()]
    found += [f"{len(faults)} unreadable, the first: {faults[0]}"] if faults else []
    wanted = "expected FITS files (.fits, .fit, .fts, .fz, .gz) of this camera"
    return f"{folder}: no lights; found {'; '.join(found) or 'no FITS files'}; {wanted}"


def is_same_camera(one: str, other: str) -> bool:
    """Return whether two camera names from different programs may refer to the same camera.

    The longer name must contain all model words of the shorter name, including a number. "ZWO CCD ASI2600MM Pro"
    (INDI), "ZWO ASI2600MM Pro" (ASCOM) and "ASI2600MM" are the same camera; "ASI2600MC" is another.
    """
    fewer, more = sorted((_model_words(one), _model_words(other)), key=len)
    has_number = any(character.isdigit() for word in fewer for character in word)
    return fewer == more or (fewer < more and has_number)


def _model_words(name: str) -> frozenset[str]:
    words = frozenset(_WORDS.findall(name.upper()))
    return (words - _GENERIC_WORDS) or words
