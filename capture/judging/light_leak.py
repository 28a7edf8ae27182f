"""Whether light gets at frames that should be dark: told by the shape of the frames, not by panel and cover. Pure.

What frames alone can tell is a change: light that comes or goes, by its pattern (a leak is brighter on one side) and,
if it is strong, by its level. Light that stays the same looks like dark current; `filters_for_darks` makes it change
where there is a filter wheel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.record import CameraRecord
from coldframe.calibration.measuring.frame_shape import (
    DEGREES,
    FrameShape,
    SmoothPattern,
    is_large_enough,
    smooth_pattern,
)

SIGNIFICANT = 7.0
"""Standard errors from which a pattern counts: of a million clean comparisons of normal noise none gets there."""

LEAST_AMPLITUDE = 0.003
"""And its root mean square in units of one pixel's noise: less does no harm to any light.

A leak that grows evenly from nothing at one edge has 0.58 of its mean as root mean square, so one of a hundredth of the
noise has twice this.
"""

LEAST_LEVEL = 1.0
"""A change of the whole level counts from one pixel's noise on: bias levels drift by less while a camera is cooled."""

SAME_TEMPERATURE_C = 0.5
"""Frames are compared up to this difference of temperature: beyond, the dark current has a pattern of its own."""

HALVES_FROM = 6
"""With so many frames also the newer half is compared with the older one: their means have less noise."""

KNOWN_AS_WHITE = 3.0
"""Comparisons without any excess scatter that are assumed before the first."""

LEAST_RATIO = 3.0
"""Filters of which one passes so many times the other's light tell a leak from dark current."""

SAME_DARK_CURRENT_C = 1.0
"""Dark current changes by an eighth in a degree."""

LARGEST_GROWTH = 3.0
"""By so much a sensor's dark current does not grow between two nights."""

CEILING_MARGIN_ADU = 50.0
"""Bias levels drift, glow is not everywhere the same; a panel that is lit gives as much within a second."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Light that is in one frame or some, and not in others.

    Attributes
    ----------
    level_adu
        Mean over the frame by which they differ.
    place
        Where it is brightest, for people; None where it is even.
    significance
        In standard errors.
    """

    level_adu: float
    place: str | None
    significance: float

    def __str__(self) -> str:
        """Say it in words."""
        place = "evenly" if self.place is None else f"on the {self.place}"
        return f"light on the sensor, {place}: the level differs by {self.level_adu:+.2g} ADU from the frames before"


@dataclass(frozen=True, slots=True)
class _Seen:
    shape: FrameShape
    sensor_c: float | None


class LeakWatch:
    """Compares the frames of one set without light.

    Parameters
    ----------
    noise_adu
        Of one pixel.
    """

    def __init__(self, noise_adu: float) -> None:
        self._noise_adu = noise_adu
        self._seen: list[_Seen] = []
        self._squares: NDArray[np.float64] = np.zeros(len(DEGREES))
        self._comparisons = 0

    def leak(self, shape: FrameShape, sensor_c: float | None) -> Leak | None:
        """Return the light by which the next frame differs from the accepted ones, None where it does not.

        Parameters
        ----------
        shape
            Of the same bounds as all others.
        sensor_c
            Temperature of the sensor, None where unknown.
        """
        alike = [seen.shape for seen in self._seen if is_as_warm(seen.sensor_c, sensor_c)]
        if not alike or not is_large_enough(shape.levels_adu.shape):
            return None
        found = self._found(smooth_pattern(shape.levels_adu - _mean(alike)))
        if found is None and len(alike) + 1 >= HALVES_FROM:
            half = (len(alike) + 1) // 2
            newer, older = [*alike[half:], shape], alike[:half]
            found = self._found(smooth_pattern(_mean(newer) - _mean(older)))
        return found

    def accept(self, shape: FrameShape, sensor_c: float | None) -> None:
        """Take a frame as one that the next ones are compared with."""
        if self._seen and is_large_enough(shape.levels_adu.shape):
            step = smooth_pattern(shape.levels_adu - self._seen[-1].shape.levels_adu)
            self._squares += np.minimum(step.significances, SIGNIFICANT) ** 2
            self._comparisons += 1
        self._seen.append(_Seen(shape, sensor_c))

    def _found(self, pattern: SmoothPattern) -> Leak | None:
        significance = float((pattern.significances / self._excess()).max())
        level_adu = pattern.mean_adu
        if significance >= SIGNIFICANT and pattern.amplitude_adu >= LEAST_AMPLITUDE * self._noise_adu:
            # Where the level fell, the light is in the earlier frames.
            lit = pattern if level_adu >= 0 else pattern.reversed()
            return Leak(level_adu, lit.brightest, significance)
        if abs(level_adu) >= LEAST_LEVEL * self._noise_adu:
            return Leak(level_adu, None, abs(level_adu) / self._noise_adu)
        return None

    def _excess(self) -> NDArray[np.float64]:
        """Return by how much each component scatters from frame to frame beyond the noise within the frames.

        Slow swings of a camera's offset down a frame do that.
        """
        scatter = np.sqrt((self._squares + KNOWN_AS_WHITE) / (self._comparisons + KNOWN_AS_WHITE))
        return np.maximum(scatter, 1.0)


def is_as_warm(one_c: float | None, other_c: float | None) -> bool:
    """Tell whether two frames may be compared; unknown temperatures are taken as alike."""
    return one_c is None or other_c is None or abs(one_c - other_c) <= SAME_TEMPERATURE_C


def _mean(shapes: list[FrameShape]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([shape.levels_adu for shape in shapes], axis=0)
    return mean


def filters_for_darks(light: Mapping[str, float]) -> tuple[str, str] | None:
    """Return the filters for the first dark and for all others: the one that passes most light and that of the least.

    Dark current does not care for filters; a leak in front of the wheel does. None where no two filters differ by
    `LEAST_RATIO`.

    Parameters
    ----------
    light
        Light through each filter, on any common scale.
    """
    if not light:
        return None
    clearest, densest = max(light, key=light.__getitem__), min(light, key=light.__getitem__)
    return (clearest, densest) if light[clearest] >= LEAST_RATIO * light[densest] else None


def dark_ceiling_adu(record: CameraRecord, bias_adu: float, setpoint_c: float, exposure_s: float) -> float | None:
    """Return the highest level that a dark can have; None where earlier nights tell nothing of this temperature.

    Parameters
    ----------
    record
        What is known of the camera with these settings.
    bias_adu
        Level of tonight's bias.
    setpoint_c, exposure_s
        Of the dark.
    """
    near = [each for each in record.dark_current if abs(each.sensor_c - setpoint_c) <= SAME_DARK_CURRENT_C]
    if not near or record.e_per_adu is None:
        return None
    highest_e_per_s = max(max(each.e_per_s, 0.0) + 3 * each.error for each in near)
    return bias_adu + LARGEST_GROWTH * highest_e_per_s * exposure_s / record.e_per_adu.value + CEILING_MARGIN_ADU
