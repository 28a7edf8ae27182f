"""Frames on disk combined pixel by pixel from their whole samples: any statistic, whatever the number of frames.

The pixels of a band are read from every file, turned into columns, and handed to `column_kernels`. A few threads work
on bands of their own; the memory taken is that of the result, 10 bytes a pixel, and of one band for each thread.
"""

import math
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import BZERO, FrameFileError
from coldframe.calibration.files.image_file import STORED_AS, ImageFile
from coldframe.calibration.stacking.accumulator import Stack, clipping_trial
from coldframe.calibration.stacking.clipping import MOST_FRAMES, Clipping, variance_correction
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.calibration.stacking.uncertainty import Trial, student_variance, trial_samples, tried
from coldframe.calibration.threads import MOST_THREADS
from coldframe.errors import ColdframeError

BAND_BYTES = 1 << 23
"""Of the pixels that a thread holds at once, as the files store them; of less each read would be too short to pay."""

FEWEST_PIXELS = 512
"""Of a band, however many frames there are."""

_NOT_WINSORIZED = -1.0

_OTHER_FILES = 64
"""Files that the process may have open besides the frames."""

Statistic = Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]], None]


class MixedShapesError(ColdframeError):
    """Frames of different sizes cannot be combined."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How flat frames are brought to one level while they are combined; see `FlatScaler`.

    Attributes
    ----------
    dark
        float32, shape (height, width): what is subtracted from each frame, ADU.
    factors
        float32, shape (frames, 2, 2): what each frame is multiplied with then, by the row and the column of the 2x2
        pattern of a colour filter array.
    """

    dark: NDArray[np.float32]
    factors: NDArray[np.float32]


def combine_columns(
    frames: Sequence[ImageFile], method: Method, scaling: Scaling | None = None, *, threads: int = MOST_THREADS
) -> Stack:
    """Combine frames from disk.

    Frames of 8 or 16 bits are sorted as they are and summed up in integers: with `Clipping` the result is that of the
    running state, to the bit. All others, and frames that are stored in different ways, go through float32: of 32-bit
    integers above 16,777,216 the last digits are lost.

    Parameters
    ----------
    frames
        At least one, all of the same shape, at most 32,767.
    method
        What becomes of a pixel's sample.
    scaling
        For flats.
    threads
        That share the work, at most; never more than the process has processors.

    Raises
    ------
    MixedShapesError
        If the frames differ in size.
    FrameFileError
        If a file cannot be read any more, or has become shorter.
    ValueError
        If there are no frames or too many.
    """
    if not 1 <= len(frames) <= MOST_FRAMES:
        raise ValueError(f"{len(frames)} frames: 1 to {MOST_FRAMES} can be combined")
    shape = frames[0].shape
    odd = next((frame for frame in frames if frame.shape != shape), None)
    if odd is not None:
        raise MixedShapesError(
            f"{odd.path} has {odd.shape[1]} x {odd.shape[0]} pixels, {frames[0].path} {shape[1]} x {shape[0]}"
        )
    pixels = shape[0] * shape[1]
    value, uncertainty = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    counts = np.empty(pixels, np.uint16)
    band_pixels = min(pixels, max(FEWEST_PIXELS, BAND_BYTES // (len(frames) * frames[0].pixel_bytes)))
    with ExitStack() as opened:
        reader = _BandReader(frames, scaling, opened)
        correction = spread_correction(len(frames), method)

        def combine(starts: Iterator[int]) -> None:
            statistic = _statistic(method, len(frames), reader.values, correction)
            buffer = np.empty(len(frames) * band_pixels, reader.values.dtype)
            for start in starts:
                part = slice(start, min(start + band_pixels, pixels))
                band = buffer[: len(frames) * (part.stop - start)].reshape(len(frames), -1)
                reader.read(band, start)
                statistic(band, value[part], uncertainty[part], counts[part])

        _share(combine, range(0, pixels, band_pixels), threads)
    return Stack(len(frames), value.reshape(shape), uncertainty.reshape(shape), counts.reshape(shape), 0)


def spread_correction(frames: int, method: Method) -> float:
    """Return the squared uncertainty of the combined value over that which the scatter of the kept values suggests.

    For every method what `scatter_correction` is for `Clipping`. For the mean it is that of Student's distribution; it
    tends to pi / 2 for the median.
    """
    if isinstance(method, Mean) or frames < 3:  # noqa: PLR2004 - of two all methods take the mean
        return student_variance(frames)
    return method_trial(frames, method).correction


@cache
def method_trial(frames: int, method: Method) -> Trial:
    """Let normal samples, of two frames or more, go through the method."""
    if isinstance(method, Clipping):
        return clipping_trial(frames, method)
    samples = trial_samples(frames)
    value, error = np.empty((2, samples.shape[1]), np.float32)
    counts = np.empty(value.size, np.uint16)
    # As words of a file, so that nothing is compiled for the trial alone.
    _statistic(method, frames, _Values(samples.dtype, flip=0), 1.0)(samples.byteswap(), value, error, counts)
    return tried(samples, value, error, counts)


class _Values(NamedTuple):
    """What the values of a band are.

    Attributes
    ----------
    dtype
        uint16 or float32.
    whole
        True where all are whole numbers.
    pedestal
        By how much they are higher than those of the frames, ADU.
    flip
        Of words as they come from the file what turns them into values; see `columns.load`.
    """

    dtype: np.dtype[Any]
    whole: bool = True
    pedestal: int = 0
    flip: int | None = None


class _BandReader:
    """Reads the same pixels of all frames; `values` tells what they become."""

    def __init__(self, frames: Sequence[ImageFile], scaling: Scaling | None, opened: ExitStack) -> None:
        storages = {frame.storage for frame in frames}
        whole = all(bits > 0 and scale == 1 for bits, _, scale in storages)
        # Signed words are sorted with the sign bit turned over, too; flats are known to have no negative ones.
        turned = storages == {(16, 0, 1)} and scaling is None
        self._frames = frames
        self._scaling = scaling
        self._words = storages in ({(16, 0, 1)}, {(16, BZERO, 1)})
        self._flip = BZERO if turned or storages == {(16, BZERO, 1)} else 0
        if self._words or storages == {(8, 0, 1)}:
            flip = self._flip if self._words and scaling is None else None
            self.values = _Values(np.dtype(np.uint16), pedestal=BZERO if turned else 0, flip=flip)
        else:
            self.values = _Values(np.dtype(np.float32), whole=whole and scaling is None)
        allow_files(len(frames))
        self._files = [_open(frame, opened) for frame in frames]

    def read(self, band: NDArray[Any], start: int) -> None:
        """Fill a band of shape (frames, pixels) with the pixels from number `start` on."""
        if self._words:
            for frame, file, row in zip(self._frames, self._files, band, strict=True):
                _read(frame, file, start, row)
            if self._scaling is not None:
                _kernels().decode_words(band.reshape(-1), self._flip)
        else:
            for frame, file, row in zip(self._frames, self._files, band, strict=True):
                stored = np.empty(row.size, STORED_AS[frame.bits])
                _read(frame, file, start, stored)
                row[:] = stored.astype(np.float64) * frame.scale + frame.zero
        if self._scaling is not None:
            self._scale(band, start, self._scaling)

    def _scale(self, band: NDArray[Any], start: int, scaling: Scaling) -> None:
        dark = scaling.dark.reshape(-1)[start : start + band.shape[1]]
        width = self._frames[0].shape[1]
        scale = _kernels().scale_words if band.dtype == np.uint16 else _kernels().scale_values
        for row, factors in zip(band, scaling.factors, strict=True):
            scale(row, dark, factors, start, width)


def _read(frame: ImageFile, file: int, start: int, into: NDArray[Any]) -> None:
    try:
        given = os.preadv(file, [into.data], frame.data_start + start * frame.pixel_bytes)
    except OSError as error:
        raise FrameFileError(frame.path, error.strerror or str(error)) from error
    if given < into.nbytes:
        raise FrameFileError(frame.path, "became shorter while it was read")


def _open(frame: ImageFile, opened: ExitStack) -> int:
    try:
        file = os.open(frame.stored, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise FrameFileError(frame.path, error.strerror or str(error)) from error
    opened.callback(os.close, file)
    return file


def allow_files(count: int) -> None:
    """Raise the limit of open files, where it is lower than needed, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
            )


def _statistic(method: Method, frames: int, values: _Values, correction: float) -> Statistic:
    """Return what combines a band into values, their uncertainties and counts; each thread needs its own."""
    kernels = _kernels()
    integral = values.dtype == np.uint16
    kernel, rule = _kernel(method, frames, whole=values.whole)
    sums = np.empty((kernels.SUMS, kernels.TILE), np.int64 if integral else np.float64)
    near = math.sqrt((2**31 - 1) / frames) if integral else -1.0

    def combine(
        band: NDArray[Any],
        value: NDArray[np.float32],
        uncertainty: NDArray[np.float32],
        counts: NDArray[np.uint16],
    ) -> None:
        kernel(band, values.flip, sums, near, *rule, values.pedestal, correction, value, uncertainty, counts)

    return combine


def _kernel(method: Method, frames: int, *, whole: bool) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """Return the kernel of a method, and what tells it the rule."""
    kernels = _kernels()
    match method:
        case Mean():
            return kernels.take_means, ()
        case Median():
            return kernels.take_medians, (middle_network(frames),)
        case MedianClipping():
            return kernels.clip_about_medians, (merging_network(frames), float(method.kappa) ** 2, _NOT_WINSORIZED)
        case Winsorizing():
            return kernels.clip_about_medians, (merging_network(frames), float(method.kappa) ** 2, float(whole))
        case Clipping():
            trim = method.trimmed(frames)
            return kernels.clip_about_means, (
                merging_network(frames),
                trim,
                variance_correction(frames, trim),
                float(method.kappa) ** 2,
                float(method.sigma_floor_adu) ** 2,
                method.iterations,
            )
        case _:
            assert_never(method)


@cache
def merging_network(rows: int) -> NDArray[np.int32]:
    """Return the comparators that complete the sorting of rows of which each eight, as far as they go, are in order."""
    whole = rows - rows % 8
    return np.concatenate([sorting_network(rows - whole) + np.int32(whole), sorting_network(rows, 8)])


@cache
def sorting_network(rows: int, run: int = 1) -> NDArray[np.int32]:
    """Return the comparators of Batcher's odd-even merge sort, shape (comparators, 2), from sorted runs of rows on.

    Each puts the smaller value into its first row and the larger one into its second. Knuth, The Art of Computer
    Programming 3, 2nd edition, section 5.2.2, algorithm M.
    """
    stages = [np.empty((0, 2), np.int32)]
    while run < rows:
        distance = run
        while distance:
            first = np.arange(distance % run, rows - distance, dtype=np.int32)
            chosen = (first - distance % run) // distance % 2 == 0
            chosen &= first // (2 * run) == (first + distance) // (2 * run)
            stages.append(np.stack([first[chosen], first[chosen] + distance], axis=1))
            distance //= 2
        run *= 2
    return np.concatenate(stages)


@cache
def middle_network(rows: int) -> NDArray[np.int32]:
    """Return those comparators of the merging network on which the middle row or, of an even number, two depend."""
    wanted = {(rows - 1) // 2, rows // 2}
    kept = []
    for pair in merging_network(rows)[::-1].tolist():
        if not wanted.isdisjoint(pair):
            wanted.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int32).reshape(-1, 2)


def _share(work: Callable[[Iterator[int]], None], starts: range, most_threads: int) -> None:
    """Let a few threads take from the same starts until none is left; after an error in one the others stop, too."""
    left = iter(starts)

    def take() -> None:
        try:
            work(left)
        except BaseException:
            for _ in left:
                pass
            raise

    threads = min(most_threads, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads, "columns") as pool:
        for outcome in [pool.submit(take) for _ in range(threads)]:
            outcome.result()


def _kernels() -> ModuleType:
    from coldframe.calibration.kernels import columns  # noqa: PLC0415 - importing Numba takes 0.7 s

    return columns
