"""Whether a master bias suffices for flats, or whether they need dark flats of their own exposure. Pure.

An error of the dark stays in the master flat, divided by the flat's signal, and multiplies every light. So a few dark
flats are compared with the master bias. Each kind of difference is weighed by the error that it would leave in the
master flat: the level, the slow gradient, rows, columns, and single pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import hypot, sqrt
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card
from coldframe.calibration.measuring.statistics import central_region

PROBES = 5
"""Dark flats to shoot before the decision; fewer cannot be clipped."""

TOLERANCE = 0.001
"""Largest error of the master flat due to level and slow gradients; those of the sky itself are larger."""

LINE_TOLERANCE = 0.0002
"""Largest standard deviation of the error due to rows and columns; the eye detects lines deep in the noise."""

PIXEL_SHARE = 0.1
"""Largest scatter of ordinary pixels, as a fraction of the master flat's photon noise, to which it adds 0.5 %."""

HOT_FRACTION = 0.001
"""Largest fraction of pixels whose error may exceed `HOT_SIGMA` times the master flat's photon noise."""

HOT_SIGMA = 3.0

NOISE_SIGMA = 5.0
"""Differences within this many standard errors of the comparison do not count as hot."""

FULL_SCALE_E = 50_000
"""Electrons in the full range of a camera that has not been measured."""

SAMPLED_PIXELS = 300_000
"""Approximate number of pixels from which noise and scatter are derived, to 0.2 %."""

ONE_SIGMA = 0.6827

CONFIDENCE_SIGMA = 3.0
"""Standard errors that are added to the level's difference, so that an uncertain level counts as bad."""

BLOCKS = 8
"""Blocks along each axis that reveal slow gradients."""

TREND_DEGREE = 3
"""Degree of the polynomial removed from rows and columns, because slow changes count as gradient."""


class Subtract(StrEnum):
    """The kind of master to subtract from flats."""

    BIAS = "bias"
    DARK_FLAT = "dark-flat"


@dataclass(frozen=True, slots=True, eq=False)
class DarkMaster:
    """A master of dark frames, with its uncertainty.

    Attributes
    ----------
    mean
        float32, shape (height, width), ADU: as it would be subtracted.
    uncertainty
        float32, same shape: standard error of each pixel.
    level_error_adu
        Standard error of its level: the scatter of the frames' levels divided by the root of their number.
    """

    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    level_error_adu: float


@dataclass(frozen=True, slots=True)
class PlannedFlat:
    """The master flat to come: its level above the pedestal, and the relative photon noise of a pixel."""

    signal_adu: float
    noise: float

    @classmethod
    def of(cls, signal_adu: float, frames: int, e_per_adu: float) -> Self:
        """Return the master flat of a number of frames."""
        return cls(signal_adu, 1 / sqrt(signal_adu * e_per_adu * frames))


@dataclass(frozen=True, slots=True)
class PedestalVerdict:
    """The master to subtract from flats, and the measured differences between dark flats and bias behind this choice.

    Attributes
    ----------
    subtract
        The choice.
    level_adu
        Level of the dark flats above the bias.
    level_error, gradient_error, row_error, column_error, pixel_error
        Relative errors that the bias would leave in the master flat: due to the level, with its uncertainty; due to the
        one of 8x8 blocks that differs most from the level; due to rows, columns and single pixels, as standard
        deviations.
    hot_fraction
        Fraction of pixels that would be visibly wrong.
    reason
        Text for the user.
    """

    subtract: Subtract
    level_adu: float
    level_error: float
    gradient_error: float
    row_error: float
    column_error: float
    pixel_error: float
    hot_fraction: float
    reason: str

    @property
    def cards(self) -> tuple[Card, ...]:
        """Cards for the master flat."""
        return (
            Card("CFPEDEST", self.subtract.value, "subtracted, as measured: bias or dark-flat"),
            Card("CFPEDLVL", round(self.level_adu, 3), "[adu] dark flats above bias"),
            Card("CFPEDERL", self.level_error, "error of the flat with bias instead: level"),
            Card("CFPEDERG", self.gradient_error, "likewise: slow gradient"),
            Card("CFPEDERR", self.row_error, "likewise: rows"),
            Card("CFPEDERC", self.column_error, "likewise: columns"),
            Card("CFPEDERP", self.pixel_error, "likewise: single pixels"),
            Card("CFPEDHOT", self.hot_fraction, "fraction of pixels visibly wrong"),
        )


def compare(bias: DarkMaster, dark_flat: DarkMaster, flat: PlannedFlat) -> PedestalVerdict:
    """Decide what to subtract from flats.

    Parameters
    ----------
    bias, dark_flat
        Masters of the same shape and settings; a few dark flats suffice.
    flat
        The master flat that the decision is for.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if bias.mean.shape != dark_flat.mean.shape:
        raise ValueError(f"a bias of shape {bias.mean.shape} and dark flats of shape {dark_flat.mean.shape}")
    flat_noise_adu = flat.noise * flat.signal_adu
    noise_adu = hypot(_typical(bias.uncertainty, flat_noise_adu), _typical(dark_flat.uncertainty, flat_noise_adu))
    difference = dark_flat.mean - bias.mean
    level_adu = float(np.median(difference[central_region(difference.shape)]))
    difference -= np.float32(level_adu)
    hot_fraction = _clip(difference, hypot(NOISE_SIGMA * noise_adu, HOT_SIGMA * flat_noise_adu))
    uncertainty_adu = CONFIDENCE_SIGMA * hypot(bias.level_error_adu, dark_flat.level_error_adu)
    rows = difference.mean(axis=1, dtype=np.float64)
    columns = difference.mean(axis=0, dtype=np.float64)
    scatter_adu2 = _scatter(difference, rows, columns) ** 2 - noise_adu**2
    errors = {
        "level": (abs(level_adu) + uncertainty_adu, TOLERANCE),
        "gradient": (float(np.abs(_blocks(difference)).max()), TOLERANCE),
        "rows": (_unevenness(rows), LINE_TOLERANCE),
        "columns": (_unevenness(columns), LINE_TOLERANCE),
        "pixels": (sqrt(max(scatter_adu2, 0.0)), PIXEL_SHARE * flat.noise),
    }
    relative = {name: (error / flat.signal_adu, allowed) for name, (error, allowed) in errors.items()}
    relative["hot pixels"] = hot_fraction, HOT_FRACTION
    subtract, reason = _decide(relative)
    return PedestalVerdict(
        subtract=subtract,
        level_adu=level_adu,
        level_error=relative["level"][0],
        gradient_error=relative["gradient"][0],
        row_error=relative["rows"][0],
        column_error=relative["columns"][0],
        pixel_error=relative["pixels"][0],
        hot_fraction=hot_fraction,
        reason=reason,
    )


@dataclass(frozen=True, slots=True, eq=False)
class PedestalTest:
    """The bias to compare with a few dark flats, and the master flat that the decision is for."""

    bias: DarkMaster
    flat: PlannedFlat

    def verdict(self, dark_flats: DarkMaster) -> PedestalVerdict:
        """Decide; see `compare`."""
        return compare(self.bias, dark_flats, self.flat)


def _typical(uncertainty: NDArray[np.float32], limit_adu: float) -> float:
    """Return the root mean square of some uncertainties, each limited to a maximum."""
    sampled = np.minimum(uncertainty.reshape(-1)[:: uncertainty.size // SAMPLED_PIXELS | 1], np.float32(limit_adu))
    return sqrt(float(np.mean(np.square(sampled, dtype=np.float64))))


def _decide(relative: Mapping[str, tuple[float, float]]) -> tuple[Subtract, str]:
    """Return the choice and its reason: the bias only if every error is tolerable. The reason names the worst error."""
    worst = max(relative, key=lambda name: relative[name][0] / relative[name][1])
    error, allowed = relative[worst]
    numbers = f"{worst} {100 * error:.2g} % of the flat, {100 * allowed:.2g} % allowed"
    if error > allowed:
        return Subtract.DARK_FLAT, f"dark flats differ from the bias: {numbers}"
    return Subtract.BIAS, f"the master bias will do: {numbers}"


def _clip(difference: NDArray[np.float32], limit_adu: float) -> float:
    """Limit a difference in place; return the fraction of the pixels beyond the limit."""
    beyond = np.count_nonzero(difference > limit_adu) + np.count_nonzero(difference < -limit_adu)
    np.clip(difference, -limit_adu, limit_adu, out=difference)
    return float(beyond / difference.size)


def _scatter(difference: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """Return the standard deviation of ordinary pixels about their row and column, from their 68 % quantile."""
    step = difference.size // SAMPLED_PIXELS | 1
    single = difference[::step] - rows[::step, None] - columns[None, :]
    return float(np.quantile(np.abs(single), ONE_SIGMA))


def _blocks(difference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each block."""
    rows, columns = (np.linspace(0, size, BLOCKS + 1).astype(int)[:-1] for size in difference.shape)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=0, dtype=np.float64), columns, axis=1)
    areas = np.diff([*rows, difference.shape[0]])[:, None] * np.diff([*columns, difference.shape[1]])[None, :]
    means: NDArray[np.float64] = sums / areas
    return means


def _unevenness(lines: NDArray[np.float64]) -> float:
    """Return the standard deviation of rows or columns without slow changes."""
    place = np.linspace(-1, 1, lines.size)
    trend = np.polynomial.Polynomial.fit(place, lines, TREND_DEGREE)
    return float(np.std(lines - trend(place)))
