"""Checks of the light of flats: lamp flicker, the filter in the beam, and shadows. Pure but for the library's files.

Flicker
    A rolling shutter exposes row after row, so a row's light is the lamp's mean over that row's exposure. Of a swing
    with frequency f an exposure T leaves sin(pi f T) / (pi f T): the bands fall as 1 / T.
Filter
    Filters pass different amounts of light. Two filters that pass the same light cannot be told apart by it; dust and
    vignetting are too much alike to help.
Shadow
    A shutter blade or a cover half open shows against the library's master flat.
"""

from collections.abc import Mapping
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import FrameFileError, read_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.frames.matching import Tolerances, best_master
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
"""Bands in one flat, relative, from which they count: in a master of 25 frames 0.01 %, as much as its photon noise."""

SIGNIFICANT_BANDS = 6.0

LEAST_LEVEL_CHANGE = 0.01
"""From one flat to the next: bands that are wider than the frame is read out."""

NO_BANDS_FROM_S = 5.0
"""From this exposure on even a lamp that goes dark a hundred times a second leaves less than `LEAST_BANDS`."""

LEAST_LENGTHENING = 4.0
"""A longer exposure is so many times as long at least."""

BANDS_MARGIN = 2.0
"""And makes the bands this factor lower than they need to be."""

FLICKER_RETRIES = 2
"""Tries to get rid of bands before they are put up with."""

SAME_LIGHT = 0.03
"""Logarithm of the ratio of two rates of light that are taken as equal: a lamp drifts by a few percent in an hour."""

OTHER_LIGHT = 0.25
"""The same from which two filters were different on earlier nights."""

DARKENED = 0.5
"""Where less than this part of the usual light arrives, something is in its way: panels and dust change less."""

USUAL_QUANTILE = 0.75
LEAST_PART = 0.01
"""Of the frame."""

LARGEST_GRADIENT = 0.15
"""Root mean square of the smooth part of the change: a blade that moves through the exposure, no panel hung askew."""

RESCALED_WHITE_ADU = 50000.0


# ---- flicker ----


def is_flickering(bands: Bands) -> bool:
    """Tell whether the bands, or the levels, by which two flats differ are real and matter."""
    has_bands = bands.relative >= LEAST_BANDS and bands.significance >= SIGNIFICANT_BANDS
    return has_bands or abs(bands.level_ratio - 1) >= LEAST_LEVEL_CHANGE


def exposures_without_bands(
    bands: Bands, exposure_s: float, preferred: ExposureSpan, longest_s: float
) -> ExposureSpan | None:
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
    factor = max(LEAST_LENGTHENING, BANDS_MARGIN * bands.relative / LEAST_BANDS)
    shortest_s = min(exposure_s * factor, longest_s / 2)
    if shortest_s <= 1.5 * exposure_s:
        return None
    return ExposureSpan(shortest_s, min(max(preferred.longest_s, LEAST_LENGTHENING * shortest_s), longest_s))


# ---- filter ----


def other_filter_in_beam(name: str, tonight: Mapping[str, float], earlier: Mapping[str, float]) -> str | None:
    """Return the filter that seems to be in the beam in place of the named one; None where nothing says so.

    A filter that tonight gives the light of another one, from which it differed on earlier nights, is that other one.
    A lamp that has changed since then changes all filters alike, and does not matter.

    Parameters
    ----------
    name
        The filter that was selected.
    tonight, earlier
        Light through filters, on a common scale each.
    """
    return next(
        (
            other
            for other in filters_of_equal_light(name, tonight)
            if {name, other} <= earlier.keys() and abs(log(earlier[name] / earlier[other])) >= OTHER_LIGHT
        ),
        None,
    )


def filters_of_equal_light(name: str, tonight: Mapping[str, float]) -> list[str]:
    """Return the other filters that gave the same light tonight."""
    return [other for other in tonight if other != name and abs(log(tonight[name] / tonight[other])) <= SAME_LIGHT]


# ---- shadow ----


def find_shadow(flat: NDArray[np.float64], usual: NDArray[np.float64]) -> str | None:
    """Say what is wrong with the light of a flat; None where nothing is.

    Parameters
    ----------
    flat, usual
        float64, shape (rows, columns): the shape of the flat, bias subtracted, and that of an earlier night's.
    """
    if not is_large_enough(flat.shape) or usual.min() <= 0:
        return None
    ratio = flat / usual
    # Not the median: a shadow may be larger than half of the frame.
    ratio /= np.quantile(ratio, USUAL_QUANTILE)
    dark = (ratio < DARKENED).astype(np.float64)
    if dark.mean() >= LEAST_PART:
        what = f"{100 * dark.mean():.0f} % of the frame, on the {smooth_pattern(dark).brightest}, get less than "
        what += f"{100 * DARKENED:.0f} % of the light of the library's flat"
        return f"{what}: a shutter blade or a cover in the way?"
    pattern = smooth_pattern(ratio)
    if pattern.amplitude_adu > LARGEST_GRADIENT:
        return (
            f"a gradient of {100 * pattern.amplitude_adu:.0f} % against the library's flat, brightest on the "
            f"{pattern.brightest}: does the shutter work?"
        )
    return None


def library_flat_shape(library: Path, flat: Path) -> FrameShape | None:
    """Return the shape of the newest master flat that was shot as a saved flat was; None where there is none.

    Raises
    ------
    FrameFileError, OSError
        A file cannot be read.
    """
    match = best_master(
        setup_of(read_header(flat)), Library(library).catalogue().setups, FrameKind.FLAT, Tolerances(flat_days=1e9)
    )
    if match.path is None:
        return None
    levels = np.asarray(open_image(match.path, flat.parent).pixels(), np.float32)
    highest = float(np.quantile(levels[::16, ::16], 0.99))
    if not 0 < highest < np.inf:
        raise FrameFileError(match.path, "its light is no light")
    return frame_shape(np.clip(levels * (RESCALED_WHITE_ADU / highest), 0, 65535).astype(np.uint16))
