"""The headers of simulated frames, as three capture programs write them."""

from datetime import UTC, datetime, timedelta

from coldframe.calibration.files.cards import HeaderValue
from coldframe.config.frames import FrameKind

Header = dict[str, HeaderValue]

EVENING = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)

PROGRAMS = ("nina", "ekos", "asiair")
"""N.I.N.A. writes all cards; Ekos neither setpoint nor EGAIN; the ASIAIR neither setpoint, rotator nor pier side."""

_TYPES = {
    FrameKind.LIGHT: ("LIGHT", "Light Frame", "Light"),
    FrameKind.FLAT: ("FLAT", "Flat Frame", "Flat"),
    FrameKind.DARK: ("DARK", "Dark Frame", "Dark"),
    FrameKind.DARK_FLAT: ("DARKFLAT", "Dark Frame", "Dark"),
    FrameKind.BIAS: ("BIAS", "Bias Frame", "Bias"),
}
_CAMERAS = {"nina": "ZWO ASI2600{} Pro", "ekos": "ZWO CCD ASI2600{} Pro", "asiair": "ZWO ASI2600{} Pro"}
_SOFTWARE = {"nina": "N.I.N.A. 3.1.2.9001 (x64)", "ekos": "KStars 3.7.4", "asiair": "ZWO ASIAIR Plus"}


def camera_name(program: str, mosaic: str | None) -> str:
    """Return the camera's name as the program writes it."""
    return _CAMERAS[program].format("MM" if mosaic is None else "MC")


def header(
    program: str,
    kind: FrameKind,
    *,
    exposure_s: float,
    sensor_c: float,
    setpoint_c: float | None,
    gain: int,
    offset: int,
    e_per_adu: float,
    mosaic: str | None,
    filter_name: str | None,
    focus: int,
    rotation_deg: float,
    minutes: float,
    west: bool | None = None,
) -> Header:
    """Return the header of a raw frame.

    Parameters
    ----------
    program
        One of `PROGRAMS`.
    kind
        Kind of the frame.
    exposure_s, sensor_c, setpoint_c, gain, offset, e_per_adu, mosaic, filter_name, focus, rotation_deg
        What the header says; None leaves a card out.
    minutes
        Start of the exposure, after `EVENING`.
    west
        Side of the pier; None for frames that are not of the sky.
    """
    ekos = program == "ekos"
    started = (EVENING + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    sides = ("WEST", "EAST") if ekos else ("West", "East")
    cards: dict[str, HeaderValue | None] = {
        "FRAME": _TYPES[kind][1].split()[0] if ekos else None,
        "IMAGETYP": _TYPES[kind][PROGRAMS.index(program)],
        "EXPOSURE": None if ekos else exposure_s,
        "EXPTIME": exposure_s,
        "DATE-OBS": started,
        "XBINNING": 1,
        "YBINNING": 1,
        "GAIN": float(gain) if ekos else gain,
        "OFFSET": float(offset) if ekos else offset,
        "EGAIN": None if ekos else e_per_adu,
        "INSTRUME": camera_name(program, mosaic),
        "SET-TEMP": setpoint_c if program == "nina" else None,
        "CCD-TEMP": round(sensor_c, 1),
        "BAYERPAT": mosaic,
        "ROWORDER": None if program == "asiair" else "TOP-DOWN",
        "TELESCOP": None if program == "asiair" else "Refractor",
        "FOCALLEN": 530,
        "FILTER": filter_name,
        "FOCUSPOS": focus,
        "FOCPOS": focus if program == "nina" else None,
        "ROTATANG": rotation_deg if program == "nina" else None,
        "ROTATOR": rotation_deg if program == "nina" else None,
        "PIERSIDE": None if west is None or program == "asiair" else sides[0 if west else 1],
        "SWCREATE": None if ekos else _SOFTWARE[program],
    }
    return {keyword: value for keyword, value in cards.items() if value is not None}
