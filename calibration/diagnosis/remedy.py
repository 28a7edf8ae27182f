"""Remedies against artifacts. The choice is in `remedies`."""

from enum import StrEnum


class Remedy(StrEnum):
    """A remedy against an artifact.

    DARK_FLATS subtracts dark flats from the flats instead of a bias. MORE_FLATS and MORE_DARKS add frames to a master.
    LONGER_FLATS are exposed longer, with a dimmer panel. NEW_FLATS need the focus, rotation and light of the lights,
    and NEW_DARKS their settings, so that a repetition alone changes nothing.
    """

    DARK_FLATS = "dark-flats"
    MORE_FLATS = "more-flats"
    MORE_DARKS = "more-darks"
    LONGER_FLATS = "longer-flats"
    NEW_FLATS = "new-flats"
    NEW_DARKS = "new-darks"
    NONE = "none"
