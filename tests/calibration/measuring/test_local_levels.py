"""The level and spread around each pixel, with gradients and single bright pixels."""

import numpy as np
import pytest

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
