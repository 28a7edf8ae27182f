"""Whether a frame may go into its master: judged by its pixels, whatever its driver says. Pure.

A frame that is turned away is kept in quarantine with the reason, and shot again.
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
"""Saturated pixels in a frame without light: hot pixels stay far below, a leak or a lamp left on goes beyond."""

LEVEL_TOLERANCE = 8.0
"""Deviation from the level of the set's first frames, in units of one frame's noise; see `level_limit_adu`."""

LEAST_LEVEL_TOLERANCE_ADU = 20.0

NOISE_TOLERANCE = 0.25
"""Relative deviation from the noise of the set's first frame: read and shot noise follow the setting and the level."""

NOISE_SCATTER = 15.0
"""And so many standard errors of a noise at least, for small frames."""

BOUNDS = 8.0
"""Pixels further from the level than so many times the noise weigh no more in the shape of a frame without light."""

LARGEST_JUMP = 4.0
"""Part of a bias this far from where it should be, in units of one pixel's noise, was not read out as the rest was."""

LEAST_TORN = 0.02
"""As part of the frame: a disturbed row here and there is clipped away."""

LARGEST_GRADIENT = 0.02
"""Root mean square of a smooth difference between two flats, relative: a hand, a cloud, a panel that slipped."""

LARGEST_BANDS = 0.003
"""Bands in a flat, relative, where the tuning left some: a third of a percent is above the noise of a bright pixel."""

SIGNIFICANT = 7.0

LEAST_LIT = 0.05
"""Flats with less than this part of their light somewhere (an overscan, beyond the image circle) are not compared."""


@dataclass(frozen=True, slots=True)
class FlatBand:
    """What a flat must keep to.

    Attributes
    ----------
    low_adu, high_adu
        Allowed levels of its brightest channel, bias included.
    saturated_fraction
        Fraction of its pixels that may be saturated.
    faintest_adu
        Lowest allowed level of its faintest channel, bias included.
    bias_adu
        Level without light.
    largest_bands
        Bands that it may have, relative.
    """

    low_adu: float
    high_adu: float
    saturated_fraction: float
    faintest_adu: float
    bias_adu: float = 0.0
    largest_bands: float = LARGEST_BANDS

    @classmethod
    def around(cls, target: FlatTarget, saturated_fraction: float) -> Self:
        """Return the band of a flat target."""
        low_adu, high_adu = target.levels_adu
        return cls(low_adu, high_adu, saturated_fraction, target.faintest_level_adu, target.bias_adu)


@dataclass(frozen=True, slots=True, eq=False)
class FrameLook:
    """What a look at a frame told.

    Attributes
    ----------
    statistics
        Its figures.
    digest
        Tells its pixels from those of every other frame.
    shape
        Its level from place to place.
    sensor_c
        Temperature of the sensor, None where unknown.
    """

    statistics: FrameStatistics
    digest: bytes
    shape: FrameShape
    sensor_c: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame is turned away; `is_light` where light fell on a frame that should be dark."""

    reason: str
    is_light: bool = False


class FrameGate:
    """Judges the frames of one set.

    Parameters
    ----------
    kind
        What the frames are.
    band
        For flats: the levels allowed.
    ceiling_adu
        For frames without light: the highest level that can be; None where it is not known.
    """

    def __init__(self, kind: FrameKind, band: FlatBand | None = None, ceiling_adu: float | None = None) -> None:
        self._kind = kind
        self._band = band
        self._ceiling_adu = ceiling_adu
        self._reference: FrameLook | None = None
        self._leaks: LeakWatch | None = None
        self._digests: set[bytes] = set()

    def bounds_adu(self, statistics: FrameStatistics) -> tuple[float, float]:
        """Return the bounds for the shape of a frame; all frames of a set have those of the first good one."""
        if self._band is not None:
            return 0.0, 65535.0
        first = self._reference.statistics if self._reference else statistics
        reach_adu = BOUNDS * max(first.noise_adu, 1.0)
        return first.level_adu - reach_adu, first.level_adu + reach_adu

    def fault(self, look: FrameLook) -> Fault | None:
        """Return why a frame must be rejected, None if it is good. Record nothing: see `accept`."""
        fault = self._fault(look)
        if fault is None and look.digest in self._digests:
            return Fault("the same pixels as an earlier frame: the camera repeated it")
        return fault

    def remember_pixels(self, look: FrameLook) -> None:
        """Reject the same pixels if they come again.

        Call it for a frame that is rejected for how it was shot: `fault` may find nothing wrong with its pixels.
        """
        self._digests.add(look.digest)

    def accept(self, look: FrameLook) -> None:
        """Record a good frame: the next ones are compared with it."""
        self.remember_pixels(look)
        self._reference = self._reference or look
        # A bias is too short for any leak, and such sets are large.
        if self._kind in {FrameKind.DARK, FrameKind.DARK_FLAT}:
            self._leaks = self._leaks or LeakWatch(self._reference.statistics.noise_adu)
            self._leaks.accept(look.shape, look.sensor_c)

    def _fault(self, look: FrameLook) -> Fault | None:
        statistics = look.statistics
        if statistics.minimum_adu == statistics.maximum_adu and not self._is_flooded(statistics):
            return Fault(f"every pixel is {statistics.minimum_adu} ADU: the camera was not read out")
        if self._reference is not None and (reason := _unlike(look.shape, self._reference.shape)):
            return Fault(reason)
        return self._flat_fault(look) if self._band is not None else self._dark_fault(look)

    def _is_flooded(self, statistics: FrameStatistics) -> bool:
        """Tell whether each pixel of a frame that should be dark is saturated: light, and no failed readout."""
        return self._band is None and statistics.saturated_fraction == 1

    def _flat_fault(self, look: FrameLook) -> Fault | None:
        band, statistics = self._band, look.statistics
        assert band is not None
        level_adu = statistics.brightest_adu
        if not band.low_adu <= level_adu <= band.high_adu:
            return Fault(
                f"level {level_adu:.0f} ADU outside {band.low_adu:.0f} to {band.high_adu:.0f} ADU: "
                "the light has changed since the tuning"
            )
        if statistics.faintest_adu < band.faintest_adu:
            return Fault(
                f"its faintest colour has {statistics.faintest_adu:.0f} ADU, less than {band.faintest_adu:.0f} ADU: "
                "the light has changed its colour since the tuning"
            )
        if statistics.saturated_fraction > band.saturated_fraction:
            return Fault(f"{100 * statistics.saturated_fraction:.2f} % of the central pixels are saturated")
        return self._uneven_light(look, band)

    def _uneven_light(self, look: FrameLook, band: FlatBand) -> Fault | None:
        """Compare a flat with the first one, place by place."""
        bias_adu = band.bias_adu
        if self._reference is None or not is_large_enough(look.shape.levels_adu.shape):
            return None
        first = self._reference.shape
        lit, lit_first = (_lit(shape, bias_adu) for shape in (look.shape, first))
        if (torn := float((lit != lit_first).mean())) >= LEAST_TORN:
            return Fault(f"{100 * torn:.0f} % of it is lit in one of this flat and the first one only: a torn readout?")
        if not lit_first.all():
            return None
        smooth = smooth_pattern((look.shape.levels_adu - bias_adu) / (first.levels_adu - bias_adu))
        if smooth.amplitude_adu > LARGEST_GRADIENT and smooth.significances.max() > SIGNIFICANT:
            return Fault(
                f"its light differs by {100 * smooth.amplitude_adu:.1f} % from that of the first flat, most on the "
                f"{smooth.brightest}: did something move in front of the telescope?"
            )
        bands = bands_between(look.shape, first, bias_adu)
        if bands.relative > band.largest_bands and bands.significance > SIGNIFICANT:
            return Fault(f"bands of {100 * bands.relative:.2f} % across it: the light flickers")
        return None

    def _dark_fault(self, look: FrameLook) -> Fault | None:
        statistics = look.statistics
        if statistics.saturated_fraction > LARGEST_DARK_SATURATION:
            percent = 100 * statistics.saturated_fraction
            return Fault(f"{percent:.1f} % of the central pixels are saturated: light on the sensor?", is_light=True)
        if self._ceiling_adu is not None and statistics.level_adu > self._ceiling_adu:
            return Fault(
                f"level {statistics.level_adu:.0f} ADU, above {self._ceiling_adu:.0f} ADU: light that is still there "
                "with the lamp out",
                is_light=True,
            )
        if self._reference is None:
            return None
        return self._torn(look, self._reference) or self._change(look, self._reference.statistics)

    def _torn(self, look: FrameLook, first: FrameLook) -> Fault | None:
        """Compare a bias with the first one, place by place; darks are compared by their patterns."""
        if self._kind is not FrameKind.BIAS:
            return None
        moved_adu = look.shape.levels_adu - first.shape.levels_adu
        jumps = np.abs(moved_adu - np.median(moved_adu)) > LARGEST_JUMP * max(first.statistics.noise_adu, 1.0)
        torn = float(jumps.mean())
        if torn < LEAST_TORN:
            return None
        return Fault(f"{100 * torn:.0f} % of it has another level than in the first frame: a torn readout?")

    def _change(self, look: FrameLook, first: FrameStatistics) -> Fault | None:
        """Compare a frame without light with those before it."""
        statistics = look.statistics
        limit_adu = level_limit_adu(first)
        if abs(statistics.level_adu - first.level_adu) > limit_adu:
            return Fault(
                f"level {statistics.level_adu:.0f} ADU, more than {limit_adu:.0f} ADU from the first frame's "
                f"{first.level_adu:.0f} ADU: light on the sensor, or another setting?",
                is_light=statistics.level_adu > first.level_adu,
            )
        if self._leaks is not None and (leak := self._leaks.leak(look.shape, look.sensor_c)):
            return Fault(str(leak), is_light=True)
        if abs(statistics.noise_adu / max(first.noise_adu, 1e-9) - 1) > noise_tolerance(look.shape.size):
            return Fault(
                f"noise {statistics.noise_adu:.1f} ADU where the first frame had {first.noise_adu:.1f} ADU: "
                "another setting, or a disturbed readout?"
            )
        return None


def _lit(shape: FrameShape, bias_adu: float) -> NDArray[np.bool_]:
    """Tell which places of a flat have light at all."""
    return shape.levels_adu - bias_adu >= LEAST_LIT * (shape.mean_adu - bias_adu)


def level_limit_adu(reference: FrameStatistics) -> float:
    """Return how far the level of a frame without light may lie from the first one's.

    The median of so many pixels scatters by far less than one pixel's noise; drifting offsets move it by a few ADU.
    """
    return max(LEVEL_TOLERANCE * reference.noise_adu, LEAST_LEVEL_TOLERANCE_ADU)


def noise_tolerance(size: tuple[int, int]) -> float:
    """Return the relative difference of two noises that is allowed for frames of a height and width.

    A noise from n values scatters by 1 / sqrt(2 n); it is taken from the middle half of each axis, from second
    differences, of which neighbours share their pixels.
    """
    values = size[0] * size[1] / 4
    return max(NOISE_TOLERANCE, NOISE_SCATTER / sqrt(values))


def _unlike(shape: FrameShape, first: FrameShape) -> str | None:
    """Say how a frame differs in size or depth from the first one."""
    if shape.size != first.size:
        (height, width), (first_height, first_width) = shape.size, first.size
        return f"{width} x {height} pixels where the first frame has {first_width} x {first_height}"
    if shape.step_adu != first.step_adu:
        return (
            f"its values are multiples of {shape.step_adu} ADU, those of the first frame of {first.step_adu} ADU: "
            "another bit depth"
        )
    return None
