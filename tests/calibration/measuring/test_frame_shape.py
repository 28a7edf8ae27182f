"""The spatial shape of a frame, and the detection of leaks and bands in it."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.measuring.frame_shape import FrameShape, bands_between, frame_shape, smooth_pattern

SIZE = (640, 960)
NOISE_ADU, ROW_NOISE_ADU = 6.0, 0.3
EQUAL_LEAK = 0.01 * NOISE_ADU * np.sqrt(26.1e6 / (SIZE[0] * SIZE[1]))
"""As significant on these frames as a leak of 1 % of the noise is on 26 MP, with pixel noise alone."""


def dark(seed: int, light_adu: NDArray[np.float64] | float = 0.0) -> FrameShape:
    random = np.random.default_rng(seed)
    level = 550 + random.normal(0, ROW_NOISE_ADU, (SIZE[0], 1)) + light_adu
    return frame_shape(np.rint(random.normal(level, NOISE_ADU, SIZE)).astype(np.uint16), (500.0, 600.0))


@settings(deadline=None)
@given(
    st.integers(2, 40),
    st.integers(8, 200),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: tuple(sorted(pair))),
)
def test_cells_are_the_means_of_their_pixels(height: int, width: int, seed: int, bounds: tuple[int, int]) -> None:
    pixels = np.random.default_rng(seed).integers(0, 65536, (height, width), dtype=np.uint16)
    shape = frame_shape(pixels, bounds)
    edges = np.linspace(0, width // 2, min(16, width // 8) + 1).astype(int) * 2
    pairs = np.clip(pixels, *bounds)[: height // 2 * 2].reshape(height // 2, 2, width).astype(float)
    expected = [pairs[:, :, left:right].mean(axis=(1, 2)) for left, right in pairwise(edges)]
    np.testing.assert_allclose(shape.levels_adu, np.array(expected).T, rtol=1e-12)
    assert shape.size == (height, width)


def test_the_sum_of_a_very_wide_cell_at_full_scale_does_not_overflow() -> None:
    pixels = np.full((2, 16 * 70_000), 65535, np.uint16)
    np.testing.assert_array_equal(frame_shape(pixels).levels_adu, np.full((1, 16), 65535.0))


@pytest.mark.parametrize("step", [1, 4, 16])
def test_the_step_of_the_values_is_found(step: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536 // step, (40, 40)).astype(np.uint16) * np.uint16(step)
    assert frame_shape(pixels).step_adu == step


def test_a_frame_smaller_than_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        frame_shape(np.zeros((1, 40), np.uint16))
    with pytest.raises(ValueError, match="too few"):
        smooth_pattern(np.zeros((7, 16)))


def test_clean_darks_have_no_pattern() -> None:
    shapes = [dark(seed) for seed in range(12)]
    highest = [smooth_pattern(one.levels_adu - other.levels_adu).significances.max() for one, other in pairwise(shapes)]
    assert max(highest) < 4.5
    assert np.median(highest) > 0.8, "the errors are not overestimated"


@pytest.mark.parametrize(
    ("place", "down", "across"),
    [
        ("on the left side", (1, 1), (2, 0)),
        ("on the right side", (1, 1), (0, 2)),
        ("on the upper side", (2, 0), (1, 1)),
        ("on the lower side", (0, 2), (1, 1)),
        ("in the lower right corner", (0, 2), (0, 2)),
    ],
)
def test_a_leak_of_a_hundredth_of_the_noise_is_found_and_located(
    place: str, down: tuple[int, int], across: tuple[int, int]
) -> None:
    light = np.outer(np.linspace(*down, SIZE[0]), np.linspace(*across, SIZE[1]))
    pattern = smooth_pattern(dark(1, EQUAL_LEAK * light).levels_adu - dark(2).levels_adu)
    assert pattern.significances.max() > 9
    assert pattern.brightest == place
    assert pattern.mean_adu == pytest.approx(EQUAL_LEAK, abs=0.1)


@given(st.integers(0, 4), st.floats(-5, 5))
def test_injected_components_are_found(component: int, amount: float) -> None:
    down, across = ((1, 0), (2, 0), (0, 1), (0, 2), (1, 1))[component]

    def legendre(degree: int, size: int) -> NDArray[np.float64]:
        place = (np.arange(size) + 0.5) / size * 2 - 1
        power: NDArray[np.float64] = place**degree
        return power - power.mean() if degree else power

    pattern = np.outer(legendre(down, 60), legendre(across, 16))
    found = smooth_pattern(3 + amount * pattern / np.sqrt((pattern**2).mean()))
    assert found.amounts_adu[component] == pytest.approx(amount, abs=1e-9)
    assert np.delete(found.amounts_adu, component) == pytest.approx(0, abs=1e-9)
    assert found.mean_adu == pytest.approx(3)


def flat(seed: int, bands: float = 0.0, phase: float = 0.0, level: float = 1.0) -> FrameShape:
    random = np.random.default_rng(seed)
    down, across = (np.linspace(-1, 1, size) for size in SIZE)
    vignetting = 1 - 0.2 * (down[:, None] ** 2 + across[None, :] ** 2)
    swing = 1 + bands * np.sqrt(2) * np.sin(np.arange(SIZE[0]) / 9 + phase)
    signal_e = level * 40_000 * vignetting * swing[:, None]
    return frame_shape(np.rint(500 + random.normal(signal_e, np.sqrt(signal_e))).astype(np.uint16))


def test_clean_flats_have_no_bands() -> None:
    found = [bands_between(flat(seed), flat(seed + 100), 500) for seed in range(8)]
    assert max(each.significance for each in found) < 5
    assert max(each.relative for each in found) < 0.0002


@pytest.mark.parametrize("bands", [0.0005, 0.002, 0.01])
def test_bands_are_measured(bands: float) -> None:
    # A quarter of a period apart, the difference has twice the variance of the bands of one flat.
    found = bands_between(flat(1, bands), flat(2, bands, np.pi / 2), 500)
    assert found.relative == pytest.approx(bands, rel=0.1)
    assert found.significance > 10


def test_the_ratio_of_two_levels_is_measured() -> None:
    assert bands_between(flat(1, level=0.98), flat(2), 500).level_ratio == pytest.approx(0.98, abs=0.001)


@pytest.mark.parametrize("seed", range(6))
def test_flicker_crosses_the_frame_and_a_shadow_does_not(seed: int) -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    blob = 1 - 0.1 * np.exp(-((rows - 300) ** 2 + (columns - 200) ** 2) / (2 * 40.0**2))
    shaded = np.random.default_rng(seed + 50).normal(500 + 25000 * blob, 150.0, SIZE)
    shadow = bands_between(frame_shape(np.rint(shaded).astype(np.uint16)), flat(seed), 500)
    assert shadow.significance > 7
    assert not shadow.are_across
    assert bands_between(flat(seed, 0.004), flat(seed + 9, 0.004, np.pi / 2), 500).are_across
