"""Master darks and biases: hot pixels, light, and levels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_ratio
from coldframe.calibration.diagnosis.estimating.thinned_masters import HotPixels
from coldframe.calibration.diagnosis.findings import Finding, Origin
from coldframe.calibration.diagnosis.masters.master_finding import adu, master_finding
from coldframe.calibration.diagnosis.masters.structure import block_residuals, cut_blocks, residuals_of
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.masters.reading import MasterPlanes, typical_variance
from coldframe.calibration.measuring.amp_glow import measure_glow
from coldframe.calibration.measuring.medians import median
from coldframe.calibration.measuring.statistics import central_region

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LEAST_HOT = 5e-5
"""Smallest plausible fraction of hot pixels in a dark; CMOS and CCD sensors have 0.01 to 1 %."""

LEAST_HOT_EXPOSURE_S = 20.0
FEWEST_PIXELS = 100_000
"""Hot pixels are expected in darks with at least this exposure and this number of pixels."""

CUT_FACTOR = 8.0
FEWEST_BELOW_CUT = 40
LEAST_ABOVE_CUT = 0.01
"""The bright hot pixels are assumed to have been removed from a dark if it has at least `FEWEST_BELOW_CUT` hot pixels,
but less than the fraction `LEAST_ABOVE_CUT` of them exceeds `CUT_FACTOR` times the smallest excess. In real sensors,
about half as many pixels exceed twice a given signal, so about an eighth of the hot pixels exceeds eight times the
smallest excess."""

MOST_LACKING = 5e-5
"""Largest fraction of pixels that may be hot only in the lights, because they flicker."""

LIGHT_SIGMA = 7.0
LEAST_LIGHT = 0.4
"""Light in a dark matters only above this significance, and above this level relative to the noise of a pixel in one
frame."""

LEAST_LEVEL = 0.3
LEAST_LEVEL_ADU = 1.0
"""Smallest difference between levels that matters: relative to the noise of a pixel in one frame, and in ADU. The
larger of the two limits applies."""

COOLED_E_PER_S = 2.0
"""Largest plausible dark current of a cooled sensor at 0 C, in electrons per second; it halves with every 6 C of
cooling. Cooled sensors have dark currents of 0.001 to 0.5 electrons per second."""

DOUBLING_C = 6.0
FACTOR_OF_RECORD = 1.5
"""Dark current, relative to the camera's record, above which light or a warmer sensor is the probable cause."""

FLOOR_SIGMA = 4.0
"""Smallest level of a bias, in units of the noise of a pixel, at which the noise is not clipped at zero."""

_STEP = 3
_GROUPS = 64
_LARGEST_VARIANCE = 3.0


@dataclass(frozen=True, slots=True)
class Expected:
    """Known properties of the camera; None for those that are unknown.

    Attributes
    ----------
    dark_current_e_per_s
        Dark current of ordinary pixels at the temperature of the dark, from the camera's record.
    e_per_adu
        Electrons per ADU.
    """

    dark_current_e_per_s: float | None = None
    e_per_adu: float | None = None


def frame_noise_adu(dark: MasterPlanes) -> float:
    """Return the noise of a pixel in one frame of a master, ADU; 0 if unknown."""
    return float(np.sqrt(typical_variance(dark)))


def level_adu(master: MasterPlanes) -> float:
    """Return the median level of the central area of a master, ADU."""
    return float(median(master.mean[central_region(master.mean.shape)]))


def least_level_adu(dark: MasterPlanes) -> float:
    """Return the smallest difference between levels of two masters that matters, ADU."""
    return max(LEAST_LEVEL * frame_noise_adu(dark), LEAST_LEVEL_ADU)


# ---- hot pixels ----


def hot_findings(hot: HotPixels, pixels: int, setup: FrameSetup, lacking: float | None) -> Iterator[Finding]:
    """Yield a finding if the hot pixels of a dark are missing.

    Parameters
    ----------
    hot
        The hot pixels of the dark.
    pixels
        Number of pixels of the dark.
    setup
        Setup of the dark.
    lacking
        Fraction of pixels that are hot in the median of dithered lights but not in the dark; None if unknown.
    """
    fix = (
        "Combine the raw darks again without cosmetic correction, and switch off hot-pixel removal in the camera and "
        "the capture program, or shoot the darks again."
    )
    if lacking is not None:
        if lacking <= MOST_LACKING:
            return
        count = round(lacking * pixels)
        yield master_finding(
            f"the dark lacks {count:,} hot pixels that the lights have",
            Estimate(float(count), max(count, 1) ** 0.5),
            "px",
            least=MOST_LACKING * pixels,
            evidence="after this dark is subtracted, these pixels remain bright in every dithered light",
            fix=fix,
            origin=Origin.HOT_PIXELS_REMOVED,
        )
        return
    long_enough = setup.exposure_s is not None and setup.exposure_s >= LEAST_HOT_EXPOSURE_S
    if not long_enough or pixels < FEWEST_PIXELS:
        return
    excess_adu = hot.excess_adu
    limit_adu = float(excess_adu.min()) if excess_adu.size else 0.0
    fewest = LEAST_HOT * pixels
    above = int(np.count_nonzero(excess_adu > CUT_FACTOR * limit_adu))
    is_cut = excess_adu.size >= FEWEST_BELOW_CUT and above < LEAST_ABOVE_CUT * excess_adu.size
    if excess_adu.size >= fewest and not is_cut:
        return
    seen = (
        f"{above:,} pixels exceed their neighbours by more than {adu(CUT_FACTOR * limit_adu)}, although "
        f"{excess_adu.size:,} exceed them by at least {adu(limit_adu)}"
        if is_cut
        else f"{excess_adu.size:,} of {pixels:,} pixels exceed their neighbours by 12 standard errors"
    )
    count = excess_adu.size
    missing = Estimate(max(fewest - count, 1.0), 1.0) if not is_cut else Estimate(float(count), count**0.5)
    yield master_finding(
        "the dark has no hot pixels: they were removed, so they remain in the lights",
        missing,
        "px",
        least=1.0,
        evidence=f"{seen}; a sensor has 0.01 to 1 % hot pixels in a dark of {setup.exposure_s:g} s",
        fix=fix,
        origin=Origin.HOT_PIXELS_REMOVED,
    )


# ---- light ----


def light_in_dark(dark: MasterPlanes, bias: MasterPlanes | None, flat: MasterPlanes, period: int) -> Estimate | None:
    """Return the light in a dark, ADU, from the response of individual pixels; None if there are too few pixels.

    Light is modulated by the response r of each pixel; dark current is not. With the residuals h of the dark (ADU), the
    light is sum(h r) / sum(r^2). The noise of the flat, which is part of r, would make this estimate too small; the
    variance of the noise is therefore subtracted.
    """
    signal = cut_blocks(dark.mean, period)
    if bias is not None:
        signal -= cut_blocks(bias.mean, period)
    # Residuals are relative to the mean of a block; a constant keeps this mean far from zero.
    residuals, levels = residuals_of(signal + np.float32(10_000))
    h = (residuals * levels[:, :, None, None]).reshape(-1, 16)
    r, flat_levels = block_residuals(flat.mean, period)
    noise = block_residuals_noise(flat, period)
    r = r.reshape(-1, 16)
    lit = (flat_levels > 0.05).reshape(-1)  # noqa: PLR2004
    for each in (h, r):
        variances = np.square(each).mean(axis=1)
        lit &= variances <= _LARGEST_VARIANCE * float(np.median(variances[lit])) if lit.any() else False
    if np.count_nonzero(lit) < _GROUPS:
        return None
    size = np.count_nonzero(lit) // _GROUPS * _GROUPS
    products = (h * r)[lit][:size].reshape(_GROUPS, -1).mean(axis=1, dtype=np.float64)
    squares = np.square(r)[lit][:size].reshape(_GROUPS, -1).mean(axis=1, dtype=np.float64)
    return robust_ratio(products, np.maximum(squares - noise, 1e-12))


def block_residuals_noise(flat: MasterPlanes, period: int) -> float:
    """Return the relative variance that the noise of a flat adds to its residuals."""
    sampled = np.square(flat.uncertainty[:: _STEP * period, ::_STEP])
    return float(np.median(sampled)) * 13 / 16


def light_findings(
    dark: MasterPlanes,
    setup: FrameSetup,
    period: int,
    *,
    bias: MasterPlanes | None,
    flat: MasterPlanes | None,
    expected: Expected,
) -> Iterator[Finding]:
    """Yield findings about light that fell on the sensor while the darks were being shot."""
    fix = "Shoot the darks again with the telescope and the camera covered, in darkness, and with all LEDs off."
    least_adu = max(LEAST_LIGHT * frame_noise_adu(dark), LEAST_LEVEL_ADU)
    if flat is not None and flat.mean.shape == dark.mean.shape:
        light = light_in_dark(dark, bias, flat, period)
        if light is not None and light.value > least_adu and light.significance > LIGHT_SIGMA:
            yield master_finding(
                f"light of {adu(light.value)} fell on the sensor while the darks were being shot",
                light,
                "ADU",
                least=least_adu,
                evidence="the pixels of the dark follow the response of the flat's pixels to light "
                f"({light.significance:.0f} standard errors), which dark current does not; glow that consists of light "
                "follows it as well, but only near the amplifiers",
                fix=fix,
            )
            return
    if bias is not None and not setup.bias_subtracted:
        yield from _rise(dark, bias)
        yield from _dark_current(dark, setup, bias, expected, fix)


def _rise(dark: MasterPlanes, bias: MasterPlanes) -> Iterator[Finding]:
    """Yield a finding if the dark signal rises smoothly towards an edge; the cause of the rise remains uncertain."""
    glow = measure_glow(dark.mean - bias.mean)
    if glow.significant and glow.amplitude_adu > LEAST_LEVEL_ADU:
        yield master_finding(
            f"the dark signal rises by {adu(glow.amplitude_adu)} {glow.place}: amplifier glow or a light leak, which "
            "cannot be distinguished in a single dark",
            Estimate(glow.amplitude_adu, glow.error_adu),
            "ADU",
            least=None,
            evidence="glow is the same in every dark of the same exposure and temperature, whereas a leak changes with "
            "the light around the camera",
        )


def _dark_current(
    dark: MasterPlanes, setup: FrameSetup, bias: MasterPlanes, expected: Expected, fix: str
) -> Iterator[Finding]:
    """Yield a finding if the dark current exceeds the known or plausible value."""
    if expected.e_per_adu is None or not setup.exposure_s:
        return
    signal_adu = level_adu(dark) - level_adu(bias)
    e_per_s = signal_adu * expected.e_per_adu / setup.exposure_s
    error = 0.3 * least_level_adu(dark) * expected.e_per_adu / setup.exposure_s
    glow = measure_glow(dark.mean)
    shape = f"; {glow}" if glow.significant else ""
    limit, source = _limit(setup, expected)
    if limit is None or e_per_s < limit or e_per_s - limit < 5 * error:
        return
    yield master_finding(
        f"the dark contains {e_per_s:.3g} electrons per second, more than dark current explains; possible causes: "
        "light, or a warmer sensor",
        Estimate(e_per_s, error),
        "e/s",
        least=limit,
        evidence=f"{source}{shape}; a leak and amplifier glow look alike in a dark; a flat from this camera (which "
        "shows how the pixels respond to light) or a dark shot with the camera sealed would distinguish them",
        fix=fix,
    )


def _limit(setup: FrameSetup, expected: Expected) -> tuple[float | None, str]:
    if expected.dark_current_e_per_s is not None:
        known = expected.dark_current_e_per_s
        return FACTOR_OF_RECORD * known, f"the camera's record states {known:.3g} e/s at this temperature"
    if setup.temperature_c is not None and setup.cooled and setup.temperature_c <= 0:
        limit = COOLED_E_PER_S * 2 ** (setup.temperature_c / DOUBLING_C)
        return limit, f"cooled sensors have at most about {limit:.2g} e/s at {setup.temperature_c:.0f} C"
    return None, ""


# ---- levels ----


def level_findings(dark: MasterPlanes, setup: FrameSetup, bias: MasterPlanes | None) -> Iterator[Finding]:
    """Yield a finding if the level of a dark is below that of the bias, or if the bias is clipped at zero."""
    level, least = level_adu(dark), least_level_adu(dark)
    noise = frame_noise_adu(dark)
    if setup.bias_subtracted or setup.overscan is not None:
        if level < -least:
            yield _negative(level, least, f"its median is {adu(level)} after the bias was subtracted")
        return
    if bias is not None and bias.mean.shape == dark.mean.shape:
        difference = level - level_adu(bias)
        if difference < -least:
            yield _negative(difference, least, f"the dark has {adu(level)}, and the bias has {adu(level - difference)}")
    if noise > 0 and level < FLOOR_SIGMA * noise:
        yield master_finding(
            f"the level of {adu(level)} is so low that the noise is clipped at zero",
            Estimate(level, noise / 10),
            "ADU",
            least=min(abs(level), 1.0) or 1e-6,
            evidence=f"the level is {level / noise:.1f} times the noise of a pixel, {adu(noise)}",
            fix="Increase the camera's offset. Shoot bias frames, darks, dark flats and lights with the new offset.",
        )


def _negative(difference_adu: float, least_adu: float, seen: str) -> Finding:
    return master_finding(
        f"the dark is {adu(-difference_adu)} below the bias: a negative dark current is impossible",
        Estimate(difference_adu, 0.1 * least_adu),
        "ADU",
        least=least_adu,
        evidence=f"{seen}; offset, gain or driver differ between the two, or light reached the bias frames",
        fix="Shoot bias frames and darks again in one session, with the same gain, offset, readout mode and driver.",
    )
