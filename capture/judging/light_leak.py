"""Detect light in frames that should be dark, judging by the pixels, not by the states of the panel and the cover.

Frames reveal only changes in the light. Light that appears or disappears changes the pattern, because a leak is
brighter on one side. Strong light also changes the level. Constant light looks like dark current. With a filter wheel,
darks are shot through two filters (`filters_for_darks`), so that even a constant leak differs from dark to dark.
`dark_ceiling_adu` derives a limit for constant light from the dark current of earlier nights. See docs/pixel-checks.md.

This module performs no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.camera.record import CameraRecord
from coldframe.calibration.looks.frame_looks import (
    LEAST_LEVEL,
    SIGNIFICANT,
    are_comparable,
    pattern_significance,
)
from coldframe.calibration.measuring.frame_shape import (
    DEGREES,
    FrameShape,
    SmoothPattern,
    is_large_enough,
    smooth_pattern,
)

HALVES_FROM = 6
"""Minimum number of frames for also comparing the mean of the newer half with that of the older half.

The means are less noisy than single frames, so the comparison reveals fainter light.
"""

MOST_SHAPES = 64
"""Maximum number of shapes in memory. Each takes 41 kB for a frame of 640 rows, and 410 kB for the largest sensors."""

PRIOR_COMPARISONS = 3.0
"""Number of fictitious comparisons without excess scatter that are counted to stabilise the first estimates."""

LEAST_RATIO = 3.0
"""Smallest ratio between the transmissions of two filters at which a leak can be distinguished from dark current."""

SAME_DARK_CURRENT_C = 1.0
"""Largest difference between a dark's setpoint and the temperature of a recorded dark current that applies to the dark.

Dark current changes by an eighth per degree.
"""

LARGEST_GROWTH = 3.0
"""Largest factor by which the dark current at a given temperature is assumed to grow from one night to another."""

CEILING_MARGIN_ADU = 50.0
"""Allowance for drifting bias levels and uneven glow. A lit panel adds more than this allowance within a second."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Light that is in some frames but not in others.

    Attributes
    ----------
    level_adu
        Difference between the mean level and that of the earlier frames, ADU.
    place
        Place where the light is brightest, such as "on the left side"; None if the light is uniform.
    significance
        Significance of the difference, in standard errors.
    """

    level_adu: float
    place: str | None
    significance: float

    def __str__(self) -> str:
        """Describe the leak."""
        found = f"there is light on the sensor, {self.place or 'uniform'}"
        return f"{found}: the level differs by {self.level_adu:+.2g} ADU from earlier frames"


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The mean shape, mean sensor temperature and number of consecutive frames."""

    levels_adu: NDArray[np.float64]
    sensor_c: float | None
    frames: int = 1

    def merged(self, other: "_Seen") -> "_Seen":
        frames = self.frames + other.frames
        share = other.frames / frames
        sensor_c = None
        if self.sensor_c is not None and other.sensor_c is not None:
            sensor_c = (1 - share) * self.sensor_c + share * other.sensor_c
        return _Seen((1 - share) * self.levels_adu + share * other.levels_adu, sensor_c, frames)


class LeakWatch:
    """A comparison of the frames of one set that is shot in the dark. In large sets, consecutive frames are merged.

    Parameters
    ----------
    noise_adu
        Noise of one pixel.
    """

    def __init__(self, noise_adu: float) -> None:
        self._noise_adu = noise_adu
        self._seen: list[_Seen] = []
        self._last: FrameShape | None = None
        self._squares: NDArray[np.float64] = np.zeros(len(DEGREES))
        self._comparisons = 0

    def leak(self, shape: FrameShape, sensor_c: float | None) -> Leak | None:
        """Return the leak that distinguishes a frame from the accepted frames, or None if there is no leak.

        Parameters
        ----------
        shape
            Shape of the frame, clipped to the same bounds as all other frames.
        sensor_c
            Sensor temperature, degrees Celsius; None if unknown.
        """
        alike = [seen for seen in self._seen if are_comparable(seen.sensor_c, sensor_c)]
        if not alike or not is_large_enough(shape.levels_adu.shape):
            return None
        found = self._found(smooth_pattern(shape.levels_adu - _mean(alike)))
        counts = np.cumsum([seen.frames for seen in alike])
        if found is None and counts[-1] + 1 >= HALVES_FROM:
            half = int(np.searchsorted(counts, (counts[-1] + 1) // 2)) + 1
            newer, older = [*alike[half:], _Seen(shape.levels_adu, sensor_c)], alike[:half]
            found = self._found(smooth_pattern(_mean(newer) - _mean(older)))
        return found

    def accept(self, shape: FrameShape, sensor_c: float | None) -> None:
        """Record a good frame for comparison with later frames."""
        if self._last is not None and is_large_enough(shape.levels_adu.shape):
            step = smooth_pattern(shape.levels_adu - self._last.levels_adu)
            self._squares += np.minimum(step.significances, SIGNIFICANT) ** 2
            self._comparisons += 1
        self._last = shape
        if len(self._seen) == MOST_SHAPES:
            self._seen = [one.merged(other) for one, other in zip(self._seen[0::2], self._seen[1::2], strict=True)]
        self._seen.append(_Seen(shape.levels_adu, sensor_c))

    def _found(self, pattern: SmoothPattern) -> Leak | None:
        level_adu = pattern.mean_adu
        significance = pattern_significance(pattern, self._excess(), self._noise_adu)
        if significance is not None:
            # If the level fell, the light is in the earlier frames.
            lit = pattern if level_adu >= 0 else pattern.reversed()
            return Leak(level_adu, lit.brightest, significance)
        if abs(level_adu) >= LEAST_LEVEL * self._noise_adu:
            return Leak(level_adu, None, abs(level_adu) / self._noise_adu)
        return None

    def _excess(self) -> NDArray[np.float64]:
        """Return the scatter of each pattern component from frame to frame, relative to the frames' noise; at least 1.

        Slow variations of a camera's offset along the frame increase the scatter.
        """
        scatter = np.sqrt((self._squares + PRIOR_COMPARISONS) / (self._comparisons + PRIOR_COMPARISONS))
        return np.maximum(scatter, 1.0)


def _mean(seen: list[_Seen]) -> NDArray[np.float64]:
    return np.average([each.levels_adu for each in seen], axis=0, weights=[each.frames for each in seen])


def filters_for_darks(light: Mapping[str, float]) -> tuple[str, str] | None:
    """Return the clearest filter, for the first dark, and the densest filter, for all other darks.

    A leak in front of the wheel depends on the filter, but dark current does not. Return None if no filter transmits at
    least `LEAST_RATIO` times as much light as another filter.

    Parameters
    ----------
    light
        Amount of light through each filter, on any common scale.
    """
    if not light:
        return None
    clearest, densest = max(light, key=light.__getitem__), min(light, key=light.__getitem__)
    return (clearest, densest) if light[clearest] >= LEAST_RATIO * light[densest] else None


def dark_ceiling_adu(record: CameraRecord, bias_adu: float, setpoint_c: float, exposure_s: float) -> float | None:
    """Return the highest level, ADU, that a dark can have without a leak, or None if it cannot be predicted.

    The prediction needs the camera's conversion gain and a dark current recorded at a similar temperature.

    Parameters
    ----------
    record
        Record of the camera at the settings of the dark.
    bias_adu
        Bias level of this night.
    setpoint_c, exposure_s
        Setpoint and exposure of the dark.
    """
    near = [each for each in record.dark_current if abs(each.sensor_c - setpoint_c) <= SAME_DARK_CURRENT_C]
    if not near or record.e_per_adu is None:
        return None
    highest_e_per_s = max(max(each.e_per_s, 0.0) + 3 * each.error for each in near)
    return bias_adu + LARGEST_GROWTH * highest_e_per_s * exposure_s / record.e_per_adu.value + CEILING_MARGIN_ADU
