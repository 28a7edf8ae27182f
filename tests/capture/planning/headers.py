"""Headers that different capture programs write for lights of the same camera on the same night."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coldframe.calibration.files.cards import BLOCK_LENGTH, Card, HeaderValue, format_card

Cards = dict[str, HeaderValue]
EVENING = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def nina(filter_name: str, exposure_s: float, setpoint_c: float, at: datetime) -> Cards:
    """Return N.I.N.A.'s header, with setpoint, readout mode, both exposures, and several focuser and rotator names."""
    return {
        "IMAGETYP": "LIGHT", "EXPOSURE": exposure_s, "EXPTIME": exposure_s, "DATE-OBS": text(at), "XBINNING": 1,
        "YBINNING": 1, "GAIN": 100, "OFFSET": 50, "EGAIN": 0.25, "INSTRUME": "ZWO ASI2600MM Pro",
        "CAMERAID": "ZWO ASI2600MM Pro", "SET-TEMP": setpoint_c, "CCD-TEMP": setpoint_c + 0.1, "READOUTM": "Default",
        "TELESCOP": "Refractor", "FOCALLEN": 530.0, "FWHEEL": "ZWO FilterWheel (1)", "FILTER": filter_name,
        "FOCPOS": 8512, "FOCUSPOS": 8512, "ROTATOR": 12.3, "ROTATANG": 12.3, "ROWORDER": "TOP-DOWN",
        "SWCREATE": "N.I.N.A. 3.1.2.9001 (x64)",
    }  # fmt: skip


def ekos(filter_name: str, exposure_s: float, setpoint_c: float, at: datetime) -> Cards:
    """Return Ekos's header, with the cards of INDI's base class, no setpoint or readout mode, and numbers as floats."""
    return {
        "ROWORDER": "TOP-DOWN", "INSTRUME": "ZWO CCD ASI2600MM Pro", "TELESCOP": "Refractor", "EXPTIME": exposure_s,
        "CCD-TEMP": setpoint_c - 0.2, "XBINNING": 1, "YBINNING": 1, "FRAME": "Light", "IMAGETYP": "Light Frame",
        "FILTER": filter_name, "FOCALLEN": 530, "FOCUSPOS": 8530, "GAIN": 100.0, "OFFSET": 50.0,
        "DATE-OBS": text(at),
    }  # fmt: skip


def asiair(filter_name: str, exposure_s: float, setpoint_c: float, at: datetime) -> Cards:
    """Return ASIAIR's header, with a different spelling of the frame type and no setpoint."""
    return {
        "CREATOR": "ZWO ASIAIR Plus", "OFFSET": 50, "GAIN": 100, "EXPOSURE": exposure_s, "EXPTIME": exposure_s,
        "CCD-TEMP": setpoint_c + 0.3, "XBINNING": 1, "IMAGETYP": "Light", "INSTRUME": "ZWO ASI2600MM Pro",
        "FILTER": filter_name, "FOCUSPOS": 8490, "FOCALLEN": 530, "DATE-OBS": text(at),
    }  # fmt: skip


def maxim(filter_name: str, exposure_s: float, setpoint_c: float, at: datetime) -> Cards:
    """Return MaxIm DL's header, with a measured exposure, no gain or offset, and its own name for the readout mode."""
    return {
        "DATE-OBS": text(at), "EXPTIME": exposure_s + 0.02, "EXPOSURE": exposure_s + 0.02, "SET-TEMP": setpoint_c,
        "CCD-TEMP": setpoint_c, "XBINNING": 1, "READOUTM": "Raw", "FILTER": filter_name, "IMAGETYP": "Light Frame",
        "FOCALLEN": 530.0, "INSTRUME": "ASI2600MM Pro", "SWCREATE": "MaxIm DL Version 6.40",
    }  # fmt: skip


def sharpcap(filter_name: str, exposure_s: float, setpoint_c: float, at: datetime) -> Cards:
    """Return SharpCap's header, with no frame type and with the offset as black level."""
    return {
        "INSTRUME": "ZWO ASI2600MM Pro", "EXPTIME": exposure_s, "GAIN": 100, "BLKLEVEL": 50, "XBINNING": 1,
        "CCD-TEMP": setpoint_c, "FILTER": filter_name, "DATE-OBS": text(at), "SWCREATE": "SharpCap v4.1",
    }  # fmt: skip


Program = Callable[[str, float, float, datetime], Cards]
PROGRAMS: tuple[Program, ...] = (nina, ekos, asiair, maxim, sharpcap)


def text(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds")


def save(path: Path, cards: Cards) -> Path:
    """Write a frame of 16 x 12 black pixels."""
    structure: Cards = {"SIMPLE": True, "BITPIX": 16, "NAXIS": 2, "NAXIS1": 16, "NAXIS2": 12, "BZERO": 32768}
    header = "".join(format_card(Card(*card)) for card in (structure | cards).items()) + "END".ljust(80)
    path.parent.mkdir(parents=True, exist_ok=True)
    blank = bytes(BLOCK_LENGTH)
    path.write_bytes(header.ljust(-(-len(header) // BLOCK_LENGTH) * BLOCK_LENGTH).encode() + blank)
    return path


def night_of_lights(folder: Path) -> Path:
    """Write a night of 4 filters, 2 exposures and 2 setpoints, with headers of all programs in turn."""
    at, number = EVENING, 0
    for setpoint_c in (0.0, -10.0):
        for filter_name, exposure_s in (("L", 120.0), ("R", 120.0), ("G", 120.0), ("Ha", 300.0)):
            for _ in range(5):
                cards = PROGRAMS[number % len(PROGRAMS)](filter_name, exposure_s, setpoint_c, at)
                save(folder / filter_name / f"light_{number:04d}.fits", cards)
                number += 1
                at += timedelta(seconds=exposure_s + 5)
    return folder
