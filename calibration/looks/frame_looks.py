"""Looks that compare one frame with the reference of its set, for frames as they arrive and for frames on disk.

Each look returns a `Fault`, or None if the frame passes.
"""

from dataclasses import dataclass
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.frame_shape import (
    FrameShape,
    SmoothPattern,
    bands_between,
    is_large_enough,
    smooth_pattern,
)
from coldframe.calibration.measuring.line_levels import LineLevels
from coldframe.calibration.measuring.statistics import FrameStatistics

FEWEST_LEVELS, LEAST_BITS = 6, 16.0
"""Minimum number of levels, and minimum improbability in bits (16 bits: 1 in 2^16), at which a coarser step is not
attributed to chance.

Frames with 8-bit values scaled to 16 bits need six levels; a step of 2 ADU instead of 1 ADU needs sixteen levels.
"""

LARGEST_DARK_SATURATION = 0.01
"""Largest saturated fraction of a frame without light. Hot pixels alone do not reach this fraction, but a leak or a
lamp causes a larger one."""

LEVEL_TOLERANCE = 8.0
"""Largest deviation from the level of the reference, in units of the noise of one pixel; see `level_limit_adu`."""

LEAST_LEVEL_TOLERANCE_ADU = 20.0

NOISE_TOLERANCE = 0.25
"""Largest relative deviation from the noise of the reference. A wrong setting or stray light causes a larger one."""

NOISE_SCATTER = 15.0
"""Largest deviation of the noise, in standard errors. This limit is larger than `NOISE_TOLERANCE` only for small
frames."""

SHAPE_BOUNDS = 8.0
"""In frames without light, pixels that differ from the level by more than this multiple of the noise are clipped."""

LARGEST_JUMP = 4.0
"""Largest change in a region of a bias frame that a normal readout can cause, in units of one pixel's noise."""

LEAST_TORN = 0.02
"""Smallest changed fraction of a frame that counts as a fault; individual disturbed rows are clipped when the frames
are combined."""

LARGEST_GRADIENT = 0.02
"""Largest relative root mean square of a smooth difference between two flats.

A hand, a cloud or a slipped panel causes a larger one.
"""

LARGEST_BANDS = 0.003
"""Largest allowed relative depth of bands that remain after tuning; deeper ones exceed the noise of a bright pixel."""

SIGNIFICANT = 7.0
"""Significance, in standard errors, above which a difference counts.

Fewer than one in a million comparisons of pure noise reach it.
"""

LEAST_LIT = 0.05
"""Flats with regions below this fraction of their mean signal (overscan, outside the image circle) are not compared."""

LEAST_AMPLITUDE = 0.003
"""Smallest root mean square of a pattern that counts, in units of one pixel's noise. A weaker pattern does not harm a
light.

A leak that rises evenly from zero at one edge has a root mean square of 0.58 times its mean, so a leak with a mean of 1
% of the noise has a root mean square of about twice this limit.
"""

LEAST_LEVEL = 1.0
"""Smallest change in the mean level that counts, in units of one pixel's noise.

The bias level drifts by less than this while a camera is cooling down.
"""

SAME_TEMPERATURE_C = 0.5
"""Largest temperature difference between compared frames: the pattern of the dark current changes with temperature."""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFrame:
    """Measurements of the pixels of a frame, and its sensor temperature.

    Attributes
    ----------
    statistics
        Levels and noise.
    digest
        Digest of the pixels, used to detect repeated frames.
    shape
        Mean levels of regions of the frame.
    sensor_c
        Sensor temperature, degrees Celsius; None if unknown.
    lines
        Levels of odd and even lines; None if they were not measured.
    """

    statistics: FrameStatistics
    digest: bytes
    shape: FrameShape
    sensor_c: float | None = None
    lines: LineLevels | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Measurements with which the measurements of frames are compared.

    Attributes
    ----------
    statistics, shape, lines
        As in `MeasuredFrame`.
    name
        Name of the reference in messages: "the first frame" or "the set".
    """

    statistics: FrameStatistics
    shape: FrameShape
    lines: LineLevels | None
    name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason for rejecting a frame; `is_light` is True if there is light in a frame that should be dark."""

    reason: str
    is_light: bool = False


def shape_bounds_adu(statistics: FrameStatistics) -> tuple[float, float]:
    """Return the bounds to which the shape of a frame without light is clipped."""
    reach_adu = SHAPE_BOUNDS * max(statistics.noise_adu, 1.0)
    return statistics.level_adu - reach_adu, statistics.level_adu + reach_adu


# ---- looks at any frame ----


def not_read_out(statistics: FrameStatistics) -> Fault | None:
    """Return a fault if all pixels of the frame have the same value."""
    if statistics.minimum_adu != statistics.maximum_adu:
        return None
    return Fault(f"every pixel is {statistics.minimum_adu} ADU: the camera was not read out")


def other_format(frame: MeasuredFrame, reference: Reference) -> Fault | None:
    """Return a fault if the frame differs from the reference in size or bit depth."""
    shape, first = frame.shape, reference.shape
    if shape.size != first.size:
        (height, width), (first_height, first_width) = shape.size, first.size
        return Fault(
            f"the frame has {width} x {height} pixels instead of {reference.name}'s {first_width} x {first_height}"
        )
    coarse: MeasuredFrame | Reference = frame if shape.step_adu > first.step_adu else reference
    if shape.step_adu == first.step_adu or not _has_steps(coarse, min(shape.step_adu, first.step_adu)):
        return None
    return Fault(
        f"the values have steps of {shape.step_adu} ADU instead of {reference.name}'s {first.step_adu} ADU: "
        "the bit depth has changed"
    )


def _has_steps(frame: MeasuredFrame | Reference, fine_adu: int) -> bool:
    """Return whether the values cover so many levels that their step cannot have arisen by chance from a finer step.

    One in `step_adu / fine_adu` values with the finer step is a multiple of the coarser step by chance. A finer step
    does not need this evidence, because it cannot appear in values with the coarser step.
    """
    statistics, step_adu = frame.statistics, frame.shape.step_adu
    levels = (statistics.maximum_adu - statistics.minimum_adu) // step_adu + 1
    return levels >= FEWEST_LEVELS and levels * log2(step_adu / fine_adu) >= LEAST_BITS


# ---- looks at frames without light ----


def saturated_dark(statistics: FrameStatistics) -> Fault | None:
    """Return a fault if a frame that should be dark has too many saturated pixels."""
    if statistics.saturated_fraction <= LARGEST_DARK_SATURATION:
        return None
    percent = 100 * statistics.saturated_fraction
    return Fault(f"{percent:.1f} % of the central pixels are saturated: is there light on the sensor?", is_light=True)


def torn_bias(frame: MeasuredFrame, reference: Reference) -> Fault | None:
    """Return a fault if a bias frame differs from the reference in some regions."""
    moved_adu = frame.shape.levels_adu - reference.shape.levels_adu
    jumps = np.abs(moved_adu - np.median(moved_adu)) > LARGEST_JUMP * max(reference.statistics.noise_adu, 1.0)
    torn = float(jumps.mean())
    if torn < LEAST_TORN:
        return None
    return Fault(
        f"{100 * torn:.0f} % of the frame differs in level from {reference.name}: was the readout interrupted?"
    )


def other_dark_level(frame: MeasuredFrame, reference: Reference) -> Fault | None:
    """Return a fault if a frame without light differs from the reference in level."""
    level_adu, usual_adu = frame.statistics.level_adu, reference.statistics.level_adu
    limit_adu = level_limit_adu(reference.statistics)
    if abs(level_adu - usual_adu) <= limit_adu:
        return None
    return Fault(
        f"the level of {level_adu:.0f} ADU differs by more than {limit_adu:.0f} ADU from {reference.name}'s "
        f"{usual_adu:.0f} ADU: is there light on the sensor, or did a setting change?",
        is_light=level_adu > usual_adu,
    )


def level_limit_adu(reference: FrameStatistics) -> float:
    """Return how far the level of a frame without light may be from that of the reference, in ADU.

    The median of millions of pixels scatters far less than the value of a single pixel, but a drifting offset shifts
    the median by a few ADU.
    """
    return max(LEVEL_TOLERANCE * reference.noise_adu, LEAST_LEVEL_TOLERANCE_ADU)


def other_noise(frame: MeasuredFrame, reference: Reference) -> Fault | None:
    """Return a fault if a frame without light differs from the reference in noise."""
    noise_adu, usual_adu = frame.statistics.noise_adu, reference.statistics.noise_adu
    if abs(noise_adu / max(usual_adu, 1e-9) - 1) <= noise_tolerance(frame.shape.size):
        return None
    return Fault(
        f"the noise is {noise_adu:.1f} ADU instead of {reference.name}'s {usual_adu:.1f} ADU: "
        "did a setting change, or was the readout disturbed?"
    )


def noise_tolerance(size: tuple[int, int]) -> float:
    """Return the allowed relative difference between the noise of two frames of the given height and width.

    The relative scatter of a noise estimate from n values is 1 / sqrt(2 n). The estimate uses the middle half of each
    axis (a quarter of the pixels) and second differences, where neighbouring differences share pixels.
    """
    values = size[0] * size[1] / 4
    return max(NOISE_TOLERANCE, NOISE_SCATTER / sqrt(values))


def pattern_significance(pattern: SmoothPattern, excess: NDArray[np.float64], noise_adu: float) -> float | None:
    """Return the significance of the pattern by which a dark differs from others; None if the pattern is harmless.

    Parameters
    ----------
    pattern
        Pattern of the difference.
    excess
        Scatter of each component from frame to frame, relative to its error within one frame: float64, shape (5,).
    noise_adu
        Noise of one pixel.
    """
    significance = float((pattern.significances / excess).max())
    counts = significance >= SIGNIFICANT and pattern.amplitude_adu >= LEAST_AMPLITUDE * noise_adu
    return significance if counts else None


def are_comparable(one_c: float | None, other_c: float | None) -> bool:
    """Return whether the temperatures of two darks allow a comparison; unknown temperatures count as equal."""
    return one_c is None or other_c is None or abs(one_c - other_c) <= SAME_TEMPERATURE_C


# ---- looks at flats ----


def saturated_flat(statistics: FrameStatistics, largest_fraction: float) -> Fault | None:
    """Return a fault if more than the given fraction of a flat's central pixels is saturated."""
    fraction = statistics.saturated_fraction
    if fraction <= largest_fraction:
        return None
    return Fault(f"{100 * fraction:.2f} % of the central pixels are saturated, at {statistics.saturation_adu} ADU")


def uneven_light(
    frame: MeasuredFrame, reference: Reference, bias_adu: float, largest_bands: float = LARGEST_BANDS
) -> Fault | None:
    """Compare the illumination of a flat with that of the reference, region by region and line by line.

    Parameters
    ----------
    frame
        The flat.
    reference
        Measurements of flats with the same settings.
    bias_adu
        Bias level.
    largest_bands
        Largest allowed relative depth of bands.
    """
    if not is_large_enough(frame.shape.levels_adu.shape):
        return None
    first = reference.shape
    lit, lit_first = (_lit(shape, bias_adu) for shape in (frame.shape, first))
    if (torn := float((lit != lit_first).mean())) >= LEAST_TORN:
        return Fault(
            f"{100 * torn:.0f} % of the frame is lit in either this flat or {reference.name}, but not in both: "
            "was the readout interrupted?"
        )
    if not lit_first.all():
        return None
    smooth = smooth_pattern((frame.shape.levels_adu - bias_adu) / (first.levels_adu - bias_adu))
    if smooth.amplitude_adu > LARGEST_GRADIENT and smooth.significances.max() > SIGNIFICANT:
        return Fault(
            f"the light differs by {100 * smooth.amplitude_adu:.1f} % from {reference.name}; the largest increase is "
            f"{smooth.brightest}: did something move in front of the telescope?"
        )
    bands = bands_between(frame.shape, first, bias_adu)
    if bands.relative > largest_bands and bands.significance > SIGNIFICANT:
        flicker = f"the frame has bands of {100 * bands.relative:.2f} %: the light flickers"
        shadow = f"the light in part of the frame differs from {reference.name}: did a shadow or dust move?"
        return Fault(flicker if bands.are_across else shadow)
    return _uneven_lines(frame, reference, bias_adu, largest_bands)


def _uneven_lines(frame: MeasuredFrame, reference: Reference, bias_adu: float, largest: float) -> Fault | None:
    """Compare the ratio of odd to even lines, which `FrameShape` averages out, with the ratio in the reference."""
    if frame.lines is None or reference.lines is None:
        return None
    ratios = (frame.lines.levels_adu - bias_adu) / (reference.lines.levels_adu - bias_adu)
    excess = float(ratios[0].mean() / ratios[1].mean()) - 1
    signal_adu = frame.statistics.level_adu - bias_adu
    # The noise of the reference is at most that of one frame.
    error = sqrt(2) * frame.lines.error_adu(frame.statistics.noise_adu) / signal_adu
    if abs(excess) <= max(largest, SIGNIFICANT * error):
        return None
    return Fault(
        f"the odd lines are {100 * abs(excess):.1f} % {'brighter' if excess > 0 else 'darker'}, relative to the even "
        f"ones, than in {reference.name}: the light flickers"
    )


def _lit(shape: FrameShape, bias_adu: float) -> NDArray[np.bool_]:
    """Return a boolean mask of the lit regions of a flat, with shape (rows, columns)."""
    return shape.levels_adu - bias_adu >= LEAST_LIT * (shape.mean_adu - bias_adu)
