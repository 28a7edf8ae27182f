"""Reading of masters from disk, and checks that every byte is intact."""

import hashlib
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files import xisf_file
from coldframe.calibration.files.cards import BLOCK_LENGTH, HeaderValue
from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.frame_file import memory_mapped, parse_header, read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.kernels import masters
from coldframe.calibration.measuring.medians import median
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind
from coldframe.errors import MissingPackageError

F32 = NDArray[np.float32]

_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
_ALL_ONES = 0xFFFFFFFF
_MOST_HDUS = 64

MOST_VARIANCE_FACTORS = 99
"""Maximum number of factors (CFVAR1 to CFVAR99, CFSCA1 to CFSCA99) from the uncertainty to the variance of a frame."""

_LARGEST_FACTOR = 2
"""Clipping at 2 sigma or more reduces the variance by less than this factor."""

TYPICAL_STEP = 3
"""Step of the rows and columns from which the typical variance of a frame is determined."""

HIGHEST_OF_FRACTIONS = 1.0
"""An image without values above this limit contains fractions of the full range."""


class Image(NamedTuple):
    """One header and data unit of a file.

    Attributes
    ----------
    header
        Values of the header's cards.
    whole
        All bytes of the unit, including the header and the padding.
    data
        The bytes of the pixels.
    """

    header: dict[str, HeaderValue]
    whole: memoryview
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class MasterPlanes:
    """The pixels of a master.

    Attributes
    ----------
    mean
        float32, shape (height, width): ADU; relative for flats.
    uncertainty
        float32, same shape: standard error of the mean; zeros if the file has none.
    frame_variance
        float32, same shape: variance of a single frame, from the scatter of the combined frames; zeros if unknown. Like
        `uncertainty`, it allows for the error of this scatter.
    masked
        bool, same shape: pixels without signal; None if the file has no such plane.
    header
        Values of the cards in the first image's header.
    counts
        float32, same shape: number of values in each pixel; None if the file has no such plane.
    """

    mean: F32
    uncertainty: F32
    frame_variance: F32
    masked: NDArray[np.bool_] | None
    header: dict[str, HeaderValue]
    counts: F32 | None = None

    @property
    def rounding_adu2(self) -> float:
        """Variance in the squared uncertainty that does not decrease with the number of frames, ADU^2."""
        return _rounding_adu2(self.header)


def read_master(path: Path) -> MasterPlanes:
    """Read a master that `write_master` wrote, or any two-dimensional FITS or XISF image from a different program.

    The values of XISF are scaled to ADU; a master flat in XISF is made relative to its mean.

    Raises
    ------
    FrameFileError
        If the file cannot be read, is truncated or damaged, if its first image is not two-dimensional, or if values are
        not finite or exceed the range of 32-bit floats.
    """
    with damage_reported(path):
        return _xisf_planes(path) if _is_xisf(path) else _master_planes(path)


def read_master_header(path: Path) -> dict[str, HeaderValue]:
    """Return the header of a master, with its size in NAXIS1 and NAXIS2; read no pixels.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    """
    return read_image_header(path) if _is_xisf(path) else read_header(path)


def _is_xisf(path: Path) -> bool:
    return path.suffix.lower() == xisf_file.SUFFIX


def _xisf_planes(path: Path) -> MasterPlanes:
    """Read a master without uncertainty."""
    with scratch_folder() as folder:
        image = open_image(path, folder)
        mean = image.pixels().astype(np.float32, copy=False)
    level = float(mean.mean(dtype=np.float64))
    if level > 0 and setup_of(image.header).kind is FrameKind.FLAT:
        mean /= np.float32(level)  # PixInsight does not divide a master flat by its mean, coldframe does
    unknown = np.zeros(mean.shape, np.float32)
    return MasterPlanes(mean, unknown, unknown.copy(), None, dict(image.header))


def _master_planes(path: Path) -> MasterPlanes:
    planes: dict[str, F32] = {}
    header: dict[str, HeaderValue] = {}
    for number, image in enumerate(_images(path)):
        name = "MEAN" if number == 0 else str(image.header.get("EXTNAME"))
        header = header or image.header
        if name in {"MEAN", "UNCERT", "COUNTS", "MASK"}:
            planes[name] = _plane(image, path)
            _release(image.data)
    mean = planes["MEAN"]
    require_finite(mean, path)
    if any(plane.shape != mean.shape for plane in planes.values()):
        raise FrameFileError(path, "its extensions differ in size from its first image")
    # The scatter of a single frame is unknown (NaN), and is read as 0.
    uncertainty = planes["UNCERT"] if "UNCERT" in planes else np.zeros(mean.shape, np.float32)
    np.copyto(uncertainty, 0, where=np.isnan(uncertainty))
    counts = planes.get("COUNTS")
    if counts is None:
        variance = np.zeros(mean.shape, np.float32)
    else:
        variance = _frame_variance(uncertainty, counts, header, "CFVAR")
    require_finite(variance, path, "values in its extensions")
    masked = planes["MASK"] > 0 if "MASK" in planes else None
    return MasterPlanes(mean, uncertainty, variance, masked, header, counts)


def typical_variance(master: MasterPlanes) -> np.float32:
    """Return the median of `frame_variance` over every third row and column."""
    sampled = master.frame_variance[::TYPICAL_STEP, ::TYPICAL_STEP]
    if not any(sampled.strides):  # all pixels share one value; see `planes_of_new`
        return np.float32(sampled[0, 0])
    return median(sampled)


def require_finite(plane: F32, path: Path, which: str = "pixels of the master") -> None:
    """Raise `FrameFileError` unless all values of a plane of this file are finite."""
    # The extremes are NaN if any value is; unlike a mask, they need no memory.
    if not (np.isfinite(plane.min()) and np.isfinite(plane.max())):
        raise FrameFileError(path, f"some {which} are not numbers, or exceed the range of 32-bit floats")


def read_adu_master(path: Path) -> MasterPlanes:
    """Read a master bias, dark or dark flat; see `read_master`.

    Raises
    ------
    FrameFileError
        As for `read_master`, or if the master contains fractions of the full range, as Siril and PixInsight write them;
        subtracting fractions from ADU would have almost no effect, and would cause no warning.
    """
    master = read_master(path)
    around_zero = "OVERSCAN" in master.header or "CALSTAT" in master.header
    if not around_zero and master.mean.max() <= HIGHEST_OF_FRACTIONS:
        raise FrameFileError(path, "its values are below 1: not in ADU")
    return master


def planes_of_new(
    path: Path, stack: Stack, masked: NDArray[np.bool_] | None, header: dict[str, HeaderValue]
) -> MasterPlanes:
    """Return the planes of a master that was just made, without the time and memory to read it from its file.

    They are those of `read_master`, except that the counts are omitted, and that `frame_variance` has the same value in
    all pixels: its median over every third row and column, which suffices to judge a master.

    Parameters
    ----------
    path
        The file of the master, for messages.
    stack, masked, header
        The content of the file.

    Raises
    ------
    FrameFileError
        As for `read_master`.
    """
    require_finite(stack.mean, path)
    uncertainty = stack.uncertainty
    if np.isnan(uncertainty.min()):
        uncertainty = np.where(np.isnan(uncertainty), np.float32(0), uncertainty)
    require_finite(uncertainty, path, "values in its extensions")
    counts, most = stack.counts[::TYPICAL_STEP, ::TYPICAL_STEP].astype(np.float32), np.float32(stack.counts.max())
    variance = _frame_variance(uncertainty[::TYPICAL_STEP, ::TYPICAL_STEP], counts, header, "CFVAR", most)
    typical = np.broadcast_to(median(variance), stack.mean.shape)
    return MasterPlanes(stack.mean, uncertainty, typical, masked, header)


def _frame_variance(
    uncertainty: F32, counts: F32, header: Mapping[str, HeaderValue], keyword: str, most: np.float32 | None = None
) -> F32:
    """Return the variance of individual frames, or of the values, by the factors that the header contains.

    The factors are CFVAR1 or CFSCA1 where no value was rejected, CFVAR2 or CFSCA2 where one was rejected, and so on.
    `most` is the largest count of the master; None takes the largest of the given counts.
    """
    rounding, factors = np.float32(_rounding_adu2(header)), _variance_factors(header, keyword)
    relative = np.array(factors, np.float32) / np.float32(factors[0])
    if most is None:
        most = counts.max()
    if not np.isfinite(most):
        return np.full_like(uncertainty, np.nan)
    variance = np.empty(uncertainty.shape, np.float32)
    errors, numbers = (np.ascontiguousarray(plane).reshape(-1) for plane in (uncertainty, counts))
    masters.scale_squares(errors, numbers, float(most), float(rounding), factors[0], relative, variance.reshape(-1))
    return variance


def kept_scatter(master: MasterPlanes) -> F32:
    """Return the variance of the values in each pixel of a master, ADU^2: float32, shape (height, width).

    Unlike `MasterPlanes.frame_variance`, it allows for values that were rejected only in the mean over all pixels, and
    not for the error of the scatter.
    """
    if master.counts is None or "CFSCA1" not in master.header:
        return master.frame_variance
    return _frame_variance(master.uncertainty, master.counts, master.header, "CFSCA")


def without_frames(master: MasterPlanes) -> MasterPlanes:
    """Return a master without the memory of the planes that describe its frames: their variance and counts."""
    return replace(master, frame_variance=np.broadcast_to(np.float32(0), master.mean.shape), counts=None)


def sampled_master(master: MasterPlanes, step: int) -> MasterPlanes:
    """Return a master with every `step`-th row and column, which suffices for properties of typical pixels.

    An odd step keeps the four colours of a filter array alternating.
    """

    def sampled(plane: F32) -> F32:
        return plane[::step, ::step].copy()

    return replace(
        master,
        mean=sampled(master.mean),
        uncertainty=sampled(master.uncertainty),
        frame_variance=sampled(master.frame_variance),
        masked=None if master.masked is None else master.masked[::step, ::step].copy(),
        counts=None if master.counts is None else sampled(master.counts),
    )


def _variance_factors(header: Mapping[str, HeaderValue], keyword: str) -> list[float]:
    """Return the factors that a `Trial` gave when the master was made; 1 if the header contains no valid factor."""
    factors = []
    for number in range(1, MOST_VARIANCE_FACTORS + 1):
        factor = header.get(f"{keyword}{number}")
        if not isinstance(factor, int | float) or not 0 < factor <= _LARGEST_FACTOR:
            break
        factors.append(float(factor))
    return factors or [1.0]


def _rounding_adu2(header: Mapping[str, HeaderValue]) -> float:
    """Return the variance that rounding adds to each pixel's squared uncertainty; 0 if the header states none."""
    variance = header.get("CFROUND", 0)
    return float(variance) if isinstance(variance, int | float) and variance > 0 else 0.0


def integrity_fault(path: Path) -> str | None:
    """Return a description of the damage to a file, or None if CHECKSUM and DATASUM of every image are correct.

    In XISF, checksums are optional, and those that PixInsight writes are checked.

    CHECKSUM makes the 32-bit ones' complement sum over an HDU all ones (FITS standard 4.0, appendix J).
    """
    try:
        if _is_xisf(path):
            read_master(path)  # checks the checksum, if there is one
            return None
        for number, image in enumerate(_images(path), start=1):
            fault = _checksum_fault(image)
            if fault is not None:
                return f"image {number}: {fault}"
    except FrameFileError as error:
        return error.what
    except MissingPackageError as error:
        return str(error)
    return None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as text; it detects damage that additive checksums miss, such as swapped words."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum_fault(image: Image) -> str | None:
    if "CHECKSUM" not in image.header or "DATASUM" not in image.header:
        return "has no CHECKSUM"
    if _ones_complement(image.whole) != _ALL_ONES:
        return "CHECKSUM is wrong: the file has changed since it was written"
    return None


def _ones_complement(data: memoryview) -> int:
    total = int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & _ALL_ONES) + (total >> 32)
    return total


def _plane(image: Image, path: Path) -> F32:
    """Return an image's pixels as float32, with BZERO and BSCALE applied."""
    header = image.header
    if header.get("NAXIS") != 2:  # noqa: PLR2004 - two-dimensional
        raise FrameFileError(path, "not a plane image")
    shape = _whole(header, "NAXIS2", path), _whole(header, "NAXIS1", path)
    stored = np.frombuffer(image.data, _DTYPES[_whole(header, "BITPIX", path)], shape[0] * shape[1]).reshape(shape)
    plane = stored.astype(np.float32)
    zero, scale = _number(header, "BZERO", 0, path), _number(header, "BSCALE", 1, path)
    if scale != 1:
        plane *= np.float32(scale)
    if zero != 0:
        plane += np.float32(zero)
    return plane


def _release(data: memoryview) -> None:
    """Free the memory that maps a file; the bytes remain in the cache of the operating system."""
    memory = data.obj
    assert isinstance(memory, mmap.mmap)
    memory.madvise(mmap.MADV_DONTNEED)


def _images(path: Path) -> Iterator[Image]:
    """Yield the HDUs of a file, and check each size in the headers against the length of the file."""
    buffer = memoryview(memory_mapped(path))
    start = 0
    for _ in range(_MOST_HDUS):
        if start >= len(buffer):
            return
        header, header_length = parse_header(buffer[start:], path, "XTENSION=" if start else "SIMPLE  =")
        data_start = start + header_length
        size = _data_size(header, path)
        end = data_start + -(-size // BLOCK_LENGTH) * BLOCK_LENGTH
        if end > len(buffer):
            raise FrameFileError(path, f"truncated: the header announces {end} bytes, the file has {len(buffer)}")
        yield Image(header, buffer[start:end], buffer[data_start : data_start + size])
        start = end


def _data_size(header: dict[str, HeaderValue], path: Path) -> int:
    bits = _whole(header, "BITPIX", path)
    if bits not in _DTYPES:
        raise FrameFileError(path, f"BITPIX is {bits}, which FITS does not define")
    axes = _whole(header, "NAXIS", path)
    if axes == 0:
        return 0
    size = abs(bits) // 8
    for axis in range(1, axes + 1):
        length = _whole(header, f"NAXIS{axis}", path)
        if length < 1:
            raise FrameFileError(path, f"not a plane image: NAXIS{axis} is {length}")
        size *= length
    heap, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    if not isinstance(heap, int) or not isinstance(groups, int) or heap < 0 or groups != 1:
        raise FrameFileError(path, f"PCOUNT {heap}, GCOUNT {groups}: not valid in FITS")
    return size + abs(bits) // 8 * heap


def _whole(header: dict[str, HeaderValue], keyword: str, path: Path) -> int:
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FrameFileError(path, f"{keyword} is missing or not an integer")
    return value


def _number(header: Mapping[str, HeaderValue], keyword: str, default: float, path: Path) -> float:
    value = header.get(keyword, default)
    if isinstance(value, str | bool):
        raise FrameFileError(path, f"{keyword} = {value!r} is not a number, so the pixels cannot be read")
    return value
