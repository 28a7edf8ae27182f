"""Frames on disk combined pixel by pixel from their whole samples: any statistic, whatever the number of frames.

The pixels of a band are read from every file, turned into columns, and handed to `column_kernels`. A few threads work
on bands of their own; the memory taken is that of the result, 10 bytes a pixel, and of one band for each thread.
"""

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

from coldframe.calibration.accumulator import MOST_THREADS, Stack, scatter_correction
from coldframe.calibration.clipping import MOST_FRAMES, Clipping, variance_correction
from coldframe.calibration.frame_file import BZERO, FrameFileError
from coldframe.calibration.image_file import STORED_AS, ImageFile
from coldframe.calibration.methods import Mean, Median, MedianClipping, Method, Winsorizing

BAND_BYTES = 1 << 21
"""Of the pixels that a thread holds at once, in the files' own form: what fits a core's cache, roughly."""

FEWEST_PIXELS = 512
"""Of a band, however many frames there are: shorter pieces of a file cost more to ask for than to read."""

TRIAL_VALUES = 1 << 18
"""Random values from which `spread_correction` is found."""

_OTHER_FILES = 64
"""Files that the process may have open besides the frames."""

Statistic = Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]], None]


class MixedShapesError(Exception):
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


def combine_columns(frames: Sequence[ImageFile], method: Method, scaling: Scaling | None = None) -> Stack:
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
        statistic = _statistic(method, len(frames), reader.values, spread_correction(len(frames), method))

        def combine(starts: Iterator[int]) -> None:
            buffer = np.empty(len(frames) * band_pixels, reader.values.dtype)
            for start in starts:
                part = slice(start, min(start + band_pixels, pixels))
                band = buffer[: len(frames) * (part.stop - start)].reshape(len(frames), -1)
                reader.read(band, start)
                statistic(band, value[part], uncertainty[part], counts[part])

        _share(combine, range(0, pixels, band_pixels))
    return Stack(len(frames), value.reshape(shape), uncertainty.reshape(shape), counts.reshape(shape), 0)


@cache
def spread_correction(frames: int, method: Method) -> float:
    """Return the variance of the combined value over that which the scatter of the kept values suggests.

    For every method what `scatter_correction` is for `Clipping`, found in the same way: for normal samples the variance
    of any estimate of location is sigma^2 (1/n + mean d^2), with d the distance from the sample mean in units of the
    sample's sigma. It tends to pi / 2 for the median, is 1 for the mean.
    """
    if isinstance(method, Clipping):
        return scatter_correction(frames, method)
    if isinstance(method, Mean) or frames < 3:  # noqa: PLR2004 - of two all methods take the mean
        return 1.0
    random = np.random.Generator(np.random.SFC64(frames))
    normal = random.standard_normal((frames, max(64, TRIAL_VALUES // frames)), dtype=np.float32)
    band = np.clip(np.rint(normal * 2000 + 32768), 0, 65535).astype(np.uint16)
    value, uncertainty = np.empty((2, band.shape[1]), np.float32)
    _statistic(method, frames, _Values(band.dtype), 1.0)(band, value, uncertainty, np.empty(value.size, np.uint16))
    wide = band.astype(np.float64)
    variance = wide.var(axis=0, ddof=1)
    moved = (value - wide.mean(axis=0)) ** 2 / variance
    estimated = uncertainty.astype(np.float64) ** 2 / variance
    return round(float((1 / frames + moved.mean()) / estimated.mean()), 3)


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
    """

    dtype: np.dtype[Any]
    whole: bool = True
    pedestal: int = 0


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
            self.values = _Values(np.dtype(np.uint16), pedestal=BZERO if turned else 0)
        else:
            self.values = _Values(np.dtype(np.float32), whole=whole and scaling is None)
        _allow_files(len(frames))
        self._files = [_open(frame, opened) for frame in frames]

    def read(self, band: NDArray[Any], start: int) -> None:
        """Fill a band of shape (frames, pixels) with the pixels from number `start` on."""
        if self._words:
            for frame, file, row in zip(self._frames, self._files, band, strict=True):
                _read(frame, file, start, row)
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


def _allow_files(count: int) -> None:
    """Raise the limit of open files, where it is lower than needed, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
            )


def _statistic(method: Method, frames: int, values: _Values, correction: float) -> Statistic:
    """Return what combines a band (which it may change) into values, their uncertainties and counts."""
    integral = values.dtype == np.uint16
    kernels = _kernels()
    kernel, rule = _kernel(method, frames, whole=values.whole)

    def combine(
        band: NDArray[Any],
        value: NDArray[np.float32],
        uncertainty: NDArray[np.float32],
        counts: NDArray[np.uint16],
    ) -> None:
        totals = np.empty(kernels.TILE, np.int32 if integral else np.float64)
        squares = np.empty(kernels.TILE, np.int64 if integral else np.float64)
        kernel(band, totals, squares, *rule, values.pedestal, correction, value, uncertainty, counts)

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
            return kernels.clip_about_medians, (sorting_network(frames), float(method.kappa) ** 2)
        case Winsorizing():
            return kernels.clip_winsorized, (sorting_network(frames), float(method.kappa) ** 2, float(whole))
        case Clipping():
            trim = method.trimmed(frames)
            return kernels.clip_about_means, (
                sorting_network(frames),
                trim,
                variance_correction(frames, trim),
                float(method.kappa) ** 2,
                float(method.sigma_floor_adu) ** 2,
                method.iterations,
            )
        case _:
            assert_never(method)


@cache
def sorting_network(rows: int) -> NDArray[np.int32]:
    """Return the comparators of Batcher's odd-even merge sort, shape (comparators, 2).

    Each puts the smaller value into its first row and the larger one into its second. Knuth, The Art of Computer
    Programming 3, 2nd edition, section 5.2.2, algorithm M.
    """
    stages = [np.empty((0, 2), np.int32)]
    run = 1
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
    """Return those comparators of the sorting network on which the middle row or, of an even number, two depend."""
    wanted = {(rows - 1) // 2, rows // 2}
    kept = []
    for pair in sorting_network(rows)[::-1].tolist():
        if not wanted.isdisjoint(pair):
            wanted.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int32).reshape(-1, 2)


def _share(work: Callable[[Iterator[int]], None], starts: range) -> None:
    """Let a few threads take from the same starts until none is left; after an error in one the others stop, too."""
    left = iter(starts)

    def take() -> None:
        try:
            work(left)
        except BaseException:
            for _ in left:
                pass
            raise

    threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads, "columns") as pool:
        for outcome in [pool.submit(take) for _ in range(threads)]:
            outcome.result()


def _kernels() -> ModuleType:
    from coldframe.calibration import column_kernels  # noqa: PLC0415 - importing Numba takes 0.7 s

    return column_kernels
