"""Tolerated differences between lights and masters, and the errors that these differences might cause."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.lights.arithmetic import F32, Correction
from coldframe.calibration.masters.master_frame import FLAT_LEVEL
from coldframe.calibration.masters.reading import BandedMaster, sampled_master
from coldframe.calibration.measuring.amp_glow import measure_glow
from coldframe.calibration.measuring.statistics import central_region

Header = Mapping[str, HeaderValue]

DOUBLING_C = 6.0
"""Approximate temperature difference that doubles the dark current, as in `Tolerances`; R. Widenhorn et al. 2002, Proc.
SPIE 4669, 193, describe how this difference varies."""

NOTICEABLE_C = 0.5
"""Smallest temperature difference to mention: it changes the dark current by 6 %; coolers usually hold the
temperature to within this difference."""

HIGHEST_ADU = 65_535

BRIGHTEST_FLAT = 0.7
"""Highest level of a flat, as a fraction of 65,535, at which the brightest pixels are safely below saturation."""

LEAST_FLAT_NOISE = 3e-4
"""Smallest relative noise of an unsaturated pixel in one flat: the photon noise of 10 million electrons, more than any
pixel can hold. The values of saturated pixels scatter less."""

MOST_SATURATED = 0.01
"""Largest fraction of saturated pixels in a flat that hot pixels can account for."""

_FEWEST_FRAMES = 3
_STEP = 3
"""Step between sampled rows and columns; an odd step covers every colour of a filter array."""

_HOTTEST = 0.999
_DARK_CORNER = 0.01


def temperature_caveat(warmest_c: float | None, coldest_c: float | None = None) -> str | None:
    """Return a message about the effect of a temperature difference between dark and lights; None if it is negligible.

    Parameters
    ----------
    warmest_c
        Temperature of the dark minus that of the light, C; for several lights, the largest difference. None if unknown.
    coldest_c
        For several lights, the smallest difference, C; None for a single light.
    """
    if warmest_c is None:
        return None
    coldest_c = warmest_c if coldest_c is None else coldest_c
    worst_c = max(warmest_c, coldest_c, key=abs)
    if abs(worst_c) < NOTICEABLE_C:
        return None
    degrees = " to ".join(dict.fromkeys(f"{each:+.1f}" for each in sorted((coldest_c, warmest_c))))
    percent = 100 * abs(2 ** (worst_c / DOUBLING_C) - 1)
    much = "more" if worst_c > 0 else "less"
    return (
        f"dark: its temperature differs from that of the light by {degrees} C, so it has up to {percent:.0f} % {much} "
        "dark current"
    )


def temperature_cost(worst_c: float, planes: Correction, mended: NDArray[np.bool_] | None = None) -> str:
    """Return a message about the errors, in ADU, that a temperature difference of the dark leaves in a light.

    Parameters
    ----------
    worst_c
        Temperature of the dark minus that of the light, C.
    planes
        The planes that contain the dark.
    mended
        bool, shape (height, width): pixels that are replaced, so that their errors do not matter; None if no pixels are
        replaced.
    """
    excess = 1 - 2 ** (-worst_c / DOUBLING_C)
    dark = planes.subtracted
    glow = measure_glow(dark)
    sampled = dark[::_STEP, ::_STEP]
    kept = sampled if mended is None else sampled[~mended[::_STEP, ::_STEP]]
    hot_adu = float(np.quantile(kept, _HOTTEST) - np.median(kept))
    errors = [f"{_adu(abs(excess) * hot_adu)} in one pixel in 1,000"]
    if glow.significant:
        errors.append(f"{_adu(abs(excess) * glow.amplitude_adu)} of glow {glow.place}")
    noise_adu = float(np.sqrt(np.median(planes.sampled_variance)))
    readout = f" (readout noise {_adu(noise_adu)})" if noise_adu else ""
    return f"this may leave {' and '.join(errors)}{readout}"


def _adu(value: float) -> str:
    return f"{value:,.1f} ADU" if value < 10 else f"{value:,.0f} ADU"  # noqa: PLR2004 - two significant digits


def header_caveats(flat: Header) -> Iterator[str]:
    """Yield messages about the faults that the header of a master flat reveals."""
    if not _is_subtracted(flat):
        yield (
            "flat: according to its header, no dark or bias was subtracted; the flat undercorrects vignetting and dust"
        )
    level_adu = flat_level_adu(flat)
    if level_adu is not None and level_adu > BRIGHTEST_FLAT * HIGHEST_ADU:
        yield (
            f"flat: its frames have a level of {level_adu:,.0f} ADU, {level_adu / HIGHEST_ADU:.0%} of {HIGHEST_ADU:,},"
            " so bright pixels may be saturated and calibrated lights too bright at those pixels"
        )


def flat_caveats(flat: BandedMaster, bias_adu: float) -> Iterator[str]:
    """Yield messages about the faults that a master flat reveals, and the errors that they cause.

    Parameters
    ----------
    flat
        The master flat.
    bias_adu
        Level of the dark or bias that is subtracted from the light; the flats probably had the same pedestal.
    """
    cost = "" if _is_subtracted(flat.header) else _pedestal_cost(flat, bias_adu)
    for caveat in header_caveats(flat.header):
        yield caveat + cost
        cost = ""
    saturated = saturated_fraction(flat)
    if saturated > MOST_SATURATED:
        yield (
            f"flat: {saturated:.0%} of its pixels do not vary from frame to frame, not even by photon noise; they were"
            " saturated, so calibrated lights will be too bright at those pixels"
        )


def saturated_fraction(flat: BandedMaster) -> float:
    """Return the fraction of a flat's pixels whose scatter between frames is below photon noise; 0 if it is unknown."""
    sampled = sampled_master(flat, _STEP)
    if sampled.counts is None or sampled.counts.max() < _FEWEST_FRAMES:
        return 0.0
    least = LEAST_FLAT_NOISE * sampled.mean
    quiet = sampled.frame_variance < np.square(least, out=least)
    if sampled.masked is not None:
        quiet &= ~sampled.masked
    return float(quiet.mean())


def flat_level_adu(flat: Header) -> float | None:
    """Return the level above the dark, in ADU, of the frames in a master flat; None if its header does not state it."""
    level_adu = flat.get(FLAT_LEVEL)
    return None if isinstance(level_adu, str) or level_adu is None else float(level_adu)


def _is_subtracted(flat: Header) -> bool:
    """Return whether, according to its header, a master or the overscan was subtracted from the flats."""
    return "CFSUBTR" in flat or "OVERSCAN" in flat or not {"B", "D"}.isdisjoint(str(flat.get("CALSTAT", "")))


def _pedestal_cost(flat: BandedMaster, bias_adu: float) -> str:
    """Return a message about the error of an unsubtracted flat in its darkest pixels; "" if the error is unknown."""
    level_adu = flat_level_adu(flat.header)
    if level_adu is None or level_adu <= bias_adu:
        return ""
    relative = _darkest(flat.mean)
    signal = (relative * level_adu - bias_adu) / (level_adu - bias_adu)
    return "" if signal <= 0 else f", by {relative / signal - 1:.1%} in its darkest corner"


def _darkest(response: F32) -> float:
    """Return the first percentile of the response, relative to the median of the central region."""
    return float(
        np.quantile(response[::_STEP, ::_STEP], _DARK_CORNER) / np.median(response[central_region(response.shape)])
    )
