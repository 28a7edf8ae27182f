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


def light(of_flat: float, of_sky: float, seed: int, *, is_turned: bool) -> LightMeasures:
    """Return a light whose first colour changes from left to right, by the flat and by the sky."""
    levels = np.broadcast_to(SKY, (*SHAPE, 4)).copy()
    across = np.linspace(-0.5, 0.5, SHAPE[1])
    levels[..., 0] *= 1 + across * (of_flat + (-of_sky if is_turned else of_sky))
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
    assert found[0].value == pytest.approx(of_flat, abs=0.0015)
    assert (found[0].significance > 5) == (of_flat > 0)


def test_colour_of_the_sky_that_does_not_turn_looks_like_that_of_the_flat() -> None:
    lights = [light(0.0, 0.01, seed, is_turned=False) for seed in range(12)]

    found = colour_shape(lights, [False] * 12, NOISE)

    assert found is not None
    assert found[0].value == pytest.approx(0.01, abs=0.001)
