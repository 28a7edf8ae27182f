"""The twilight sky, with its brightness over time, a gradient, and stars that move from frame to frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coldframe.config.simulated_rig import TwilightModel

Map = NDArray[np.float32]

STAR_REACH_PX = 6
"""Radius in pixels beyond which the light of a star is neglected."""

STAR_SIGMA_PX = 1.3

BRIGHTEST_STAR = 1e4
"""Ratio of the light of the brightest star to that of the faintest star."""

SIMPSON = ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6))


def twilight_e_per_s(model: TwilightModel, elapsed_s: float, exposure_s: float) -> float:
    """Return the mean light during an exposure, in electrons per second in a clear pixel.

    Parameters
    ----------
    elapsed_s
        Time from when the rig is switched on to the start of the exposure, seconds.
    exposure_s
        Length of the exposure, seconds. The mean light is computed by Simpson's rule.
    """
    return sum(weight * _at(model, elapsed_s + part * exposure_s) for part, weight in SIMPSON)


def _at(model: TwilightModel, elapsed_s: float) -> float:
    minutes = elapsed_s / 60
    if model.levelling_min is not None:
        minutes = -model.levelling_min * np.expm1(-minutes / model.levelling_min)
    return float(model.e_per_s * 2.0 ** (minutes / model.doubling_min))


@dataclass(frozen=True, slots=True)
class SkyField:
    """The structure of the sky in one frame: a gradient and stars.

    Attributes
    ----------
    slope_e_per_s
        Light at the right edge minus the light in the middle, in electrons per second.
    stars_per_mpx, faintest_e_per_s
        Stars per million pixels, and the light of the faintest star.
    seed
        Seed for the star positions. It differs from frame to frame, because the telescope moves.
    """

    slope_e_per_s: float
    stars_per_mpx: float
    faintest_e_per_s: float
    seed: tuple[int, int]

    def light(self, shape: tuple[int, int], rows: slice) -> Map:
        """Return the electrons per second in some rows of a frame, as float32 with shape (rows, columns)."""
        height, width = shape
        light = np.empty((rows.stop - rows.start, width), np.float32)
        light[:] = np.linspace(-self.slope_e_per_s, self.slope_e_per_s, width, dtype=np.float32)
        random = np.random.default_rng(self.seed)
        stars = random.poisson(self.stars_per_mpx * height * width / 1e6)
        ys, xs = random.uniform(0, height, stars), random.uniform(0, width, stars)
        # The number of stars brighter than F is proportional to 1 / F.
        fluxes = self.faintest_e_per_s * np.minimum(1 / random.uniform(1e-9, 1, stars), BRIGHTEST_STAR)
        for y, x, flux in zip(ys, xs, fluxes, strict=True):
            _add_star(light, y - rows.start, x, flux)
        return light


def _add_star(light: Map, y: float, x: float, flux_e_per_s: float) -> None:
    """Add a round Gaussian star, clipped at the edges."""
    top, left = max(int(y) - STAR_REACH_PX, 0), max(int(x) - STAR_REACH_PX, 0)
    part = light[top : max(int(y) + STAR_REACH_PX + 1, 0), left : int(x) + STAR_REACH_PX + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    squares = ((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2) / (2 * STAR_SIGMA_PX**2)
    part += np.asarray(flux_e_per_s / (2 * np.pi * STAR_SIGMA_PX**2) * np.exp(-squares), np.float32)
