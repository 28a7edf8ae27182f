"""The combination of frames on disk, computed from all values of each pixel with any of the methods.

The same range of pixels (a band) is read from every file, arranged in columns, and passed to the kernels in `columns`.
Several threads work in parallel, each on its own band. The memory needed is 10 bytes per pixel for the result, plus one
band per thread.
"""

import math
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.headers.open_file import OpenFile
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.files.unpacking import STORED_AS
from coldframe.calibration.kernels import columns, fits_words, flats, tiles
from coldframe.calibration.stacking.clipping import MOST_FRAMES, Clipping, variance_correction
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.calibration.stacking.pixel_state import clipping_trial, scatter_corrections
from coldframe.calibration.stacking.rounding import rounding_of_median, rounding_variance
from coldframe.calibration.stacking.stack import Stack
from coldframe.calibration.stacking.uncertainty import Trial, trial_result, trial_samples
from coldframe.calibration.threads import MOST_THREADS, THREAD_NAME
from coldframe.errors import ColdframeError

BAND_BYTES = 1 << 22
"""Number of bytes, as stored on disk, that a thread reads at once. Smaller reads are inefficient, and larger bands do
not stay in the processor's cache (benchmarks/peers.md)."""

FEWEST_PIXELS = 512
"""Smallest number of pixels in a band, however many frames there are."""

FEWEST_SORTED = 6
"""Minimum number of values sorted at each end of a column for clipping; exceeds `LAST_KEPT` and `MOST_TRIMMED`."""

_NOT_WINSORIZED = -1.0

OTHER_FILES = 64
"""Number of files that the process may have open in addition to the frames."""

Statistic = Callable[[NDArray[Any], NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]], None]


class MixedShapesError(ColdframeError):
    """Frames of different sizes cannot be combined."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """The scaling that brings flat frames to one level while they are combined; see `FlatScaler`.

    Attributes
    ----------
    dark
        float32, shape (height, width): the level to subtract from each frame, ADU.
    factors
        float32, shape (frames, 2, 2): the factors by which each frame is then multiplied, by row and column of the
        colour filter array's 2x2 pattern.
    """

    dark: NDArray[np.float32]
    factors: NDArray[np.float32]


def combine_columns(
    frames: Sequence[ImageFile], method: Method, scaling: Scaling | None = None, *, threads: int = MOST_THREADS
) -> Stack:
    """Combine frames that are on disk.

    Frames of 8 or 16 bits are sorted without conversion and summed in integers, so with `Clipping` the result is bit
    for bit identical to that of the running state (see `Accumulator`). All other frames, and sets of frames in
    different formats, are converted to float32, in which 32-bit integers above 16,777,216 lose their last digits.

    Parameters
    ----------
    frames
        1 to 32,767 frames of the same shape.
    method
        The statistic to compute.
    scaling
        Scaling of the frames, for flats only.
    threads
        Largest number of threads that share the work; the number of processors available to the process is also a
        limit.

    Raises
    ------
    MixedShapesError
        If the frames differ in size.
    FrameFileError
        If a file can no longer be read, or has changed since it was opened.
    ValueError
        If there are no frames or too many.
    """
    if not 1 <= len(frames) <= MOST_FRAMES:
        raise ValueError(f"{len(frames)} frames cannot be combined: the number must be from 1 to {MOST_FRAMES}")
    shape = frames[0].shape
    odd = next((frame for frame in frames if frame.shape != shape), None)
    if odd is not None:
        raise MixedShapesError(
            f"{odd.path} has {odd.shape[1]} x {odd.shape[0]} pixels, but {frames[0].path} has {shape[1]} x {shape[0]}"
        )
    pixels = shape[0] * shape[1]
    value, uncertainty = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    counts = np.empty(pixels, np.uint16)
    band_pixels = min(pixels, max(FEWEST_PIXELS, BAND_BYTES // (len(frames) * frames[0].pixel_bytes)))
    with ExitStack() as opened:
        reader = _BandReader(frames, scaling, opened)
        corrections = spread_corrections(len(frames), method)

        def combine(starts: Iterator[int]) -> None:
            statistic = _statistic(method, len(frames), reader.values, corrections)
            buffer = np.empty(len(frames) * band_pixels, reader.values.dtype)
            for start in starts:
                part = slice(start, min(start + band_pixels, pixels))
                band = buffer[: len(frames) * (part.stop - start)].reshape(len(frames), -1)
                reader.read(band, start)
                statistic(band, value[part], uncertainty[part], counts[part])

        _share(combine, range(0, pixels, band_pixels), threads)
    rounding_adu2 = 0.0
    if isinstance(method, Median):
        rounding_adu2 = rounding_of_median(method.step_adu, len(frames), corrections[-1])
    return Stack(
        len(frames),
        value.reshape(shape),
        uncertainty.reshape(shape),
        counts.reshape(shape),
        recomputed=0,
        rounding_adu2=rounding_adu2,
    )


def spread_corrections(frames: int, method: Method) -> NDArray[np.float64]:
    """Return the squared uncertainty of the combined value divided by its squared standard error, by number of values.

    This generalises `scatter_corrections` to every method. For the mean, the ratio is the variance of Student's
    distribution; for the median of many values, it is close to pi / 2.
    """
    if isinstance(method, Clipping | Mean) or frames < 3:  # noqa: PLR2004 - all methods return the mean of two values
        return scatter_corrections(frames, method if isinstance(method, Clipping | Mean) else Mean())
    return method_trial(frames, method).corrections


@cache
def method_trial(frames: int, method: Method) -> Trial:
    """Apply a method to normally distributed values of at least two frames; compare the results with the truth."""
    if isinstance(method, Clipping):
        return clipping_trial(frames, method)
    samples = trial_samples(frames)
    value, error = np.empty((2, samples.shape[1]), np.float32)
    counts = np.empty(value.size, np.uint16)
    # The samples are passed as big-endian words, like those of files, so that no kernel is compiled just for the trial.
    exact, even = replace(method, step_adu=0.0), np.ones(frames + 1)
    _statistic(exact, frames, _Values(samples.dtype, flip=0), even)(samples.byteswap(), value, error, counts)
    return trial_result(samples, value, error, counts)


class _Values(NamedTuple):
    """The values of a band.

    Attributes
    ----------
    dtype
        uint16 or float32.
    whole
        True if all values are whole numbers.
    pedestal
        The amount by which the values exceed those of the frames, ADU.
    flip
        The bits to invert to turn the words of the file into values; see `tiles.load`.
    """

    dtype: np.dtype[Any]
    whole: bool = True
    pedestal: int = 0
    flip: int | None = None


class _BandReader:
    """A reader that takes the same pixels from all frames; `values` describes the values that it returns."""

    def __init__(self, frames: Sequence[ImageFile], scaling: Scaling | None, opened: ExitStack) -> None:
        storages = {frame.storage for frame in frames}
        whole = all(bits > 0 and scale == 1 for bits, _, scale in storages)
        # Signed words, too, are sorted with the sign bit inverted, except in flats, which have no negative values.
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
        raise_open_file_limit(len(frames))
        self._files = [opened.enter_context(frame.opened()) for frame in frames]

    def read(self, band: NDArray[Any], start: int) -> None:
        """Fill a band of shape (frames, pixels) with pixels of all frames, beginning at index `start`."""
        if self._words:
            for frame, file, row in zip(self._frames, self._files, band, strict=True):
                _read(frame, file, start, row)
            if self._scaling is not None:
                fits_words.decode_words(band.reshape(-1), self._flip)
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
        scale = flats.scale_words if band.dtype == np.uint16 else flats.scale_values
        for row, factors in zip(band, scaling.factors, strict=True):
            scale(row, dark, factors, start, width)


def _read(frame: ImageFile, file: OpenFile, start: int, into: NDArray[Any]) -> None:
    file.fill(into, frame.data_start + start * frame.pixel_bytes)


def raise_open_file_limit(count: int) -> None:
    """Raise the limit on open files as far as needed and as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else min(needed, hard), hard)
            )


def _statistic(method: Method, frames: int, values: _Values, corrections: NDArray[np.float64]) -> Statistic:
    """Return the function that combines a band into values, uncertainties and counts; each thread needs its own."""
    integral = values.dtype == np.uint16
    kernel, rule = _kernel(method, frames, corrections, values)
    least = rounding_variance(method.step_adu)
    sums = np.empty((tiles.SUMS, tiles.TILE), np.int64 if integral else np.float64)
    near = math.sqrt((2**31 - 1) / frames) if integral else -1.0

    def combine(
        band: NDArray[Any],
        value: NDArray[np.float32],
        uncertainty: NDArray[np.float32],
        counts: NDArray[np.uint16],
    ) -> None:
        kernel(band, values.flip, sums, near, *rule, values.pedestal, corrections, least, value, uncertainty, counts)

    return combine


def _kernel(
    method: Method, frames: int, corrections: NDArray[np.float64], values: _Values
) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """Return the kernel of a method, and the arguments that define its rule."""
    # The sums of floating-point values depend on their order, which must not depend on the network. Therefore these
    # values are sorted completely.
    is_partial = values.dtype == np.uint16
    reach = sorted_ends(frames) if is_partial else frames
    match method:
        case Mean():
            return columns.take_means, ()
        case Median():
            return columns.take_medians, (
                blocks_of(middle_network, frames),
                rounding_of_median(method.step_adu, frames, corrections[frames]),
            )
        case MedianClipping():
            return columns.clip_about_medians, (
                blocks_of(ends_and_middle_network if is_partial else merging_network, frames),
                reach,
                float(method.kappa) ** 2,
                _NOT_WINSORIZED,
            )
        case Winsorizing():
            return columns.clip_about_medians, (
                blocks_of(merging_network, frames),
                frames,
                float(method.kappa) ** 2,
                float(values.whole),
            )
        case Clipping():
            trim = method.trimmed(frames)
            return columns.clip_about_means, (
                blocks_of(ends_network if is_partial else merging_network, frames),
                reach,
                trim,
                variance_correction(frames, trim),
                float(method.kappa) ** 2,
                float(method.sigma_floor_adu) ** 2,
                method.iterations,
            )
        case _:
            assert_never(method)


@cache
def blocks_of(network: Callable[[int], NDArray[np.int32]], rows: int) -> NDArray[np.int32]:
    """Return the comparators of a network, merged into blocks whose neighbouring rows are processed in one long loop.

    Returns
    -------
    NDArray[np.int32]
        Shape (blocks, 3): the first row for smaller values, the first row for larger values, and the number of rows.
    """
    blocks: list[list[int]] = []
    for smaller, larger in network(rows).tolist():
        first, second, count = blocks[-1] if blocks else (rows, rows, 0)
        if (smaller, larger) == (first + count, second + count) and smaller < second:
            blocks[-1][2] += 1
        else:
            blocks.append([smaller, larger, 1])
    return np.array(blocks, np.int32).reshape(-1, 3)


@cache
def merging_network(rows: int) -> NDArray[np.int32]:
    """Return the comparators that complete the sorting of rows in which each group of eight is already sorted."""
    whole = rows - rows % 8
    return np.concatenate([sorting_network(rows - whole) + np.int32(whole), sorting_network(rows, 8)])


@cache
def sorting_network(rows: int, run: int = 1) -> NDArray[np.int32]:
    """Return the comparators of Batcher's odd-even merge sort, shape (comparators, 2), for rows in sorted runs.

    Each comparator puts the smaller value into its first row and the larger value into its second row. See Knuth, The
    Art of Computer Programming 3, 2nd edition, section 5.2.2, algorithm M.
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
    """Return those comparators of the merging network that determine the middle row or the two middle rows."""
    return _determining(rows, {(rows - 1) // 2, rows // 2})


@cache
def ends_network(rows: int) -> NDArray[np.int32]:
    """Return those comparators of the merging network that determine the `sorted_ends`."""
    return _determining(rows, _ends(rows))


@cache
def ends_and_middle_network(rows: int) -> NDArray[np.int32]:
    """Return those comparators of the merging network that determine the `sorted_ends` and the rows near the middle.

    After the rejection of r values at the ends, the median is at most r / 2 rows from the middle.
    """
    away = sorted_ends(rows) // 2
    return _determining(rows, _ends(rows) | set(range((rows - 1) // 2 - away, rows // 2 + away + 1)))


def sorted_ends(frames: int) -> int:
    """Return the number of values that are sorted at each end of a column; clipping rarely rejects more values."""
    return min(FEWEST_SORTED + frames // 64, frames)


def _ends(rows: int) -> set[int]:
    count = sorted_ends(rows)
    return {*range(count), *range(rows - count, rows)}


def _determining(rows: int, wanted: set[int]) -> NDArray[np.int32]:
    """Return those comparators of the merging network that determine the wanted rows."""
    kept = []
    for pair in merging_network(rows)[::-1].tolist():
        if not wanted.isdisjoint(pair):
            wanted.update(pair)
            kept.append(pair)
    return np.array(kept[::-1], np.int32).reshape(-1, 2)


def _share(work: Callable[[Iterator[int]], None], starts: range, most_threads: int) -> None:
    """Run `work` in several threads that share one iterator of starts; an error in one thread stops all of them."""
    left = iter(starts)

    def take() -> None:
        try:
            work(left)
        except BaseException:
            for _ in left:
                pass
            raise

    threads = min(most_threads, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(threads, THREAD_NAME) as pool:
        for outcome in [pool.submit(take) for _ in range(threads)]:
            outcome.result()
