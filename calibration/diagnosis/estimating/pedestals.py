"""Pedestals that were left in lights or flats, found by two witnesses that neither nebulae nor gradients deceive.

The response of the pixels modulates light, but neither an offset nor an error of the dark. If the calibrated pixels
still show the pattern of the flat, a pedestal remains: under the light, or in the flat. The photon noise tells the two
apart, because a pedestal has none: if the level exceeds what the noise implies, the pedestal is under the light.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, robust_ratio
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import (
    BLOCKS,
    DARK_VARIANCE,
    FLAT_VARIANCE,
    LEVEL,
    PIXELS,
    RESPONSE_ERROR,
    RESPONSE_PRODUCT,
    RESPONSE_SQUARE,
    SCATTER,
    SIGNAL,
    SIGNAL_ERROR,
)

F64 = NDArray[np.float64]

_FEWEST_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Pedestals:
    """What the two witnesses state.

    Attributes
    ----------
    by_response_adu
        Pedestal under the light, ADU, from the response of the pixels; or minus the sky times the relative pedestal of
        the flat. An error is infinite without a flat.
    by_noise_adu
        Level minus the level that the photon noise implies, ADU.
    across_adu, down_adu
        Change of `by_response_adu` from the left to the right edge and from the top to the bottom edge.
    genuine
        Fraction of the variance of the flat's pattern that is not noise of the flat.
    sky_adu
        Mean level of the lights.
    """

    by_response_adu: Estimate
    by_noise_adu: Estimate
    across_adu: Estimate
    down_adu: Estimate
    genuine: float
    sky_adu: float


def find_pedestals(lights: Sequence[LightMeasures], e_per_adu: float) -> Pedestals:
    """Return the pedestals of a set of lights."""
    total = np.sum([light.tiles for light in lights], axis=0)
    by_response, slopes, genuine = _by_response(total)
    sky = float(total[..., SIGNAL].sum() / max(total[..., BLOCKS].sum(), 1.0))
    return Pedestals(by_response, _by_noise(total, e_per_adu), *slopes, genuine, sky)


def _by_response(total: F64) -> tuple[Estimate, tuple[Estimate, Estimate], float]:
    # The noise of the flat appears both in the light and in the pattern: sum(h t) contains S (15/16) sum(uF^2 / F^4).
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


def _by_noise(total: F64, e_per_adu: float) -> Estimate:
    blocks = total[..., BLOCKS].ravel()
    known = blocks >= _FEWEST_BLOCKS
    if np.count_nonzero(known) < 3:  # noqa: PLR2004
        return Estimate(0.0, float("inf"))

    def mean(which: int) -> F64:
        return np.asarray(total[..., which].ravel()[known] / blocks[known])

    variance = mean(SCATTER) / (PIXELS - 1)
    implied = e_per_adu * (variance - mean(DARK_VARIANCE) - mean(FLAT_VARIANCE))
    excess = mean(LEVEL) - implied
    # The variance of a variance: 2 sigma^4 / (n - 1).
    weights = blocks[known] / np.square(np.maximum(variance, 1e-12))
    fit, covariance = robust_fit(np.ones((excess.size, 1)), excess, weights)
    return Estimate(float(fit[0]), float(np.sqrt(covariance[0, 0])))


def _places(shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the positions of tiles from -0.5 to 0.5, down and across."""
    down, across = (np.linspace(-0.5, 0.5, size) if size > 1 else np.zeros(1) for size in shape)
    grid_down, grid_across = np.meshgrid(down, across, indexing="ij")
    return grid_down, grid_across
