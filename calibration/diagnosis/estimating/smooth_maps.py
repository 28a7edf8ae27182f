"""Smooth remainders of lights: amplifier glow, and differences of the flat's shape between colours.

Nebulae and the sky are smooth as well. Therefore the glow is compared with its own mirror images, which nebulae imitate
as often, and the colours with their changes from light to light.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import BLOCKS, DARK, PIXELS, SIGNAL

F64 = NDArray[np.float64]

MIRRORED = 0.5
"""A mirror image of the glow that fits this fraction as well as the glow itself shows that nebulae imitate it."""

LEAST_GLOW = 0.05
"""Smallest glow to look for: standard deviation of its tiles, relative to the noise of a pixel."""

_FEWEST_BLOCKS = 4
_FEWEST_TILES = 30
_ROUNDS = 10
_NOISE_ALONE = 1.5

LEAST_SKY = 0.2
"""Smallest part of the field without nebulae from which colours are compared."""

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

    def fit(*templates: F64) -> Estimate:
        """Return the amount of the last template."""
        terms = (np.ones_like(x), x, y, x * x, x * y, y * y, *templates)
        design = np.stack([each[known] for each in terms], axis=1)
        found, covariance = robust_fit(design, signal[known], weights[known])
        return Estimate(float(found[-1]), float(np.sqrt(covariance[-1, -1] * _SHARED_TILES)))

    template = np.where(known, dark, np.median(dark[known]))
    template = template - template.mean()
    plane = np.stack([np.ones_like(x)[known], x[known], y[known]], axis=1)
    flat = template[known] - plane @ np.linalg.lstsq(plane, template[known], rcond=None)[0]
    if flat.std() < LEAST_GLOW * noise_adu:
        return None
    mirrored = [fit(template, each) for each in (template[::-1], template[:, ::-1], template[::-1, ::-1])]
    return fit(template), max(abs(each.value) for each in mirrored)


def colour_shape(lights: Sequence[LightMeasures], noise_adu: float) -> tuple[Estimate, str] | None:
    """Return the largest change of a colour relative to green over the field, and its description.

    Only the darkest part of the field counts, because nebulae brighten the field and have colours. None for monochrome
    lights, and if nebulae leave too little of the field.
    """
    if lights[0].tiles.shape[2] == 1:
        return None
    total = np.sum([light.tiles for light in lights], axis=0)
    blocks = total[..., BLOCKS]
    means = total[..., SIGNAL] / np.maximum(blocks, 1)
    green = (means[..., 1] + means[..., 2]) / 2
    known = (blocks >= _FEWEST_BLOCKS).all(axis=2) & (means > 0).all(axis=2)
    sky = _empty_sky(green, known)
    if np.count_nonzero(sky) < max(_FEWEST_TILES, LEAST_SKY * np.count_nonzero(known)):
        return None
    expected = noise_adu / float(np.median(green[sky]) * np.sqrt(PIXELS * np.median(blocks[sky])))
    first, last = (np.log(means[..., colour][sky]) for colour in (0, 3))
    middle = np.log(green[sky])
    found = [
        _largest_change(first - last, sky, np.sqrt(2) * expected, "first colour of the array relative to the last"),
        _largest_change((first + last) / 2 - middle, sky, expected, "first and last colours relative to the others"),
    ]
    return max(found, key=lambda each: each[0].significance)


def _empty_sky(level: F64, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the tiles without nebulae: a smooth surface is fitted, and what is above it is left out, several times."""
    y, x = _places(level.shape)
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    kept = known
    for _ in range(_ROUNDS):
        if np.count_nonzero(kept) < _FEWEST_TILES:
            return kept
        fit = np.linalg.lstsq(design[kept], level[kept], rcond=None)[0]
        residual = level - design @ fit
        # Below the surface lies noise alone.
        sigma = float(np.sqrt(np.mean(np.square(np.minimum(residual[kept], 0))) * 2))
        kept = known & (residual < sigma)
    return kept


def _largest_change(values: F64, sky: NDArray[np.bool_], expected: float, name: str) -> tuple[Estimate, str]:
    """Return the change of a colour over the field with the significance of all directions together.

    Parameters
    ----------
    values
        Logarithm of the ratio of colours in the tiles of the sky: float64, shape (tiles,).
    sky
        bool, shape (tile rows, tile columns).
    expected
        Noise of a value.
    name
        The colours.
    """
    y, x = (place[sky] for place in _places(sky.shape))
    design = np.stack([np.ones_like(x), x, y, 2 * (x * x + y * y)], axis=1)
    fit, covariance = robust_fit(design, values, np.ones_like(values))
    # Faint nebulae that remain scatter more than noise, and change smoothly over several tiles.
    excess = max(spread(values - design @ fit) / expected, 1.0)
    shared = 1.0 if excess < _NOISE_ALONE else _SHARED_TILES * excess**2
    changes, inverse = fit[1:], np.linalg.pinv(covariance[1:, 1:] * shared)
    significance = float(np.sqrt(changes @ inverse @ changes))
    errors = np.sqrt(np.diag(covariance)[1:] * shared)
    words = ("from left to right", "from top to bottom", "from the centre to the corners")
    best = int(np.argmax(np.abs(changes) / errors))
    size = float(np.hypot(changes[0], changes[1])) if best < 2 else abs(float(changes[2]))  # noqa: PLR2004
    return Estimate(size, size / significance if significance else float("inf")), f"{name} {words[best]}"


def _mean_of(total: F64, which: int) -> tuple[F64, NDArray[np.bool_]]:
    blocks = total[..., BLOCKS]
    return total[..., which] / np.maximum(blocks, 1), blocks >= _FEWEST_BLOCKS


def _places(shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the positions of tiles from -0.5 to 0.5, down and across."""
    down, across = (np.linspace(-0.5, 0.5, size) if size > 1 else np.zeros(1) for size in shape)
    grid_down, grid_across = np.meshgrid(down, across, indexing="ij")
    return grid_down, grid_across
