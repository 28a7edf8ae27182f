"""The running state of a set: all data that its master needs from the frames so far, in a fixed amount of memory.

Iterated clipping about the mean keeps a contiguous interval of each pixel's sorted values, so all rejected values are
at the ends. The sum, the sum of squares and a few extreme values of each pixel therefore lead to exactly the same
decision as all its values. Pixels with more rejected values than the state contains are flagged and recomputed from the
saved frames.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import folding
from coldframe.calibration.stacking.clipping import MOST_FRAMES, Clipping
from coldframe.calibration.stacking.methods import Mean
from coldframe.calibration.stacking.pixel_state import PixelRule, PixelState, Planes, combine_pixels, rule_of
from coldframe.calibration.stacking.stack import Stack
from coldframe.calibration.threads import parallel_map
from coldframe.errors import ColdframeError

Reread = Callable[[NDArray[np.intp]], Iterable[NDArray[np.uint16]]]
"""A function that takes indices into the flattened frame and yields the values of these pixels, frame by frame."""


BAND_PIXELS = 65_000 * 32
"""Number of pixels in a band; the state of a band is contiguous in memory and takes 60 to 90 MB. It is not a power of
two, because the rows of the tails would then compete for the same cache lines."""

DIGESTED_BYTES = 1 << 22


RECOMPUTED_VALUES = 1 << 24
"""Maximum number of values of flagged pixels that are recomputed at a time, in up to 200 MB; larger numbers are
recomputed in several rounds."""


class RepeatedFrameError(ColdframeError):
    """A frame is already part of the state; adding it again would count its noise twice."""


class WrongFrameError(ColdframeError):
    """A frame's shape or type is wrong, the state is full, or a reread frame is not the one that was added."""


def tail_length(planned_frames: int) -> int:
    """Return the number of values to keep at each end of a pixel's sorted values.

    With the returned length, fewer than one pixel in 10,000 of realistic data (Gaussian noise, random telegraph noise,
    cosmic rays) must be recomputed. For 500 frames, a length of 8 leaves at most one pixel in 2,000 to be recomputed.
    """
    if planned_frames <= 60:  # noqa: PLR2004 - as documented
        return 4
    return 6 if planned_frames <= 150 else 8  # noqa: PLR2004 - as documented


def pixel_digest(pixels: NDArray[np.uint16]) -> bytes:
    """Return the digest that identifies a frame by its pixels: the SHA-256 of the SHA-256s of its pieces.

    The pieces are hashed in parallel.
    """
    content = np.ascontiguousarray(pixels).data.cast("B")
    pieces = (content[start : start + DIGESTED_BYTES] for start in range(0, len(content), DIGESTED_BYTES))
    return hashlib.sha256(b"".join(parallel_map(lambda piece: hashlib.sha256(piece).digest(), pieces))).digest()


class Accumulator:
    """Sums, sums of squares and extreme values of every pixel in a set of frames.

    Frames can be added in any order, one by one or several at once, and the states of parts of a set can be merged: in
    all cases, the result is identical, bit for bit. The state takes 12 bytes per pixel, plus 4 bytes for each value of
    `tail_length`; all memory is allocated at the start. An accumulator must not be used by several threads at a time;
    internally, it shares the work on a frame among a few threads.

    Parameters
    ----------
    shape
        Height and width of the frames.
    planned_frames
        Expected number of frames, which determines the length of the tails; more or fewer frames may be added.
    """

    def __init__(self, shape: tuple[int, int], planned_frames: int) -> None:
        self.shape = shape
        self.tails = tail_length(planned_frames)
        self._parts = _parts(shape[0] * shape[1])
        self._bands = list(parallel_map(lambda part: PixelState.empty(part.stop - part.start, self.tails), self._parts))
        self._digests: set[bytes] = set()
        self._held: list[NDArray[np.uint16]] = []

    @property
    def frames(self) -> int:
        """Number of frames in the state."""
        return len(self._digests)

    @property
    def digests(self) -> frozenset[bytes]:
        """Digests of the frames in the state."""
        return frozenset(self._digests)

    @property
    def bands(self) -> Sequence[PixelState]:
        """The state in bands of at most `BAND_PIXELS` pixels, in the order of the frame."""
        self._fold_held()
        return tuple(self._bands)

    @classmethod
    def restored(
        cls, shape: tuple[int, int], planned_frames: int, digests: Iterable[bytes], fill: Callable[[PixelState], None]
    ) -> "Accumulator":
        """Return an accumulator from its saved data; `fill` is called for each band in turn, to read the band."""
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
            Digest that identifies the frame; see `pixel_digest`.

        Raises
        ------
        RepeatedFrameError
            If a frame with this digest is already in the state.
        WrongFrameError
            If the frame's shape or type differs from that of the state, or if the state is full.
        """
        self.add_together([pixels], [digest])

    def hold(self, pixels: NDArray[np.uint16], digest: bytes) -> None:
        """Add a frame like `add`, but keep it in memory and fold it together with the next frames.

        This halves the time per frame. Up to three frames are held; they belong to the state, and all methods take them
        into account. The caller must not change the pixels afterwards.

        Raises
        ------
        RepeatedFrameError, WrongFrameError
            As for `add`; the frame is not added.
        """
        self._enter([pixels], [digest])
        self._held.append(_flat(pixels))
        if len(self._held) == folding.FEW:
            self._fold_held()

    def add_together(self, frames: Sequence[NDArray[np.uint16]], digests: Sequence[bytes]) -> None:
        """Fold several frames into the state; on an error, none of them is added.

        Adding eight frames at once takes a third of the time of adding them one by one, because the state, which is far
        larger than a frame, is read and written only once.

        Parameters
        ----------
        frames
            uint16, shape (height, width) each.
        digests
            Digest of each frame.

        Raises
        ------
        RepeatedFrameError, WrongFrameError
            As for `add`.
        """
        self._enter(frames, digests)
        self._fold([_flat(pixels) for pixels in frames])

    def merge(self, other: "Accumulator") -> None:
        """Fold the state of other frames of the same set into this state; `other` does not change.

        Raises
        ------
        RepeatedFrameError
            If both states contain the same frame.
        WrongFrameError
            If the states differ in shape or in the length of their tails, or if they contain too many frames together.
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
        theirs = iter(other.bands)

        def fold(_: slice, mine: PixelState, their: PixelState) -> None:
            mine.totals[:] += their.totals
            mine.squares[:] += their.squares
            folding.merge_tails(their.high, their.low, mine.high, mine.low)

        self._in_bands(fold, theirs)
        self._digests |= other.digests

    def noise_adu(self) -> float | None:
        """Return the typical standard error of the mean, ADU, before clipping; None for fewer than two frames.

        This is the median over the pixels, which is insensitive to hot pixels, divided by its expected value for
        normally distributed noise. Thanks to this division, the result for a clean set decreases as 1/sqrt(n) from the
        second frame on. The variance of k + 1 values follows a chi-square distribution with k degrees of freedom, whose
        median is k (1 - 2 / 9k)^3 (Wilson and Hilferty 1931, PNAS 17, 684).

        About 50,000 pixels spread over the frame are sampled, which takes a few milliseconds.
        """
        count = self.frames
        if count < 2:  # noqa: PLR2004 - a scatter needs two values
            return None
        # With an odd step, the sample covers every colour of a filter array and all columns.
        step = max(1, self.shape[0] * self.shape[1] // 50_000) | 1
        total = np.concatenate([band.totals[::step] for band in self._bands]).astype(np.int64)
        square = np.concatenate([band.squares[::step] for band in self._bands]).astype(np.int64)
        for pixels in self._held:
            values = np.concatenate([pixels[part][::step] for part in self._parts]).astype(np.int64)
            total += values
            square += values * values
        scatter = count * square - total * total
        median = float(np.median(np.sqrt(scatter / (float(count) * count * (count - 1)))))
        return float(median / (1 - 2 / (9 * (count - 1))) ** 1.5)

    def combine(self, method: Clipping | Mean, reread: Reread) -> Stack:
        """Clip and average the values of each pixel.

        Parameters
        ----------
        method
            The method; it defines the clipping.
        reread
            Function that yields pixel values of the state's frames again, with the frames in any order. It is called
            only if the tails of some pixels are too short, and only for these pixels.

        Raises
        ------
        WrongFrameError
            If `reread` does not yield the frames that were added.
        ValueError
            If the state is empty.
        """
        return self._combined(self._bands, method, reread)

    def finish(self, method: Clipping | Mean, reread: Reread) -> Stack:
        """Clip and average like `combine`, and release the memory of the state band by band as the result grows.

        The accumulator is empty afterwards and cannot be used again.
        """
        return self._combined(_popped(self._bands), method, reread)

    def _combined(self, bands: Iterable[PixelState], method: Clipping | Mean, reread: Reread) -> Stack:
        if self.frames == 0:
            raise ValueError("no frames were added: there is nothing to combine")
        self._fold_held()
        rule = rule_of(self.frames, method)
        planes = Planes.empty(self.shape[0] * self.shape[1])

        def combine(part: slice, band: PixelState) -> _Overflow:
            kept = planes.part(part)
            combine_pixels(self.frames, band, rule, kept)
            places = np.flatnonzero(kept.counts == 0)
            return _Overflow(places + part.start, band.totals[places], band.squares[places])

        overflow = _Overflow.joined(list(parallel_map(combine, self._parts, bands)))
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

    def _recompute(self, overflow: "_Overflow", rule: PixelRule, planes: Planes, reread: Reread) -> None:
        """Recompute the given pixels from all their values, with a state whose tails contain all of them."""
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
                " were added: a file is missing, or no longer contains the frame that was added"
            )
        decided = Planes.empty(overflow.pixels.size)
        combine_pixels(self.frames, columns, rule, decided)
        planes.mean[overflow.pixels] = decided.mean
        planes.uncertainty[overflow.pixels] = decided.uncertainty
        planes.counts[overflow.pixels] = decided.counts

    def _enter(self, frames: Sequence[NDArray[np.uint16]], digests: Sequence[bytes]) -> None:
        """Count frames that are about to be folded; on an error, count none of them."""
        seen = set(self._digests)
        for pixels, digest in zip(frames, digests, strict=True):
            if digest in seen:
                raise RepeatedFrameError(f"frame {digest.hex()[:12]} was added before; each frame counts once")
            self._check(pixels)
            seen.add(digest)
        self._make_room(len(frames))
        self._digests = seen

    def _fold_held(self) -> None:
        held, self._held = self._held, []
        self._fold(held)

    def _fold(self, frames: Sequence[NDArray[np.uint16]]) -> None:
        """Fold flattened frames into all bands."""
        if not frames:
            return
        batched = len(frames) // folding.BATCH * folding.BATCH
        none = frames[0][:0]

        def fold(part: slice, band: PixelState) -> None:
            for first in range(0, batched, folding.BATCH):
                folding.fold_batch(tuple(pixels[part] for pixels in frames[first : first + folding.BATCH]), *band)
            for first in range(batched, len(frames), folding.FEW):
                few = [pixels[part] for pixels in frames[first : first + folding.FEW]]
                folding.fold((*few, *[none] * (folding.FEW - len(few))), *band)

        self._in_bands(fold)

    def _check(self, pixels: NDArray[np.uint16]) -> None:
        if pixels.shape != self.shape or pixels.dtype != np.uint16:
            raise WrongFrameError(
                f"a frame of {pixels.dtype}, shape {pixels.shape}, cannot be combined with frames of uint16, shape"
                f" {self.shape}"
            )

    def _make_room(self, frames: int) -> None:
        if self.frames + frames > MOST_FRAMES:
            raise WrongFrameError(f"a state holds at most {MOST_FRAMES} frames: start another state")

    def _in_bands(self, work: Callable[..., None], *others: Iterable[object]) -> None:
        """Call `work(part, band, ...)` for every band, a few bands at a time."""
        for _ in parallel_map(work, self._parts, self._bands, *others):
            pass


class _Overflow(NamedTuple):
    """Pixels whose tails are too short: their indices, and the sums against which the reread values are checked."""

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


def _flat(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    return np.ascontiguousarray(pixels).reshape(-1)


def _parts(pixels: int) -> list[slice]:
    """Return the range of pixels of each band."""
    return [slice(start, min(start + BAND_PIXELS, pixels)) for start in range(0, pixels, BAND_PIXELS)]


def _popped(bands: list[PixelState]) -> Iterator[PixelState]:
    """Remove the bands from a list one by one, so that the caller holds the last reference to their memory."""
    bands.reverse()
    while bands:
        yield bands.pop()
