"""Pixels below zero: the only sign of over-subtraction that can be seen without gain, flat and uncertainties."""

from collections.abc import Iterator, Sequence
from math import erfc, sqrt

from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind

LEAST_NOISE = 0.1
"""Smallest distance of the sky below zero that matters, relative to the noise of a pixel in one light."""

MOST_TIMES, MOST_MORE = 3.0, 0.05
"""The fraction of negative pixels must exceed the expected fraction by this factor and by this amount to be a finding,
because pixels in a gradient, in vignetted corners or under an uneven dark are fainter than the mean."""

_SAME_LEVEL_ADU = 1.0


def expected_fraction(sky_adu: float, noise_adu: float) -> float:
    """Return the fraction of pixels that Gaussian noise takes below zero."""
    return erfc(sky_adu / noise_adu / sqrt(2)) / 2 if noise_adu > 0 else float(sky_adu < 0)


def negative_findings(examined: Examination, found: Sequence[Finding]) -> Iterator[Finding]:
    """Yield a finding if more pixels are below zero than noise explains, unless another finding is an offset.

    Parameters
    ----------
    examined
        The examination of the lights.
    found
        The findings of the other tests.
    """
    sky, noise = examined.sky_adu, examined.noise_adu
    if any(finding.kind is Kind.OFFSET and finding.matters for finding in found) or not noise > 0:
        return
    expected = expected_fraction(max(sky, 0.0), noise)
    is_below = sky < -max(LEAST_NOISE * noise, _SAME_LEVEL_ADU)
    # The colours of a filter array have different levels, so the expected fraction does not follow from their mean.
    is_partly_below = examined.light.mosaic is None and examined.negative > max(
        MOST_TIMES * expected, expected + MOST_MORE
    )
    if not is_below and not is_partly_below:
        return
    yield Finding(
        Kind.OFFSET,
        (
            "too much is subtracted from the lights: their sky is below zero"
            if is_below
            else "parts of the lights are below zero: too much is subtracted there"
        ),
        100 * examined.negative,
        "% of the pixels",
        100 * _error(examined),
        (examined.negative - expected) / max(_error(examined), 1e-6),
        matters=True,
        evidence=(
            f"{examined.negative:.1%} of the pixels are below zero, and noise explains {expected:.1%}; the sky is "
            f"{sky:+.1f} ADU and the noise of a pixel {noise:.1f} ADU"
        ),
        fix=(
            "compare gain, offset, temperature and exposure of lights and darks, and check whether light reached the "
            "darks; shoot darks with the settings of the lights: coldframe run --only dark --redo"
        ),
        harm=1 + abs(min(sky, 0.0)) / examined.stack_noise_adu,
    )


def _error(examined: Examination) -> float:
    """Return the standard error of the fraction of negative pixels, from the number of sampled pixels."""
    pixels = max(examined.light.width * examined.light.height * examined.lights / 49, 1.0)
    return sqrt(max(examined.negative * (1 - examined.negative), 1 / pixels) / pixels)
