"""Masters, reduced to the data that the estimates need, because all planes together would take too much memory."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.kernels import diagnosis as kernels
from coldframe.calibration.kernels.block_sums import BIN
from coldframe.calibration.lights.arithmetic import Correction
from coldframe.calibration.masters.reading import BandedMaster, MasterPlanes, sampled_master
from coldframe.calibration.threads import parallel_map

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ENOUGH_PIXELS = 4_000_000
"""Masters with more pixels are thinned out, because this many pixels suffice to show typical properties."""

STEP = 3
"""Step between the rows and columns that are kept; an odd step covers every colour of a filter array."""

HOT_SIGMA = 12.0
"""Smallest excess of a hot pixel over its neighbours in the master dark, in standard errors of the master."""

ROUGH_SIGMA = 8.0
"""Smallest excess of a hot pixel over its neighbours, in standard deviations of ordinary pixels, banding included."""

MOST_HOT = 20_000
"""Largest number of hot pixels to measure; the hottest are kept."""

_STEP = 7
"""Step between the rows and columns that are sampled to compute a single number, such as a typical error."""

_ROWS_AT_ONCE = 256
"""Number of rows that a thread searches for hot pixels at once."""


@dataclass(frozen=True, slots=True, eq=False)
class HotPixels:
    """Hot pixels of the master dark.

    Attributes
    ----------
    places
        Rows and columns: int64, shape (2, pixels).
    excess_adu
        Excess over the median of the neighbours: float32, shape (pixels,).
    error_adu
        Standard error of the excess.
    """

    places: NDArray[np.int64]
    excess_adu: F32
    error_adu: float


@dataclass(frozen=True, slots=True, eq=False)
class DarkPattern:
    """The fixed pattern of the sensor in a dark.

    Attributes
    ----------
    hot
        Hot pixels.
    rows, columns
        Residuals of the rows and of the columns, ADU; see `line_residuals`. None if no dark is used.
    """

    hot: HotPixels
    rows: F64 | None
    columns: F64 | None


NO_PATTERN = DarkPattern(HotPixels(np.zeros((2, 0), np.int64), np.zeros(0, np.float32), 0.0), None, None)


@dataclass(frozen=True, slots=True, eq=False)
class Masters:
    """The masters that calibrate the lights, and the planes made from them.

    For large sensors, only `planes` contains all pixels.

    Attributes
    ----------
    planes
        The planes to subtract from the lights and to divide them by.
    dark, bias, flat
        The masters, thinned out if they are large; None for masters that were not used.
    pattern
        The fixed pattern of the sensor in the dark.
    dark_scale
        Exposure of the lights divided by that of the dark, if the dark is scaled; otherwise 1.
    """

    planes: Correction
    dark: MasterPlanes | None = None
    bias: MasterPlanes | None = None
    flat: MasterPlanes | None = None
    pattern: DarkPattern = NO_PATTERN
    dark_scale: float = 1.0


def thinned_masters(
    planes: Correction,
    dark: MasterPlanes | None,
    bias: MasterPlanes | None,
    flat: MasterPlanes | None,
    *,
    period: int,
    dark_scale: float = 1.0,
) -> Masters:
    """Return the data of masters that the estimates need.

    Parameters
    ----------
    planes
        The planes made from the masters.
    dark, bias, flat
        The masters, with all pixels.
    period
        Distance between pixels of the same colour: 1, or 2 for a 2 x 2 filter array.
    dark_scale
        See `Masters`.
    """
    return Masters(
        planes if flat is None else without_unlit(planes, flat.mean),
        None if dark is None else thinned(dark),
        None if bias is None else thinned(bias),
        None if flat is None else thinned(flat),
        NO_PATTERN if dark is None else dark_pattern(dark, period),
        dark_scale,
    )


def thinned(master: BandedMaster) -> MasterPlanes:
    """Return a master with fewer pixels if it is large; planes already thinned by `with_thin_errors` are kept."""
    if master.mean.size <= ENOUGH_PIXELS:
        return master.planes()
    if not isinstance(master, MasterPlanes) or master.uncertainty.shape == master.mean.shape:
        return sampled_master(master, STEP)
    masked = None if master.masked is None else master.masked[::STEP, ::STEP].copy()
    return replace(master, mean=master.mean[::STEP, ::STEP].copy(), masked=masked)


def with_thin_errors(master: MasterPlanes) -> MasterPlanes:
    """Return a master in which all planes except the mean and the mask are thinned out if it is large."""
    return replace(thinned(master), mean=master.mean, masked=master.masked)


def without_unlit(planes: Correction, flat: F32) -> Correction:
    """Return planes whose mask includes the pixels that receive no light in the flat, even if the flat has no mask."""
    unlit = flat <= 0
    if not unlit.any():
        return planes
    return replace(planes, masked=unlit if planes.masked is None else unlit | planes.masked)


def dark_pattern(dark: MasterPlanes, period: int) -> DarkPattern:
    """Return the fixed pattern of the sensor in a dark."""
    return DarkPattern(find_hot(dark, period), line_residuals(dark.mean, 1), line_residuals(dark.mean, 0))


def line_residuals(plane: F32, axis: int) -> F64:
    """Return the median of each line minus the mean of its group of four lines; NaN outside complete groups."""
    levels = np.median(plane[:, ::5] if axis == 1 else plane[::5, :], axis=axis).astype(np.float64)
    groups = levels[: levels.size // BIN * BIN].reshape(-1, BIN)
    residuals = np.full(levels.size, np.nan)
    residuals[: groups.size] = (groups - groups.mean(axis=1, keepdims=True)).ravel()
    return residuals


def scaled_hot(hot: HotPixels, scale: float) -> HotPixels:
    """Return the hot pixels of a dark that is scaled by a factor."""
    return HotPixels(hot.places, hot.excess_adu * np.float32(scale), hot.error_adu * scale)


def find_hot(dark: MasterPlanes, period: int) -> HotPixels:
    """Find the hot pixels of a master dark."""
    error = error_of(dark)
    least = max(HOT_SIGMA * error, ROUGH_SIGMA * _roughness(dark.mean, period))

    def in_rows(first: int) -> NDArray[np.int64]:
        top = max(first - period, 0)
        rows = dark.mean[top : first + _ROWS_AT_ONCE + period]
        found = np.zeros(rows.shape, np.bool_)
        kernels.find_hot_pixels(rows, period, least, found)
        down, across = np.divmod(np.flatnonzero(found), dark.mean.shape[1])  # several times as fast as np.nonzero
        return np.array([down + top, across], np.int64)

    places = np.concatenate(list(parallel_map(in_rows, range(0, dark.mean.shape[0], _ROWS_AT_ONCE))), axis=1)
    excess = np.empty(places.shape[1], np.float32)
    kernels.excess_at(dark.mean, places, period, excess)
    if excess.size > MOST_HOT:
        hottest = np.sort(np.argpartition(excess, -MOST_HOT)[-MOST_HOT:])
        places, excess = np.ascontiguousarray(places[:, hottest]), excess[hottest]
    return HotPixels(places, excess, error)


def _roughness(dark: F32, period: int) -> float:
    """Return the scatter of differences between neighbours, along rows or along columns, whichever is larger.

    Banding contributes to this scatter.
    """
    along = dark[::_STEP, 2 * period :: _STEP], dark[::_STEP, : -2 * period : _STEP]
    across = dark[2 * period :: _STEP, ::_STEP], dark[: -2 * period : _STEP, ::_STEP]
    return max(1.4826 * float(np.median(np.abs(one - other))) / 2**0.5 for one, other in (along, across))


def error_of(master: MasterPlanes) -> float:
    """Return the typical standard error of a master's pixels, from their scatter if the file does not state it."""
    known = master.uncertainty[::_STEP, ::_STEP]
    if known.any():
        return float(np.median(known))
    sampled = master.mean[::_STEP, :]
    steps = sampled[:, 2::2] - sampled[:, :-2:2]
    return float(1.4826 * np.median(np.abs(steps)) / np.sqrt(2))
