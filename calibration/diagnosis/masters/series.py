"""Flats in the order in which they were shot: spots that dried or moved during the set, and frames that differ."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.motes import disc_area, disc_sums
from coldframe.calibration.diagnosis.estimating.sensor_pattern import high_pass
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.master_finding import master_finding, percent
from coldframe.calibration.kernels.block_sums import BIN
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.measuring.frame_shape import COLUMNS, SmoothPattern, smooth_pattern

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FEWEST_FRAMES = 6
"""Smallest number of frames in which changes are judged."""

SPOT_SIGMA = 6.5
"""Smallest significance of a spot that changes while flats are being shot; the significance of noise stays below 5."""

LEAST_SPOT = 5e-4
"""Smallest change in a spot during the set that matters, relative to the level; half of it remains in the master."""

LEAST_LEVEL = 0.01
LEAST_SHAPE = 0.002
"""Smallest relative deviation of the level, and of the shape, of one frame from the other frames that is reported."""

ODD_SIGMA = 8.0

LEAST_DRIFT = 0.01
"""Smallest relative change in the shape of the illumination during the set that matters."""

_RADII = (2, 3, 5, 8)
_CELL_ROWS = 16
_SMALLEST_SIDE = 24
_DARKEST = 0.05
_LEAST_LEVEL_SPREAD = 5e-4


@dataclass(frozen=True, slots=True)
class Spot:
    """A spot that becomes brighter or darker while the flats are being shot.

    Attributes
    ----------
    change
        Relative change from the first to the last frame; positive if the spot becomes brighter.
    significance
        Significance of this change.
    row, column
        Position of the spot, pixels.
    diameter_px
        Approximate diameter of the spot.
    """

    change: Estimate
    significance: float
    row: int
    column: int
    diameter_px: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Flats relative to their master, in the order in which they were shot.

    Attributes
    ----------
    levels
        Level of each frame relative to the master: float64, shape (frames,).
    shapes
        Smooth pattern by which each frame differs from the master, relative to the level.
    slope
        Relative change in each bin from the first to the last frame: float32, shape (rows, columns) of bins.
    """

    levels: F64
    shapes: tuple[SmoothPattern, ...]
    slope: F32


def measure_series(flat: MasterPlanes, frames: Iterable[NDArray[np.uint16]], pedestal: F32) -> Series | None:
    """Measure flats one after the other; return None if there are too few, or if they are too small or too dark.

    Parameters
    ----------
    flat
        The master flat.
    frames
        Raw flats in the order in which they were shot, shape (height, width).
    pedestal
        Level of the flats without light, ADU: float32, same shape.
    """
    response = _binned(flat.mean)
    if min(response.shape) < _SMALLEST_SIDE:
        return None
    lit = response > _DARKEST
    dark = _binned(pedestal)
    levels: list[float] = []
    shapes: list[SmoothPattern] = []
    total, weighted = np.zeros(response.shape), np.zeros(response.shape)
    for number, frame in enumerate(frames):
        ratio = np.where(lit, (_binned(frame) - dark) / np.where(lit, response, 1), 0)
        level = float(np.median(ratio[lit]))
        if level <= 0:
            return None
        relative = np.where(lit, ratio / level - 1, 0)
        levels.append(level)
        shapes.append(smooth_pattern(_cells(relative)))
        total += relative
        weighted += number * relative
    count = len(levels)
    if count < FEWEST_FRAMES:
        return None
    middle = (count - 1) / 2
    squares = float(np.square(np.arange(count) - middle).sum())
    slope = (weighted - middle * total) / squares * (count - 1)
    return Series(np.array(levels), tuple(shapes), slope.astype(np.float32))


def _binned(plane: NDArray[np.uint16] | F32) -> F32:
    rows, columns = (size // BIN for size in plane.shape)
    cut = plane[: rows * BIN, : columns * BIN].reshape(rows, BIN, columns, BIN)
    return np.asarray(cut.mean(axis=(1, 3), dtype=np.float32), np.float32)


def _cells(relative: NDArray[np.floating]) -> F64:
    """Return the means of cells; float64, shape (16, 16)."""
    height, width = relative.shape[0] // _CELL_ROWS, relative.shape[1] // COLUMNS
    cut = relative[: height * _CELL_ROWS, : width * COLUMNS].reshape(_CELL_ROWS, height, COLUMNS, width)
    return np.asarray(cut.mean(axis=(1, 3)), np.float64)


def find_spot(series: Series) -> Spot | None:
    """Return the spot with the most significant change; None if no change is significant."""
    fine = high_pass(series.slope)
    best: Spot | None = None
    for radius in _RADII:
        area = disc_area(radius)
        means = disc_sums(fine, radius) / area
        # Discs that reach beyond the edge have fewer bins.
        inner = means[radius:-radius, radius:-radius]
        error = spread(inner.ravel())
        if error == 0:
            continue
        row, column = (int(each) for each in np.unravel_index(int(np.argmax(np.abs(inner))), inner.shape))
        change = Estimate(float(inner[row, column]), error)
        if best is None or change.significance > best.significance:
            centre = BIN * (row + radius) + BIN // 2, BIN * (column + radius) + BIN // 2
            best = Spot(change, change.significance, *centre, 2 * radius * BIN)
    return best if best is not None and best.significance > SPOT_SIGMA else None


def series_findings(series: Series) -> Iterator[Finding]:
    """Yield findings about spots that dried or moved, changes in illumination, and individual frames that differ."""
    spot = find_spot(series)
    if spot is not None:
        brighter = spot.change.value > 0
        yield master_finding(
            "a spot became brighter while the flats were being shot; possible causes: drying dew, or moving dust"
            if brighter
            else "a spot became darker while the flats were being shot; possible causes: forming dew, or moving dust",
            Estimate(abs(spot.change.value), spot.change.error),
            "relative",
            least=LEAST_SPOT,
            evidence=f"the light changed by {percent(spot.change.value)} from the first to the last flat in a spot of "
            f"about {spot.diameter_px} px at row {spot.row}, column {spot.column} ({spot.significance:.1f} standard "
            "errors); half of this change is in the master",
            fix="Dry the optics and the window of the camera, wait until flats no longer change, and shoot all flats "
            "again.",
        )
    yield from _odd_frames(series)


def _odd_frames(series: Series) -> Iterator[Finding]:
    count = len(series.levels)
    levels, _ = _deviations(np.log(series.levels))
    level_limit = max(ODD_SIGMA * max(spread(levels), _LEAST_LEVEL_SPREAD), LEAST_LEVEL)
    amounts = np.array([shape.amounts_adu for shape in series.shapes])
    errors = np.array([shape.errors_adu for shape in series.shapes])
    found = [_deviations(amounts[:, each]) for each in range(amounts.shape[1])]
    shapes = np.stack([residuals for residuals, _ in found], axis=1)
    scatter = np.maximum([spread(shapes[:, each]) for each in range(shapes.shape[1])], errors)
    sizes, significances = np.hypot.reduce(shapes, axis=1), (np.abs(shapes) / np.maximum(scatter, 1e-12)).max(axis=1)
    for number in range(count):
        if significances[number] > ODD_SIGMA and sizes[number] > LEAST_SHAPE:
            error = float(sizes[number] / significances[number])
            yield _odd_shape(number, count, Estimate(float(sizes[number]), error))
        elif abs(levels[number]) > level_limit:
            yield _odd_level(number, count, Estimate(float(np.expm1(levels[number])), level_limit / ODD_SIGMA))
    slopes = [Estimate(slope.value * (count - 1), slope.error * (count - 1)) for _, slope in found]
    yield from _drift(slopes)


def _deviations(values: F64) -> tuple[F64, Estimate]:
    """Return the deviations of values from a line through most of them, and its slope."""
    places = np.arange(values.size) - (values.size - 1) / 2
    design = np.stack([np.ones(values.size), places], axis=1)
    fit, covariance = robust_fit(design, values, np.ones(values.size))
    return values - design @ fit, Estimate(float(fit[1]), float(np.sqrt(covariance[1, 1])))


def _odd_level(number: int, count: int, deviation: Estimate) -> Finding:
    return master_finding(
        f"flat {number + 1} of {count} is {percent(abs(deviation.value))} "
        f"{'brighter' if deviation.value > 0 else 'darker'} than the others",
        deviation,
        "relative",
        least=None,
        evidence="every flat is scaled to a common level, so the level alone does not change the master; the shape of "
        "this flat is that of the others",
        fix="Check that no other light source lit the panel, and that the panel's brightness had settled.",
    )


def _odd_shape(number: int, count: int, deviation: Estimate) -> Finding:
    return master_finding(
        f"flat {number + 1} of {count} is lit differently from the others, by {percent(deviation.value)}",
        deviation,
        "relative",
        # One frame contributes one part in `count` to the master.
        least=LEAST_SHAPE * count / 2,
        evidence=f"its smooth shape deviates from that of the others by {deviation.significance:.0f} standard errors",
        fix=f"Combine the flats again without flat {number + 1}.",
    )


def _drift(slopes: Sequence[Estimate]) -> Iterator[Finding]:
    largest = max(slopes, key=lambda each: each.significance)
    size = float(np.hypot.reduce([each.value for each in slopes]))
    if largest.significance > ODD_SIGMA and size > LEAST_DRIFT / 4:
        yield master_finding(
            "the unevenness of the illumination changed while the flats were being shot",
            Estimate(size, largest.error),
            "relative",
            least=LEAST_DRIFT,
            evidence=f"the smooth shape of the flats changed by {percent(size)} from the first to the last, "
            f"{largest.significance:.0f} standard errors",
            fix="Let the panel warm up, fix it to the telescope, or shoot sky flats in a shorter time; then shoot the "
            "flats again.",
        )
