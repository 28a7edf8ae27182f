"""The levels of a master flat: saturation, subtraction, normalisation, fall-off towards the corners, and colours."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.findings import Finding, Origin
from coldframe.calibration.diagnosis.masters.darks import level_adu
from coldframe.calibration.diagnosis.masters.master_finding import adu, master_finding, percent
from coldframe.calibration.lights.caveats import (
    BRIGHTEST_FLAT,
    HIGHEST_ADU,
    MOST_SATURATED,
    flat_caveats,
    flat_level_adu,
    header_caveats,
    saturated_fraction,
)
from coldframe.calibration.masters.reading import MasterPlanes

F32 = NDArray[np.float32]

CLIPPED = 0.97
"""Level, as a fraction of the range, above which the noise of the brightest pixels is clipped."""

LOWEST_FLAT_ADU = 1000.0
"""Lowest level of flats at which an error of 3 ADU in their dark changes the flat by no more than 0.3 %."""

FAINT_FLAT = 0.05
"""Level of flats as a fraction of 65,535 ADU, below which brighter flats would give a better master."""

PEDESTAL_ERROR_ADU = 3.0
"""Typical error of the level that is subtracted from flats."""

LARGEST_PEDESTAL = 0.003
"""Largest pedestal in a flat, relative to its level, that leaves no visible remainder of vignetting and dust."""

LARGEST_MEAN_ERROR = 0.005
"""Largest acceptable difference from 1 of the mean of a normalised flat, or of the mean of one of its colours."""

LARGEST_RELATIVE = 20.0
"""A flat with a mean of at least this value is in ADU, or is not normalised."""

DARKEST_CORNER = 0.3
"""Smallest illumination of a corner, relative to the centre, at which the corner's noise in calibrated lights is less
than twice that of the centre."""

_STEP = 3
_CORNER = 0.1
_SUBTRACTED = frozenset({"B", "D"})


def flat_findings(flat: MasterPlanes, mosaic: str | None, bias: MasterPlanes | None) -> Iterator[Finding]:
    """Yield findings about the levels of a flat, and one that describes its shape.

    Parameters
    ----------
    flat
        The master flat.
    mosaic
        Bayer array; None for mono.
    bias
        The dark flat or bias that was subtracted, or should have been; None if it is not available.
    """
    bias_adu = None if bias is None else level_adu(bias)
    yield from _saturation(flat, bias_adu or 0.0)
    yield from _faintness(flat)
    yield from _subtraction(flat, bias_adu)
    yield from _normalisation(flat, mosaic)
    yield from _shape(flat, mosaic)


def _saturation(flat: MasterPlanes, bias_adu: float) -> Iterator[Finding]:
    fix = "Shoot the flats with a shorter exposure or a dimmer panel, at 30 to 50 % of the range."
    fraction = saturated_fraction(flat)
    if fraction > MOST_SATURATED:
        yield master_finding(
            f"{percent(fraction)} of the pixels of the flat were saturated, so the flat does not show their response",
            Estimate(fraction, (fraction / max(flat.mean[::_STEP, ::_STEP].size, 1)) ** 0.5),
            "of the pixels",
            least=MOST_SATURATED,
            evidence="these pixels do not vary from frame to frame, not even by photon noise",
            fix=fix,
            origin=Origin.SATURATED_FLAT,
        )
        return
    level = flat_level_adu(flat.header)
    brightest = float(np.quantile(flat.mean[::_STEP, ::_STEP], 0.99))
    if level is None or level * brightest + bias_adu <= BRIGHTEST_FLAT * HIGHEST_ADU:
        return
    top = level * brightest + bias_adu
    yield master_finding(
        f"the brightest pixels of the flats reach {adu(top)}, {percent(top / HIGHEST_ADU)} of the range",
        Estimate(top / HIGHEST_ADU, 0.01),
        "of the range",
        # Below this level, few sensors are noticeably nonlinear.
        least=0.9,
        evidence=f"the mean level of the flats above their dark is {adu(level)} (CFLEVEL)",
        fix=fix,
        origin=Origin.SATURATED_FLAT if top > CLIPPED * HIGHEST_ADU else None,
    )


def _faintness(flat: MasterPlanes) -> Iterator[Finding]:
    level = flat_level_adu(flat.header)
    if level is None or level <= 0 or level >= FAINT_FLAT * HIGHEST_ADU:
        return
    yield master_finding(
        f"the flats are dark: their level is only {adu(level)}",
        Estimate(LOWEST_FLAT_ADU / level, 0.0),
        "x the lowest level",
        least=1.0,
        evidence=f"an error of {PEDESTAL_ERROR_ADU:.0f} ADU in their dark changes the flat by "
        f"{percent(PEDESTAL_ERROR_ADU / level)}",
        fix="Shoot the flats with a longer exposure or a brighter panel, at 30 to 50 % of the range.",
    )


def _subtraction(flat: MasterPlanes, bias_adu: float | None) -> Iterator[Finding]:
    header = flat.header
    if "CFSUBTR" in header or "OVERSCAN" in header or not _SUBTRACTED.isdisjoint(str(header.get("CALSTAT", ""))):
        return
    level = flat_level_adu(header)
    texts = header_caveats(header) if bias_adu is None else flat_caveats(flat, bias_adu)
    text = next(iter(texts), "").removeprefix("flat: ")
    fix = "Combine the raw flats again with --dark and their master dark flat, or a master bias."
    size = bias_adu / level if bias_adu is not None and level else 0.0
    if size > 0:
        yield master_finding(
            "nothing was subtracted from the flats, so they under-correct vignetting and dust",
            Estimate(size, 0.0),
            "of the level",
            least=min(size, LARGEST_PEDESTAL),
            evidence=text,
            fix=fix,
        )
        return
    yield master_finding(
        "nothing was subtracted from the flats, as far as the header shows",
        Estimate(1.0, 0.0),
        "master missing",
        # Some programs subtract masters without recording this in the header.
        least=1.0 if "CFVERS" in header or level is not None else None,
        evidence=text,
        fix=fix,
    )


def _normalisation(flat: MasterPlanes, mosaic: str | None) -> Iterator[Finding]:
    means = _means(flat, mosaic)
    mean = float(np.mean(list(means.values())))
    fix = "Combine the raw flats again with coldframe, or divide the flat by its mean (each colour by its own mean)."
    if not 0 < mean < LARGEST_RELATIVE:
        yield master_finding(
            f"the flat is not normalised: its mean is {mean:,.5g}",
            Estimate(mean, 0.0),
            "x",
            least=min(abs(mean), 1.0) or 1e-9,
            evidence="a flat by which lights are divided must have a mean of 1",
            fix=fix,
        )
        return
    worst = max(means, key=lambda colour: abs(means[colour] - 1))
    off = means[worst] - 1
    if abs(off) <= LARGEST_MEAN_ERROR:
        return
    by_colour = len(means) > 1 and abs(mean - 1) < abs(off)
    is_ours = "CFNORM" in flat.header
    listed = ", ".join(f"{colour} {value:.4f}" for colour, value in means.items())
    yield master_finding(
        "the colours of the flat have different means, so it changes the colours of the lights"
        if by_colour
        else f"the flat is not normalised to 1: its mean is {mean:.4f}",
        Estimate(abs(off), 0.0),
        "relative",
        # Many programs divide by one common mean, which shifts the white balance and does no harm.
        least=LARGEST_MEAN_ERROR if is_ours else None,
        evidence=f"means: {listed}",
        fix=fix,
    )


def _means(flat: MasterPlanes, mosaic: str | None) -> dict[str, float]:
    """Return the mean of the unmasked pixels of each colour; the greens of a Bayer array are G1 and G2."""
    if mosaic is None:
        kept = flat.mean if flat.masked is None else flat.mean[~flat.masked]
        return {"mono": float(kept.mean(dtype=np.float64)) if kept.size else 0.0}
    means = {}
    for site, colour in enumerate(mosaic):
        cut = (slice(site // 2, None, 2), slice(site % 2, None, 2))
        plane = flat.mean[cut] if flat.masked is None else flat.mean[cut][~flat.masked[cut]]
        name = colour if colour not in means and mosaic.count(colour) == 1 else f"{colour}{1 + (colour + '1' in means)}"
        means[name] = float(plane.mean(dtype=np.float64)) if plane.size else 0.0
    return means


def _shape(flat: MasterPlanes, mosaic: str | None) -> Iterator[Finding]:
    """Yield a finding about the illumination of the corners relative to the centre, overall and for each colour."""
    if min(flat.mean.shape) < 2 / _CORNER:
        return
    corners = _corners(flat.mean)
    darkest = min(corners, key=lambda name: corners[name])
    mean = float(np.mean(list(corners.values())))
    text = ", ".join(f"{name} {value:.3f}" for name, value in corners.items())
    if mosaic is not None:
        sites = ((mosaic.index("R"), "R"), (mosaic.index("G"), "G"), (mosaic.index("B"), "B"))
        colours = {
            name: float(np.mean(list(_corners(flat.mean[site // 2 :: 2, site % 2 :: 2]).values())))
            for site, name in sites
        }
        text += "; colours: " + ", ".join(f"{name} {value:.3f}" for name, value in colours.items())
    is_dark = corners[darkest] < DARKEST_CORNER
    yield master_finding(
        f"the corners receive {percent(mean)} of the light of the centre",
        Estimate(corners[darkest], 0.0),
        "of the centre",
        least=corners[darkest] if is_dark and corners[darkest] > 0 else None,
        evidence=f"corners relative to the centre: {text}",
        fix=f"Crop the {darkest} corner of the results, or check filters and adapters that shade it."
        if is_dark
        else "",
    )


def _corners(plane: F32) -> dict[str, float]:
    """Return the medians of the four corners relative to that of the centre."""
    height, width = plane.shape
    down, across = max(int(_CORNER * height), 1), max(int(_CORNER * width), 1)
    middle = plane[(height - down) // 2 : (height + down) // 2, (width - across) // 2 : (width + across) // 2]
    centre = max(float(np.median(middle)), 1e-9)
    return {
        "upper left": float(np.median(plane[:down, :across])) / centre,
        "upper right": float(np.median(plane[:down, -across:])) / centre,
        "lower left": float(np.median(plane[-down:, :across])) / centre,
        "lower right": float(np.median(plane[-down:, -across:])) / centre,
    }
