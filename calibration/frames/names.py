"""Names that different programs use for the same camera, telescope or filter."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from coldframe.calibration.files.cards import ascii_text
from coldframe.calibration.frames.setup import FrameSetup

_WORDS = re.compile(r"[A-Z0-9]+")
_SERIAL = re.compile(r"(?=[0-9A-F]*\d)[0-9A-F]{6,}")
_GENERIC_WORDS = frozenset({"CAMERA", "CCD", "CMOS", "ZWO", "QHY", "QHYCCD", "PLAYERONE", "TOUPTEK", "INDI"})
"""Words in camera names that do not distinguish models, and that only some programs write."""


@lru_cache
def comparable(name: str) -> str:
    """Return the form in which names are compared: ASCII, one case, single blanks.

    Some programs write "H\u03b1" and others "Halpha", because FITS allows only ASCII. The case of a single letter is
    kept, because Sloan's r and Johnson's R are different filters.
    """
    words = " ".join(ascii_text(name).split())
    return words if len(words) == 1 else words.casefold()


def is_same_name(one: str, other: str) -> bool:
    """Return True if two names are equal, apart from accents, Greek letters, case and blanks."""
    return comparable(one) == comparable(other)


def is_same_camera(one: str, other: str) -> bool:
    """Return True if two camera names from different programs refer to the same model.

    Words that only some programs write are ignored: "ZWO CCD ASI2600MM Pro" (INDI) is the same model as "ZWO ASI2600MM
    Pro" (ASCOM). All other words are compared, because "ASI183MM" and "ASI183MM Pro" are different cameras. Serial
    numbers, which INDI appends for some makers, must not differ, but one of the two names may lack its serial number.
    """
    if is_same_name(one, other):
        return True
    model, serial = _model(one)
    other_model, other_serial = _model(other)
    return model == other_model and (serial == other_serial or not serial or not other_serial)


def under_one_name(setup: FrameSetup, camera_names: Sequence[str]) -> FrameSetup:
    """Return a setup, renaming its camera to the first of the given names if any of them refers to this camera.

    Parameters
    ----------
    setup
        Setup of a frame or a master from any program.
    camera_names
        The driver's name for one camera, and its configured aliases; may be empty. See `is_same_camera`.
    """
    if setup.camera is None or not any(is_same_camera(setup.camera, name) for name in camera_names):
        return setup
    return replace(setup, camera=camera_names[0])


def _model(name: str) -> tuple[str, frozenset[str]]:
    """Return the model words of a camera name, joined, and its serial numbers."""
    words = _WORDS.findall(ascii_text(name).upper())
    serial = frozenset(word for word in words if _SERIAL.fullmatch(word))
    model = "".join(word for word in words if word not in _GENERIC_WORDS and word not in serial)
    # If the other words contain no letters, only the generic words distinguish "CCD 1" from "Guider 1".
    return (model if any(letter.isalpha() for letter in model) else "".join(words)), serial
