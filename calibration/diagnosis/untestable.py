"""The conclusions that missing masters, or masters without uncertainty, do not allow.

An estimate that depends on a missing plane would be wrong rather than inaccurate. Therefore, these estimates are
removed from the examination, and the reasons are stated by kind of artifact.
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
"""Range of the variance of a pixel, ADU^2."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The knowledge about the lights and masters that decides which artifacts can be tested.

    Attributes
    ----------
    flat_divided
        True if the lights were divided by a flat, which may be unknown.
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
    """Return the knowledge about lights and their masters.

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
    """Return the planes with the variance of a light's pixels as readout noise if the masters do not state it.

    Outliers are cut relative to this variance; it must not be zero.

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
    """Return an examination without the estimates that the knowledge does not support."""
    if not (known.readout_noise and known.flat_uncertainty):
        examined = replace(examined, pedestals=None)
    if known.hot_replaced:
        examined = replace(examined, hot=None)
    if known.hot_replaced is not False:
        examined = replace(examined, lacking=None)
    if not known.flat_divided:
        # Without a division by the flat, vignetting changes colours and the flux of stars over the field.
        examined = replace(examined, colour=None, unevenness=None)
    if not examined.sky_adu > 0:
        # Shadows are measured relative to the sky.
        examined = replace(
            examined, dust=DustResult(Change.NONE, 0.0, noise=float("inf")), unevenness=None, colour=None
        )
    return examined


def with_reasons(diagnosis: Diagnosis, known: Knowledge, missing: Mapping[Kind, str]) -> Diagnosis:
    """Return a diagnosis with the reasons why some kinds could not be tested.

    Parameters
    ----------
    diagnosis
        The diagnosis of an examination from `without_untestable`.
    known
        The knowledge about lights and masters.
    missing
        Reasons for missing masters, by the kinds that need them; they replace general reasons.
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
    """Return a diagnosis that counts kinds without a finite limit as untested."""
    seen: dict[Kind, Sensitivity] = {}
    untested = dict(diagnosis.untested)
    for kind, limit in diagnosis.seen_down_to.items():
        if isfinite(limit.size):
            seen[kind] = limit
        else:
            untested[kind] = "too few pixels without stars, defects and dust, or no light of the sky"
    return replace(diagnosis, seen_down_to=seen, untested=untested)
