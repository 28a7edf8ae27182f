"""Reading of masters from disk: all planes at once, or only the rows and planes that are needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files import xisf_file
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.masters.bands import bands_of, fill
from coldframe.calibration.masters.frame_variance import FRAME_FACTORS, frame_variance, rounding_adu2, scatter_factors
from coldframe.calibration.masters.stored_planes import StoredPlane, stored_images
from coldframe.calibration.measuring.medians import median
from coldframe.calibration.stacking.stack import Stack
from coldframe.calibration.threads import parallel_map
from coldframe.config.frames import FrameKind

F32 = NDArray[np.float32]

_SAMPLED_AT_ONCE = 64

TYPICAL_STEP = 3
"""Step between the rows and columns from which the typical variance of a frame is determined."""

HIGHEST_OF_FRACTIONS = 1.0
"""An image without values above this limit is assumed to contain fractions of the full range."""


class KeptValues(NamedTuple):
    """The values that were combined into the pixels of a master: their scatter and number.

    Attributes
    ----------
    variance
        float32, shape (height, width): variance of the values in each pixel, ADU^2; see `kept_scatter`.
    counts
        float32, same shape: number of values in each pixel.
    """

    variance: F32
    counts: F32


@dataclass(frozen=True, slots=True, eq=False)
class MasterPlanes:
    """The pixels of a master.

    Attributes
    ----------
    mean
        float32, shape (height, width), ADU; for flats, normalised to a mean of 1.
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
    most
        Largest count in the whole master, for planes that are only part of a master; None to use the largest of
        `counts`.
    """

    mean: F32
    uncertainty: F32
    frame_variance: F32
    masked: NDArray[np.bool_] | None
    header: dict[str, HeaderValue]
    counts: F32 | None = None
    most: np.float32 | None = None

    @property
    def has_counts(self) -> bool:
        """True if the number of values in each pixel is known."""
        return self.counts is not None

    def band(self, rows: slice) -> "MasterPlanes":
        """Return some rows of all planes; see `BandedMaster`."""
        return MasterPlanes(
            self.mean[rows],
            self.uncertainty[rows],
            self.frame_variance[rows],
            None if self.masked is None else self.masked[rows],
            self.header,
            None if self.counts is None else self.counts[rows],
            self.most,
        )

    def kept_values(self, rows: slice) -> KeptValues:
        """Return the values in some rows; see `BandedMaster`."""
        band = self.band(rows)
        assert band.counts is not None
        return KeptValues(kept_scatter(band), band.counts)

    def planes(self) -> "MasterPlanes":  # noqa: D102 - see `BandedMaster`
        return self

    @property
    def rounding_adu2(self) -> float:
        """Part of the squared uncertainty that does not decrease with the number of frames, ADU^2."""
        return rounding_adu2(self.header)


class BandedMaster(Protocol):
    """A master whose rows can be taken a few at a time: `MasterPlanes` in memory, or a `StoredMaster`."""

    @property
    def mean(self) -> F32:
        """See `MasterPlanes`."""

    @property
    def masked(self) -> NDArray[np.bool_] | None:
        """See `MasterPlanes`."""

    @property
    def header(self) -> dict[str, HeaderValue]:
        """See `MasterPlanes`."""

    @property
    def has_counts(self) -> bool:
        """True if the number of values in each pixel is known."""

    @property
    def most(self) -> np.float32 | None:
        """See `MasterPlanes`."""

    def band(self, rows: slice) -> MasterPlanes:
        """Return some rows of all planes; several threads may call this method."""

    def kept_values(self, rows: slice) -> KeptValues:
        """Return the scatter and number of the values in some rows of a master with counts, without checking them."""

    def planes(self) -> MasterPlanes:
        """Return all rows of all planes."""


class StoredMaster:
    """A master in a FITS file; planes other than the mean and the mask are read only when they are needed.

    Attributes
    ----------
    mean, masked, header, most
        See `MasterPlanes`; `most` is 0 if the file has no counts.
    is_checked
        True once all values have been found to be finite.
    samples
        Samples of the planes, by the step of their rows and columns; see `sampled_master`.
    """

    def __init__(self, path: Path) -> None:
        planes: dict[str, StoredPlane] = {}
        self.header: dict[str, HeaderValue] = {}
        for number, image in enumerate(stored_images(path)):
            name = "MEAN" if number == 0 else str(image.header.get("EXTNAME"))
            self.header = self.header or image.header
            if name in {"MEAN", "UNCERT", "COUNTS", "MASK"}:
                planes[name] = StoredPlane(image, path)
        self._path, self._planes, self.is_checked = path, planes, False
        self.samples: dict[int, MasterPlanes] = {}
        self.mean = np.empty(planes["MEAN"].shape, np.float32)
        fill(self.mean, lambda rows: require_finite(planes["MEAN"].rows(rows), path))
        if any(plane.shape != self.mean.shape for plane in planes.values()):
            raise FrameFileError(path, "its extensions differ in size from its first image")
        self.masked = np.empty(self.mean.shape, np.bool_) if "MASK" in planes else None
        if self.masked is not None:
            fill(self.masked, lambda rows: planes["MASK"].rows(rows) > 0)
        self.most = np.float32(0)
        if self.has_counts:
            # If any count is NaN, the largest is NaN as well.
            largest = parallel_map(lambda rows: planes["COUNTS"].rows(rows).max(), bands_of(self.mean.shape))
            self.most = np.array(list(largest), np.float32).max()

    @property
    def has_counts(self) -> bool:
        """True if the file has a plane with the number of values in each pixel."""
        return "COUNTS" in self._planes

    def band(self, rows: slice) -> MasterPlanes:
        """Return some rows of all planes.

        Raises
        ------
        FrameFileError
            If values are not finite, or exceed the range of 32-bit floating-point numbers.
        """
        mean, masked = self.mean[rows], None if self.masked is None else self.masked[rows]
        uncertainty = self._uncertainty(rows)
        if not self.has_counts:
            return MasterPlanes(mean, uncertainty, np.zeros(mean.shape, np.float32), masked, self.header)
        counts = self._planes["COUNTS"].rows(rows)
        variance = frame_variance(uncertainty, counts, self.header, FRAME_FACTORS, self.most)
        require_finite(variance, self._path, "values in its extensions")
        return MasterPlanes(mean, uncertainty, variance, masked, self.header, counts, self.most)

    def kept_values(self, rows: slice) -> KeptValues:
        """Return the values in some rows; see `BandedMaster`."""
        counts = self._planes["COUNTS"].rows(rows)
        return KeptValues(
            frame_variance(self._uncertainty(rows), counts, self.header, scatter_factors(self.header), self.most),
            counts,
        )

    def _uncertainty(self, rows: slice) -> F32:
        if "UNCERT" not in self._planes:
            return np.zeros(self.mean[rows].shape, np.float32)
        uncertainty = self._planes["UNCERT"].rows(rows)
        # The scatter of a single frame is unknown; it is stored as NaN and read as 0.
        if np.isnan(uncertainty.min()):
            np.copyto(uncertainty, 0, where=np.isnan(uncertainty))
        return uncertainty

    def planes(self) -> MasterPlanes:
        """Return all rows of all planes; raise the same errors as `band`."""
        uncertainty, variance = np.empty((2, *self.mean.shape), np.float32)
        counts = np.empty(self.mean.shape, np.float32) if self.has_counts else None

        def take(rows: slice, band: MasterPlanes) -> None:
            uncertainty[rows], variance[rows] = band.uncertainty, band.frame_variance
            if counts is not None and band.counts is not None:
                counts[rows] = band.counts

        with damage_reported(self._path):
            for_each_band(self, take)
        return MasterPlanes(self.mean, uncertainty, variance, self.masked, self.header, counts)


def for_each_band(master: BandedMaster, take: Callable[[slice, MasterPlanes], None]) -> None:
    """Pass all rows of a master to a function, a band at a time, in several threads."""
    source = with_most(master)
    list(parallel_map(lambda rows: take(rows, source.band(rows)), bands_of(master.mean.shape)))
    if isinstance(master, StoredMaster):
        master.is_checked = True


def with_most(master: BandedMaster) -> BandedMaster:
    """Return a master whose bands contain the largest count of the whole master."""
    if isinstance(master, MasterPlanes) and master.counts is not None and master.most is None:
        return replace(master, most=np.float32(master.counts.max()))
    return master


def check(master: BandedMaster, path: Path) -> None:
    """Raise `FrameFileError` unless all values of a master, opened from the file `path`, are finite."""
    if isinstance(master, StoredMaster) and not master.is_checked:
        with damage_reported(path):
            for_each_band(master, lambda _rows, _band: None)


def open_master(path: Path) -> StoredMaster | MasterPlanes:
    """Open a master written by `write_master`, or any two-dimensional FITS or XISF image from another program.

    The values of XISF files are scaled to ADU; a master flat in an XISF file is divided by its mean.

    Raises
    ------
    FrameFileError
        If the file cannot be read, is truncated or damaged, if its first image is not two-dimensional, or if values are
        not finite or exceed the range of 32-bit floating-point numbers; `StoredMaster.band` might find values of this
        kind later.
    """
    with damage_reported(path):
        return _xisf_planes(path) if is_xisf(path) else StoredMaster(path)


def read_master(path: Path) -> MasterPlanes:
    """Read all planes of a master; see `open_master`."""
    return open_master(path).planes()


def read_master_header(path: Path) -> dict[str, HeaderValue]:
    """Return the header of a master, with its size in NAXIS1 and NAXIS2; read no pixels.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    """
    return read_image_header(path) if is_xisf(path) else read_header(path)


def is_xisf(path: Path) -> bool:
    """Return whether a file has the name of an XISF image."""
    return path.suffix.lower() == xisf_file.SUFFIX


def _xisf_planes(path: Path) -> MasterPlanes:
    """Read a master from an XISF file, which contains no uncertainty."""
    with scratch_folder() as folder:
        image = open_image(path, folder)
        mean = image.pixels().astype(np.float32, copy=False)
    level = float(mean.mean(dtype=np.float64))
    if level > 0 and setup_of(image.header).kind is FrameKind.FLAT:
        mean /= np.float32(level)  # PixInsight does not divide a master flat by its mean, but coldframe does
    unknown = np.zeros(mean.shape, np.float32)
    return MasterPlanes(mean, unknown, unknown.copy(), None, dict(image.header))


def typical_variance(master: MasterPlanes) -> np.float32:
    """Return the median of `frame_variance` over every third row and column."""
    sampled = master.frame_variance[::TYPICAL_STEP, ::TYPICAL_STEP]
    if not any(sampled.strides):  # all pixels share one value; see `planes_of_new`
        return np.float32(sampled[0, 0])
    return median(sampled)


def require_finite(plane: F32, path: Path, which: str = "pixels of the master") -> F32:
    """Return a plane of the file `path`; raise `FrameFileError` unless all values of the plane are finite."""
    # The extremes are NaN if any value is; unlike a mask, they need no memory.
    if not (np.isfinite(plane.min()) and np.isfinite(plane.max())):
        raise FrameFileError(path, f"some {which} are not numbers, or exceed the range of 32-bit floats")
    return plane


def open_adu_master(path: Path) -> StoredMaster | MasterPlanes:
    """Open a master bias, dark or dark flat; see `open_master`.

    Raises
    ------
    FrameFileError
        As for `open_master`, or if the master contains fractions of the full range, as Siril and PixInsight write them;
        subtracting fractions from ADU would have almost no effect, and would cause no warning.
    """
    master = open_master(path)
    around_zero = "OVERSCAN" in master.header or "CALSTAT" in master.header
    if not around_zero and master.mean.max() <= HIGHEST_OF_FRACTIONS:
        raise FrameFileError(path, "its values do not exceed 1, so they are not in ADU")
    return master


def read_adu_master(path: Path) -> MasterPlanes:
    """Read all planes of a master bias, dark or dark flat; see `open_adu_master`."""
    return open_adu_master(path).planes()


def planes_of_new(
    path: Path, stack: Stack, masked: NDArray[np.bool_] | None, header: dict[str, HeaderValue]
) -> MasterPlanes:
    """Return the planes of a master that was just made, which saves the time and memory of reading its file.

    The planes equal those that `read_master` returns, except that the counts are omitted, and that `frame_variance` has
    the same value in all pixels: its median over every third row and column, which suffices to judge a master.

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
    variance = frame_variance(uncertainty[::TYPICAL_STEP, ::TYPICAL_STEP], counts, header, FRAME_FACTORS, most)
    typical = np.broadcast_to(median(variance), stack.mean.shape)
    return MasterPlanes(stack.mean, uncertainty, typical, masked, header)


def kept_scatter(master: MasterPlanes) -> F32:
    """Return the variance of the values in each pixel of a master, ADU^2: float32, shape (height, width).

    Unlike `MasterPlanes.frame_variance`, this variance does not allow for the error of the scatter, and it allows for
    rejected values only on average over all pixels.
    """
    factors = scatter_factors(master.header)
    if master.counts is None or factors == FRAME_FACTORS:
        return master.frame_variance
    return frame_variance(master.uncertainty, master.counts, master.header, factors, master.most)


def sampled_master(master: BandedMaster, step: int) -> MasterPlanes:
    """Return a master with every `step`-th row and column, which suffices for properties of typical pixels.

    With an odd step, the sample contains all four positions of a 2x2 filter array. Samples of a `StoredMaster` are
    cached.
    """
    if isinstance(master, StoredMaster):
        if step not in master.samples:
            master.samples[step] = _sample(master, step)
        return master.samples[step]
    return _sample(master, step)


def _sample(master: BandedMaster, step: int) -> MasterPlanes:
    mean, masked = master.mean[::step, ::step].copy(), master.masked
    uncertainty, variance = np.empty((2, *mean.shape), np.float32)
    counts = np.empty(mean.shape, np.float32) if master.has_counts else None

    def take(top: int) -> None:
        rows = slice(top, min(top + _SAMPLED_AT_ONCE, len(mean)))
        band = master.band(slice(rows.start * step, rows.stop * step, step))
        uncertainty[rows], variance[rows] = band.uncertainty[:, ::step], band.frame_variance[:, ::step]
        if counts is not None and band.counts is not None:
            counts[rows] = band.counts[:, ::step]

    list(parallel_map(take, range(0, len(mean), _SAMPLED_AT_ONCE)))
    masked = None if masked is None else masked[::step, ::step].copy()
    return MasterPlanes(mean, uncertainty, variance, masked, master.header, counts)
