"""Shadows: cut by an edge, within a larger one, and in lights with small dithers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.estimating.dust import Change, find_dust
from coldframe.calibration.diagnosis.estimating.motes import find_motes
from coldframe.calibration.diagnosis.estimating.registration import Place, places_of
from coldframe.calibration.diagnosis.estimating.sensor_pattern import SensorPattern

F32 = NDArray[np.float32]

SHAPE = (120, 160)
NOISE = 0.004


def disc(down: float, across: float, radius: float, depth: float) -> F32:
    """Return the relative light behind a round shadow."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.where(np.hypot(y - down, x - across) <= radius, 1 - depth, 1).astype(np.float32)


def flat_noise() -> F32:
    """Return the noise of a flat's bins."""
    return (0.0003 * np.random.default_rng(1).standard_normal(SHAPE)).astype(np.float32)


def pattern(relative: F32, places: tuple[Place | None, ...] = ()) -> SensorPattern:
    """Return a pattern with noise."""
    noise = np.random.default_rng(2).normal(0, NOISE, SHAPE)
    return SensorPattern((relative + noise).astype(np.float32), np.full(SHAPE, NOISE, np.float32), places, True)


def stars(number: int, seed: int, shape: tuple[int, int] = SHAPE) -> F32:
    """Return bins with stars, in units of the spread of the background."""
    random = np.random.default_rng(seed)
    plane = random.standard_normal(shape).astype(np.float32)
    plane[random.integers(5, shape[0] - 5, number), random.integers(5, shape[1] - 5, number)] += 40
    return plane


@pytest.mark.parametrize(("down", "across"), [(122, 80), (-2, 40), (60, 162)])
def test_ring_cut_by_an_edge_is_one_shadow(down: int, across: int) -> None:
    ring = disc(down, across, 7, 0.05) / disc(down, across, 2.5, 0.05)

    motes = find_motes(ring + flat_noise())

    assert motes.radii.size == 1


def test_shadow_that_is_gone_within_a_larger_one_is_found() -> None:
    flat = disc(60, 80, 9, 0.05) * disc(62, 84, 2, 0.05)
    lights = disc(60, 80, 9, 0.05)

    found = find_dust(pattern(np.log(lights / flat)), find_motes(flat + flat_noise()))

    assert found.change is Change.NONE
    assert [(each.down, each.across) for each in found.gone] == [(62, 84)]
    assert not found.new


def test_bright_nebula_within_a_shadow_is_not_a_shadow_that_is_gone() -> None:
    flat = disc(60, 80, 9, 0.05)

    found = find_dust(pattern(np.log(disc(62, 84, 2, -0.05))), find_motes(flat + flat_noise()))

    assert not found.gone


def test_lights_without_common_stars_do_not_match() -> None:
    # The brightest stars always match at some shift, far above the usual sum of noise.
    assert places_of([stars(15, seed) for seed in range(6)])[1:] == [None] * 5


def test_shifted_and_turned_lights_match() -> None:
    first = stars(60, 1)

    found = places_of([first, np.roll(first, (3, -2), (0, 1)), first[::-1, ::-1]])

    assert found == [Place(0, 0, False), Place(3, -2, False), Place(0, 0, True)]
