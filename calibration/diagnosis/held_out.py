"""Flats judged as if they were lights: calibrated with their own master flat, they must be uniform.

A pedestal e that remains in the master flat M (relative to the flats' level) makes a calibrated flat C brighter or
darker where the master is faint: C = 1 - e / M + constant. If the dark that is subtracted here is correct, the slope of
C against 1 / M therefore yields this pedestal. A drift over time, for example due to dew, leaves a different pattern.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.findings import Finding, Kind

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

TILES = 16
"""Number of tiles along the longer side of the frame."""

SIGNIFICANT = 6.0
LEAST_PEDESTAL = 0.003
"""Smallest pedestal in the master flat that matters, relative to its level."""

LEAST_UNEVENNESS = 0.005
"""Smallest relative change in the flats' shape that matters, measured from the 5th to the 95th percentile of the tiles.
"""

_SMALLEST_SIDE = 8
_FEWEST_TILES = 12


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The uniformity of the calibrated flats.

    Attributes
    ----------
    flats
        Number of flats.
    pedestal, pedestal_error
        The pedestal in the master flat and its standard error, relative to the level of the flat.
    unevenness, unevenness_error
        Range of the tiles, relative to their mean, that the pedestal does not explain, and the relative standard error
        of a tile.
    """

    flats: int
    pedestal: float
    pedestal_error: float
    unevenness: float
    unevenness_error: float


def examine_flats(flats: Sequence[F32], subtracted: F32, master: F32) -> HeldOut | None:
    """Return the uniformity of calibrated flats; None if they are too small.

    Parameters
    ----------
    flats
        Raw flats, ADU: float32, shape (height, width).
    subtracted
        The dark flat or bias to subtract, ADU.
    master
        The master flat.
    """
    side = max(max(master.shape) // TILES // 2 * 2, _SMALLEST_SIDE)
    response = _tiles(master, side)
    if response.size < _FEWEST_TILES:
        return None
    relative = [_relative(flat, subtracted, master, side) for flat in flats]
    mean = np.mean(relative, axis=0)
    error = _tile_error(flats[0], subtracted, master, side) / len(flats) ** 0.5
    shape = 1 / response
    centred = shape - shape.mean()
    total = float(np.sum(centred**2))
    slope = float(np.sum(centred * mean) / total) if total else 0.0
    rest = mean - slope * centred
    low, high = np.percentile(rest - rest.mean(), (5, 95))
    # All tiles were divided by the mean of C, so the slope is relative to the level of the calibrated flat.
    return HeldOut(
        len(flats),
        -slope / max(1 + slope * float(shape.mean()), 0.1),
        error / total**0.5 if total else float("inf"),
        float(high - low),
        error,
    )


def held_out_findings(found: HeldOut) -> tuple[Finding, ...]:
    """Return the findings about the calibrated flats."""
    findings = []
    significance = abs(found.pedestal) / found.pedestal_error
    if abs(found.pedestal) > LEAST_PEDESTAL and significance > SIGNIFICANT:
        findings.append(_pedestal(found, significance))
    # The range of pure noise from the 5th to the 95th percentile is 3.3 standard errors.
    significance = found.unevenness / found.unevenness_error - 3.3
    if found.unevenness > LEAST_UNEVENNESS and significance > SIGNIFICANT:
        findings.append(_unevenness(found, significance))
    return tuple(findings)


def _pedestal(found: HeldOut, significance: float) -> Finding:
    amount = "little" if found.pedestal > 0 else "much"
    return Finding(
        Kind.OVERCORRECTION,
        f"the wrong pedestal was subtracted from the master flat: too {amount} was subtracted",
        100 * found.pedestal,
        "% of the flat's level",
        100 * found.pedestal_error,
        significance,
        matters=True,
        evidence=(
            f"in {found.flats} individual flats, calibrated with dark flats, the brightness follows the master flat: "
            f"a pedestal of {100 * found.pedestal:+.2f} +- {100 * found.pedestal_error:.2f} % of its level remains"
        ),
        fix="combine the flats with dark flats of their exposure instead of a bias",
        harm=1 + abs(found.pedestal),
    )


def _unevenness(found: HeldOut, significance: float) -> Finding:
    return Finding(
        Kind.GRADIENT,
        "the shape of the flats changed while they were being shot; possible causes: dew, a moving panel, or a change "
        "in the illumination",
        100 * found.unevenness,
        "% across the field",
        100 * found.unevenness_error,
        significance,
        matters=True,
        evidence=f"the last {found.flats} flats differ from their master by {found.unevenness:.1%} across the field",
        fix="remove the cause, and shoot the flats again",
        harm=1 + found.unevenness,
    )


def _relative(flat: F32, subtracted: F32, master: F32, side: int) -> F64:
    tiles = _tiles((flat - subtracted) / master, side)
    return np.asarray(tiles / tiles.mean() - 1, np.float64)


def _tiles(plane: F32, side: int) -> F64:
    """Return the medians of square tiles; rows and columns outside complete tiles are left out."""
    height, width = (size // side * side for size in plane.shape)
    tiles = plane[:height, :width].reshape(height // side, side, width // side, side).swapaxes(1, 2)
    # The median of row means is robust against individual pixels, and much faster than the median of all pixels.
    return np.asarray(np.nanmedian(tiles.mean(axis=3), axis=2), np.float64)


def _tile_error(flat: F32, subtracted: F32, master: F32, side: int) -> float:
    """Return the standard error of a tile, from the scatter of the rows within the tiles."""
    plane = (flat - subtracted) / master
    height, width = (size // side * side for size in plane.shape)
    rows = plane[:height, :width].reshape(height // side, side, width // side, side).swapaxes(1, 2).mean(axis=3)
    scatter = float(np.nanmedian(np.nanstd(np.diff(rows[..., ::2], axis=2), axis=2))) / 2**0.5
    return float(1.25 * scatter / side**0.5 / np.nanmean(rows))
