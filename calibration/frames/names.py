"""Names that different programs write for the same camera, telescope or filter."""

import re
from collections.abc import Sequence
from dataclasses import replace

from coldframe.calibration.files.cards import ascii_text
from coldframe.calibration.frames.setup import FrameSetup

_WORDS = re.compile(r"[A-Z0-9]+")
_GENERIC_WORDS = frozenset({"CAMERA", "CCD", "CMOS", "ZWO", "QHY", "QHYCCD", "PLAYERONE", "TOUPTEK", "INDI"})
"""Words in camera names that do not distinguish models, and that only some programs write."""


def comparable(name: str) -> str:
    """Return the form of a name by which names are compared: ASCII, one case, single blanks.

    Some programs write "H\u03b1" and others "Halpha", because FITS allows only ASCII.
    """
    return " ".join(ascii_text(name).casefold().split())


def is_same_name(one: str, other: str) -> bool:
    """Return True if two names are equal but for accents, Greek letters, case and blanks."""
    return comparable(one) == comparable(other)


def is_same_camera(one: str, other: str) -> bool:
    """Return True if two camera names from different programs may refer to the same camera.

    The longer name must contain all model words of the shorter name, including a number. "ZWO CCD ASI2600MM Pro"
    (INDI), "ZWO ASI2600MM Pro" (ASCOM) and "ASI2600MM" are the same camera; "ASI2600MC" is a different camera.
    """
    if is_same_name(one, other):
        return True
    fewer, more = sorted((_model_words(one), _model_words(other)), key=len)
    has_number = any(character.isdigit() for word in fewer for character in word)
    return bool(fewer) and (fewer == more or (fewer < more and has_number))


def under_one_name(setup: FrameSetup, camera_names: Sequence[str]) -> FrameSetup:
    """Return a setup with the first of a camera's names if its header has any of them; see `is_same_camera`.

    Parameters
    ----------
    setup
        Setup of a frame or a master from any program.
    camera_names
        The driver's name of the camera and its configured aliases; may be empty.
    """
    if setup.camera is None or not any(is_same_camera(setup.camera, name) for name in camera_names):
        return setup
    return replace(setup, camera=camera_names[0])


def _model_words(name: str) -> frozenset[str]:
    words = frozenset(_WORDS.findall(ascii_text(name).upper()))
    return (words - _GENERIC_WORDS) or words
