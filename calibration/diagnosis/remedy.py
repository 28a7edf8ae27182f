"""Remedies for artifacts; `remedies` chooses among them."""

from enum import StrEnum


class Remedy(StrEnum):
    """A remedy for an artifact.

    DARK_FLATS means subtracting dark flats from the flats instead of a bias. MORE_FLATS and MORE_DARKS mean adding
    frames to a master. LONGER_FLATS means exposing flats longer, with a dimmer panel. NEW_FLATS must match the lights
    in focus, rotation and illumination, and NEW_DARKS must have the settings of the lights; it does not help to shoot
    frames with unchanged settings again.
    """

    DARK_FLATS = "dark-flats"
    MORE_FLATS = "more-flats"
    MORE_DARKS = "more-darks"
    LONGER_FLATS = "longer-flats"
    NEW_FLATS = "new-flats"
    NEW_DARKS = "new-darks"
    NONE = "none"
