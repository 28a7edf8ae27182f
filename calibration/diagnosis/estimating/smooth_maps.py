"""Smooth remainders of lights: amplifier glow, and differences of the flat's shape between colours.

Nebulae and the sky are smooth as well. Therefore the glow is compared with its own mirror images, which nebulae imitate
as often, and the colours with their changes from light to light.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import BLOCKS, DARK, SIGNAL

F64 = NDArray[np.float64]

MIRRORED = 0.5
"""A mirror image of the glow that fits this fraction as well as the glow itself shows that nebulae imitate it."""

LEAST_GLOW = 0.05
"""Smallest glow to look for: standard deviation of its tiles, relative to the noise of a pixel."""

_FEWEST_BLOCKS = 4
_FEWEST_TILES = 30
_SHARED_TILES = 4.0
"""Structures of the sky extend over some tiles, so that the errors of tiles are not independent."""


def glow_residual(lights: Sequence[LightMeasures], noise_adu: float) -> tuple[Estimate, float] | None:
    """Return the fraction of the dark's glow that the lights still contain, and the largest of its mirror images.

    None if the dark has no glow.
    """
    total = np.sum([light.tiles for light in lights], axis=0).sum(axis=2)
    signal, known = _mean_of(total, SIGNAL)
    dark, _ = _mean_of(total, DARK)
    if np.count_nonzero(known) < _FEWEST_TILES:
        return None
    y, x = _places(known.shape)
    weights = total[..., BLOCKS]

    def fit(template: F64) -> Estimate:
        design = np.stack([each[known] for each in (np.ones_like(x), x, y, x * x, x * y, y * y, template)], axis=1)
        found, covariance = robust_fit(design, signal[known], weights[known])
        return Estimate(float(found[-1]), float(np.sqrt(covariance[-1, -1]) * np.sqrt(_SHARED_TILES)))

    template = np.where(known, dark, np.median(dark[known]))
    template = template - template.mean()
    plane = np.stack([np.ones_like(x)[known], x[known], y[known]], axis=1)
    flat = template[known] - plane @ np.linalg.lstsq(plane, template[known], rcond=None)[0]
    if flat.std() < LEAST_GLOW * noise_adu:
        return None
    mirrored = [fit(each) for each in (template[::-1], template[:, ::-1], template[::-1, ::-1])]
    return fit(template), max(abs(each.value) for each in mirrored)


def colour_shape(lights: Sequence[LightMeasures]) -> tuple[Estimate, str] | None:
    """Return the largest change of a colour relative to green over the field, peak to valley, and its description.

    None for monochrome lights.
    """
    if lights[0].tiles.shape[2] == 1:
        return None
    found = []
    for name, colours in (("first", 0), ("last", 3)):
        fits = np.array([fit for light in lights if (fit := _colour_fit(light, colours)) is not None])
        if not fits.size:
            return None
        values, errors = fits[:, 0], fits[:, 1]
        shape = np.median(values, axis=0)
        scatter = values.std(axis=0) / np.sqrt(len(values))
        error = np.hypot(scatter, np.median(errors, axis=0))
        sizes = np.abs(shape) * np.array([1.0, 1.0, 0.5])
        which = int(np.argmax(sizes / (error * np.array([1.0, 1.0, 0.5]))))
        words = ("from left to right", "from top to bottom", "from the centre to the corners")[which]
        found.append((Estimate(float(shape[which]), float(error[which])), f"{name} colour of the array {words}"))
    return max(found, key=lambda each: each[0].significance)


def _colour_fit(light: LightMeasures, colour: int) -> tuple[F64, F64] | None:
    """Return the change of a colour relative to green across, down, and from centre to corner, and their errors."""
    blocks = light.tiles[..., BLOCKS]
    known = (blocks >= _FEWEST_BLOCKS).all(axis=2)
    if np.count_nonzero(known) < _FEWEST_TILES:
        return None
    means = light.tiles[..., SIGNAL][known] / blocks[known]
    green = (means[:, 1] + means[:, 2]) / 2
    good = (green > 0) & (means[:, colour] > 0)
    ratio = np.log(means[good, colour] / green[good])
    y, x = (place[known][good] for place in _places(known.shape))
    bowl = 2 * (x * x + y * y)
    fit, covariance = robust_fit(np.stack([np.ones_like(x), x, y, bowl], axis=1), ratio, np.ones_like(ratio))
    return fit[1:], np.sqrt(np.diag(covariance)[1:] * _SHARED_TILES)


def _mean_of(total: F64, which: int) -> tuple[F64, NDArray[np.bool_]]:
    blocks = total[..., BLOCKS]
    return total[..., which] / np.maximum(blocks, 1), blocks >= _FEWEST_BLOCKS


def _places(shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the positions of tiles from -0.5 to 0.5, down and across."""
    down, across = (np.linspace(-0.5, 0.5, size) if size > 1 else np.zeros(1) for size in shape)
    grid_down, grid_across = np.meshgrid(down, across, indexing="ij")
    return grid_down, grid_across
