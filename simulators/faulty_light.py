"""Faults of the illumination: flicker, and leaks into the closed telescope."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.config.simulated_rig import FaultModel

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Flicker:
    """A lamp whose light varies sinusoidally, as seen through a rolling shutter.

    Attributes
    ----------
    frequency_hz, depth
        Frequency of the sine, and the amplitude of the sine as a fraction of the mean light.
    phase
        Phase at the start of the first row's exposure, in radians.
    line_s
        Time from the start of one row's exposure to the start of the next row's exposure.
    """

    frequency_hz: float
    depth: float
    phase: float
    line_s: float

    def light(self, exposure_s: float, rows: slice) -> Map:
        """Return the mean light in some rows, relative to that of a steady lamp, as float32 with shape (rows, 1).

        The mean of a sine over an exposure T is the value of the sine at the midpoint, times sin(pi f T) / (pi f T).
        """
        middle_s = np.arange(rows.start, rows.stop) * self.line_s + exposure_s / 2
        swing = self.depth * np.sinc(self.frequency_hz * exposure_s)
        light = 1 + swing * np.sin(2 * np.pi * self.frequency_hz * middle_s + self.phase)
        return np.asarray(light, np.float32)[:, None]


@dataclass(frozen=True, slots=True)
class Leak:
    """Light that increases linearly from one edge of the sensor to the other.

    Attributes
    ----------
    e_per_s
        Mean light over the frame, in electrons per second in a clear pixel.
    side
        The brightest edge.
    """

    e_per_s: float
    side: str

    def light(self, shape: tuple[int, int], rows: slice) -> Map:
        """Return the electrons per second in some rows, as float32 with shape (rows, 1) or (1, columns)."""
        height, width = shape
        ramp = np.linspace(0, 2, height if self.side in {"top", "bottom"} else width, dtype=np.float32)
        ramp *= np.float32(self.e_per_s)
        if self.side in {"left", "top"}:
            ramp = ramp[::-1]
        return ramp[rows, None] if self.side in {"top", "bottom"} else ramp[None, :]


def leak_e_per_s(faults: FaultModel, elapsed_s: float) -> float:
    """Return the light past the closed cover, in electrons per second, `elapsed_s` after the rig was switched on."""
    if faults.leak_doubling_min is None:
        return faults.leak_e_per_s
    return float(faults.leak_e_per_s * 2 ** (elapsed_s / 60 / faults.leak_doubling_min))
