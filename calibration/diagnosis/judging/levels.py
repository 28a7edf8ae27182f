"""Judge pedestals in lights and flats, and light in darks."""

from collections.abc import Iterator
from math import hypot, inf
from typing import NamedTuple

import numpy as np

from coldframe.calibration.diagnosis.estimating.estimates import Estimate
from coldframe.calibration.diagnosis.estimating.gain import MEASURED_ERROR
from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind, Origin, Sensitivity
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.caveats import flat_level_adu

SIGNIFICANT = 5.0
LEAST_OF_SKY = 0.009
"""Smallest pedestal that matters, relative to the sky."""

LEAST_BY_NOISE = 0.15
"""Smallest pedestal, relative to the sky, that counts if only the photon noise shows it: nebulae add noise, and without
a flat, nothing confirms the gain."""

OTHER_RESPONSE = Estimate(0.004, 0.003)
"""Apparent pedestal, relative to the sky, that arises because the flat does not remove the fixed pattern completely:
the pattern depends on the colour of the light. In simulated nights, the patterns in flats and in the sky have
correlations of 0.994 to 1."""

LEAST_GENUINE = 0.3
"""Smallest fraction of the flat's pattern that must be genuine rather than noise; smoothed flats have no pattern."""

CHANCE_CHI2 = 4.0
"""Improvement in chi-square that is attributed to chance when a gradient in two directions is fitted."""

LEAK_CHI2 = 5.0
"""Advantage in chi-square above which light in the dark, rather than a pedestal in the flat, is taken as the cause."""

LEAK_SIGMA = 4.0
"""Significance of the pedestal from pixel responses above which its gradient is taken into account as well: light in
the dark is seldom even."""

UNCONFIRMED_CHI2 = 2.0
"""If the gain from the flat contradicts over-correction by at least this chi-square, the apparent over-correction is
attributed to a lamp whose colour, and hence whose pattern of pixel responses, differs from that of the sky."""

GRADIENT_SIGMA = 2.3
"""Significance of the gradient at or above which light in the dark is called uneven."""

NAMED_SIGMA = 2.5
"""Smallest significance of the pedestal from photon noise at which it can confirm the pedestal from pixel responses,
and thus indicate an offset in the lights rather than a pedestal in the flat."""

MOST_APART = 9.0
"""Largest squared difference between the pedestals from pixel responses and from photon noise, in units of its
variance, at which they confirm each other; it corresponds to three standard errors. In crowded fields, faint stars add
noise, which makes the pedestal from photon noise too low."""

UNSEEN_STARS = 0.004
"""Error of the level, relative to the sky, that is caused by the noise of stars too faint to be masked."""

_PEDESTAL_FRACTION = 0.85
"""If the pedestal exceeds this fraction of the level to be subtracted, it is assumed that the bias or dark was not
subtracted."""

PEDESTAL_OF_LIGHTS = "the lights still contain their pedestal: the bias or dark was not, or not completely, subtracted"

_VIGNETTING = 0.2
"""Typical darkening of the corners, as a fraction. Division by the flat makes this fraction of a pedestal visible."""


def pedestal_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if there is a pedestal in the lights or in the flat, or light in the dark."""
    found = examined.pedestals
    if found is None:
        return
    response = _by_response(examined)
    noise = _by_noise(examined)
    sky = max(abs(found.sky_adu), 1.0)
    if examined.masters.flat is None:
        if noise.significance > SIGNIFICANT and abs(noise.value) > LEAST_BY_NOISE * sky:
            yield _offset(
                examined,
                noise,
                "the photon noise of the lights implies a different level; without a flat, there is no other evidence",
            )
        return
    if (
        found.genuine < LEAST_GENUINE
        or _significance(examined, response, noise) <= SIGNIFICANT
        or abs(response.value) <= LEAST_OF_SKY * sky
    ):
        return
    chi2 = _chi_squares(examined, response, noise)
    slope = max((found.across_adu, found.down_adu), key=lambda each: each.significance)
    if chi2.offset < min(chi2.flat, chi2.leak if response.value < 0 else inf):
        evidence = (
            f"the pattern of pixel responses and the photon noise agree: {response.value:+.1f} +- {response.error:.1f}"
            f" and {noise.value:+.1f} +- {noise.error:.1f} ADU"
        )
        yield _offset(examined, _combined(response, noise), evidence)
    elif response.value < 0 and chi2.flat - chi2.leak + max(_gradient_chi2(examined) - CHANCE_CHI2, 0) > LEAK_CHI2:
        yield _leak(examined, response, slope)
    elif response.value < 0 or chi2.flat - chi2.leak < UNCONFIRMED_CHI2:
        yield _flat_pedestal(examined, response, noise)


def _by_response(examined: Examination) -> Estimate:
    """Return the pedestal from pixel responses, excluding the uniform residual of a dark at a wrong temperature."""
    assert examined.pedestals is not None
    found = examined.pedestals.by_response_adu
    sky = examined.pedestals.sky_adu
    value = found.value - OTHER_RESPONSE.value * sky
    bias, dark, hot = examined.masters.bias, examined.masters.dark, examined.hot
    if bias is not None and dark is not None and hot is not None:
        current_adu = float(np.median(dark.mean[::7, ::7]) - np.median(bias.mean[::7, ::7]))
        value -= hot.slope.value * max(current_adu, 0.0)
    return Estimate(value, hypot(found.error, OTHER_RESPONSE.error * sky))


def _by_noise(examined: Examination) -> Estimate:
    assert examined.pedestals is not None
    found = examined.pedestals.by_noise_adu
    return Estimate(found.value, hypot(found.error, UNSEEN_STARS * examined.pedestals.sky_adu))


def _flat_gain(examined: Examination, noise: Estimate, pedestal: Estimate) -> Estimate:
    """Return how much the gain from the flat exceeds the gain from the lights, relative to the latter.

    A pedestal in the flat would cause an excess.

    Parameters
    ----------
    examined
        The examination of the lights.
    noise
        The pedestal in the lights, derived from their photon noise.
    pedestal
        The pedestal that the lights are assumed to contain; with it, the gain from their level and noise is more
        precise.
    """
    found = examined.pedestals
    assert found is not None
    assert examined.gain is not None
    share = found.shared / noise.error**2
    e_per_adu = found.e_per_adu.value + share * (pedestal.value - noise.value)
    variance = found.e_per_adu.error**2 - share * found.shared + (share * pedestal.error) ** 2
    from_flat = examined.gain.from_flat
    if from_flat is None or e_per_adu <= 0:
        return Estimate(0.0, inf)
    return Estimate(from_flat / e_per_adu - 1, hypot(max(variance, 0.0) ** 0.5 / e_per_adu, MEASURED_ERROR))


class _ChiSquares(NamedTuple):
    """Chi-square of each cause, given three measurements: pixel responses, photon noise and the gain from the flat."""

    offset: float
    flat: float
    leak: float


def _chi_squares(examined: Examination, response: Estimate, noise: Estimate) -> _ChiSquares:
    """Return the chi-square of each cause.

    An offset in the lights affects the responses and the noise. A pedestal in the flat affects the responses and the
    gain from the flat. Light in the dark affects only the responses, because the variance of the dark, which is
    subtracted, includes the photon noise of that light.
    """
    assert examined.pedestals is not None
    in_flat = examined.pedestals.sky_adu * examined.pedestals.genuine
    of_flat = Estimate(-response.value / in_flat, response.error / in_flat)
    gain = _flat_gain(examined, noise, Estimate(0.0, 0.0))
    with_offset = _flat_gain(examined, noise, _combined(response, noise))
    no_noise = (noise.value / noise.error) ** 2
    return _ChiSquares(
        offset=_apart(response, noise) + (with_offset.value / with_offset.error) ** 2,
        flat=_apart(of_flat, gain) + no_noise,
        leak=no_noise + (gain.value / gain.error) ** 2,
    )


def _gradient_chi2(examined: Examination) -> float:
    assert examined.pedestals is not None
    return examined.pedestals.across_adu.significance**2 + examined.pedestals.down_adu.significance**2


def _significance(examined: Examination, response: Estimate, noise: Estimate) -> float:
    """Return the significance of a pedestal.

    The significance includes the photon noise if the noise confirms the pixel responses. It includes the gradient of
    the pedestal if the responses suggest light in the dark.
    """
    is_confirmed = response.value * noise.value > 0 and _apart(response, noise) < MOST_APART
    if is_confirmed and noise.significance > NAMED_SIGMA:
        return hypot(response.significance, noise.significance)
    if response.value < 0 and response.significance > LEAK_SIGMA:
        return hypot(response.significance, max(_gradient_chi2(examined) - CHANCE_CHI2, 0.0) ** 0.5)
    return response.significance


def _apart(one: Estimate, other: Estimate) -> float:
    """Return the squared difference between two estimates in units of its variance; 0 if either is unknown."""
    variance = one.error**2 + other.error**2
    return 0.0 if variance == inf else (one.value - other.value) ** 2 / variance


def _combined(one: Estimate, other: Estimate) -> Estimate:
    weights = one.error**-2, other.error**-2
    value = (one.value * weights[0] + other.value * weights[1]) / sum(weights)
    return Estimate(value, sum(weights) ** -0.5)


def _offset(examined: Examination, size: Estimate, evidence: str) -> Finding:
    level = np.median(examined.masters.planes.subtracted[::7, ::7])
    if size.value > _PEDESTAL_FRACTION * level > 0 and not _setting_difference(examined):
        cause, origin = PEDESTAL_OF_LIGHTS, Origin.PEDESTAL_OF_LIGHTS
        fix = (
            "calibrate the lights with a dark that contains its bias, and remove any pedestal that other programs added"
        )
        kind = Kind.OVERCORRECTION
    else:
        origin = None
        direction = "higher" if size.value > 0 else "lower"
        difference = f"{abs(size.value):.1f} ADU {direction}"
        cause = f"the level of the lights is {difference} than that of the dark; probable cause: a different offset"
        fix = (
            "compare the offsets, gains and driver versions of lights and darks; shoot darks with the settings of the "
            "lights: coldframe run --only dark --redo"
        )
        kind = Kind.OFFSET
    if examined.negative > _expected_negative(examined):
        evidence += f"; {examined.negative:.0%} of the pixels are below zero, more than noise explains"
    return Finding(
        kind,
        cause + _setting_difference(examined),
        size.value,
        "ADU",
        size.error,
        size.significance,
        matters=True,
        evidence=evidence,
        fix=fix,
        harm=1 + abs(size.value) * _VIGNETTING / examined.stack_noise_adu,
        origin=origin,
    )


def _setting_difference(examined: Examination) -> str:
    if examined.masters.dark is None:
        return ""
    dark, light = setup_of(examined.masters.dark.header).readout, examined.light.readout
    for name, own, other in (("offset", light.offset, dark.offset), ("gain", light.gain, dark.gain)):
        if own is not None and other is not None and own != other:
            return f" (the headers state {name} {own:g} for the lights and {other:g} for the dark)"
    return ""


def _expected_negative(examined: Examination) -> float:
    """Return twice the Chernoff bound for the fraction of pixels that Gaussian noise takes below zero; at least 1 %."""
    sky, noise = max(examined.sky_adu, 0.0), examined.noise_adu
    return max(2 * 0.5 * float(np.exp(-0.5 * (sky / noise) ** 2)), 0.01) if noise else 0.01


def _flat_pedestal(examined: Examination, response: Estimate, noise: Estimate) -> Finding:
    found = examined.pedestals
    assert found is not None
    assert examined.masters.flat is not None
    relative = -response.value / found.sky_adu / found.genuine
    error = response.error / found.sky_adu / found.genuine
    level_adu = flat_level_adu(examined.masters.flat.header)
    size, unit, scale = 100 * relative, "% of the flat's level", 100.0
    if level_adu is not None:
        size, unit, scale = relative * level_adu, "ADU", level_adu
    factor = 1 / (1 + relative)
    if relative > 0:
        cause = "the flat contains a pedestal: too little was subtracted from its frames, so it under-corrects"
    else:
        cause = "the wrong pedestal was subtracted from the flat: too much was subtracted, so it over-corrects"
    evidence = (
        f"the lights contain {1 + relative:.3f} times the structure that the flat removes (factor {factor:.3f}), but "
        f"their photon noise shows no offset ({noise.value:+.1f} +- {noise.error:.1f} ADU)"
    )
    return Finding(
        Kind.OVERCORRECTION,
        cause,
        size,
        unit,
        error * scale,
        response.significance,
        matters=True,
        evidence=evidence,
        fix=(
            "subtract dark flats of the flats' exposure from the flats instead of a bias: "
            "coldframe run --only flat --redo"
        ),
        harm=1 + abs(relative) * found.sky_adu * _VIGNETTING / examined.stack_noise_adu,
    )


def _leak(examined: Examination, response: Estimate, slope: Estimate) -> Finding:
    assert examined.pedestals is not None
    # The level of light that enters through a gap falls from twice its mean on one side to zero on the other. A slope
    # smaller than the mean is closer to even light.
    is_even = slope.significance < GRADIENT_SIGMA and abs(slope.value) < abs(response.value)
    size = Estimate(-response.value, response.error) if is_even else Estimate(abs(slope.value), slope.error)
    direction = "from left to right" if slope is examined.pedestals.across_adu else "from top to bottom"
    return Finding(
        Kind.OFFSET if is_even else Kind.GRADIENT,
        "the dark contains light: light leaked into the darks",
        size.value,
        "ADU",
        size.error,
        max(size.significance, response.significance),
        matters=True,
        evidence=(
            f"the dark subtracts {-response.value:.1f} +- {response.error:.1f} ADU too much, with a change of "
            f"{abs(slope.value):.1f} +- {slope.error:.1f} ADU {direction}; the dark also contains the photon noise of "
            "this light, and the gain from the flats shows no pedestal"
        ),
        fix="cover the telescope so that no light enters, and shoot the darks again: coldframe run --only dark --redo",
        harm=1 + abs(size.value) / 2 / examined.stack_noise_adu,
    )


def offset_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest offset that would be found, or the reason why none would be."""
    if examined.pedestals is None:
        return "the gain is unknown: it follows neither from EGAIN nor from the scatter of the flats"
    noise = _by_noise(examined)
    least = SIGNIFICANT * noise.error
    if examined.masters.flat is not None:
        least = max(SIGNIFICANT * _by_response(examined).error, NAMED_SIGMA * noise.error)
    return Sensitivity(max(least, LEAST_OF_SKY * abs(examined.sky_adu)), "ADU", "offset between lights and dark")


def flat_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest pedestal in the flat that would be found, or the reason why none would be."""
    if examined.masters.flat is None:
        return "no flat"
    if examined.pedestals is None:
        return "the gain is unknown"
    if not examined.masters.flat.uncertainty.any():
        return "the flat does not state its uncertainty, so its noise cannot be distinguished from pixel responses"
    if examined.pedestals.genuine < LEAST_GENUINE:
        return "the flat shows no pattern of pixel responses: it is too noisy, or was smoothed"
    least = max(SIGNIFICANT * _by_response(examined).error, LEAST_OF_SKY * abs(examined.sky_adu))
    return Sensitivity(
        100 * least / max(abs(examined.sky_adu), 1.0), "%", "pedestal of the flat, relative to its level"
    )
