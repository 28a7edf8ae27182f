"""Darks for flats with many exposures, interpolated linearly between the two dark flats nearest in exposure.

Dark current and amplifier glow grow in proportion to time. The interpolation between two exposures at which dark frames
were shot is therefore exact for dark current and glow, regardless of how the pedestal behaves outside this interval.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.masters.reading import MasterPlanes, read_master

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, order=True)
class Rung:
    """A master of dark frames: its exposure in seconds, and its file."""

    exposure_s: float
    path: Path


class DarkLadder:
    """Masters of dark frames at several exposures; at most two of them are in memory at a time.

    Parameters
    ----------
    rungs
        One or more masters, in any order.
    """

    def __init__(self, rungs: Iterable[Rung]) -> None:
        self.rungs = tuple(sorted(rungs))
        self._read = lru_cache(maxsize=2)(read_master)

    def at(self, exposure_s: float) -> tuple[F32, F32]:
        """Return mean and standard error (ADU) of a dark for an exposure; outside the ladder, use the nearest rung.

        Raises
        ------
        FrameFileError
            If a master cannot be read.
        """
        above = bisect_right(self.rungs, exposure_s, key=lambda rung: rung.exposure_s)
        if above in {0, len(self.rungs)}:
            nearest = self._planes(min(above, len(self.rungs) - 1))
            return nearest.mean, nearest.uncertainty
        lower, upper = self._planes(above - 1), self._planes(above)
        start_s, end_s = self.rungs[above - 1].exposure_s, self.rungs[above].exposure_s
        part = np.float32((exposure_s - start_s) / (end_s - start_s))
        mean = lower.mean + part * (upper.mean - lower.mean)
        return mean, np.hypot((1 - part) * lower.uncertainty, part * upper.uncertainty)

    def _planes(self, place: int) -> MasterPlanes:
        return self._read(self.rungs[place].path)


def rung_exposures_s(exposures_s: Iterable[float], rungs: int) -> tuple[float, ...]:
    """Return the exposures at which to shoot dark flats for flats with the given exposures, in ascending order.

    The ratio of neighbouring exposures is constant. A single dark flat is shot at the longest exposure, where the dark
    signal is largest; the master bias is the other end of the ladder.
    """
    used = sorted(set(exposures_s))
    if rungs == 1 or len(used) == 1:
        return (used[-1],)
    inner = np.geomspace(used[0], used[-1], rungs)[1:-1]
    return used[0], *(float(exposure_s) for exposure_s in inner), used[-1]
