"""The setup of a frame, from its header: the values that decide which masters may calibrate which frames."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.frames.overscan import Overscan, OverscanError, Sections, sections_of, subtracted_of
from coldframe.calibration.measuring.statistics import BAYER_PATTERNS
from coldframe.config.frames import FrameKind, ReadoutSettings

Header = Mapping[str, HeaderValue]

BIAS_TAKEN_OUT = "B"
"""CALSTAT of a dark whose bias was subtracted."""

_ROLES = {
    "BIAS": FrameKind.BIAS,
    "OFFSET": FrameKind.BIAS,
    "ZERO": FrameKind.BIAS,
    "DARK": FrameKind.DARK,
    "FLAT": FrameKind.FLAT,
    "DARKFLAT": FrameKind.DARK_FLAT,
    "FLATDARK": FrameKind.DARK_FLAT,
    "LIGHT": FrameKind.LIGHT,
    "OBJECT": FrameKind.LIGHT,
    "SCIENCE": FrameKind.LIGHT,
}
_NO_FILTER = frozenset({"", "none", "nofilter", "no filter", "clear (none)"})
_LARGEST = 1e30
"""Numbers beyond this limit cannot be camera settings, and sums of them would overflow."""

_LEADING_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NOT_LETTERS = re.compile(r"[^A-Z]")


@dataclass(frozen=True, slots=True)
class OpticalTrain:
    """Optical train in front of the camera; None stands for values that are missing in the header.

    Attributes
    ----------
    telescope
        Name of the telescope (TELESCOP).
    focal_length_mm
        Focal length (FOCALLEN); None for 0, which some programs write for an unknown focal length.
    focus_steps
        Focuser position (FOCUSPOS).
    rotation_deg
        Rotator angle (ROTATANG).
    """

    telescope: str | None = None
    focal_length_mm: float | None = None
    focus_steps: float | None = None
    rotation_deg: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSetup:
    """The setup of a frame, or of each frame of a master; None stands for values that are missing in the header.

    Attributes
    ----------
    kind
        Purpose of the frame.
    camera
        Name of the camera (INSTRUME).
    width, height
        Size of the image in the file, in pixels.
    readout
        Gain, offset, binning and readout mode.
    exposure_s
        Exposure, seconds.
    temperature_c
        Sensor temperature, degrees Celsius; the setpoint if only the setpoint is known.
    cooled
        True if the header has a setpoint.
    filter_name
        Name of the filter; None if it is missing or there is no filter.
    mosaic
        Colour filter array; None for mono. The name of a Bayer array begins at the file's first pixel, such as "GRBG"
        for an RGGB array that begins one column earlier; other arrays are named with their offsets, such as
        "XTRANS+1+0".
    row_order
        "TOP-DOWN" or "BOTTOM-UP"; None if missing, because programs disagree on the default.
    train
        Telescope, focuser and rotator.
    taken_at
        Start of the exposure, UTC; for masters, the start of the first frame.
    setpoint_c
        Setpoint of the cooler, degrees Celsius.
    sections
        Location of a raw frame's overscan; None without overscan, or if the sections in the header are inconsistent.
    overscan
        Overscan subtraction of a master's frames.
    bias_subtracted
        True for a master dark from which the bias was subtracted.
    """

    kind: FrameKind | None
    camera: str | None
    width: int
    height: int
    readout: ReadoutSettings
    exposure_s: float | None
    temperature_c: float | None
    cooled: bool
    filter_name: str | None
    mosaic: str | None
    row_order: str | None
    train: OpticalTrain
    taken_at: datetime | None
    setpoint_c: float | None = None
    sections: Sections | None = None
    overscan: Overscan | None = None
    bias_subtracted: bool = False

    def without(self, overscan: Overscan) -> "FrameSetup":
        """Return the setup of the frame after its overscan is subtracted."""
        kept = overscan.sections.kept
        height, width = kept.shape
        mosaic = None if self.mosaic is None else _shifted(self.mosaic, kept.left, kept.top)
        return replace(self, width=width, height=height, mosaic=mosaic, sections=None, overscan=overscan)


def is_single_frame(header: Header) -> bool:
    """Return True if a header belongs to a single raw frame, not to a master from any program."""
    is_combined = "STACKCNT" in header or "NCOMBINE" in header
    is_named_master = str(header.get("IMAGETYP", "")).lower().startswith("master")
    return _kind(header) is not None and not is_combined and not is_named_master


def setup_of(header: Header) -> FrameSetup:
    """Return the setup of a raw frame, or of the frames of a master, from the header.

    This function supports the keywords of coldframe, INDI and other capture programs.

    Parameters
    ----------
    header
        Header including the cards about the file's structure (see `read_header`).
    """
    setpoint_c = _number(header, "SET-TEMP", "SETTEMP")
    sensor_c = _number(header, "CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP")
    filter_name = _text(header, "FILTER", "FILT-1", "INSFLNAM")
    kind = _kind(header)
    return FrameSetup(
        kind=kind,
        camera=_text(header, "INSTRUME", "CAMERA", "DETECTOR"),
        width=int(_number(header, "NAXIS1") or 0),
        height=int(_number(header, "NAXIS2") or 0),
        readout=ReadoutSettings(
            gain=_number(header, "GAIN"),
            offset=_number(header, "OFFSET", "BLKLEVEL"),
            binning=max(1, int(_number(header, "XBINNING", "BINX", "BINNING", "CCDSUM") or 1)),
            readout_mode=_text(header, "READOUTM"),
        ),
        exposure_s=_from_zero(header, "EXPTIME", "EXPOSURE", "EXPOTIME"),
        temperature_c=setpoint_c if sensor_c is None else sensor_c,
        cooled=setpoint_c is not None,
        filter_name=None if filter_name is None or filter_name.lower() in _NO_FILTER else filter_name,
        mosaic=_mosaic(header),
        row_order=_text(header, "ROWORDER"),
        train=OpticalTrain(
            _text(header, "TELESCOP"),
            _from_zero(header, "FOCALLEN") or None,
            _number(header, "FOCUSPOS", "FOCPOS"),
            _number(header, "ROTATANG", "ROTATOR", "ROTANG"),
        ),
        taken_at=_moment(_text(header, "DATE-OBS", "DATE-BEG")),
        setpoint_c=setpoint_c,
        sections=_sections(header),
        overscan=subtracted_of(header),
        bias_subtracted=kind in (FrameKind.DARK, FrameKind.DARK_FLAT) and header.get("CALSTAT") == BIAS_TAKEN_OUT,
    )


def _kind(header: Header) -> FrameKind | None:
    role = _text(header, "CFROLE", "IMAGETYP", "FRAME", "FRAMETYP", "IMAGTYP", "OBSTYPE")
    if role is None:
        return None
    word = _NOT_LETTERS.sub("", role.upper()).removeprefix("MASTER").removesuffix("FRAME").removesuffix("FIELD")
    return _ROLES.get(word)


def _mosaic(header: Header) -> str | None:
    pattern = _text(header, "BAYERPAT", "COLORTYP")
    if pattern is None or pattern.upper() in {"NONE", "MONO", "MONOCHROME"}:
        return None
    right, down = (int(_number(header, keyword) or 0) for keyword in ("XBAYROFF", "YBAYROFF"))
    return _shifted(pattern.upper(), right, down)


def _shifted(pattern: str, right: int, down: int) -> str:
    """Return the pattern of an image whose first pixel is `right` columns and `down` rows further in."""
    if pattern in BAYER_PATTERNS:
        rows = (pattern[:2], pattern[2:])
        return "".join(rows[(down + row) % 2][(right + column) % 2] for row in (0, 1) for column in (0, 1))
    return pattern + (f"+{right}+{down}" if right or down else "")


def _sections(header: Header) -> Sections | None:
    shape = int(_number(header, "NAXIS2") or 0), int(_number(header, "NAXIS1") or 0)
    try:
        return sections_of(header, shape)
    except OverscanError:
        return None


def _text(header: Header, *keywords: str) -> str | None:
    """Return the value of the first keyword that is present, as text without surrounding blanks."""
    values = (str(header[keyword]).strip() for keyword in keywords if keyword in header)
    return next((value for value in values if value), None)


def _number(header: Header, *keywords: str) -> float | None:
    """Return the first plausible number among the keywords; some programs write "300.0", "-10 C" or "2x2"."""
    for keyword in keywords:
        value = header.get(keyword)
        if isinstance(value, bool) or value is None:
            continue
        leading = _LEADING_NUMBER.match(str(value))
        if leading is not None and abs(float(leading[0])) <= _LARGEST:
            return float(leading[0])
    return None


def _from_zero(header: Header, *keywords: str) -> float | None:
    """Return a number, or None if it is negative, because some programs write -1 for unknown values."""
    value = _number(header, *keywords)
    return None if value is None or value < 0 else value


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
