"""Smooth residuals in lights: amplifier glow, and differences in the flat's shape between colours.

Nebulae and the sky are smooth as well. Therefore, the glow is compared with its own mirror images, which nebulae
resemble just as often as the glow itself, and the variation of colours is compared with the changes in this variation
from light to light.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.estimates import Estimate, robust_fit, spread
from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.kernels.block_sums import BLOCKS, DARK, PIXELS, SIGNAL

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_GLOW = 0.05
"""Smallest glow to look for: standard deviation of its tiles, relative to the noise of a pixel."""

_FEWEST_BLOCKS = 4
_FEWEST_TILES = 30
_ROUNDS = 10
_NOISE_ALONE = 1.5
_FEWEST_LIGHTS = 4
_FEWEST_TURNED = 3
"""Smallest number of lights on each side of the pier from which the gradients of sky and flat can be separated."""

_PLANES = ("from left to right", "from top to bottom")

LEAST_SKY = 0.2
"""Smallest fraction of the field that must be free of nebulae for colours to be compared."""

_CERTAIN_SKY = 1 / 3
"""If tiles that look like sky cover at least this fraction of the field, they are taken to be sky. In simulated nights,
faint nebulae passed for sky only if less than a quarter of the field was left as sky
(`python -m benchmarks.diagnosis`)."""

_SHARED_TILES = 4.0
"""Factor applied to variances: structures in the sky extend over several tiles, so the errors of neighbouring tiles are
not independent."""


class ColourShape(NamedTuple):
    """The most significant variation of a colour across the field.

    Attributes
    ----------
    change
        Relative variation from one side of the field to the other, or from the centre to the corners.
    place
        The colours that are compared and the direction, as text.
    largest_error
        Larger of the standard errors of the two colour ratios; it limits the variations that can be found.
    """

    change: Estimate
    place: str
    largest_error: float


def glow_residual(lights: Sequence[LightMeasures], noise_adu: float) -> tuple[Estimate, float] | None:
    """Return the fraction of the dark's glow that remains in the lights, and the same for its mirror images.

    For the mirror images, the largest absolute fraction is returned. The result is None if the dark has no glow.
    """
    total = np.sum([light.tiles for light in lights], axis=0).sum(axis=2)
    signal, known = _mean_of(total, SIGNAL)
    dark, _ = _mean_of(total, DARK)
    if np.count_nonzero(known) < _FEWEST_TILES:
        return None
    y, x = _places(known.shape)
    weights = total[..., BLOCKS]

    def fit(*templates: F64) -> Estimate:
        """Return the fitted amount of the last template."""
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


def colour_shape(
    lights: Sequence[LightMeasures], turned: Sequence[bool | None], noise_adu: float
) -> ColourShape | None:
    """Return the most significant variation of a colour ratio across the field.

    Only the darkest part of the field is used, because nebulae are bright and coloured. The result is None for
    monochrome lights, or if nebulae leave too little of the field free.

    Parameters
    ----------
    lights
        The measurements of the lights.
    turned
        True for each light that a meridian flip has rotated; None if unknown.
    noise_adu
        Noise of a pixel in one light.
    """
    if lights[0].tiles.shape[2] == 1:
        return None
    total = np.sum([light.tiles for light in lights], axis=0)
    levels, known = _colours_of(total)
    blocks = total[..., BLOCKS]
    noise_of_tile = noise_adu / float(np.sqrt(PIXELS * np.median(blocks[known]))) if known.any() else 0.0
    empty = _empty_in_each(levels, known, noise_of_tile)
    sky = np.all(empty, axis=0)
    fewest = min(np.count_nonzero(each) for each in empty)
    if np.count_nonzero(sky) < _FEWEST_TILES or fewest < LEAST_SKY * np.count_nonzero(known):
        return None
    is_certain = bool(fewest >= _CERTAIN_SKY * np.count_nonzero(known))
    expected = noise_adu / float(np.median(levels[sky][..., 1]) * np.sqrt(PIXELS * np.median(blocks[sky])))
    found = []
    for name, ratio, noise in (
        ("first colour of the array relative to the last", _first_to_last, np.sqrt(2) * expected),
        ("first and last colours relative to the others", _outer_to_green, expected),
    ):
        shape, place = _largest_change(ratio(total, sky), sky, noise, name, is_certain=is_certain)
        if place.endswith(_PLANES):
            changed = _turned([ratio(light.tiles, sky) for light in lights], sky)
            shape = Estimate(shape.value, float(np.hypot(shape.error, changed)))
            opposite = _unturned(lights, turned, ratio, noise_of_tile)
            if opposite is not None and opposite[0].error < shape.error:
                shape, place = opposite[0], f"{name} {opposite[1]}"
        found.append((shape, place))
    shape, place = max(found, key=lambda each: each[0].significance)
    return ColourShape(shape, place, max(each.error for each, _ in found))


def _unturned(
    lights: Sequence[LightMeasures],
    turned: Sequence[bool | None],
    ratio: Callable[[F64, Mask], F64],
    noise_of_tile: float,
) -> tuple[Estimate, str] | None:
    """Return the colour gradient that a meridian flip does not rotate, and its direction; None with too few lights.

    On the sensor, the flip rotates the gradients of the sky and of nebulae, but not that of the flat.
    """
    sides = [[light for light, side in zip(lights, turned, strict=True) if side is which] for which in (False, True)]
    if min(len(side) for side in sides) < _FEWEST_TURNED:
        return None
    colours = [_colours_of(np.sum([light.tiles for light in side], axis=0)) for side in sides]
    (total, known), (total_after, known_after) = colours
    both = known & known_after[::-1, ::-1]
    # The flip also rotates the residuals of nebulae, so tiles with faint nebulae need not be excluded.
    sky = np.all(_empty_in_each(total + total_after[::-1, ::-1], both, 2 * noise_of_tile), axis=0)
    if np.count_nonzero(sky) < _FEWEST_TILES:
        return None
    gradients, times, signs = [], [], []
    for number, (light, side) in enumerate(zip(lights, turned, strict=True)):
        if side is not None:
            place = sky[::-1, ::-1] if side else sky
            y, x = (each[place] for each in _places(place.shape))
            design = np.stack([np.ones_like(x), x, y], axis=1)
            values = ratio(light.tiles, place)
            gradients.append(robust_fit(design, values, np.ones_like(values))[0][1:])
            times.append(number / (len(lights) - 1) - 0.5)
            signs.append(-1.0 if side else 1.0)
    sign, time = np.array(signs), np.array(times)
    terms = np.stack([np.ones_like(sign), sign, sign * time], axis=1)
    fit, *_ = np.linalg.lstsq(terms, np.array(gradients), rcond=None)
    scatter = np.square(np.array(gradients) - terms @ fit).sum(axis=0) / (len(sign) - terms.shape[1])
    errors = np.sqrt(scatter * np.linalg.inv(terms.T @ terms)[0, 0])
    size = float(np.hypot(*fit[0]))
    error = size / float(np.hypot(*(fit[0] / errors))) if size else float(errors.max())
    return Estimate(size, error), _PLANES[int(np.argmax(np.abs(fit[0]) / errors))]


def _colours_of(tiles: F64) -> tuple[F64, Mask]:
    """Return the levels of the first colour, green and the last colour in each tile, and whether all are known."""
    blocks = tiles[..., BLOCKS]
    means = tiles[..., SIGNAL] / np.maximum(blocks, 1)
    known = np.asarray((blocks >= _FEWEST_BLOCKS).all(axis=2) & (means > 0).all(axis=2))
    return np.stack([means[..., 0], (means[..., 1] + means[..., 2]) / 2, means[..., 3]], axis=-1), known


def _empty_in_each(levels: F64, known: Mask, noise: float) -> list[Mask]:
    """Return the tiles without nebulae, for each colour separately: a red nebula hardly brightens the green pixels."""
    return [_empty_sky(levels[..., colour], known, noise) for colour in range(levels.shape[-1])]


def _first_to_last(tiles: F64, sky: Mask) -> F64:
    """Return the logarithm of the ratio of the first colour to the last in the sky tiles."""
    means = _levels(tiles, sky)
    return np.asarray(np.log(means[:, 0] / means[:, 3]))


def _outer_to_green(tiles: F64, sky: Mask) -> F64:
    """Return the logarithm of the ratio of the first and last colours to the other two in the sky tiles."""
    means = _levels(tiles, sky)
    return np.asarray(np.log(means[:, 0] * means[:, 3]) / 2 - np.log((means[:, 1] + means[:, 2]) / 2))


def _levels(tiles: F64, sky: Mask) -> F64:
    return np.asarray(np.maximum(tiles[sky][..., SIGNAL] / np.maximum(tiles[sky][..., BLOCKS], 1), 1e-3))


def _turned(ratios: Sequence[F64], sky: Mask) -> float:
    """Return the significant part of the change in a colour gradient from the first light to the last.

    The sky has colour gradients, too, but they rotate and grow as the sky moves; the gradient of the flat stays the
    same.
    """
    y, x = (place[sky] for place in _places(sky.shape))
    design = np.stack([np.ones_like(x), x, y], axis=1)
    fits = [robust_fit(design, each, np.ones_like(each)) for each in ratios]
    if len(fits) < _FEWEST_LIGHTS:
        return 0.0
    gradients = np.array([fit[1:] for fit, _ in fits])
    steps = np.linspace(-0.5, 0.5, len(fits))
    changes = (steps[:, None] * gradients).sum(axis=0) / (steps**2).sum()
    scatter = gradients - gradients.mean(axis=0) - steps[:, None] * changes
    errors = scatter.std(axis=0) / np.sqrt((steps**2).sum())
    significant = np.maximum(np.abs(changes) - 2 * errors, 0)
    return float(np.hypot(significant[0], significant[1]))


def _empty_sky(level: F64, known: Mask, noise: float) -> Mask:
    """Return the tiles without nebulae, by repeatedly fitting a smooth surface and excluding the tiles above it.

    Tiles that exceed the surface by no more than the noise are kept; otherwise, each round would exclude part of an
    empty sky.
    """
    y, x = _places(level.shape)
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    kept = known
    for _ in range(_ROUNDS):
        if np.count_nonzero(kept) < _FEWEST_TILES:
            return kept
        fit = np.linalg.lstsq(design[kept], level[kept], rcond=None)[0]
        residual = level - design @ fit
        # Deviations below the surface are due to noise alone.
        sigma = float(np.sqrt(np.mean(np.square(np.minimum(residual[kept], 0))) * 2))
        kept = known & (residual < max(sigma, _NOISE_ALONE * noise))
    return kept


def _largest_change(values: F64, sky: Mask, expected: float, name: str, *, is_certain: bool) -> tuple[Estimate, str]:
    """Return the largest variation of a colour across the field, with the combined significance of all directions.

    Parameters
    ----------
    values
        Logarithm of the ratio of colours in the tiles of the sky: float64, shape (tiles,).
    sky
        Mask of these tiles: bool, shape (tile rows, tile columns).
    expected
        Expected noise of a value.
    name
        The colours that are compared, as text.
    is_certain
        True if the tiles certainly contain no nebulae. If nebulae fill most of the field, their faint parts can look
        like the sky.
    """
    y, x = (place[sky] for place in _places(sky.shape))
    design = np.stack([np.ones_like(x), x, y, 2 * (x * x + y * y)], axis=1)
    fit, covariance = robust_fit(design, values, np.ones_like(values))
    # Remaining faint nebulae cause more scatter than noise does, and vary smoothly over several tiles.
    excess = max(spread(values - design @ fit) / expected, 1.0)
    shared = 1.0 if is_certain and excess < _NOISE_ALONE else _SHARED_TILES * excess**2
    changes, inverse = fit[1:], np.linalg.pinv(covariance[1:, 1:] * shared)
    significance = float(np.sqrt(changes @ inverse @ changes))
    errors = np.sqrt(np.diag(covariance)[1:] * shared)
    words = (*_PLANES, "from the centre to the corners")
    best = int(np.argmax(np.abs(changes) / errors))
    size = float(np.hypot(changes[0], changes[1])) if best < 2 else abs(float(changes[2]))  # noqa: PLR2004
    return Estimate(size, size / significance if significance else float("inf")), f"{name} {words[best]}"


def _mean_of(total: F64, which: int) -> tuple[F64, Mask]:
    blocks = total[..., BLOCKS]
    return total[..., which] / np.maximum(blocks, 1), blocks >= _FEWEST_BLOCKS


def _places(shape: tuple[int, ...]) -> tuple[F64, F64]:
    """Return the positions of tiles from -0.5 to 0.5, down and across."""
    down, across = (np.linspace(-0.5, 0.5, size) if size > 1 else np.zeros(1) for size in shape)
    grid_down, grid_across = np.meshgrid(down, across, indexing="ij")
    return grid_down, grid_across
