"""Whether a camera took its gain: the bias has a level and a noise that go with it, whatever the driver says. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from coldframe.config.frames import ReadoutSettings

SAME_NOISE = 0.05
"""Logarithm of the ratio of two noises that are taken as equal: two frames tell a noise to 1 %."""

SAME_LEVEL = 0.5
"""Difference of two levels that are taken as equal, in units of one pixel's noise."""

OWN_NOISE, OWN_LEVEL, OWN_LEVEL_ADU = 0.2, 3.0, 20.0
"""The same for a camera's own earlier nights, and a least difference in ADU: temperature and age move both a little."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Level of bias frames and temporal noise of a pixel in them, row noise left out, ADU."""

    level_adu: float
    noise_adu: float

    def is_same(self, other: "Fingerprint") -> bool:
        """Tell whether two fingerprints cannot be told apart."""
        return (
            abs(log(self.noise_adu / other.noise_adu)) <= SAME_NOISE
            and abs(self.level_adu - other.level_adu) <= SAME_LEVEL * other.noise_adu
        )

    def is_as_ever(self, earlier: "Fingerprint") -> bool:
        """Tell whether it is what the same setting gave on an earlier night."""
        allowed_adu = max(OWN_LEVEL * earlier.noise_adu, OWN_LEVEL_ADU)
        return (
            abs(log(self.noise_adu / earlier.noise_adu)) <= OWN_NOISE
            and abs(self.level_adu - earlier.level_adu) <= allowed_adu
        )


def not_applied(
    wanted: ReadoutSettings, found: Fingerprint, known: Mapping[ReadoutSettings, Fingerprint]
) -> ReadoutSettings | None:
    """Return the settings that the camera seems to have in place of the wanted ones; None where nothing says so.

    Parameters
    ----------
    wanted
        As ordered.
    found
        What its bias frames show.
    known
        What settings showed on this night or an earlier one; those of another gain or offset are compared.
    """
    own = known.get(wanted)
    if own is not None and found.is_as_ever(own):
        return None
    others = (settings for settings in known if (settings.gain, settings.offset) != (wanted.gain, wanted.offset))
    return next((settings for settings in others if found.is_same(known[settings])), None)
