"""How a frame was shot, as its header tells: what must agree before one frame may calibrate another."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from coldframe.calibration.fits_cards import HeaderValue
from coldframe.config.frames import FrameKind, ReadoutSettings

Header = Mapping[str, HeaderValue]

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
_LEADING_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_NOT_LETTERS = re.compile(r"[^A-Z]")


@dataclass(frozen=True, slots=True)
class OpticalTrain:
    """What stands in front of the camera; None where the header does not say.

    Attributes
    ----------
    telescope
        Its name (TELESCOP).
    focal_length_mm
        FOCALLEN.
    focus_steps
        Position of the focuser (FOCUSPOS).
    rotation_deg
        Angle of the rotator (ROTATANG).
    """

    telescope: str | None = None
    focal_length_mm: float | None = None
    focus_steps: float | None = None
    rotation_deg: float | None = None


@dataclass(frozen=True, slots=True)
class FrameSetup:
    """How a frame, or each frame of a master, was shot; None where the header does not say.

    Attributes
    ----------
    kind
        What it was shot for.
    camera
        INSTRUME.
    width, height
        In pixels, as in the file.
    readout
        Gain, offset, binning and readout mode.
    exposure_s
        In seconds.
    temperature_c
        Of the sensor; the cooler's setpoint where only that is known.
    cooled
        True where there is a setpoint.
    filter_name
        None for no filter, too.
    mosaic
        Colour filter array and where it begins, such as "RGGB" or "RGGB+1+0"; None for mono.
    row_order
        "TOP-DOWN" or "BOTTOM-UP"; which is meant where nothing is said, programs do not agree on.
    train
        Telescope, focuser, rotator.
    taken_at
        Start of the exposure, UTC; of masters of the first.
    setpoint_c
        Of the cooler.
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


def setup_of(header: Header) -> FrameSetup:
    """Return what the header of a raw frame or of a master tells of how it was shot.

    Keywords are ours, INDI's, and the ones that other capture programs write in their place.

    Parameters
    ----------
    header
        With the cards about the file's structure (see `read_header`).
    """
    setpoint_c = _number(header, "SET-TEMP", "SETTEMP")
    sensor_c = _number(header, "CCD-TEMP", "CCD_TEMP", "CCDTEMP", "TEMPERAT", "CAMTCCD", "DET-TEMP")
    filter_name = _text(header, "FILTER", "FILT-1", "INSFLNAM")
    return FrameSetup(
        kind=_kind(header),
        camera=_text(header, "INSTRUME", "CAMERA", "DETECTOR"),
        width=int(_number(header, "NAXIS1") or 0),
        height=int(_number(header, "NAXIS2") or 0),
        readout=ReadoutSettings(
            gain=_number(header, "GAIN"),
            offset=_number(header, "OFFSET", "BLKLEVEL"),
            binning=int(_number(header, "XBINNING", "BINX", "BINNING", "CCDSUM") or 1),
            readout_mode=_text(header, "READOUTM"),
        ),
        exposure_s=_number(header, "EXPTIME", "EXPOSURE", "EXPOTIME"),
        temperature_c=setpoint_c if sensor_c is None else sensor_c,
        cooled=setpoint_c is not None,
        filter_name=None if filter_name is None or filter_name.lower() in _NO_FILTER else filter_name,
        mosaic=_mosaic(header),
        row_order=_text(header, "ROWORDER"),
        train=OpticalTrain(
            _text(header, "TELESCOP"),
            _number(header, "FOCALLEN"),
            _number(header, "FOCUSPOS", "FOCPOS"),
            _number(header, "ROTATANG", "ROTATOR", "ROTANG"),
        ),
        taken_at=_moment(_text(header, "DATE-OBS", "DATE-BEG")),
        setpoint_c=setpoint_c,
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
    right, down = (int(_number(header, keyword) or 0) % 2 for keyword in ("XBAYROFF", "YBAYROFF"))
    return pattern.upper() + (f"+{right}+{down}" if right or down else "")


def _text(header: Header, *keywords: str) -> str | None:
    """Return the first of the keywords that is there, as text without blanks around it."""
    values = (str(header[keyword]).strip() for keyword in keywords if keyword in header)
    return next((value for value in values if value), None)


def _number(header: Header, *keywords: str) -> float | None:
    """Return the first of the keywords that holds a number; some programs write "300.0", "-10 C" or "2x2"."""
    for keyword in keywords:
        value = header.get(keyword)
        if isinstance(value, bool) or value is None:
            continue
        leading = _LEADING_NUMBER.match(str(value))
        if leading is not None:
            return float(leading[0])
    return None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
