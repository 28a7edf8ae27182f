"""Judge hot pixels and amplifier glow that the dark under-subtracts or over-subtracts."""

from collections.abc import Iterator
from math import log2

import numpy as np

from coldframe.calibration.diagnosis.estimating.thermometer import DOUBLING_C
from coldframe.calibration.diagnosis.examination import Examination
from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity
from coldframe.calibration.frames.setup import FrameSetup, setup_of

SIGNIFICANT = 6.0
LEAST_SLOPE = 0.035
"""Smallest remaining fraction of the hot pixels' signal that matters; it corresponds to a temperature difference of
0.3 C."""

LEAST_CHANGED = 0.05
"""Smallest fraction of changed hot pixels that matters; the fraction of flickering pixels is smaller."""

FEWEST_CHANGED = 10

GLOW_SIGMA = 6.0
LEAST_GLOW = 0.06
MOST_MIRRORED = 0.05
"""If lights seem to contain more than this fraction of a mirror image of the glow, a nebula might be mistaken for the
glow itself."""

_POSSIBLE = (-1.0, 1.0)
"""Range of plausible values of the remaining fraction of the dark's glow: before subtraction, lights contain between
none and twice as much glow as the dark."""

LEAST_GAIN_STEPS = 0.3
"""Smallest ratio between gains that can be recognised from the noise of the dark, in powers of 2."""

SAME_GAIN_STEPS = 0.2
"""Largest difference, in powers of 2, at which the gain ratios from hot pixels and from noise count as equal."""

_STEP = 3
_SAME_EXPOSURE = 0.01
_SAME_C = 0.3


def hot_pixel_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if the dark does not remove the hot pixels exactly, or if hot pixels have changed."""
    hot = examined.hot
    if hot is None:
        return
    slope = hot.slope
    is_old = hot.changed > max(LEAST_CHANGED, abs(slope.value)) and hot.changed * hot.pixels > FEWEST_CHANGED
    if slope.significance > SIGNIFICANT and abs(slope.value) > LEAST_SLOPE and not is_old:
        kind, cause, fix = _cause(examined, slope.value)
        subtracts = "under-subtracts" if slope.value > 0 else "over-subtracts"
        state = "warmer" if hot.light_warmer_c > 0 else "colder"
        yield Finding(
            kind,
            cause,
            hot.light_warmer_c if kind is Kind.TEMPERATURE else 1 + slope.value,
            "C" if kind is Kind.TEMPERATURE else "times the dark",
            hot.temperature_error_c if kind is Kind.TEMPERATURE else slope.error,
            slope.significance,
            matters=True,
            evidence=(
                f"the dark {subtracts} its {hot.pixels:,} hot pixels: {slope.value:+.1%} +- {slope.error:.1%} of their "
                f"signal remains, as if the lights were {abs(hot.light_warmer_c):.1f} C {state} than the dark"
            ),
            fix=fix,
            harm=1 + abs(slope.value) * hot.median_adu / examined.noise_adu,
        )
    elif is_old:
        yield Finding(
            Kind.TEMPERATURE,
            "the dark is old: hot pixels have appeared or disappeared since it was shot",
            100 * hot.changed,
            "% of hot pixels",
            100 * (hot.changed / hot.pixels) ** 0.5,
            (hot.changed * hot.pixels) ** 0.5,
            matters=True,
            evidence=(
                f"{hot.changed:.1%} of {hot.pixels:,} hot pixels differ between lights and dark, but their overall "
                "level does not"
            ),
            fix="shoot new darks: coldframe run --only dark --redo",
            harm=1 + hot.changed * hot.median_adu / examined.noise_adu,
        )


def _cause(examined: Examination, slope: float) -> tuple[Kind, str, str]:
    """Return the kind, the cause and the remedy of remaining hot pixels; the headers help to find the cause."""
    assert examined.masters.dark is not None
    dark, light = setup_of(examined.masters.dark.header), examined.light
    again = "shoot darks with the settings of the lights: coldframe run --only dark --redo"
    if dark.readout.gain is not None and light.readout.gain is not None and dark.readout.gain != light.readout.gain:
        cause = f"the gains differ: {light.readout.gain:g} for the lights and {dark.readout.gain:g} for the dark"
        return Kind.BANDING, cause, again
    is_scaled = examined.masters.dark_scale != 1
    if is_scaled:
        return (
            Kind.AMP_GLOW,
            "the scaled dark does not fit: dark current or glow is not proportional to the exposure",
            again,
        )
    if light.exposure_s and dark.exposure_s and abs(dark.exposure_s / light.exposure_s - 1) > _SAME_EXPOSURE:
        length = "longer" if dark.exposure_s > light.exposure_s else "shorter"
        cause = (
            f"the exposure of the dark is {length} than that of the lights ({dark.exposure_s:g} s and "
            f"{light.exposure_s:g} s)"
        )
        return Kind.AMP_GLOW, cause, f"shoot darks of {light.exposure_s:g} s: coldframe run --only dark --redo"
    if _has_noise_of_other_gain(examined, slope):
        cause = f"the gain of the dark differs: its signal and noise are those of the lights divided by {1 + slope:.2f}"
        return Kind.BANDING, cause + _although(dark.readout.gain, light.readout.gain), again
    measured_c = DOUBLING_C * log2(max(1 + slope, 1e-3))
    state = "colder" if measured_c > 0 else "warmer"
    stated = _stated_difference(light, dark)
    cause = f"the dark has a different temperature: it is {abs(measured_c):.1f} C {state} than the lights{stated}"
    return Kind.TEMPERATURE, cause, again.replace("with the settings", "at the temperature")


def _has_noise_of_other_gain(examined: Examination, slope: float) -> bool:
    """Return whether the noise of dark and bias differs by the same factor as the hot pixels of dark and lights.

    A different gain changes signal and readout noise alike. A different temperature or exposure does not change the
    readout noise.
    """
    dark, bias, gain = examined.masters.dark, examined.masters.bias, examined.gain
    if dark is None or bias is None or slope <= -1 or abs(log2(1 + slope)) < LEAST_GAIN_STEPS:
        return False
    of_dark, of_bias = (float(np.median(each.frame_variance[::_STEP, ::_STEP])) for each in (dark, bias))
    if gain is not None:
        current_adu = float(np.median(dark.mean[::_STEP, ::_STEP]) - np.median(bias.mean[::_STEP, ::_STEP]))
        of_dark -= max(current_adu, 0.0) / (gain.e_per_adu * (1 + slope))
    if of_dark <= 0 or of_bias <= 0:
        return False
    return abs(log2(of_dark / of_bias) / 2 + log2(1 + slope)) < SAME_GAIN_STEPS


def _although(of_dark: float | None, of_lights: float | None) -> str:
    return ", although the headers state the same gain" if of_dark is not None and of_dark == of_lights else ""


def _stated_difference(light: FrameSetup, dark: FrameSetup) -> str:
    if light.temperature_c is None or dark.temperature_c is None:
        return ", or its exposure differs"
    difference_c = light.temperature_c - dark.temperature_c
    if abs(difference_c) < _SAME_C:
        return ", although the headers state the same temperature; or its exposure differs"
    return f" (the headers state {light.temperature_c:.1f} C and {dark.temperature_c:.1f} C)"


def glow_findings(examined: Examination) -> Iterator[Finding]:
    """Yield a finding if the dark under-subtracts or over-subtracts the amplifier glow."""
    if examined.glow is None:
        return
    glow, mirrored = examined.glow
    is_possible = _POSSIBLE[0] < glow.value < _POSSIBLE[1]
    if glow.significance <= GLOW_SIGMA or abs(glow.value) <= LEAST_GLOW or not is_possible:
        return
    if mirrored > MOST_MIRRORED:
        return
    much = "too little" if glow.value > 0 else "too much"
    slope = 0.0 if examined.hot is None else examined.hot.slope.value
    with_hot = slope * glow.value > 0 and abs(slope) > LEAST_SLOPE
    cause = f"the dark subtracts {much} amplifier glow"
    reasons = "its exposure or temperature differs", "it was scaled, or was shot in a different readout mode"
    cause += f": {reasons[0] if with_hot else reasons[1]}"
    yield Finding(
        Kind.AMP_GLOW,
        cause,
        1 + glow.value,
        "times the dark",
        glow.error,
        glow.significance,
        matters=True,
        evidence=(
            f"{glow.value:+.0%} +- {glow.error:.0%} of the dark's glow remains in the lights; mirror images of the "
            f"glow fit with at most {mirrored:.0%}; {slope:+.1%} of the hot pixels' signal remains"
        ),
        fix="shoot darks with the settings of the lights, and do not scale them: coldframe run --only dark --redo",
        harm=1 + abs(glow.value),
    )


def temperature_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest temperature difference that would be found, or the reason why none would be."""
    if examined.masters.dark is None:
        return "no dark"
    if examined.hot is None:
        return "the dark has too few hot pixels, or they were replaced in the lights"
    least = max(SIGNIFICANT * examined.hot.slope.error, LEAST_SLOPE)
    return Sensitivity(DOUBLING_C * log2(1 + least), "C", "temperature difference between lights and dark")


def glow_limit(examined: Examination) -> Sensitivity | str:
    """Return the smallest change in the glow that would be found, or the reason why none would be."""
    if examined.masters.dark is None:
        return "no dark"
    if examined.glow is None:
        return "the dark has no glow"
    glow, mirrored = examined.glow
    if mirrored > MOST_MIRRORED:
        return "nebulae or the sky cannot be distinguished from the glow"
    return Sensitivity(100 * max(GLOW_SIGMA * glow.error, LEAST_GLOW), "%", "fraction of the dark's glow")
