"""The decision whether a master bias suffices for flats, or whether dark flats with their exposure are needed.

An error in the dark remains in the master flat, relative to the flat's signal, and affects every light that is divided
by the flat. Therefore a few dark flats are compared with the master bias. Each kind of difference (level, slow
gradient, rows, columns, individual pixels) is judged by the error that it would leave in the master flat. The public
functions have no side effects.
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
"""Number of dark flats to shoot before the decision; fewer frames cannot be clipped."""

TOLERANCE = 0.001
"""Largest tolerated relative error of the master flat due to level and slow gradients; the gradients of the sky itself
are larger."""

LINE_TOLERANCE = 0.0002
"""Largest tolerated standard deviation of the relative error due to rows and columns; the eye detects lines far below
the noise."""

PIXEL_SHARE = 0.1
"""Largest tolerated scatter of ordinary pixels, as a fraction of the photon noise; it increases the total noise by 0.5
%."""

HOT_FRACTION = 0.001
"""Largest tolerated fraction of pixels whose error exceeds `HOT_SIGMA` times the master flat's photon noise."""

HOT_SIGMA = 3.0

NOISE_SIGMA = 5.0
"""Number of standard errors of the comparison that the difference of a hot pixel must exceed."""

FULL_SCALE_E = 50_000
"""Number of electrons that the full range of a camera is assumed to represent before the camera has been measured."""

SAMPLED_PIXELS = 300_000
"""Approximate number of pixels from which noise and scatter are derived, with a precision of 0.2 %."""

ONE_SIGMA = 0.6827

CONFIDENCE_SIGMA = 3.0
"""Number of standard errors added to the difference of the levels, so that a bias of uncertain level is rejected."""

BLOCKS = 8
"""Number of blocks along each axis from which slow gradients are determined."""

TREND_DEGREE = 3
"""Degree of the polynomial removed from the row and column means, because slow changes belong to the gradient."""


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
        float32, shape (height, width), ADU: the values that would be subtracted.
    uncertainty
        float32, same shape: standard error of each pixel.
    level_error_adu
        Standard error of the master's level: the scatter of the frames' levels divided by the square root of their
        number.
    """

    mean: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    level_error_adu: float


@dataclass(frozen=True, slots=True)
class PlannedFlat:
    """The planned master flat: its level above the pedestal, and the relative photon noise of a pixel."""

    signal_adu: float
    noise: float

    @classmethod
    def of(cls, signal_adu: float, frames: int, e_per_adu: float) -> Self:
        """Return the plan for a master flat with the given signal and number of frames."""
        return cls(signal_adu, 1 / sqrt(signal_adu * e_per_adu * frames))


@dataclass(frozen=True, slots=True)
class PedestalVerdict:
    """The choice of the master to subtract from flats, and the measured differences between dark flats and bias.

    Attributes
    ----------
    subtract
        Kind of the chosen master.
    level_adu
        Level of the dark flats above the bias.
    level_error, gradient_error, row_error, column_error, pixel_error
        Relative errors that the bias would leave in the master flat. They are caused by the level (including its
        uncertainty), by the block (one of 8x8) that differs most from the level, and by rows, columns and individual
        pixels (as standard deviations).
    hot_fraction
        Fraction of pixels that would be visibly wrong after subtracting the bias.
    reason
        Explanation of the choice for the user.
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
        """Cards for the header of the master flat."""
        return (
            Card("CFPEDEST", self.subtract.value, "subtracted, as measured: bias or dark-flat"),
            Card("CFPEDLVL", round(self.level_adu, 3), "[adu] dark flats above bias"),
            Card("CFPEDERL", self.level_error, "flat error if bias is subtracted: level"),
            Card("CFPEDERG", self.gradient_error, "likewise: slow gradient"),
            Card("CFPEDERR", self.row_error, "likewise: rows"),
            Card("CFPEDERC", self.column_error, "likewise: columns"),
            Card("CFPEDERP", self.pixel_error, "likewise: single pixels"),
            Card("CFPEDHOT", self.hot_fraction, "fraction of pixels visibly wrong"),
        )


def compare(bias: DarkMaster, dark_flat: DarkMaster, flat: PlannedFlat) -> PedestalVerdict:
    """Decide which master to subtract from flats.

    Parameters
    ----------
    bias, dark_flat
        Masters of the same shape and settings; a master of a few dark flats suffices.
    flat
        The planned master flat.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if bias.mean.shape != dark_flat.mean.shape:
        raise ValueError(f"the bias has the shape {bias.mean.shape}, but the dark flats have {dark_flat.mean.shape}")
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
    """The bias to compare with a few dark flats, and the planned master flat."""

    bias: DarkMaster
    flat: PlannedFlat

    def verdict(self, dark_flats: DarkMaster) -> PedestalVerdict:
        """Decide which master to subtract from the flats; see `compare`."""
        return compare(self.bias, dark_flats, self.flat)


def _typical(uncertainty: NDArray[np.float32], limit_adu: float) -> float:
    """Return the root mean square of uncertainties, each limited to the given maximum."""
    sampled = np.minimum(uncertainty.reshape(-1)[:: uncertainty.size // SAMPLED_PIXELS | 1], np.float32(limit_adu))
    return sqrt(float(np.mean(np.square(sampled, dtype=np.float64))))


def _decide(relative: Mapping[str, tuple[float, float]]) -> tuple[Subtract, str]:
    """Choose the bias if every error is tolerable; return the choice and the reason, which names the worst error."""
    worst = max(relative, key=lambda name: relative[name][0] / relative[name][1])
    error, allowed = relative[worst]
    numbers = f"{worst} {100 * error:.2g} % of the flat, {100 * allowed:.2g} % allowed"
    if error > allowed:
        return Subtract.DARK_FLAT, f"dark flats differ from the bias: {numbers}"
    return Subtract.BIAS, f"the master bias is sufficient: {numbers}"


def _clip(difference: NDArray[np.float32], limit_adu: float) -> float:
    """Limit the pixels of a difference in place; return the fraction of the pixels that were beyond the limit."""
    beyond = np.count_nonzero(difference > limit_adu) + np.count_nonzero(difference < -limit_adu)
    np.clip(difference, -limit_adu, limit_adu, out=difference)
    return float(beyond / difference.size)


def _scatter(difference: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """Return the standard deviation of ordinary pixels about their row and column means, from the 68th percentile."""
    step = difference.size // SAMPLED_PIXELS | 1
    single = difference[::step] - rows[::step, None] - columns[None, :]
    return float(np.quantile(np.abs(single), ONE_SIGMA))


def _blocks(difference: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the mean of each block of a difference."""
    rows, columns = (np.linspace(0, size, BLOCKS + 1).astype(int)[:-1] for size in difference.shape)
    sums = np.add.reduceat(np.add.reduceat(difference, rows, axis=0, dtype=np.float64), columns, axis=1)
    areas = np.diff([*rows, difference.shape[0]])[:, None] * np.diff([*columns, difference.shape[1]])[None, :]
    means: NDArray[np.float64] = sums / areas
    return means


def _unevenness(lines: NDArray[np.float64]) -> float:
    """Return the standard deviation of the means of rows or columns after slow changes have been removed."""
    place = np.linspace(-1, 1, lines.size)
    trend = np.polynomial.Polynomial.fit(place, lines, TREND_DEGREE)
    return float(np.std(lines - trend(place)))
