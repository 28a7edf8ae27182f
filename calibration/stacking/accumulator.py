"""The running state of a set of frames: all that is needed of the frames so far, whatever their number."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.stacking.clipping import MOST_FRAMES, Clipping, variance_correction
from coldframe.calibration.stacking.methods import Mean
from coldframe.calibration.stacking.uncertainty import Trial, student_variance, trial_samples, tried
from coldframe.calibration.threads import mapped
from coldframe.errors import ColdframeError

Reread = Callable[[NDArray[np.intp]], Iterable[NDArray[np.uint16]]]
"""Gives some pixels, by their numbers in the flat frame, of one frame after the other."""


BAND_PIXELS = 65_000 * 32
"""Pixels of a state that lie together in memory: 60 to 90 MB. Off the powers of two, where the rows of the tails would
compete for the same places in the cache."""

DIGESTED_BYTES = 1 << 22


RECOMPUTED_VALUES = 1 << 24
"""Values of overflowed pixels held at once (about 200 MB at their peak); more are recomputed in several rounds."""


class RepeatedFrameError(ColdframeError):
    """A frame is already part of the state; adding it again would count its noise twice."""


class WrongFrameError(ColdframeError):
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
        float32, same shape: standard uncertainty of the mean, from the scatter of the kept values; see
        `coldframe.calibration.stacking.uncertainty`. 0 where they are all equal, NaN where only one is.
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


class PixelState(NamedTuple):
    """What is known of the values of some pixels (all arrays flat, in the order of the frame).

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
        """Return the state before the first frame, in one piece of memory."""
        sums, tail = 12 * pixels, 2 * tails * pixels
        memory = np.zeros(sums + 2 * tail, np.uint8)
        low = memory[sums + tail :].view(np.uint16).reshape(tails, pixels)
        low[:] = 65535
        return cls(
            memory[8 * pixels : sums].view(np.uint32),
            memory[: 8 * pixels].view(np.uint64),
            memory[sums : sums + tail].view(np.uint16).reshape(tails, pixels),
            low,
        )

    @classmethod
    def of_columns(cls, values: NDArray[np.uint16]) -> "PixelState":
        """Return the state whose tails are the whole sample, from values of shape (frames, pixels)."""
        low = np.sort(values, axis=0)
        wide = values.astype(np.uint64)
        return cls(values.sum(axis=0, dtype=np.uint32), (wide * wide).sum(axis=0), np.ascontiguousarray(low[::-1]), low)


def pixel_digest(pixels: NDArray[np.uint16]) -> bytes:
    """Return what tells a frame from all others: the SHA-256 of the SHA-256s of its pixels, piece by piece."""
    content = np.ascontiguousarray(pixels).data.cast("B")
    pieces = (content[start : start + DIGESTED_BYTES] for start in range(0, len(content), DIGESTED_BYTES))
    return hashlib.sha256(b"".join(mapped(lambda piece: hashlib.sha256(piece).digest(), pieces))).digest()


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

    Frames may come in any order, one by one or several at once, and states of parts of a set merge; the result is the
    same to the bit. The state takes 12 bytes a pixel and 4 more for each value of `tail_length`, allocated at once.
    Not for use by several threads at a time; a frame is shared among a few threads within.

    Parameters
    ----------
    shape
        Height and width of the frames.
    planned_frames
        About how many will come; any number may.
    """

    def __init__(self, shape: tuple[int, int], planned_frames: int) -> None:
        self.shape = shape
        self.tails = tail_length(planned_frames)
        self._parts = _parts(shape[0] * shape[1])
        self._bands = list(mapped(lambda part: PixelState.empty(part.stop - part.start, self.tails), self._parts))
        self._digests: set[bytes] = set()

    @property
    def frames(self) -> int:
        """Frames in the state."""
        return len(self._digests)

    @property
    def digests(self) -> frozenset[bytes]:
        """Digests of the frames in the state."""
        return frozenset(self._digests)

    @property
    def bands(self) -> Sequence[PixelState]:
        """The state itself, a band of pixels after the other, at most `BAND_PIXELS` in each."""
        return tuple(self._bands)

    @classmethod
    def restored(
        cls, shape: tuple[int, int], planned_frames: int, digests: Iterable[bytes], fill: Callable[[PixelState], None]
    ) -> "Accumulator":
        """Return an accumulator that was saved; `fill` is to read its `bands`, one after the other."""
        accumulator = cls(shape, planned_frames)
        for band in accumulator._bands:
            fill(band)
        accumulator._digests = set(digests)
        return accumulator

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
            If the frame is of another shape or type, or the state is full.
        """
        self.add_together([pixels], [digest])

    def add_together(self, frames: Sequence[NDArray[np.uint16]], digests: Sequence[bytes]) -> None:
        """Fold some frames into the state, all or none of them.

        Eight at a time take a third of the time that they take one by one: the state, far larger than a frame, goes
        through the processor once for all of them.

        Parameters
        ----------
        frames
            uint16, shape (height, width) each.
        digests
            Of each frame, as for `add`; so are the errors.
        """
        seen = set(self._digests)
        for pixels, digest in zip(frames, digests, strict=True):
            if digest in seen:
                raise RepeatedFrameError(f"frame {digest.hex()[:12]} was added before; each frame counts once")
            self._check(pixels)
            seen.add(digest)
        self._make_room(len(frames))
        kernels = _kernels()
        flat = [np.ascontiguousarray(pixels).reshape(-1) for pixels in frames]
        batched = len(flat) // kernels.BATCH * kernels.BATCH

        def fold(part: slice, band: PixelState) -> None:
            for first in range(0, batched, kernels.BATCH):
                batch = tuple(pixels[part] for pixels in flat[first : first + kernels.BATCH])
                kernels.fold_batch(batch, *band)
            for pixels in flat[batched:]:
                kernels.fold(pixels[part], *band)

        self._in_bands(fold)
        self._digests = seen

    def merge(self, other: "Accumulator") -> None:
        """Fold another state, of other frames of the same set, into this one; `other` stays as it is.

        Raises
        ------
        RepeatedFrameError
            If both hold the same frame.
        WrongFrameError
            If the states differ in shape or in the length of their tails, or are too many frames together.
        """
        repeated = self._digests & other.digests
        if repeated:
            raise RepeatedFrameError(f"{len(repeated)} frames are in both states; each frame counts once")
        if self.shape != other.shape or self.tails != other.tails:
            raise WrongFrameError(
                f"states of shape {self.shape} with tails of {self.tails} and of shape {other.shape} with tails"
                f" of {other.tails} cannot be merged"
            )
        self._make_room(other.frames)
        kernels = _kernels()
        theirs = iter(other.bands)

        def fold(_: slice, mine: PixelState, their: PixelState) -> None:
            mine.totals[:] += their.totals
            mine.squares[:] += their.squares
            kernels.merge_tails(their.high, their.low, mine.high, mine.low)

        self._in_bands(fold, theirs)
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
        step = max(1, self.shape[0] * self.shape[1] // 50_000) | 1
        total = np.concatenate([band.totals[::step] for band in self._bands]).astype(np.int64)
        square = np.concatenate([band.squares[::step] for band in self._bands]).astype(np.int64)
        scatter = count * square - total * total
        median = float(np.median(np.sqrt(scatter / (float(count) * count * (count - 1)))))
        return float(median / (1 - 2 / (9 * (count - 1))) ** 1.5)

    def combine(self, method: Clipping | Mean, reread: Reread) -> Stack:
        """Clip and average.

        Parameters
        ----------
        method
            The rule.
        reread
            Gives values of the frames of the state once more, in any order of the frames. It is called only if the
            tails of some pixels turn out too short, and only for these pixels.

        Raises
        ------
        WrongFrameError
            If what `reread` gives is not the frames that were added.
        ValueError
            If the state is empty.
        """
        return self._combined(self._bands, method, reread)

    def finish(self, method: Clipping | Mean, reread: Reread) -> Stack:
        """Clip and average as `combine` does, and give the state's memory back while the result takes its place.

        The accumulator is empty afterwards, and of no use any more.
        """
        return self._combined(_popped(self._bands), method, reread)

    def _combined(self, bands: Iterable[PixelState], method: Clipping | Mean, reread: Reread) -> Stack:
        if self.frames == 0:
            raise ValueError("no frames were added: there is nothing to combine")
        rule = _rule(self.frames, method)
        planes = _Planes.empty(self.shape[0] * self.shape[1])

        def combine(part: slice, band: PixelState) -> _Overflow:
            kept = planes.part(part)
            _combine_pixels(self.frames, band, rule, kept)
            places = np.flatnonzero(kept.counts == 0)
            return _Overflow(places + part.start, band.totals[places], band.squares[places])

        overflow = _Overflow.joined(list(mapped(combine, self._parts, bands)))
        per_round = max(1, RECOMPUTED_VALUES // self.frames)
        for start in range(0, overflow.pixels.size, per_round):
            self._recompute(overflow.part(slice(start, start + per_round)), rule, planes, reread)
        return Stack(
            self.frames,
            planes.mean.reshape(self.shape),
            planes.uncertainty.reshape(self.shape),
            planes.counts.reshape(self.shape),
            overflow.pixels.size,
        )

    def _recompute(self, overflow: "_Overflow", rule: "_Rule", planes: "_Planes", reread: Reread) -> None:
        """Decide some pixels from all their values: a state whose tails are the whole sample."""
        values = np.empty((self.frames, overflow.pixels.size), np.uint16)
        given = 0
        for row in reread(overflow.pixels):
            if given < self.frames:
                values[given] = row
            given += 1
        columns = PixelState.of_columns(values)
        if given != self.frames or not (
            np.array_equal(columns.totals, overflow.totals) and np.array_equal(columns.squares, overflow.squares)
        ):
            raise WrongFrameError(
                f"{given} frames were read again, and their pixels do not add up to those of the {self.frames} that"
                " were added: some file is missing, or is not the frame that was shot"
            )
        decided = _Planes.empty(overflow.pixels.size)
        _combine_pixels(self.frames, columns, rule, decided)
        planes.mean[overflow.pixels] = decided.mean
        planes.uncertainty[overflow.pixels] = decided.uncertainty
        planes.counts[overflow.pixels] = decided.counts

    def _check(self, pixels: NDArray[np.uint16]) -> None:
        if pixels.shape != self.shape or pixels.dtype != np.uint16:
            raise WrongFrameError(
                f"a frame of {pixels.dtype} and shape {pixels.shape} among frames of uint16 and shape {self.shape}"
            )

    def _make_room(self, frames: int) -> None:
        if self.frames + frames > MOST_FRAMES:
            raise WrongFrameError(f"a state holds at most {MOST_FRAMES} frames: start another one")

    def _in_bands(self, work: Callable[..., None], *others: Iterable[object]) -> None:
        """Do `work(part, band, ...)` for every band, a few at a time."""
        for _ in mapped(work, self._parts, self._bands, *others):
            pass


class _Planes(NamedTuple):
    """What becomes of some pixels, flat; the planes of `Stack`."""

    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    counts: NDArray[np.uint16]

    @classmethod
    def empty(cls, pixels: int) -> "_Planes":
        return cls(np.empty(pixels, np.float32), np.empty(pixels, np.float32), np.empty(pixels, np.uint16))

    def part(self, pixels: slice) -> "_Planes":
        return _Planes(self.mean[pixels], self.uncertainty[pixels], self.counts[pixels])


class _Overflow(NamedTuple):
    """Pixels whose tails were too short: their numbers, and the sums by which their values are known again."""

    pixels: NDArray[np.intp]
    totals: NDArray[np.uint32]
    squares: NDArray[np.uint64]

    @classmethod
    def joined(cls, parts: Sequence["_Overflow"]) -> "_Overflow":
        return cls(
            np.concatenate([part.pixels for part in parts]),
            np.concatenate([part.totals for part in parts]),
            np.concatenate([part.squares for part in parts]),
        )

    def part(self, pixels: slice) -> "_Overflow":
        return _Overflow(self.pixels[pixels], self.totals[pixels], self.squares[pixels])


class _Rule(NamedTuple):
    """What `kernels.combine_pixels` needs to know of the method."""

    trim: int
    correction: float
    kappa_squared: float
    floor_squared: float
    iterations: int
    scatter_correction: float


def _rule(frames: int, method: Clipping | Mean) -> _Rule:
    if isinstance(method, Mean):
        # No step of clipping: all values are kept.
        return _Rule(0, 1.0, 0.0, 0.0, 0, student_variance(frames))
    return _clipping_rule(frames, method, scatter_correction(frames, method))


def _clipping_rule(frames: int, clipping: Clipping, correction_of_scatter: float) -> _Rule:
    trim = clipping.trimmed(frames)
    return _Rule(
        trim,
        variance_correction(frames, trim),
        float(clipping.kappa) ** 2,
        float(clipping.sigma_floor_adu) ** 2,
        clipping.iterations,
        correction_of_scatter,
    )


def _combine_pixels(frames: int, state: PixelState, rule: _Rule, planes: _Planes) -> None:
    """Write mean, standard error and number of the kept values; the number is 0 where a tail was too short."""
    _kernels().combine_pixels(frames, *state, *rule, *planes)


@cache
def scatter_correction(frames: int, clipping: Clipping) -> float:
    """Return the squared uncertainty of the clipped mean over that which the scatter of the kept values suggests.

    At 3 sigma it is 1.06 for many frames, 1.12 for 50, 1.33 for 20. Noise below `sigma_floor_adu` is clipped less than
    assumed here: its uncertainty comes out up to 3 % too large.

    Parameters
    ----------
    frames
        Sample size; of one and two nothing can be said, and the ratio is 1.
    clipping
        The rule.
    """
    return 1.0 if frames < 3 else clipping_trial(frames, clipping).correction  # noqa: PLR2004 - as documented


@cache
def clipping_trial(frames: int, clipping: Clipping) -> Trial:
    """Let normal samples, of two frames or more, go through the very kernel that makes masters."""
    samples = trial_samples(frames)
    state = PixelState.of_columns(samples)
    planes = _Planes.empty(state.totals.size)
    _combine_pixels(frames, state, _clipping_rule(frames, clipping, 1.0), planes)
    return tried(samples, *planes)


def _kernels() -> ModuleType:
    from coldframe.calibration.kernels import live  # noqa: PLC0415 - importing Numba takes 0.7 s

    return live


def _parts(pixels: int) -> list[slice]:
    """Return the pixels of each band."""
    return [slice(start, min(start + BAND_PIXELS, pixels)) for start in range(0, pixels, BAND_PIXELS)]


def _popped(bands: list[PixelState]) -> Iterator[PixelState]:
    """Take the bands out of a list, so that whoever takes one holds the last reference to its memory."""
    bands.reverse()
    while bands:
        yield bands.pop()
