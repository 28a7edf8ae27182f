"""What remains of the sensor's pattern in calibrated lights, weighted by errors that allow for nebulae."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.motes import LOCAL, Motes
from coldframe.calibration.diagnosis.estimating.sensor_pattern import REACH, SensorPattern
from coldframe.calibration.diagnosis.estimating.smoothing import smoothed

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PROBABLE = 9.0

_EDGE_REACH = round(REACH)
"""Distance from the edge, in bins, within which errors are derived from all bins at the same distance from the edge."""

_MOST_SQUARE = 36.0
"""Limit to which squared significances are clipped when the scatter near the edges is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Remainder:
    """The remaining pattern, with weights.

    Attributes
    ----------
    residual
        Remainder relative to the sky; 0 where unknown.
    weight
        Inverse variance; 0 where unknown.
    """

    residual: F32
    weight: F32

    def gain(self, model: F32) -> float:
        """Return by how much a model of the remainder improves chi-square."""
        return float((self.weight * model * (2 * self.residual - model)).sum(dtype=np.float64))

    def gains_by(self, owners: NDArray[np.int16], model: F32, count: int) -> F64:
        """Return by how much a model improves chi-square, separately for the bins of each owner."""
        owned = owners >= 0
        residual, weight, model = self.residual[owned], self.weight[owned], model[owned]
        gains = (weight * model * (2 * residual - model)).astype(np.float64)
        return np.bincount(owners[owned], gains, count).astype(np.float64)


def weighted_remainder(pattern: SensorPattern, motes: Motes) -> Remainder:
    """Return the remainder, with weights that allow for residuals of nebulae around each bin."""
    known = np.isfinite(pattern.relative) & (pattern.error > 0)
    residual = np.where(known, pattern.relative, 0).astype(np.float32)
    error = np.where(known, pattern.error, 1).astype(np.float32)
    plain = known & ~motes.mask
    squares = np.square(residual / error)
    scatter = smoothed(np.minimum(squares, _PROBABLE), plain, LOCAL)
    error = error * np.sqrt(np.maximum(np.maximum(scatter, _edge_scatter(squares, plain)), 1))
    return Remainder(residual, np.where(known, 1 / np.square(error), 0).astype(np.float32))


def _edge_scatter(squares: F32, plain: Mask) -> F32:
    """Return, for each bin near an edge, the mean square of all bins at the same distance from the edge; 0 elsewhere.

    Near an edge, the surroundings of a bin are one-sided.
    """
    down, across = (np.minimum(np.arange(size), np.arange(size)[::-1]) for size in squares.shape)
    distance = np.minimum(np.minimum(down[:, None], across), _EDGE_REACH)
    counts = np.bincount(distance[plain], minlength=_EDGE_REACH + 1)
    limited = np.minimum(squares[plain], _MOST_SQUARE).astype(np.float64)
    means = np.bincount(distance[plain], limited, _EDGE_REACH + 1) / np.maximum(counts, 1)
    means[_EDGE_REACH] = 0
    return means.astype(np.float32)[distance]
