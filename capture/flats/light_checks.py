"""Check the illumination of flats for lamp flicker, for a wrong filter in the beam, and for shadows.

Flicker
    A rolling shutter exposes row after row, so each row receives the lamp's mean light over the exposure of that row.
    An exposure T reduces a modulation of frequency f to sin(pi f T) / (pi f T) of its depth, so the depth of the bands
    decreases in proportion to 1 / T.
Filter
    Filters pass different amounts of light. Two filters that pass the same amount cannot be distinguished, because
    their dust and vignetting are too similar.
Shadow
    The shadow of a shutter blade or a half-open cover is detected by comparison with the library's master flat.
"""

from collections.abc import Mapping
from itertools import combinations
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.keywords import in_drivers_words
from coldframe.calibration.files.raws.frames import read_night_header
from coldframe.calibration.frames.matching import best_master
from coldframe.calibration.frames.rules import Tolerances
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library.library import Library
from coldframe.calibration.measuring.frame_shape import (
    Bands,
    FrameShape,
    frame_shape,
    is_large_enough,
    smooth_pattern,
)
from coldframe.capture.tuner.limits import ExposureSpan
from coldframe.config.frames import FrameKind

LEAST_BANDS = 0.0005
"""Smallest relative depth at which bands count as flicker.

If 25 flats have bands of this depth, the bands in their master are 0.01 % deep, which equals its photon noise.
"""

SIGNIFICANT_BANDS = 6.0

LEAST_LEVEL_CHANGE = 0.01
"""Smallest relative change in level from flat to flat that counts as flicker.

Bands that are wider than a frame change its level.
"""

NO_BANDS_FROM_S = 5.0
"""In exposures at least this long, even a lamp that goes dark 100 times a second leaves bands below `LEAST_BANDS`."""

LEAST_LENGTHENING = 4.0
"""Smallest factor by which an exposure is lengthened after flats have shown bands, unless the limits forbid it."""

BANDS_MARGIN = 2.0
"""Factor by which the bands should be weaker than `LEAST_BANDS` after the exposure has been lengthened."""

FLICKER_RETRIES = 2
"""Number of times that flats are tuned again for longer exposures before bands are accepted with a warning."""

SAME_LIGHT = 0.03
"""Maximum difference between the logarithms of two light rates at which they count as equal.

A lamp drifts by a few percent in an hour.
"""

OTHER_LIGHT = 0.25
"""Smallest difference between the logarithms of the light rates of earlier nights at which filters surely differ."""

DARKENED = 0.5
"""Fraction of the usual light below which a region counts as shaded. Panels and dust cause smaller changes."""

USUAL_QUANTILE = 0.75
LEAST_PART = 0.01
"""Smallest shaded fraction of the frame that counts as a fault."""

LARGEST_GRADIENT = 0.15
"""Largest allowed relative root mean square of a smooth change from the earlier flat.

A tilted panel causes a smaller change, and a moving shutter blade causes a larger one.
"""

RESCALED_WHITE_ADU = 50000.0


# ---- flicker ----


def is_flickering(bands: Bands) -> bool:
    """Return whether the bands or the level change between two flats are large enough to matter."""
    has_bands = bands.relative >= LEAST_BANDS and bands.significance >= SIGNIFICANT_BANDS
    return has_bands or abs(bands.level_ratio - 1) >= LEAST_LEVEL_CHANGE


def exposures_without_bands(
    bands: Bands, exposure_s: float, preferred: ExposureSpan, longest_s: float
) -> ExposureSpan | None:
    """Return a range of longer exposures at which bands are weak enough, or None if no longer exposure is allowed.

    Parameters
    ----------
    bands
        Bands between two flats.
    exposure_s
        Exposure of these flats.
    preferred
        Range of exposures for which the flats were tuned.
    longest_s
        Longest exposure allowed.
    """
    factor = max(LEAST_LENGTHENING, BANDS_MARGIN * bands.relative / LEAST_BANDS)
    shortest_s = min(exposure_s * factor, longest_s / 2)
    if shortest_s <= 1.5 * exposure_s:
        return None
    return ExposureSpan(shortest_s, min(max(preferred.longest_s, LEAST_LENGTHENING * shortest_s), longest_s))


# ---- filter ----


def other_filter_in_beam(name: str, tonight: Mapping[str, float], earlier: Mapping[str, float]) -> str | None:
    """Return the filter that seems to be in the beam instead of the selected filter, or None.

    If two filters pass the same amount of light tonight but passed different amounts on earlier nights, the same filter
    was in the beam twice tonight. A lamp that has changed since the earlier nights does not matter, because its change
    affects all filters equally.

    Parameters
    ----------
    name
        Selected filter.
    tonight, earlier
        Amount of light through each filter. The scale for tonight can differ from that for earlier nights.
    """
    return next(
        (
            other
            for other in filters_of_equal_light(name, tonight)
            if {name, other} <= earlier.keys() and abs(log(earlier[name] / earlier[other])) >= OTHER_LIGHT
        ),
        None,
    )


def doubtful_pairs(name: str, tonight: Mapping[str, float], earlier: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return pairs of other filters that passed the same amount of light tonight, unlike on earlier nights.

    These filters were checked when they were tuned, but the tuning of the selected filter may since have revealed how
    the lamp responds. If the lamp ignores its brightness setting, filters that seemed to pass different amounts of
    light may have passed the same amount.

    Parameters
    ----------
    name
        Selected filter, which the pairs do not contain.
    tonight, earlier
        Amount of light through each filter; see `other_filter_in_beam`.
    """
    pairs = combinations(sorted(tonight.keys() - {name}), 2)
    return [
        (one, other)
        for one, other in pairs
        if other_filter_in_beam(one, {each: tonight[each] for each in (one, other)}, earlier) is not None
    ]


def filters_of_equal_light(name: str, tonight: Mapping[str, float]) -> list[str]:
    """Return the other filters that passed the same amount of light tonight as the given filter."""
    return [other for other in tonight if other != name and abs(log(tonight[name] / tonight[other])) <= SAME_LIGHT]


# ---- shadow ----


def find_shadow(flat: NDArray[np.float64], usual: NDArray[np.float64]) -> str | None:
    """Return a description of the fault in the illumination of a flat, or None if there is no fault.

    Parameters
    ----------
    flat, usual
        Levels of the flat and of an earlier flat, with the bias subtracted, float64, shape (rows, columns).
    """
    if not is_large_enough(flat.shape) or usual.min() <= 0:
        return None
    ratio = flat / usual
    # Use a quantile instead of the median, because a shadow can cover more than half of the frame.
    ratio /= np.quantile(ratio, USUAL_QUANTILE)
    dark = (ratio < DARKENED).astype(np.float64)
    if dark.mean() >= LEAST_PART:
        what = f"{100 * dark.mean():.0f} % of the frame, {smooth_pattern(dark).brightest}, gets less than "
        what += f"{100 * DARKENED:.0f} % of the light in the library's flat"
        return f"{what}: is a shutter blade or a cover in the way?"
    pattern = smooth_pattern(ratio)
    if pattern.amplitude_adu > LARGEST_GRADIENT:
        return (
            f"the flat has a gradient of {100 * pattern.amplitude_adu:.0f} % compared with the library's flat, "
            f"brightest {pattern.brightest}: does the shutter work?"
        )
    return None


def library_flat_shape(library: Path, flat: Path) -> FrameShape | None:
    """Return the levels of the library's newest master flat that matches a saved flat, or None if there is none.

    Raises
    ------
    FrameFileError, OSError
        If a file cannot be read.
    """
    # Compare the drivers' own names, because a master's header can contain the names that another program gave to the
    # rig in the lights of that night.
    headers = Library(library).catalogue().headers
    masters = {path: setup_of(in_drivers_words(header)) for path, header in headers.items()}
    shot = setup_of(in_drivers_words(read_night_header(flat)))
    match = best_master(shot, masters, FrameKind.FLAT, Tolerances(flat_days=1e9))
    if match.path is None:
        return None
    levels = np.asarray(open_image(match.path, flat.parent).pixels(), np.float32)
    highest = float(np.quantile(levels[::16, ::16], 0.99))
    if not 0 < highest < np.inf:
        raise FrameFileError(match.path, "the master flat contains no light")
    return frame_shape(np.clip(levels * (RESCALED_WHITE_ADU / highest), 0, 65535).astype(np.uint16))
