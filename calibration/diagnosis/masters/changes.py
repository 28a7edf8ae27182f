"""Differences between a master and an earlier master with the same settings."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import Change, DustResult, find_dust
from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.motes import disc_sums, find_motes
from coldframe.calibration.diagnosis.estimating.sensor_pattern import SensorPattern, high_pass
from coldframe.calibration.diagnosis.estimating.thermometer import DOUBLING_C, FEWEST
from coldframe.calibration.diagnosis.estimating.thinned_masters import find_hot
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.darks import FEWEST_PIXELS, least_level_adu, level_adu
from coldframe.calibration.diagnosis.masters.master_finding import adu, master_finding, percent
from coldframe.calibration.kernels import diagnosis as kernels
from coldframe.calibration.kernels.block_sums import BIN
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.measuring.frame_shape import COLUMNS, smooth_pattern

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

LEAST_SHAPE = 0.01
"""Smallest relative change in the smooth shape of a flat that matters."""

NOTICED_SHAPE = 0.003
SIGNIFICANT = 7.0

MOST_CHANGED_HOT = 0.1
"""Largest fraction of a dark's hot pixels that may change before the dark should be replaced; a few percent flicker."""

LEAST_SLOPE = 0.03
"""Smallest relative change in the signal of hot pixels that matters; it corresponds to 0.26 C."""

LEAST_SHIFT_PX = 2.0

SHADOW_SIGMA = 11.0
LEAST_SHADOW = 0.002
"""Smallest significance at which a shadow counts as new or gone, and smallest mean depth at which this matters."""

_KEEP_BOTH = "Use the new flat for lights after the change, and the previous one for lights before it."
_RADII = (1, 2, 3, 5, 8)
_CELL_ROWS = 16
_SMALLEST_SIDE = 40
_LIT = 0.05
_CHANGED = 0.5
_CHANGED_SIGMA = 8.0


# ---- flats ----


def flat_changes(flat: MasterPlanes, previous: MasterPlanes) -> Iterator[Finding]:
    """Yield findings about changes in dust and shape since an earlier flat with the same settings."""
    if flat.mean.shape != previous.mean.shape or min(flat.mean.shape) < _SMALLEST_SIDE * BIN:
        return
    new, old = _binned(flat.mean), _binned(previous.mean)
    lit = (new > _LIT) & (old > _LIT)
    ratio = np.where(lit, new / np.where(lit, old, 1), 1).astype(np.float32)
    yield from _shape_change(ratio)
    relief = high_pass(np.log(ratio).astype(np.float32))
    error = _error(flat, previous, lit, relief)
    result = find_dust(SensorPattern(relief, error, (), is_dithered=False), find_motes(old))
    yield from _dust_change(result)
    if result.change is Change.NONE:
        yield from _single_shadow(relief, error)


def _binned(plane: F32) -> F32:
    rows, columns = (size // BIN for size in plane.shape)
    cut = plane[: rows * BIN, : columns * BIN].reshape(rows, BIN, columns, BIN)
    return np.asarray(cut.mean(axis=(1, 3)), np.float32)


def _error(flat: MasterPlanes, previous: MasterPlanes, lit: NDArray[np.bool_], relief: F32) -> F32:
    """Return the relative standard error of each bin of the ratio, which is at least the scatter of the bins."""
    squares = np.zeros(lit.shape, np.float32)
    for each in (flat, previous):
        level = np.maximum(_binned(each.mean), np.float32(_LIT))
        squares += _binned(np.square(each.uncertainty)) / np.square(level) / np.float32(BIN**2)
    seen = spread(relief[lit].astype(np.float64))
    stated = float(np.sqrt(np.median(squares[lit]))) or seen
    scale = np.float32(max(seen / stated, 1.0))
    error = np.sqrt(squares) * scale if squares.any() else np.full(lit.shape, seen, np.float32)
    return np.where(lit & (error > 0), error, np.float32(np.inf)).astype(np.float32)


def _shape_change(ratio: F32) -> Iterator[Finding]:
    height, width = ratio.shape[0] // _CELL_ROWS, ratio.shape[1] // COLUMNS
    cut = ratio[: height * _CELL_ROWS, : width * COLUMNS].reshape(_CELL_ROWS, height, COLUMNS, width)
    cells = np.median(cut.swapaxes(1, 2).reshape(_CELL_ROWS, COLUMNS, -1), axis=2).astype(np.float64)
    pattern = smooth_pattern(cells / cells.mean())
    size, significance = pattern.amplitude_adu, float(pattern.significances.max())
    if size < NOTICED_SHAPE or significance < SIGNIFICANT:
        return
    yield master_finding(
        f"the smooth shape of the flat has changed by {percent(size)} since the previous flat; possible causes: a "
        "change in vignetting, or in the illumination of the flats",
        Estimate(size, size / significance),
        "relative",
        least=LEAST_SHAPE,
        evidence=f"the ratio of the two flats is largest {pattern.brightest} ({significance:.0f} standard errors)",
        fix="Use the new flat only for lights after the change of filter, rotation, focus or spacing; if nothing was "
        "changed, make the illumination of the flats even and shoot them again.",
    )


def _dust_change(result: DustResult) -> Iterator[Finding]:
    significance = float(np.sqrt(max(result.gain, 0.0)))
    keep = _KEEP_BOTH
    match result.change:
        case Change.SHIFTED:
            shift = BIN * float(np.hypot(result.down, result.across))
            yield master_finding(
                f"the dust shadows have moved by {shift:.0f} px since the previous flat",
                Estimate(shift, BIN * result.error),
                "px",
                least=LEAST_SHIFT_PX,
                evidence=f"{BIN * result.down:+.0f} px down, {BIN * result.across:+.0f} px to the right "
                f"({significance:.0f} standard errors): a filter, the camera or the focuser moved",
                fix=keep,
            )
        case Change.TURNED:
            yield master_finding(
                f"the dust shadows have rotated by {abs(result.angle):.1f} degrees since the previous flat",
                Estimate(abs(result.angle), result.error),
                "degrees",
                least=0.5,
                evidence=f"the rotated shadows fit with {significance:.0f} standard errors",
                fix=keep,
            )
        case Change.SCALED | Change.WEAKER:
            grown = result.change is Change.SCALED
            yield master_finding(
                f"the dust shadows are {result.scale:.2f} times as {'large' if grown else 'deep'} as in the previous "
                "flat",
                Estimate(abs(result.scale - 1), result.error),
                "relative",
                least=0.03,
                evidence=(
                    "the focus changed"
                    if grown
                    else "the frames subtracted from one of the flats, or the dust, changed"
                )
                + f" ({significance:.0f} standard errors)",
                fix=keep if grown else "Check which dark flat each of the two flats was made with. " + keep,
            )
        case Change.NONE:
            pass


def _single_shadow(relief: F32, error: F32) -> Iterator[Finding]:
    """Yield a finding about the clearest shadow that only one of two flats has.

    Unlike lights, flats contain no nebulae that could be mistaken for shadows.
    """
    weights = np.where(np.isfinite(error), 1 / np.square(error), 0).astype(np.float32)
    best, depth, place = 0.0, 0.0, (0, 0, 0)
    for radius in _RADII:
        norms = disc_sums(weights, radius)
        sums = disc_sums(weights * relief, radius)
        z = np.where(norms > 0, sums / np.sqrt(np.maximum(norms, 1e-20)), 0)
        row, column = (int(each) for each in np.unravel_index(int(np.argmax(np.abs(z))), z.shape))
        if abs(z[row, column]) > abs(best):
            best, depth = float(z[row, column]), float(sums[row, column] / norms[row, column])
            place = row, column, radius
    if abs(best) < SHADOW_SIGMA:
        return
    yield master_finding(
        f"a dust shadow has {'appeared' if best < 0 else 'disappeared'} since the previous flat",
        Estimate(abs(depth), abs(depth / best)),
        "relative",
        least=LEAST_SHADOW,
        evidence=f"its mean depth is {percent(abs(depth))} in a disc of {2 * BIN * place[2]} px at row "
        f"{BIN * place[0]}, column {BIN * place[1]} ({abs(best):.0f} standard errors); there may be weaker ones",
        fix=_KEEP_BOTH,
    )


# ---- darks and biases ----


def dark_changes(dark: MasterPlanes, previous: MasterPlanes, period: int) -> Iterator[Finding]:
    """Yield findings about changes in level and hot pixels since an earlier dark with the same settings."""
    if dark.mean.shape != previous.mean.shape:
        return
    yield from level_change(dark, previous, "dark")
    if dark.mean.size < FEWEST_PIXELS:
        return
    yield from _hot_changes(dark, previous, period)


def level_change(master: MasterPlanes, previous: MasterPlanes, name: str) -> Iterator[Finding]:
    """Yield a finding if the level has changed since an earlier bias or dark with the same settings."""
    if master.mean.shape != previous.mean.shape:
        return
    change, least = level_adu(master) - level_adu(previous), least_level_adu(master)
    if abs(change) < least:
        return
    causes = "offset or driver" if name == "bias" else "offset, driver, temperature or light"
    yield master_finding(
        f"the level of the {name} has changed by {change:+.1f} ADU since the previous one; possible causes: {causes}",
        Estimate(change, 0.1 * least),
        "ADU",
        least=least,
        evidence=f"{adu(level_adu(master))} now, {adu(level_adu(previous))} before",
        fix=f"Use the new {name} only for lights after the change; check that the offset and the driver are those of "
        "the lights.",
    )


def _hot_changes(dark: MasterPlanes, previous: MasterPlanes, period: int) -> Iterator[Finding]:
    now, before = find_hot(dark, period), find_hot(previous, period)
    if min(now.excess_adu.size, before.excess_adu.size) < FEWEST:
        return
    places = np.unique(np.concatenate([now.places, before.places], axis=1), axis=1)
    new, old = (_excess(each, places, period) for each in (dark, previous))
    noise = float(np.hypot(now.error_adu, before.error_adu))
    brightest = np.maximum(new, old)
    clear = brightest > 2 * _CHANGED_SIGMA * noise
    if np.count_nonzero(clear) < FEWEST:
        return
    slope, error = _slope(new[clear], old[clear], noise)
    changed = np.abs(new - slope * old) > np.maximum(_CHANGED * brightest, _CHANGED_SIGMA * noise)
    appeared, gone = int((changed & clear & (new > old)).sum()), int((changed & clear & (new < old)).sum())
    fraction = (appeared + gone) / int(clear.sum())
    if fraction > MOST_CHANGED_HOT:
        yield master_finding(
            f"{percent(fraction)} of the hot pixels have changed since the previous dark",
            Estimate(fraction, float(np.sqrt(fraction / clear.sum()))),
            "of hot pixels",
            least=MOST_CHANGED_HOT,
            evidence=f"{appeared:,} are new, {gone:,} are gone, of {int(clear.sum()):,}",
            fix="Use the new dark from now on, and the previous one only for lights from its time.",
        )
    ratio = Estimate(slope - 1, error)
    if abs(ratio.value) > LEAST_SLOPE and ratio.significance > SIGNIFICANT:
        warmer_c = DOUBLING_C * float(np.log2(max(slope, 1e-3)))
        yield master_finding(
            f"the hot pixels have {slope:.2f} times the signal that they had in the previous dark, as if the sensor "
            f"were {abs(warmer_c):.1f} C {'warmer' if warmer_c > 0 else 'colder'}",
            ratio,
            "relative",
            least=LEAST_SLOPE,
            evidence=f"from {int(clear.sum()):,} hot pixels; dark current doubles about every {DOUBLING_C:.0f} C",
            fix="Compare the exposures and temperatures of both darks. If one of them does not match the lights, shoot "
            "it again.",
        )


def _excess(dark: MasterPlanes, places: NDArray[np.int64], period: int) -> F64:
    excess = np.empty(places.shape[1], np.float32)
    kernels.excess_at(dark.mean, np.ascontiguousarray(places), period, excess)
    return excess.astype(np.float64)


def _slope(new: F64, old: F64, noise: float) -> tuple[float, float]:
    """Return the common ratio of the signals and its standard error; pixels that have changed hardly affect it."""
    both = (new > 0) & (old > 0) & (np.minimum(new, old) > _CHANGED * np.maximum(new, old))
    if np.count_nonzero(both) < FEWEST:
        return 1.0, float("inf")
    mean = (new[both] + old[both]) / 2
    # Weights derived from the mean of both signals favour neither of the two darks.
    weights = 1 / (2 * (noise / mean) ** 2 + 0.02**2)
    fit, covariance = robust_fit(np.ones((mean.size, 1)), np.log(new[both] / old[both]), weights)
    return float(np.exp(fit[0])), float(np.sqrt(covariance[0, 0]))
