"""The level and spread around each pixel, with gradients and single bright pixels."""

import numpy as np
import pytest

from coldframe.calibration.kernels.masters import block_quantiles
from coldframe.calibration.measuring.local_levels import LocalLevels

ROWS = slice(0, 200)


def test_level_and_spread_of_normal_noise() -> None:
    plane = np.random.default_rng(1).normal(500, 8, (200, 300)).astype(np.float32)
    levels = LocalLevels(plane)
    assert levels.level(ROWS).shape == levels.spread(ROWS).shape == plane.shape
    assert levels.level(ROWS) == pytest.approx(500, abs=1.5)
    assert float(levels.spread(ROWS).mean()) == pytest.approx(8, rel=0.03)


def test_the_level_follows_a_gradient_up_to_the_edges() -> None:
    down, across = np.mgrid[:200, :300]
    plane = (100 + 2 * down + across).astype(np.float32)
    np.testing.assert_allclose(LocalLevels(plane).level(ROWS), plane, atol=1.1)


def test_single_bright_pixels_change_neither_level_nor_spread() -> None:
    random = np.random.default_rng(2)
    plain = random.normal(500, 8, (128, 128)).astype(np.float32)
    hot = plain.copy()
    hot[random.random(hot.shape) < 0.01] = 60000
    rows = slice(0, 128)
    one, other = LocalLevels(plain), LocalLevels(hot)
    np.testing.assert_allclose(other.level(rows), one.level(rows), atol=0.6)
    np.testing.assert_allclose(other.spread(rows), one.spread(rows), rtol=0.1)


def test_a_plane_smaller_than_a_block_has_one_level() -> None:
    plane = np.full((10, 12), 7.0, np.float32)
    assert (LocalLevels(plane).level(slice(0, 10)) == 7).all()


@pytest.mark.parametrize("block", [1, 5, 32])
@pytest.mark.parametrize("kind", ["noise", "whole", "negative", "not finite"])
def test_quantiles_are_those_of_sorted_blocks(kind: str, block: int) -> None:
    random = np.random.default_rng(4)
    values = random.normal(0, 20, (block, 100)).astype(np.float32)
    if kind == "whole":
        values = np.rint(values)  # many equal values, and both zeros
    elif kind == "negative":
        values = -np.abs(values) * np.float32(1e30)
    elif kind == "not finite":
        values[random.random(values.shape) < 0.4] = np.nan
        values[random.random(values.shape) < 0.1] = np.copysign(np.nan, np.float32(-1))
        values[random.random(values.shape) < 0.1] = -np.inf
    lefts = np.array([0, 3, 100 - block])
    windows = np.sort([values[:, left : left + block].reshape(-1) for left in lefts], axis=1)
    found = np.empty(lefts.size, np.float32)
    for place in {0, block * block // 2, block * block - 1}:
        block_quantiles(values, lefts, place, found)
        np.testing.assert_array_equal(found, windows[:, place])


def test_threads_measure_the_same_levels() -> None:
    plane = np.random.default_rng(5).normal(500, 8, (150, 130)).astype(np.float32)
    one, shared = LocalLevels(plane), LocalLevels(plane, shared=True)
    rows = slice(0, 150)
    np.testing.assert_array_equal(shared.spread(rows), one.spread(rows))
    np.testing.assert_array_equal(shared.level(rows), one.level(rows))
