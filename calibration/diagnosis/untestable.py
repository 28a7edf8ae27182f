"""Conclusions that cannot be drawn because masters are missing or do not state their uncertainty.

Estimates that depend on a missing plane would be wrong, not merely inaccurate. Therefore, these estimates are removed
from the examination, and the reason is stated for each kind of artifact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import Change, DustResult
from coldframe.calibration.diagnosis.estimating.measuring import pixel_variance
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters
from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Diagnosis, Kind, Sensitivity
from coldframe.calibration.lights.arithmetic import Correction

F32 = NDArray[np.float32]

_LEAST_VARIANCE, _MOST_VARIANCE = 1e-6, 1e12
"""Range to which the measured variance of a pixel is limited, ADU^2."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known about the lights and masters; it decides which artifacts can be tested.

    Attributes
    ----------
    flat_divided
        True if the lights were divided by a flat, even if that flat is not available.
    readout_noise
        True if the masters state the readout noise of each pixel.
    flat_uncertainty
        True if there is no flat, or if the flat states its uncertainty.
    hot_replaced
        True if hot pixels were replaced in the lights; None if another program may have replaced them.
    """

    flat_divided: bool
    readout_noise: bool
    flat_uncertainty: bool
    hot_replaced: bool | None


def knowledge_of(masters: Masters, *, calibrated: bool, hot_replaced: bool | None) -> Knowledge:
    """Return what is known about lights and their masters.

    Parameters
    ----------
    masters
        The masters.
    calibrated
        True if the files contain calibrated lights.
    hot_replaced
        See `Knowledge`.
    """
    flat = masters.flat
    return Knowledge(
        calibrated or flat is not None,
        bool(masters.planes.dark_variance.any()),
        flat is None or bool(flat.uncertainty.any()),
        hot_replaced,
    )


def with_readout_noise(planes: Correction, signal: F32, period: int) -> Correction:
    """Return the planes; if the masters do not state the readout noise, use the pixel variance of a light instead.

    Outliers are rejected relative to this variance, so it must not be zero.

    Parameters
    ----------
    planes
        The planes of the masters.
    signal
        A calibrated light, ADU: float32, shape (height, width).
    period
        Distance between pixels of the same colour.
    """
    if planes.dark_variance.any():
        return planes
    limited = min(max(pixel_variance(signal, period), _LEAST_VARIANCE), _MOST_VARIANCE)
    return replace(planes, dark_variance=np.full(signal.shape, limited, np.float32))


def without_untestable(examined: Examination, known: Knowledge) -> Examination:
    """Return an examination without the estimates that cannot be trusted, given what is known."""
    if not (known.readout_noise and known.flat_uncertainty):
        examined = replace(examined, pedestals=None)
    if known.hot_replaced:
        examined = replace(examined, hot=None)
    if known.hot_replaced is not False:
        examined = replace(examined, lacking=None)
    if not known.flat_divided:
        # In lights that were not divided by a flat, vignetting changes colours and stellar flux across the field.
        examined = replace(examined, colour=None, unevenness=None)
    if not examined.sky_adu > 0:
        # Shadows are measured relative to the sky.
        examined = replace(
            examined, dust=DustResult(Change.NONE, 0.0, noise=float("inf")), unevenness=None, colour=None
        )
    return examined


def with_reasons(diagnosis: Diagnosis, known: Knowledge, missing: Mapping[Kind, str]) -> Diagnosis:
    """Return a diagnosis that states why some kinds of artifacts could not be tested.

    Parameters
    ----------
    diagnosis
        The diagnosis of an examination that `without_untestable` has returned.
    known
        What is known about lights and masters.
    missing
        Reasons why masters are missing, by the kinds of artifacts whose tests need these masters. These reasons replace
        the general ones.
    """
    untested = dict(diagnosis.untested)
    untested |= {kind: reason for kind, reason in missing.items() if kind in untested}
    if not (known.readout_noise and known.flat_uncertainty):
        which = "the flat does" if known.readout_noise else "dark and bias do"
        reason = f"{which} not state the uncertainty of the pixels (UNCERT and COUNTS), on which this test depends"
        untested |= {kind: missing.get(kind, reason) for kind in (Kind.OFFSET, Kind.OVERCORRECTION)}
    if known.hot_replaced and Kind.TEMPERATURE in untested:
        untested[Kind.TEMPERATURE] = "the hot pixels were replaced in the lights; the raw lights would show them"
    found = {finding.kind for finding in diagnosis.findings}
    if known.hot_replaced is None and Kind.TEMPERATURE in diagnosis.seen_down_to and Kind.TEMPERATURE not in found:
        untested[Kind.TEMPERATURE] = "another program may have replaced the hot pixels; the raw lights would show them"
    if not known.flat_divided:
        untested |= dict.fromkeys(
            (Kind.COLOUR, Kind.GRADIENT), missing.get(Kind.DUST, "the lights are not flat-fielded")
        )
    seen = {kind: limit for kind, limit in diagnosis.seen_down_to.items() if kind not in untested}
    return _finite(replace(diagnosis, seen_down_to=seen, untested=untested))


def _finite(diagnosis: Diagnosis) -> Diagnosis:
    """Return a diagnosis in which kinds of artifacts without a finite limit count as untested."""
    seen: dict[Kind, Sensitivity] = {}
    untested = dict(diagnosis.untested)
    for kind, limit in diagnosis.seen_down_to.items():
        if isfinite(limit.size):
            seen[kind] = limit
        else:
            untested[kind] = "too few pixels are free of stars, defects and dust, or the lights show no sky"
    return replace(diagnosis, seen_down_to=seen, untested=untested)
