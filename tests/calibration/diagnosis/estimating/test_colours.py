"""Colours of the flat amid the colours of the sky, which a meridian flip turns."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.measuring import LightMeasures
from coldframe.calibration.diagnosis.estimating.smooth_maps import colour_shape
from coldframe.calibration.kernels.block_sums import BLOCKS, SIGNAL, SUMS

F64 = NDArray[np.float64]

SHAPE = (18, 24)
SKY = np.array([425.0, 500.0, 500.0, 350.0])
NOISE = 25.0


def light(of_flat: float, of_sky: float, seed: int, *, is_turned: bool, with_last: bool = False) -> LightMeasures:
    """Return a light whose first colour, and the last if desired, changes from left to right by flat and sky."""
    levels = np.broadcast_to(SKY, (*SHAPE, 4)).copy()
    across = np.linspace(-0.5, 0.5, SHAPE[1])
    changed = (0, 3) if with_last else (0,)
    levels[..., changed] *= (1 + across * (of_flat + (-of_sky if is_turned else of_sky)))[:, None]
    levels += np.random.default_rng(seed).normal(0, NOISE / 20, levels.shape)
    tiles = np.zeros((*SHAPE, 4, SUMS))
    tiles[..., BLOCKS] = 25
    tiles[..., SIGNAL] = levels * 25
    maps, lines = np.zeros((0, 0), np.float32), np.zeros(0)
    return LightMeasures(maps, SKY, tiles, lines, lines, lines, lines, maps, 0.0, maps)


@pytest.mark.parametrize("of_flat", [0.0, 0.01])
def test_flip_separates_the_colours_of_flat_and_sky(of_flat: float) -> None:
    turned = [number >= 6 for number in range(12)]
    # The colours of the sky grow during the night.
    lights = [light(of_flat, 0.03 + 0.002 * i, i, is_turned=side) for i, side in enumerate(turned)]

    found = colour_shape(lights, turned, NOISE)

    assert found is not None
    assert found.change.value == pytest.approx(of_flat, abs=0.0015)
    assert (found.change.significance > 5) == (of_flat > 0)


def test_colour_of_the_sky_that_does_not_turn_looks_like_that_of_the_flat() -> None:
    lights = [light(0.0, 0.01, seed, is_turned=False) for seed in range(12)]

    found = colour_shape(lights, [False] * 12, NOISE)

    assert found is not None
    assert found.change.value == pytest.approx(0.01, abs=0.001)


def test_limit_holds_for_both_ratios_of_colours() -> None:
    lights = [light(0.02, 0.0, seed, is_turned=False, with_last=True) for seed in range(12)]

    found = colour_shape(lights, [False] * 12, NOISE)

    # Only the ratio to green shows this change; that of first and last colour is noisier.
    assert found is not None
    assert "relative to the others" in found.place
    assert found.largest_error > 1.2 * found.change.error
