"""The scatter of a master's frames, which reveals unstable pixels."""

import math
from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.masters.reading import BandedMaster, KeptValues, MasterPlanes, for_each_band, with_most
from coldframe.calibration.measuring.local_levels import LocalLevels

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

FEWEST_FRAMES = 10
"""Minimum number of frames for finding unstable pixels; with fewer frames, the scatter is too uncertain."""

_LEAST_NOISE_ADU = 0.5
"""Lowest noise that can be measured despite the rounding to whole ADU."""

_REJECTED = 2, 3
"""Numbers of clipped values from which the tail of their distribution is extrapolated."""


class Pixels(NamedTuple):
    """Some pixels: their indices in the flattened plane, and the frames there; without scatter, no frames."""

    places: NDArray[np.intp]
    frames: KeptValues

    @classmethod
    def marked(cls, mask: Mask, rows: slice, frames: KeptValues | None) -> Self:
        """Return the pixels that a mask marks in a band of rows."""
        found = np.flatnonzero(mask)
        chosen = (each.reshape(-1)[found] for each in frames) if frames else np.empty((2, 0), np.float32)
        return cls(rows.start * mask.shape[1] + found, KeptValues(*chosen))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Join the pixels of several bands."""
        places, frames = zip(*parts, strict=True)
        return cls(np.concatenate(places), KeptValues(*map(np.concatenate, zip(*frames, strict=True))))


class _Variances:
    """The variance of a master's frames, computed for the rows that are taken; see `Rows`."""

    def __init__(self, master: BandedMaster) -> None:
        self._master = master
        self.shape = master.mean.shape

    def __getitem__(self, rows: slice) -> F32:
        return self._master.kept_values(rows).variance


class Scatter:
    """The scatter of the frames of a master, and the limits beyond which noise cannot explain it.

    The variances are computed several times, a few rows at a time, because computing them takes less time than a whole
    plane of them would take in memory.
    """

    def __init__(self, master: BandedMaster, frames: int, rejections: float, limits: Limits) -> None:
        self.master = master
        self.ordinary = LocalLevels(_Variances(master), shared=True)
        self._factor = max(limits.flicker**2, largest_variance_ratio(frames - 1, limits.false_alarm))
        self._fewest_kept = frames - max(limits.rejected_fraction * frames, rejections)

    @classmethod
    def of(cls, master: BandedMaster, limits: Limits) -> Self | None:
        """Return the scatter of a master's frames, or None if it is unknown or there are too few frames."""
        master = with_most(master)
        if not master.has_counts or master.most is None:
            return None
        frames = _frame_count(master.header, master.most)
        scatters, fewer = [], []

        def take(_: slice, band: MasterPlanes) -> None:
            assert band.counts is not None
            scatters.append(band.frame_variance.any())
            fewer.append([np.count_nonzero(band.counts <= frames - number) for number in _REJECTED])

        for_each_band(master, take)
        if not any(scatters) or frames < FEWEST_FRAMES:
            return None
        twice, thrice = np.sum(fewer, axis=0).tolist()
        return cls(master, frames, _rejections_by_chance(twice, thrice, master.mean.size, limits.false_alarm), limits)

    def is_unstable(self, rows: slice, band: KeptValues) -> Mask:
        """Return a mask of the unstable pixels in a band of rows."""
        expected = np.maximum(self.ordinary.level(rows), np.float32(_LEAST_NOISE_ADU**2))
        return self._exceeds(band, expected)

    def are_unstable(self, pixels: Pixels, shot: F32) -> Mask:
        """Return which pixels are unstable even if dark current adds the variance `shot`."""
        expected = np.maximum(self.level_at(pixels), np.float32(_LEAST_NOISE_ADU**2)) + shot
        return self._exceeds(pixels.frames, expected)

    def level_at(self, pixels: Pixels) -> F32:
        """Return the variance of ordinary pixels around each of the given pixels."""
        return self.ordinary.level_at(*np.unravel_index(pixels.places, self.master.mean.shape))

    def _exceeds(self, frames: KeptValues, expected: F32) -> Mask:
        found: Mask = frames.variance > np.float32(self._factor) * expected
        return found | (frames.counts < self._fewest_kept)


def _frame_count(header: Mapping[str, HeaderValue], most: np.float32) -> int:
    stated = header.get("NCOMBINE", header.get("STACKCNT"))
    return max(stated if isinstance(stated, int) else 0, int(np.nan_to_num(most)), 2)


def largest_variance_ratio(degrees: int, probability: float) -> float:
    """Return the ratio of sample variance to true variance that normal noise exceeds with the given probability.

    This is the quantile of chi-square divided by its degrees of freedom, in the cube-root approximation of Wilson and
    Hilferty (1931, PNAS 17, 684). The approximation is accurate to 3 % for at least 9 degrees of freedom and
    probabilities down to 1e-8.
    """
    part = 2 / (9 * degrees)
    return float((1 - part + NormalDist().inv_cdf(1 - probability) * math.sqrt(part)) ** 3)


def _rejections_by_chance(twice: int, thrice: int, pixels: int, probability: float) -> float:
    """Return the number of clipped values that is exceeded in a pixel by chance with the given small probability.

    `twice` and `thrice` of the `pixels` have at least two and three clipped values.

    A pixel whose sample is narrow by chance loses several values at once, so the distribution has a longer tail than a
    Poisson distribution. The tail falls geometrically, by the ratio of pixels with three or more clipped values to
    pixels with two or more, and is extrapolated with this ratio.
    """
    twice, thrice = max(twice, 1), max(thrice, 1)
    if thrice >= twice:
        return math.inf
    return 2 + math.log(pixels * probability / twice) / math.log(thrice / twice)
