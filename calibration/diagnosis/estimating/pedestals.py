"""Pedestals that remain in lights or flats, measured in two ways that neither nebulae nor gradients affect.

The response of the pixels modulates light, but neither an offset nor an error of the dark. If the calibrated pixels
still show the pattern of the flat, a pedestal remains, either in the lights or in the flat. The photon noise
distinguishes the two cases, because a pedestal has no photon noise: if the level exceeds the level implied by the
noise, the pedestal is in the lights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, robust_ratio
from coldframe.calibration.diagnosis.estimating.gain import Gain
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import (
    BLOCKS,
    DARK_VARIANCE,
    FLAT_VARIANCE,
    LEVEL,
    NEAR_SCATTER,
    PIXELS,
    RESPONSE_ERROR,
    RESPONSE_PRODUCT,
    RESPONSE_SQUARE,
    SCATTER,
    SIGNAL,
    SIGNAL_ERROR,
    SUMS,
)

F64 = NDArray[np.float64]

SHARED_ERRORS = 9.0
"""Factor applied to the squared errors of the fit of level against noise. In simulated nights, these errors exceed the
errors expected for independent parts of the lights by this factor, because nebulae and clouds change the scatter of
many parts in the same way."""

_FEWEST_BLOCKS = 50
_NEAR_FREEDOM = PIXELS * 3 // 4
_PARTS = 3
"""Number of parts into which a light is divided along each side; smaller parts would be too noisy for the fit."""


@dataclass(frozen=True, slots=True)
class Pedestals:
    """The results of both measurements.

    Attributes
    ----------
    by_response_adu
        Pedestal in the lights, ADU, from the response of the pixels. A pedestal in the flat has the same effect: it
        changes this value by minus the sky level times the relative pedestal. The error is infinite without a flat.
    by_noise_adu
        Level minus the level that the photon noise implies, ADU.
    across_adu, down_adu
        Change in `by_response_adu` from the left to the right edge and from the top to the bottom edge.
    e_per_adu
        Electrons per ADU, from the known gain and from the lights.
    shared
        Covariance of `by_noise_adu` and `e_per_adu`, which result from the same linear fit.
    genuine
        Fraction of the variance of the flat's pattern that is not noise of the flat.
    sky_adu
        Mean level of the lights, ADU.
    """

    by_response_adu: Estimate
    by_noise_adu: Estimate
    across_adu: Estimate
    down_adu: Estimate
    e_per_adu: Estimate
    shared: float
    genuine: float
    sky_adu: float


def find_pedestals(
    lights: Sequence[LightMeasures], gain: Gain, dark_excess: float = 1.0, flat_excess: float = 1.0
) -> Pedestals:
    """Return the pedestals of a set of lights.

    Parameters
    ----------
    lights
        The measurements of the lights.
    gain
        The known gain.
    dark_excess, flat_excess
        Mean squared error of the dark and of the flat, relative to the mean of their squared uncertainties.
    """
    totals = [light.tiles.copy() for light in lights]
    for tiles in totals:
        tiles[..., DARK_VARIANCE] *= dark_excess
        tiles[..., [SIGNAL_ERROR, RESPONSE_ERROR, FLAT_VARIANCE]] *= flat_excess
    total = np.sum(totals, axis=0)
    by_response, slopes, genuine = _by_response(total)
    sky = float(total[..., SIGNAL].sum() / max(total[..., BLOCKS].sum(), 1.0))
    by_noise, e_per_adu, shared = _by_noise(totals, gain)
    return Pedestals(by_response, by_noise, *slopes, e_per_adu, shared, genuine, sky)


def _by_response(total: F64) -> tuple[Estimate, tuple[Estimate, Estimate], float]:
    # The noise uF of the flat F appears both in the light and in the pattern 1 / F, so the sum of their products
    # contains S (15/16) sum(uF^2 / F^4), where S is the level of the light.
    noise = (PIXELS - 1) / PIXELS
    squares = total[..., RESPONSE_SQUARE].sum(axis=-1)
    products = (total[..., RESPONSE_PRODUCT] - noise * total[..., SIGNAL_ERROR]).sum(axis=-1)
    flat_noise = noise * float(total[..., RESPONSE_ERROR].sum())
    genuine = max(1 - flat_noise / float(squares.sum()), 0.01) if squares.sum() > 0 else 1.0
    known = squares > 0
    mean = robust_ratio(products[known], squares[known])
    down, across = (place[known] for place in _places(squares.shape))
    if np.count_nonzero(known) < 10:  # noqa: PLR2004
        none = Estimate(0.0, float("inf"))
        return mean, (none, none), genuine
    design = np.stack([np.ones_like(across), across, down], axis=1)
    fit, covariance = robust_fit(design, products[known] / squares[known], squares[known])
    slopes = (
        Estimate(float(fit[1]), float(np.sqrt(covariance[1, 1]))),
        Estimate(float(fit[2]), float(np.sqrt(covariance[2, 2]))),
    )
    return mean, slopes, genuine


def _by_noise(totals: Sequence[F64], gain: Gain) -> tuple[Estimate, Estimate, float]:
    """Return the level at which the photon noise is zero, ADU, the gain in electrons per ADU, and their covariance.

    The sky level changes during the night and across the field, and the photon noise changes with it:
    level = pedestal + gain x variance. The known gain is weighted by its certainty.
    """
    levels, variances, weights = (np.concatenate(each) for each in zip(*map(_noise_points, totals), strict=True))
    if levels.size < 3:  # noqa: PLR2004
        return Estimate(0.0, float("inf")), Estimate(gain.e_per_adu, gain.relative_error * gain.e_per_adu), 0.0
    fit, covariance = robust_fit(np.stack([np.ones_like(levels), variances], axis=1), levels, weights)
    covariance = covariance * SHARED_ERRORS
    # Add the known gain as a further measurement (Kalman's update).
    known_variance = (gain.relative_error * gain.e_per_adu) ** 2
    share = covariance[:, 1] / (covariance[1, 1] + known_variance)
    fit = fit + share * (gain.e_per_adu - fit[1])
    covariance = covariance - np.outer(share, covariance[1])
    pedestal_error = float(np.sqrt(max(covariance[0, 0], 0.0)))
    e_per_adu = Estimate(float(fit[1]), float(np.sqrt(max(covariance[1, 1], 0.0))))
    return Estimate(float(fit[0]), pedestal_error), e_per_adu, float(covariance[0, 1])


def _noise_points(tiles: F64) -> tuple[F64, F64, F64]:
    """Return the levels, photon variances and weights of large parts of a light; float64, shape (parts,)."""
    rows, columns, colours = tiles.shape[:3]
    parts = [
        tiles[top:bottom, left:right, colour].sum(axis=(0, 1))
        for top, bottom in pairwise(np.linspace(0, rows, _PARTS + 1).astype(int))
        for left, right in pairwise(np.linspace(0, columns, _PARTS + 1).astype(int))
        for colour in range(colours)
    ]
    sums = np.array([part for part in parts if part[BLOCKS] >= _FEWEST_BLOCKS]).reshape(-1, SUMS)
    blocks = sums[:, BLOCKS]
    whole, near = sums[:, SCATTER] / (PIXELS - 1) / blocks, sums[:, NEAR_SCATTER] / _NEAR_FREEDOM / blocks
    # The variance due to a slope within n x n pixels is proportional to n^2 - 1, five times as large for n = 4 as for
    # n = 2. The variance of noise does not depend on n.
    variance = (5 * near - whole) / 4
    photon = variance - (sums[:, DARK_VARIANCE] + sums[:, FLAT_VARIANCE]) / blocks
    # The weights follow from the variance of a variance, 2 sigma^4 / (n - 1).
    return sums[:, LEVEL] / blocks, photon, blocks / np.square(np.maximum(variance, 1e-12))


def _places(shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the positions of tiles from -0.5 to 0.5, down and across."""
    down, across = (np.linspace(-0.5, 0.5, size) if size > 1 else np.zeros(1) for size in shape)
    grid_down, grid_across = np.meshgrid(down, across, indexing="ij")
    return grid_down, grid_across
