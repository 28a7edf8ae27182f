"""The running state of a set of frames: all that is needed of the frames so far, whatever their number."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.clipping import MOST_FRAMES, Clipping, variance_correction

Reread = Callable[[], Iterable[NDArray[np.uint16]]]

MOST_THREADS = 4
TRIAL_VALUES = 1 << 18
"""Random values from which the effect of clipping on the scatter is found: 20 ms, a few parts in 1,000."""

RECOMPUTED_VALUES = 1 << 24
"""Values of overflowed pixels held at once (about 200 MB at their peak); more are recomputed in several rounds."""


class RepeatedFrameError(Exception):
    """A frame is already part of the state; adding it again would count its noise twice."""


class WrongFrameError(Exception):
    """A frame does not belong to the state: another shape, another type, or not the frame that was added before."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Frames combined into one.

    Attributes
    ----------
    frames
        Frames that went in.
    mean
        float32, shape (height, width): mean of the kept values, ADU.
    uncertainty
        float32, same shape: standard error of the mean, from the scatter of the kept values times
        `scatter_correction`. 0 where they are all equal, NaN where only one is.
    counts
        uint16, same shape: values kept.
    recomputed
        Pixels for which the saved frames had to be read again.
    """

    frames: int
    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    counts: NDArray[np.uint16]
    recomputed: int

    @property
    def rejected_fraction(self) -> float:
        """Fraction of all values that were rejected."""
        return 1 - float(self.counts.sum(dtype=np.int64)) / (self.frames * self.counts.size)


@dataclass(frozen=True, slots=True, eq=False)
class PixelState:
    """What is known of the values of every pixel (all arrays flat, in the order of the frame).

    Attributes
    ----------
    totals, squares
        uint32 and uint64, shape (pixels,): sum of the values and of their squares.
    high, low
        uint16, shape (k, pixels): the k largest values in descending and the k smallest in ascending order; places
        that no value has taken yet hold 0 and 65,535, so that every value pushes them out.
    """

    totals: NDArray[np.uint32]
    squares: NDArray[np.uint64]
    high: NDArray[np.uint16]
    low: NDArray[np.uint16]

    @classmethod
    def empty(cls, pixels: int, tails: int) -> "PixelState":
        """Return the state before the first frame."""
        return cls(
            np.zeros(pixels, np.uint32),
            np.zeros(pixels, np.uint64),
            np.zeros((tails, pixels), np.uint16),
            np.full((tails, pixels), 65535, np.uint16),
        )

    @classmethod
    def of_columns(cls, values: NDArray[np.uint16]) -> "PixelState":
        """Return the state whose tails are the whole sample, from values of shape (frames, pixels)."""
        low = np.sort(values, axis=0)
        wide = values.astype(np.uint64)
        return cls(values.sum(axis=0, dtype=np.uint32), (wide * wide).sum(axis=0), np.ascontiguousarray(low[::-1]), low)


def pixel_digest(pixels: NDArray[np.uint16]) -> bytes:
    """Return what tells a frame from all others: the SHA-256 of its pixels."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


def tail_length(planned_frames: int) -> int:
    """Return how many values to keep at each end of a pixel's sample.

    On realistic data (Gaussian noise, random telegraph noise, cosmic rays) these lengths leave less than one pixel in
    10,000 to be recomputed; 8 also covers 500 frames with one in 2,000 or fewer.
    """
    if planned_frames <= 60:  # noqa: PLR2004 - as documented
        return 4
    return 6 if planned_frames <= 150 else 8  # noqa: PLR2004 - as documented


class Accumulator:
    """Sums, sums of squares and extreme values of every pixel of a set of frames.

    Frames may come in any order, and states of parts of a set merge; the result is the same to the bit. The state
    takes 12 bytes a pixel and 4 more for each value of `tail_length`, allocated at once. Not for use by several
    threads at a time; a frame is shared among a few threads within.

    Parameters
    ----------
    shape
        Height and width of the frames.
    planned_frames
        About how many will come; any number may.
    """

    def __init__(self, shape: tuple[int, int], planned_frames: int) -> None:
        self.shape = shape
        self.state = PixelState.empty(shape[0] * shape[1], tail_length(planned_frames))
        self._digests: set[bytes] = set()

    @property
    def frames(self) -> int:
        """Frames in the state."""
        return len(self._digests)

    @property
    def digests(self) -> frozenset[bytes]:
        """Digests of the frames in the state."""
        return frozenset(self._digests)

    def add(self, pixels: NDArray[np.uint16], digest: bytes) -> None:
        """Fold a frame into the state.

        Parameters
        ----------
        pixels
            uint16, shape (height, width).
        digest
            Tells the frame from every other; see `pixel_digest`.

        Raises
        ------
        RepeatedFrameError
            If a frame of this digest is in the state.
        WrongFrameError
            If the frame is of another shape or type.
        """
        if digest in self._digests:
            raise RepeatedFrameError(f"frame {digest.hex()[:12]} was added before; each frame counts once")
        self._check(pixels)
        self._make_room(1)
        flat = np.ascontiguousarray(pixels).reshape(-1)
        kernels, state = _kernels(), self.state

        def fold(start: int, stop: int) -> None:
            kernels.fold(flat, state.totals, state.squares, state.high, state.low, start, stop)

        _in_bands(fold, flat.size)
        self._digests.add(digest)

    def merge(self, other: "Accumulator") -> None:
        """Fold another state, of other frames of the same set, into this one; `other` stays as it is.

        Raises
        ------
        RepeatedFrameError
            If both hold the same frame.
        WrongFrameError
            If the states differ in shape or in the length of their tails.
        """
        mine, theirs = self.state, other.state
        repeated = self._digests & other.digests
        if repeated:
            raise RepeatedFrameError(f"{len(repeated)} frames are in both states; each frame counts once")
        if self.shape != other.shape or len(mine.high) != len(theirs.high):
            raise WrongFrameError(
                f"states of shape {self.shape} with tails of {len(mine.high)} and of shape {other.shape} with tails"
                f" of {len(theirs.high)} cannot be merged"
            )
        self._make_room(other.frames)
        kernels = _kernels()

        def fold(start: int, stop: int) -> None:
            mine.totals[start:stop] += theirs.totals[start:stop]
            mine.squares[start:stop] += theirs.squares[start:stop]
            kernels.merge_tails(theirs.high, theirs.low, mine.high, mine.low, start, stop)

        _in_bands(fold, mine.totals.size)
        self._digests |= other.digests

    def noise_adu(self) -> float | None:
        """Return the typical standard error of the mean over pixels, before clipping; None below two frames.

        The median is taken, because hot pixels must not count, and divided by what it is for normal noise, so that a
        set of normal noise falls as 1/sqrt(n) from its second frame on: the variance of k + 1 values follows chi-square
        with k degrees of freedom, whose median is k (1 - 2 / 9k)^3 (Wilson and Hilferty 1931, PNAS 17, 684).

        Some 50,000 pixels spread over the frame are looked at: a few milliseconds.
        """
        count = self.frames
        if count < 2:  # noqa: PLR2004 - a scatter needs two
            return None
        # An odd step meets every colour of a filter array and runs across columns.
        step = max(1, self.state.totals.size // 50_000) | 1
        total = self.state.totals[::step].astype(np.int64)
        scatter = count * self.state.squares[::step].astype(np.int64) - total * total
        median = float(np.median(np.sqrt(scatter / (float(count) * count * (count - 1)))))
        return float(median / (1 - 2 / (9 * (count - 1))) ** 1.5)

    def combine(self, clipping: Clipping, reread: Reread) -> Stack:
        """Clip and average.

        Parameters
        ----------
        clipping
            The rule.
        reread
            Gives the frames of the state once more, in any order, one after the other. It is called only if the
            tails of some pixels turn out too short, and then only these pixels are looked at.

        Raises
        ------
        WrongFrameError
            If what `reread` gives is not the frames that were added.
        ValueError
            If the state is empty.
        """
        if self.frames == 0:
            raise ValueError("no frames were added: there is nothing to combine")
        correction = scatter_correction(self.frames, clipping)
        mean, uncertainty, counts = _clipped_mean(self.frames, self.state, clipping, correction)
        overflowed = np.flatnonzero(counts == 0)
        per_round = max(1, RECOMPUTED_VALUES // self.frames)
        for start in range(0, overflowed.size, per_round):
            pixels = overflowed[start : start + per_round]
            mean[pixels], uncertainty[pixels], counts[pixels] = self._recomputed(pixels, clipping, reread)
        return Stack(
            self.frames,
            mean.reshape(self.shape),
            uncertainty.reshape(self.shape),
            counts.reshape(self.shape),
            overflowed.size,
        )

    def _recomputed(
        self, pixels: NDArray[np.intp], clipping: Clipping, reread: Reread
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
        """Decide some pixels from all their values: a state whose tails are the whole sample."""
        values = np.empty((self.frames, pixels.size), np.uint16)
        given = 0
        for frame in reread():
            self._check(frame)
            if given < self.frames:
                values[given] = frame.reshape(-1)[pixels]
            given += 1
        columns = PixelState.of_columns(values)
        if given != self.frames or not (
            np.array_equal(columns.totals, self.state.totals[pixels])
            and np.array_equal(columns.squares, self.state.squares[pixels])
        ):
            raise WrongFrameError(
                f"{given} frames were read again, and their pixels do not add up to those of the {self.frames} that"
                " were added: some file is missing, or is not the frame that was shot"
            )
        return _clipped_mean(self.frames, columns, clipping, scatter_correction(self.frames, clipping))

    def _check(self, pixels: NDArray[np.uint16]) -> None:
        if pixels.shape != self.shape or pixels.dtype != np.uint16:
            raise WrongFrameError(
                f"a frame of {pixels.dtype} and shape {pixels.shape} among frames of uint16 and shape {self.shape}"
            )

    def _make_room(self, frames: int) -> None:
        if self.frames + frames > MOST_FRAMES:
            raise WrongFrameError(f"a state holds at most {MOST_FRAMES} frames: start another one")


def _clipped_mean(
    frames: int, state: PixelState, clipping: Clipping, correction_of_scatter: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    """Return mean, standard error and number of the kept values; the number is 0 where a tail was too short."""
    mean = np.empty(state.totals.size, np.float32)
    uncertainty = np.empty(state.totals.size, np.float32)
    counts = np.empty(state.totals.size, np.uint16)
    trim = clipping.trimmed(frames)
    correction = variance_correction(frames, trim)
    kernels = _kernels()

    def combine(start: int, stop: int) -> None:
        kernels.combine_pixels(
            frames,
            state.totals,
            state.squares,
            state.high,
            state.low,
            trim,
            correction,
            float(clipping.kappa) ** 2,
            float(clipping.sigma_floor_adu) ** 2,
            clipping.iterations,
            correction_of_scatter,
            mean,
            uncertainty,
            counts,
            start,
            stop,
        )

    _in_bands(combine, state.totals.size)
    return mean, uncertainty, counts


@cache
def scatter_correction(frames: int, clipping: Clipping) -> float:
    """Return the variance of the clipped mean over that which the scatter of the kept values suggests.

    Clipping takes the wings of clean samples, too: what is kept scatters less than the noise, and its mean more than
    that of the whole sample. At 3 sigma the ratio is 1.06 for many frames, 1.07 for 50, 1.11 for 20, 1.38 for 5.
    Squared uncertainties multiplied by it are right on average; each of them is still an estimate from few values, so
    that the square of (error / uncertainty) has the mean (m - 1) / (m - 3) of Student's distribution or a little more:
    1.04 for 50 frames, 1.01 for 200.

    Normal samples go through the very kernel that makes masters. For those the sample mean and sigma are independent
    of everything that does not depend on location and scale (Basu's theorem), such as the distance d from the mean of
    all to that of the kept values in units of s, the scatter of all. Therefore the variance of the clipped mean is
    exactly sigma^2 (1/n + mean d^2), and the noise of the trial enters by the small d only.

    Rounded to 0.001, so that it is the same on every machine. Noise below `sigma_floor_adu` is clipped less than
    assumed here: its uncertainty comes out up to 3 % too large.

    Parameters
    ----------
    frames
        Sample size; below 3, or where nothing can be rejected, the ratio is 1.
    clipping
        The rule.
    """
    if frames < 3:  # noqa: PLR2004 - as documented
        return 1.0
    random = np.random.Generator(np.random.SFC64(frames))
    normal = random.standard_normal((frames, max(64, TRIAL_VALUES // frames)), dtype=np.float32)
    state = PixelState.of_columns(np.clip(np.rint(normal * 2000 + 32768), 0, 65535).astype(np.uint16))
    mean, uncertainty, _ = _clipped_mean(frames, state, clipping, 1.0)
    total = state.totals.astype(np.int64)
    variance = (frames * state.squares.astype(np.int64) - total * total) / (frames * (frames - 1))
    moved = (mean - total / frames) ** 2 / variance
    estimated = uncertainty.astype(np.float64) ** 2 / variance
    return round(float((1 / frames + moved.mean()) / np.nanmean(estimated)), 3)


def _kernels() -> ModuleType:
    from coldframe.calibration import kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    return kernels


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_thread_count(), "pixels")


def _thread_count() -> int:
    return min(MOST_THREADS, len(os.sched_getaffinity(0)))


def _in_bands(work: Callable[[int, int], None], size: int) -> None:
    """Do `work(start, stop)` for parts of `size` pixels, each in a thread of its own."""
    edges = np.linspace(0, size, _thread_count() + 1).astype(int).tolist()
    for _ in _threads().map(work, edges[:-1], edges[1:]):
        pass
