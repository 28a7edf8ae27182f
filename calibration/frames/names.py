"""Names that different programs write for the same camera, telescope or filter."""

import re

from coldframe.calibration.files.cards import ascii_text

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


def _model_words(name: str) -> frozenset[str]:
    words = frozenset(_WORDS.findall(ascii_text(name).upper()))
    return (words - _GENERIC_WORDS) or words
