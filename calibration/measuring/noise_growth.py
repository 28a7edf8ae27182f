"""Measurement of how the noise of a growing master falls, without assuming that it falls as 1/sqrt(n).

Two differences are computed for a sample of pixels: between the means of the earlier and the later half of the frames,
and between interleaved halves (+--+ +--+ ...), in which slow changes cancel. Noise that is independent from frame to
frame has the same size in both differences. Any excess in the first difference comes from effects that last longer than
a frame and therefore do not average out as 1/sqrt(n).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import erf, exp, inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD

F64 = NDArray[np.float64]

LATTICE = 128
"""Number of rows and columns sampled per frame; 16,000 pixels determine the noise to within 1 %."""

MOST_GROUPS = 64
"""Largest number of groups of consecutive frames that are summed separately; each group takes 140 kB."""

LEAST_FRAMES = 8
"""Smallest number of frames whose halves are compared."""

INTERLEAVED = (1, -1, -1, 1)
"""Signs of consecutive frames in the interleaved halves; a steady drift cancels within each cycle."""

LARGEST_EXCESS = 1.15
"""Ratio of the master's noise to the noise of independent frames above which the noise is considered not to fall as it
should. With 16,000 pixels, the ratio for clean sets has a standard deviation of 0.01.
"""

CAP = 6.0
"""Limit on differences, in standard deviations. It reduces the effect of a cosmic ray, but not the effect of many
jumping pixels."""

WINSORIZED = 3.0

SIGNIFICANT = 6.0
"""Significance, in standard errors, above which a trend in the level or a change in the dark current is accepted."""

BLOCKS = 8
LARGEST_BLOCK_VARIANCE = 3.0
"""Variance of the means of 64 blocks, relative to the variance of pure noise, above which a change counts as a
pattern."""

HOT = 10.0
"""Multiple of a frame's noise by which pixels must exceed their neighbours to be used to detect changes in dark
current."""

NEIGHBOUR = 2
"""Distance in the sample to the neighbours of a pixel; at an even distance, these have the colour of the pixel."""

LEAST_HOT = 20

LEAST_JUMPING = 0.002
"""Fraction of pixels with differences beyond `CAP` above which chance is ruled out."""


class Cause(StrEnum):
    """The cause of noise that does not fall as it should."""

    TEMPERATURE = "the dark current changes with the sensor's temperature"
    PATTERN = "a smooth pattern appears or disappears"
    LEVEL = "the level drifts"
    TELEGRAPH = "pixels jump between levels (telegraph noise)"
    UNKNOWN = "consecutive frames share noise"


@dataclass(frozen=True, slots=True)
class NoiseGrowth:
    """Noise of a master after the given number of frames.

    Attributes
    ----------
    frames
        Number of frames.
    frame_noise_adu
        Independent noise of one frame.
    master_noise_adu
        Measured noise of the mean of all frames.
    level_adu
        Median of the mean frame.
    drift_adu
        Median of the difference between the later and the earlier half.
    cause
        Cause of the excess, if the noise clearly exceeds the noise of one frame divided by sqrt(frames); otherwise
        None.
    """

    frames: int
    frame_noise_adu: float
    master_noise_adu: float
    level_adu: float
    drift_adu: float
    cause: Cause | None

    @property
    def excess(self) -> float:
        """Noise of the master relative to that of independent frames; 1 is ideal."""
        ideal_adu = self.frame_noise_adu / sqrt(self.frames)
        return self.master_noise_adu / ideal_adu if ideal_adu > 0 else 1.0


class SampledFrames:
    """A sample of the same pixels from every frame of a set; it takes at most 10 MB for any number of frames.

    Groups of consecutive frames are summed; at first, each group has two frames. Whenever `MOST_GROUPS` groups are
    full, neighbouring groups are merged in pairs. Therefore, at most a sixteenth of the frames are in neither half.
    """

    def __init__(self) -> None:
        self._levels_adu: list[float] = []
        self._total: NDArray[np.int64] = np.zeros((), np.int64)
        # For each group, the sum of its frames and the sum with the signs of the interleaved halves.
        self._groups: NDArray[np.int32] = np.empty((MOST_GROUPS, 2, 0, 0), np.int32)
        self._group_frames = 2
        self._full = self._filled = 0

    def add(self, pixels: NDArray[np.uint16]) -> None:
        """Add the next frame, in the form in which it is added to the master: uint16, shape (height, width)."""
        down, across = (_stride(size, LATTICE) for size in pixels.shape)
        sample = pixels[::down, ::across]
        place = len(self._levels_adu)
        if place == 0:
            self._groups = np.empty((MOST_GROUPS, 2, *sample.shape), np.int32)
        if self._full == MOST_GROUPS:
            self._merge_neighbours()
        if self._filled == 0:
            self._groups[self._full] = 0
        group = self._groups[self._full]
        group[0] += sample
        group[1] += np.int32(INTERLEAVED[place % len(INTERLEAVED)]) * sample
        self._filled = (self._filled + 1) % self._group_frames
        self._full += self._filled == 0
        self._total = self._total + sample
        self._levels_adu.append(float(np.median(sample)))

    def _merge_neighbours(self) -> None:
        self._full //= 2
        self._group_frames *= 2
        self._groups[: self._full] = self._groups[0::2] + self._groups[1::2]

    def mean(self) -> NDArray[np.float32]:
        """Return the mean of the samples: float32, about `LATTICE` pixels along each axis."""
        return np.asarray(self._total / len(self._levels_adu), np.float32)

    def growth(self) -> NoiseGrowth | None:
        """Return the noise of the master so far, or None for fewer than `LEAST_FRAMES`."""
        if len(self._levels_adu) < LEAST_FRAMES:
            return None
        half = self._full // 2
        newest = self._groups[self._full - 2 * half : self._full]
        later, earlier = newest[half:, 0].sum(axis=0), newest[:half, 0].sum(axis=0)
        compared = 2 * half * self._group_frames
        return _noise_growth(
            (later - earlier) * (2 / compared),
            newest[:, 1].sum(axis=0) * (2 / compared),
            compared,
            self._total / len(self._levels_adu),
            self._levels_adu,
        )


def _noise_growth(halves: F64, interleaved: F64, compared: int, mean: F64, levels_adu: Sequence[float]) -> NoiseGrowth:
    """Return the noise of the mean of all frames.

    Parameters
    ----------
    halves, interleaved
        Differences between the means of the later and the earlier half, and between the interleaved halves, ADU, shape
        (rows, columns).
    compared
        Number of frames in both halves together.
    mean
        Mean of all frames, ADU, shape (rows, columns).
    levels_adu
        Median of each frame.
    """
    frames, drift_adu = len(levels_adu), float(np.median(halves))
    interleaved = interleaved - np.median(interleaved)
    drifts = _trend_sigma(np.asarray(levels_adu)) > SIGNIFICANT
    changed = halves if drifts else halves - drift_adu
    own_adu = _spread(interleaved)
    squares = [float(np.mean(np.minimum(np.abs(each), CAP * own_adu) ** 2)) for each in (changed, interleaved)]
    excess = sqrt(squares[0] / squares[1]) if squares[1] > 0 else 1.0
    frame_adu = own_adu * sqrt(compared) / 2
    return NoiseGrowth(
        frames=frames,
        frame_noise_adu=frame_adu,
        master_noise_adu=max(excess, 1.0) * frame_adu / sqrt(frames),
        level_adu=float(np.median(mean)),
        drift_adu=drift_adu,
        cause=_cause(halves, own_adu, mean, frame_adu, drifts=drifts) if excess > LARGEST_EXCESS else None,
    )


def _stride(size: int, lattice: int) -> int:
    """Return an odd step, so that the sample covers every colour of a filter array."""
    return max(size // lattice - 1, 0) | 1


def _spread(difference: F64) -> float:
    """Return the standard deviation, winsorized at `WINSORIZED` sigma so that single pixels do not matter."""
    rough = SIGMA_PER_MAD * float(np.median(np.abs(difference))) or float(difference.std())
    kept = np.minimum(np.abs(difference), WINSORIZED * rough)
    inside, edge = erf(WINSORIZED / sqrt(2)), WINSORIZED * sqrt(2 / pi) * exp(-(WINSORIZED**2) / 2)
    # Expectation of min(z^2, w^2) for a standard normal z.
    return sqrt(float(np.mean(kept**2)) / (inside - edge + WINSORIZED**2 * (1 - inside)))


def _trend_sigma(levels: F64) -> float:
    """Return the slope of levels in units of its standard error."""
    places = np.arange(len(levels)) - (len(levels) - 1) / 2
    slope = float(places @ levels / (places @ places))
    rest = levels - levels.mean() - slope * places
    # Integer levels may lie exactly on a line by chance, so their rounding counts as an error as well.
    variance = float(rest @ rest) / (len(levels) - 2) + 1 / 12
    return abs(slope) * sqrt(float(places @ places) / variance)


def _cause(halves: F64, own_adu: float, mean: F64, frame_adu: float, *, drifts: bool) -> Cause:
    """Return the cause, judged by its signature.

    Temperature is tested first, because it also changes patterns and levels.
    """
    even = halves - np.median(halves)
    if _dark_current_sigma(even, own_adu, mean, frame_adu) > SIGNIFICANT:
        return Cause.TEMPERATURE
    if _block_variance(even) > LARGEST_BLOCK_VARIANCE:
        return Cause.PATTERN
    if float(np.mean(np.abs(even) > CAP * _spread(even))) > LEAST_JUMPING:
        return Cause.TELEGRAPH
    return Cause.LEVEL if drifts else Cause.UNKNOWN


def _dark_current_sigma(even: F64, own_adu: float, mean: F64, frame_adu: float) -> float:
    """Return the significance of the change in hot pixels relative to their signal, taking the median over the pixels.

    Signal and change are measured relative to the neighbours, because the brighter parts of a flat are not hot.
    """
    above_adu, changed = _above_neighbours(mean), _above_neighbours(even)
    hot = above_adu > HOT * frame_adu
    if np.count_nonzero(hot) < LEAST_HOT or own_adu <= 0:
        return 0.0
    rates = changed[hot] / above_adu[hot]
    middle = float(np.median(rates))
    error = SIGMA_PER_MAD * float(np.median(np.abs(rates - middle))) * sqrt(pi / 2 / len(rates))
    return abs(middle) / error if error > 0 else inf


def _above_neighbours(plane: F64) -> F64:
    """Return the excess of each pixel over the mean of its left and right neighbours; edge columns are omitted."""
    left, right = plane[:, : -2 * NEIGHBOUR], plane[:, 2 * NEIGHBOUR :]
    above: F64 = plane[:, NEIGHBOUR:-NEIGHBOUR] - (left + right) / 2
    return above


def _block_variance(even: F64) -> float:
    """Return the variance of block means relative to the variance expected for a change without a pattern."""
    rows, columns = (size // BLOCKS for size in even.shape)
    if min(rows, columns) == 0:
        return 0.0
    cut = even[: rows * BLOCKS, : columns * BLOCKS].reshape(BLOCKS, rows, BLOCKS, columns).swapaxes(1, 2)
    means = cut.mean(axis=(2, 3))
    within = float(cut.var(axis=(2, 3), ddof=1).mean()) if rows * columns > 1 else 0.0
    return float(means.var(ddof=1)) * rows * columns / within if within > 0 else 0.0
