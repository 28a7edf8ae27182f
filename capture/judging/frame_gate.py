"""Decide from a frame's pixels, not from the driver's report, whether the frame may go into its master. Pure.

The caller moves rejected frames to quarantine with the reason and shoots them again.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.frame_shape import FrameShape, bands_between, is_large_enough, smooth_pattern
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.judging.light_leak import LeakWatch
from coldframe.capture.tuner.target import FlatTarget
from coldframe.config.frames import FrameKind

LARGEST_DARK_SATURATION = 0.01
"""Largest saturated fraction of a frame without light. Hot pixels stay below it; a leak or a lamp does not."""

LEVEL_TOLERANCE = 8.0
"""Largest deviation from the level of the set's first frame, in units of one frame's noise; see `level_limit_adu`."""

LEAST_LEVEL_TOLERANCE_ADU = 20.0

NOISE_TOLERANCE = 0.25
"""Largest relative deviation from the noise of the first frame.

A wrong setting or stray light causes a larger deviation.
"""

NOISE_SCATTER = 15.0
"""A noise deviation counts as a fault only if it also exceeds this many standard errors.

This matters for small frames.
"""

SHAPE_BOUNDS = 8.0
"""Clip pixels of a frame without light that differ from the level by more than this multiple of the noise."""

LARGEST_JUMP = 4.0
"""Largest change in the level of a region of a bias that a normal readout can cause, in units of one pixel's noise."""

LEAST_TORN = 0.02
"""Smallest changed fraction of a frame that counts as a fault.

Individual disturbed rows are rejected when the frames are combined.
"""

LARGEST_GRADIENT = 0.02
"""Largest relative root mean square of a smooth difference between two flats.

A hand, a cloud or a slipped panel causes a larger difference.
"""

LARGEST_BANDS = 0.003
"""Largest relative depth of bands that tuning could not remove; deeper bands exceed the noise of a bright pixel."""

SIGNIFICANT = 7.0

LEAST_LIT = 0.05
"""Flats with regions below this fraction of their mean light (overscan, outside the image circle) are not compared."""


@dataclass(frozen=True, slots=True)
class FlatBand:
    """Limits for the flats of a set.

    Attributes
    ----------
    low_adu, high_adu
        Allowed levels of the brightest channel, including bias.
    saturated_fraction
        Largest fraction of saturated pixels.
    faintest_adu
        Lowest level of the faintest channel, including bias.
    bias_adu
        Bias level.
    largest_bands
        Largest relative depth of bands.
    """

    low_adu: float
    high_adu: float
    saturated_fraction: float
    faintest_adu: float
    bias_adu: float = 0.0
    largest_bands: float = LARGEST_BANDS

    @classmethod
    def around(cls, target: FlatTarget, saturated_fraction: float) -> Self:
        """Return the limits that belong to a flat target."""
        low_adu, high_adu = target.levels_adu
        return cls(low_adu, high_adu, saturated_fraction, target.faintest_level_adu, target.bias_adu)


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
    """

    statistics: FrameStatistics
    digest: bytes
    shape: FrameShape
    sensor_c: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason for rejecting a frame; `is_light` is True if there is light on a frame that should be dark."""

    reason: str
    is_light: bool = False


class FrameGate:
    """Judges the frames of one set.

    Parameters
    ----------
    kind
        Kind of the frames.
    band
        Limits of flats; None for frames without light.
    ceiling_adu
        Highest possible level of frames without light; None if unknown.
    """

    def __init__(self, kind: FrameKind, band: FlatBand | None = None, ceiling_adu: float | None = None) -> None:
        self._kind = kind
        self._band = band
        self._ceiling_adu = ceiling_adu
        self._reference: MeasuredFrame | None = None
        self._leaks: LeakWatch | None = None
        self._digests: set[bytes] = set()

    def bounds_adu(self, statistics: FrameStatistics) -> tuple[float, float]:
        """Return the clipping bounds for the shape of a frame; the first good frame sets them for the whole set."""
        if self._band is not None:
            return 0.0, 65535.0
        first = self._reference.statistics if self._reference else statistics
        reach_adu = SHAPE_BOUNDS * max(first.noise_adu, 1.0)
        return first.level_adu - reach_adu, first.level_adu + reach_adu

    def fault(self, frame: MeasuredFrame) -> Fault | None:
        """Return the reason for rejecting a frame, or None if the frame is good. Use `accept` to record the frame."""
        fault = self._fault(frame)
        if fault is None and frame.digest in self._digests:
            return Fault("the pixels are those of an earlier frame: the camera repeated that frame")
        return fault

    def remember_pixels(self, frame: MeasuredFrame) -> None:
        """Record the pixels of a frame, so that a repetition of the frame is rejected.

        Call this method for a frame that is rejected because of the way it was shot, even if its pixels are faultless.
        """
        self._digests.add(frame.digest)

    def accept(self, frame: MeasuredFrame) -> None:
        """Record a good frame, with which later frames are compared."""
        self.remember_pixels(frame)
        self._reference = self._reference or frame
        # Bias exposures are too short to show a leak, and comparing the frames of large bias sets would take too long.
        if self._kind in {FrameKind.DARK, FrameKind.DARK_FLAT}:
            self._leaks = self._leaks or LeakWatch(self._reference.statistics.noise_adu)
            self._leaks.accept(frame.shape, frame.sensor_c)

    def _fault(self, frame: MeasuredFrame) -> Fault | None:
        statistics = frame.statistics
        if statistics.minimum_adu == statistics.maximum_adu and not self._is_flooded(statistics):
            return Fault(f"every pixel is {statistics.minimum_adu} ADU: the camera was not read out")
        if self._reference is not None and (reason := _unlike(frame.shape, self._reference.shape)):
            return Fault(reason)
        return self._flat_fault(frame) if self._band is not None else self._dark_fault(frame)

    def _is_flooded(self, statistics: FrameStatistics) -> bool:
        """Return whether every pixel of a frame without light is saturated. Light causes this, not a failed readout."""
        return self._band is None and statistics.saturated_fraction == 1

    def _flat_fault(self, frame: MeasuredFrame) -> Fault | None:
        band, statistics = self._band, frame.statistics
        assert band is not None
        level_adu = statistics.brightest_adu
        if not band.low_adu <= level_adu <= band.high_adu:
            return Fault(
                f"the level of {level_adu:.0f} ADU is outside {band.low_adu:.0f} to {band.high_adu:.0f} ADU: "
                "the light has changed since the tuning"
            )
        if statistics.faintest_adu < band.faintest_adu:
            return Fault(
                f"the faintest colour has {statistics.faintest_adu:.0f} ADU, less than {band.faintest_adu:.0f} ADU: "
                "the colour of the light has changed since the tuning"
            )
        if statistics.saturated_fraction > band.saturated_fraction:
            return Fault(f"{100 * statistics.saturated_fraction:.2f} % of the central pixels are saturated")
        return self._uneven_light(frame, band)

    def _uneven_light(self, frame: MeasuredFrame, band: FlatBand) -> Fault | None:
        """Compare the light of a flat with that of the first flat, region by region."""
        bias_adu = band.bias_adu
        if self._reference is None or not is_large_enough(frame.shape.levels_adu.shape):
            return None
        first = self._reference.shape
        lit, lit_first = (_lit(shape, bias_adu) for shape in (frame.shape, first))
        if (torn := float((lit != lit_first).mean())) >= LEAST_TORN:
            return Fault(
                f"{100 * torn:.0f} % of the frame is lit in either this flat or the first one, but not in both: "
                "was the readout interrupted?"
            )
        if not lit_first.all():
            return None
        smooth = smooth_pattern((frame.shape.levels_adu - bias_adu) / (first.levels_adu - bias_adu))
        if smooth.amplitude_adu > LARGEST_GRADIENT and smooth.significances.max() > SIGNIFICANT:
            return Fault(
                f"the light differs by {100 * smooth.amplitude_adu:.1f} % from the first flat and is brightest on the "
                f"{smooth.brightest}: did something move in front of the telescope?"
            )
        bands = bands_between(frame.shape, first, bias_adu)
        if bands.relative > band.largest_bands and bands.significance > SIGNIFICANT:
            return Fault(f"the frame has bands of {100 * bands.relative:.2f} %: the light flickers")
        return None

    def _dark_fault(self, frame: MeasuredFrame) -> Fault | None:
        statistics = frame.statistics
        if statistics.saturated_fraction > LARGEST_DARK_SATURATION:
            percent = 100 * statistics.saturated_fraction
            return Fault(
                f"{percent:.1f} % of the central pixels are saturated: is there light on the sensor?", is_light=True
            )
        if self._ceiling_adu is not None and statistics.level_adu > self._ceiling_adu:
            return Fault(
                f"the level of {statistics.level_adu:.0f} ADU is above {self._ceiling_adu:.0f} ADU: there is light "
                "although the lamp is off",
                is_light=True,
            )
        if self._reference is None:
            return None
        return self._torn(frame, self._reference) or self._change(frame, self._reference.statistics)

    def _torn(self, frame: MeasuredFrame, first: MeasuredFrame) -> Fault | None:
        """Compare a bias with the first bias, region by region; `_change` compares the patterns of darks."""
        if self._kind is not FrameKind.BIAS:
            return None
        moved_adu = frame.shape.levels_adu - first.shape.levels_adu
        jumps = np.abs(moved_adu - np.median(moved_adu)) > LARGEST_JUMP * max(first.statistics.noise_adu, 1.0)
        torn = float(jumps.mean())
        if torn < LEAST_TORN:
            return None
        return Fault(
            f"{100 * torn:.0f} % of the frame differs in level from the first frame: was the readout interrupted?"
        )

    def _change(self, frame: MeasuredFrame, first: FrameStatistics) -> Fault | None:
        """Compare a frame without light with earlier frames."""
        statistics = frame.statistics
        limit_adu = level_limit_adu(first)
        if abs(statistics.level_adu - first.level_adu) > limit_adu:
            return Fault(
                f"the level of {statistics.level_adu:.0f} ADU differs by more than {limit_adu:.0f} ADU from the first "
                f"frame's {first.level_adu:.0f} ADU: is there light on the sensor, or did a setting change?",
                is_light=statistics.level_adu > first.level_adu,
            )
        if self._leaks is not None and (leak := self._leaks.leak(frame.shape, frame.sensor_c)):
            return Fault(str(leak), is_light=True)
        if abs(statistics.noise_adu / max(first.noise_adu, 1e-9) - 1) > noise_tolerance(frame.shape.size):
            return Fault(
                f"the noise is {statistics.noise_adu:.1f} ADU instead of the first frame's {first.noise_adu:.1f} ADU: "
                "did a setting change, or was the readout disturbed?"
            )
        return None


def _lit(shape: FrameShape, bias_adu: float) -> NDArray[np.bool_]:
    """Return a boolean mask of the lit regions of a flat, with shape (rows, columns)."""
    return shape.levels_adu - bias_adu >= LEAST_LIT * (shape.mean_adu - bias_adu)


def level_limit_adu(reference: FrameStatistics) -> float:
    """Return how far the level of a frame without light may be from that of the first frame.

    The median of millions of pixels scatters far less than a single pixel; drifting offsets move it by a few ADU.
    """
    return max(LEVEL_TOLERANCE * reference.noise_adu, LEAST_LEVEL_TOLERANCE_ADU)


def noise_tolerance(size: tuple[int, int]) -> float:
    """Return the allowed relative difference between the noise of two frames of the given height and width.

    A noise estimated from n values scatters by 1 / sqrt(2 n). The estimate uses the middle half of each axis, which is
    a quarter of the pixels. It also uses second differences; adjacent differences share pixels and
    are therefore not independent.
    """
    values = size[0] * size[1] / 4
    return max(NOISE_TOLERANCE, NOISE_SCATTER / sqrt(values))


def _unlike(shape: FrameShape, first: FrameShape) -> str | None:
    """Return how a frame differs from the first frame in size or bit depth, or None."""
    if shape.size != first.size:
        (height, width), (first_height, first_width) = shape.size, first.size
        return f"the frame has {width} x {height} pixels instead of the first frame's {first_width} x {first_height}"
    if shape.step_adu != first.step_adu:
        return (
            f"the values have steps of {shape.step_adu} ADU instead of the first frame's {first.step_adu} ADU: "
            "the bit depth has changed"
        )
    return None
