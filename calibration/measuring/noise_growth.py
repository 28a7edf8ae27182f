"""How the noise of a growing master truly falls: measured by its halves, not taken for 1/sqrt(n).

From a sample of pixels of every frame two differences are made. One is of the means of the earlier and of the later
half of the frames, the other of halves that are interleaved (+--+ +--+ ...), so that what changes slowly cancels. The
noise that every frame has of its own is the same in both. What is more in the first one was added by something that
lasts longer than a frame, and more frames do not average that away as they should.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import erf, exp, inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import SIGMA_PER_MAD

F64 = NDArray[np.float64]

LATTICE = 128
"""About so many rows and columns of every frame are looked at: 16,000 pixels tell a noise to 1 %."""

LARGE_SET = 1000

LEAST_FRAMES = 8
"""Fewer have no halves worth comparing."""

GROUP = 4
"""Frames in one turn of the interleaved halves; a steady drift cancels in each."""

LARGEST_EXCESS = 1.15
"""Noise over that of independent frames from which it counts as not falling as it should.

With 16,000 pixels clean sets scatter by 0.01.
"""

CAP = 6.0
"""Larger differences, in standard deviations, weigh no more: a cosmic ray is no drift, but pixels that jump count."""

WINSORIZED = 3.0

SIGNIFICANT = 6.0
"""Standard errors from which a trend of the level counts, and a change of the dark current."""

BLOCKS = 8
LARGEST_BLOCK_VARIANCE = 3.0
"""Variance of the means of 64 blocks in units of what noise leaves of it, from which a change has a shape."""

HOT = 10.0
"""Pixels so many times the noise of one frame above the level tell how the dark current changes."""

LEAST_HOT = 20

LEAST_JUMPING = 0.002
"""Fraction of pixels beyond `CAP` that is no chance."""


class Cause(StrEnum):
    """What keeps noise from falling."""

    TEMPERATURE = "the dark current changes with the sensor's temperature"
    PATTERN = "a smooth pattern comes or goes"
    LEVEL = "the level drifts"
    TELEGRAPH = "pixels jump between levels (telegraph noise)"
    UNKNOWN = "frames shot one after the other share noise"


@dataclass(frozen=True, slots=True)
class NoiseGrowth:
    """The noise of a master of some frames.

    Attributes
    ----------
    frames
        Their number.
    frame_noise_adu
        Of one frame, what it has of its own.
    master_noise_adu
        Of the mean of all of them, as it is.
    level_adu
        Median of the mean frame.
    drift_adu
        Later half over the earlier one: median of the difference.
    cause
        Why the noise is larger than 1/sqrt(frames) of one frame's, None where it is not.
    """

    frames: int
    frame_noise_adu: float
    master_noise_adu: float
    level_adu: float
    drift_adu: float
    cause: Cause | None

    @property
    def excess(self) -> float:
        """Noise of the master over what independent frames would leave; 1 is ideal."""
        ideal_adu = self.frame_noise_adu / sqrt(self.frames)
        return self.master_noise_adu / ideal_adu if ideal_adu > 0 else 1.0


class SampledFrames:
    """The same few pixels of every frame of a set: 35 kB for each frame, 2 kB in sets beyond `LARGE_SET`.

    Parameters
    ----------
    planned_frames
        About how many will come.
    """

    def __init__(self, planned_frames: int) -> None:
        self._lattice = LATTICE if planned_frames <= LARGE_SET else LATTICE // 4
        self._samples: list[NDArray[np.uint16]] = []

    def add(self, pixels: NDArray[np.uint16]) -> None:
        """Take in the next frame: uint16, shape (height, width), as it is folded into the master."""
        down, across = (_stride(size, self._lattice) for size in pixels.shape)
        self._samples.append(pixels[::down, ::across].copy())

    def mean(self) -> NDArray[np.float32]:
        """Return the mean frame, made small: float32, about `LATTICE` pixels along each axis."""
        return np.asarray(np.mean(self._samples, axis=0, dtype=np.float64), np.float32)

    def growth(self) -> NoiseGrowth | None:
        """Return what the frames so far tell, None while they are fewer than `LEAST_FRAMES`."""
        if len(self._samples) < LEAST_FRAMES:
            return None
        return noise_growth(np.stack(self._samples))


def _stride(size: int, lattice: int) -> int:
    """Return an odd step, so that every colour of a filter array is met."""
    return max(size // lattice - 1, 0) | 1


def noise_growth(values: NDArray[np.uint16]) -> NoiseGrowth:
    """Return how noisy the mean of frames is.

    Parameters
    ----------
    values
        uint16, shape (frames, rows, columns), at least `LEAST_FRAMES`, in the order in which they were shot.
    """
    frames, used = len(values), len(values) // GROUP * GROUP
    newest = values[frames - used :]
    halves = _difference(newest, np.repeat([-1.0, 1.0], used // 2))
    interleaved = _difference(newest, np.tile([1.0, -1.0, -1.0, 1.0], used // GROUP))
    drift_adu = float(np.median(halves))
    interleaved -= np.median(interleaved)
    drifts = _trend_sigma(np.median(values, axis=(1, 2))) > SIGNIFICANT
    changed = halves if drifts else halves - drift_adu
    own_adu = _spread(interleaved)
    squares = [float(np.mean(np.minimum(np.abs(each), CAP * own_adu) ** 2)) for each in (changed, interleaved)]
    excess = sqrt(squares[0] / squares[1]) if squares[1] > 0 else 1.0
    mean = values.mean(axis=0)
    frame_adu = own_adu * sqrt(used) / 2
    return NoiseGrowth(
        frames=frames,
        frame_noise_adu=frame_adu,
        master_noise_adu=max(excess, 1.0) * frame_adu / sqrt(frames),
        level_adu=float(np.median(mean)),
        drift_adu=drift_adu,
        cause=_cause(halves, own_adu, mean, frame_adu, drifts=drifts) if excess > LARGEST_EXCESS else None,
    )


def _difference(values: NDArray[np.uint16], signs: F64) -> F64:
    """Return the mean of the frames with a plus less that of those with a minus."""
    return np.tensordot(signs, values, axes=1) * (2 / len(signs))


def _spread(difference: F64) -> float:
    """Return the standard deviation of the many, whatever the few do: winsorized at `WINSORIZED` sigma."""
    rough = SIGMA_PER_MAD * float(np.median(np.abs(difference))) or float(difference.std())
    kept = np.minimum(np.abs(difference), WINSORIZED * rough)
    inside, edge = erf(WINSORIZED / sqrt(2)), WINSORIZED * sqrt(2 / pi) * exp(-(WINSORIZED**2) / 2)
    # E[min(z^2, w^2)] of a normal z.
    return sqrt(float(np.mean(kept**2)) / (inside - edge + WINSORIZED**2 * (1 - inside)))


def _trend_sigma(levels: F64) -> float:
    """Return the slope of levels in standard errors of it."""
    places = np.arange(len(levels)) - (len(levels) - 1) / 2
    slope = float(places @ levels / (places @ places))
    rest = levels - levels.mean() - slope * places
    # Levels that are whole numbers may lie on a line by chance: their rounding is an error, too.
    variance = float(rest @ rest) / (len(levels) - 2) + 1 / 12
    return abs(slope) * sqrt(float(places @ places) / variance)


def _cause(halves: F64, own_adu: float, mean: F64, frame_adu: float, *, drifts: bool) -> Cause:
    """Tell by the marks that each of them leaves. The order matters: warmth changes patterns and levels, too."""
    even = halves - np.median(halves)
    if _dark_current_sigma(even, own_adu, mean, frame_adu) > SIGNIFICANT:
        return Cause.TEMPERATURE
    if _block_variance(even) > LARGEST_BLOCK_VARIANCE:
        return Cause.PATTERN
    if float(np.mean(np.abs(even) > CAP * _spread(even))) > LEAST_JUMPING:
        return Cause.TELEGRAPH
    return Cause.LEVEL if drifts else Cause.UNKNOWN


def _dark_current_sigma(even: F64, own_adu: float, mean: F64, frame_adu: float) -> float:
    """Return how surely hot pixels change in proportion to what they have, in standard errors: the median of them."""
    above_adu = mean - np.median(mean)
    hot = above_adu > HOT * frame_adu
    if np.count_nonzero(hot) < LEAST_HOT or own_adu <= 0:
        return 0.0
    rates = even[hot] / above_adu[hot]
    middle = float(np.median(rates))
    error = SIGMA_PER_MAD * float(np.median(np.abs(rates - middle))) * sqrt(pi / 2 / len(rates))
    return abs(middle) / error if error > 0 else inf


def _block_variance(even: F64) -> float:
    """Return the variance of blocks' means in units of what a change without any shape leaves of it."""
    rows, columns = (size // BLOCKS for size in even.shape)
    if min(rows, columns) == 0:
        return 0.0
    cut = even[: rows * BLOCKS, : columns * BLOCKS].reshape(BLOCKS, rows, BLOCKS, columns).swapaxes(1, 2)
    means = cut.mean(axis=(2, 3))
    within = float(cut.var(axis=(2, 3), ddof=1).mean()) if rows * columns > 1 else 0.0
    return float(means.var(ddof=1)) * rows * columns / within if within > 0 else 0.0
