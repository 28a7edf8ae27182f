"""Parts of file names that describe how frames were shot."""

import re

from coldframe.calibration.files.cards import ascii_text
from coldframe.config.angles import within_a_turn
from coldframe.config.frames import FrameKind, ReadoutSettings

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+-]+")


def settings_text(
    kind: FrameKind,
    settings: ReadoutSettings,
    exposure_s: float | None,
    temperature_c: float | None,
    filter_name: str | None,
    *,
    is_iso: bool = False,
    rotator_deg: float | None = None,
) -> str:
    """Return the settings that distinguish a set of frames, as part of a file name: G100_O50_-10C_300s_1x1.

    Parameters
    ----------
    kind, settings, exposure_s, filter_name
        Kind, settings, exposure and filter of the frames.
    temperature_c
        Setpoint or, without a cooler, the sensor temperature, degrees Celsius; None if unknown.
    is_iso
        True if the gain is the ISO value of a DSLR, which is then written as ISO800.
    rotator_deg
        Rotator angle of flats; None if unknown.
    """
    exposed = kind in (FrameKind.DARK, FrameKind.DARK_FLAT)
    parts = [
        None if settings.gain is None else f"{'ISO' if is_iso else 'G'}{settings.gain:g}",
        None if settings.offset is None else f"O{settings.offset:g}",
        None if temperature_c is None else f"{round(temperature_c, 1) + 0.0:g}C",
        f"{_decimal(exposure_s)}s" if exposed and exposure_s is not None else None,
        f"{settings.binning}x{settings.binning}",
        settings.readout_mode,
        angle_text(rotator_deg) if kind is FrameKind.FLAT and rotator_deg is not None else None,
        filter_name if kind in (FrameKind.FLAT, FrameKind.DARK_FLAT) else None,
    ]
    return "_".join(name_part(part) for part in parts if part)


def flat_ending(filter_name: str | None, rotator_deg: float | None) -> str:
    """Return the ending of the names of flats and their folders: angle and filter; empty if both are None."""
    angle = [] if rotator_deg is None else [angle_text(rotator_deg)]
    return "".join(f"_{part}" for part in (*angle, *([name_part(filter_name)] if filter_name else [])))


def angle_text(angle_deg: float) -> str:
    """Return a rotator angle as part of a file name, such as 12.3deg."""
    return f"{within_a_turn(angle_deg, digits=1):g}deg"


def name_part(text: str) -> str:
    """Replace the characters that a file name must not contain; the result is never ".."."""
    part = _NOT_IN_NAMES.sub("-", ascii_text(text))
    return part if part.strip(".") else "-"


def _decimal(seconds: float) -> str:
    """Return seconds as text, rounded to the microsecond, without an exponent or trailing zeros."""
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
