"""Bands across flats, from a lamp that flickers faster than a frame is read out, and what cures them. Pure.

A rolling shutter exposes row after row, so a row's light is the lamp's mean over that row's exposure. Of a swing with
frequency f an exposure T leaves sin(pi f T) / (pi f T): the bands fall as 1 / T.
"""

from coldframe.calibration.measuring.frame_shape import Bands
from coldframe.capture.tuner.limits import ExposureSpan

LEAST_BANDS = 0.0005
"""Bands in one flat, relative, from which they count: in a master of 25 frames 0.01 %, as much as its photon noise."""

SIGNIFICANT = 6.0

LEAST_LEVEL_CHANGE = 0.01
"""From one flat to the next: bands that are wider than the frame is read out."""

HARMLESS_FROM_S = 5.0
"""From this exposure on even a lamp that goes dark a hundred times a second leaves less than `LEAST_BANDS`."""

LEAST_STEP = 4.0
"""A longer exposure is so many times as long at least."""

MARGIN = 2.0
"""And makes the bands this factor lower than they need to be."""

CURES = 2
"""Tries to get rid of bands before they are put up with."""


def is_flickering(bands: Bands) -> bool:
    """Tell whether the bands, or the levels, by which two flats differ are real and matter."""
    has_bands = bands.relative >= LEAST_BANDS and bands.significance >= SIGNIFICANT
    return has_bands or abs(bands.level_ratio - 1) >= LEAST_LEVEL_CHANGE


def cured(bands: Bands, exposure_s: float, preferred: ExposureSpan, longest_s: float) -> ExposureSpan | None:
    """Return the exposures among which bands are low enough; None where none is longer than what was tried.

    Parameters
    ----------
    bands
        As seen.
    exposure_s
        Where they were seen.
    preferred
        Exposures that were looked for.
    longest_s
        Longest exposure allowed.
    """
    factor = max(LEAST_STEP, MARGIN * bands.relative / LEAST_BANDS)
    shortest_s = min(exposure_s * factor, longest_s / 2)
    if shortest_s <= 1.5 * exposure_s:
        return None
    return ExposureSpan(shortest_s, min(max(preferred.longest_s, LEAST_STEP * shortest_s), longest_s))
