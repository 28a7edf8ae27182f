import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from coldframe.calibration.measuring.statistics import central_region, measure, preview


def frame(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.round(values), 0, 65535).astype(np.uint16)


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
@settings(max_examples=150, deadline=None)
def test_the_statistics_agree_with_numpy(pixels: NDArray[np.uint16]) -> None:
    measured = measure(pixels, saturation_adu=60000)
    found, center = measured.statistics, pixels[central_region(pixels.shape)]
    assert found.level_adu == np.median(center)
    assert found.median_adu == np.median(pixels)
    assert found.mean_adu == pytest.approx(pixels.mean(), rel=1e-12)
    assert (found.minimum_adu, found.maximum_adu) == (pixels.min(), pixels.max())
    assert found.saturated_fraction == np.mean(center >= 60000)
    assert np.isfinite(found.noise_adu)
    assert found.noise_adu >= 0
    np.testing.assert_array_equal(measured.counts, np.bincount(pixels.reshape(-1), minlength=65536))


@given(st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_the_central_region_is_the_middle_half(shape: tuple[int, int]) -> None:
    for part, size in zip(central_region(shape), shape, strict=True):
        assert part.start % 2 == 0
        assert part.start == size - part.stop
        if size >= 8:
            assert size / 2 <= part.stop - part.start <= size / 2 + 4


def test_arrays_that_are_not_frames_are_refused() -> None:
    for shape in [(0, 5), (5,), (2, 3, 4)]:
        with pytest.raises(ValueError, match="two dimensions"):
            measure(np.zeros(shape, np.uint16))


@pytest.mark.parametrize("sigma", [0.6, 3.0, 50.0])
def test_the_noise_is_that_of_a_single_pixel(sigma: float) -> None:
    rng = np.random.default_rng(1)
    bias = rng.normal(500, sigma, (400, 600))
    expected = np.hypot(sigma, np.sqrt(1 / 12))
    assert measure(frame(bias)).statistics.noise_adu == pytest.approx(expected, rel=0.02)
    y, x = np.mgrid[-1:1:400j, -1:1:600j]
    vignetted = bias + 20000 * (1 - 0.4 * (x**2 + y**2))
    assert measure(frame(vignetted)).statistics.noise_adu == pytest.approx(expected, rel=0.02, abs=0.1)
    coloured = bias + np.tile([[9000, 20000], [20000, 5000]], (200, 300))
    assert measure(frame(coloured)).statistics.noise_adu == pytest.approx(expected, rel=0.02)
    hot = bias + (rng.random(bias.shape) < 0.002) * 30000
    assert measure(frame(hot)).statistics.noise_adu == pytest.approx(expected, rel=0.03)


def test_noise_below_the_step_of_a_coarse_converter_is_measured() -> None:
    values = np.random.default_rng(1).normal(500, 4, (400, 600))
    coarse = frame(np.round(values / 16) * 16)
    assert measure(coarse).statistics.noise_adu == pytest.approx(coarse.std(), rel=0.05)


def test_a_constant_frame_has_no_noise() -> None:
    assert measure(np.full((30, 40), 700, np.uint16)).statistics.noise_adu == 0


@pytest.mark.parametrize("full_scale", [4095, 16383, 65000, 65520, 65535])
def test_saturation_is_found_at_any_clipping_level(full_scale: int) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(full_scale, 100, (200, 300))
    clipped = np.minimum(frame(values), full_scale)
    assert measure(clipped).statistics.saturated_fraction == pytest.approx(0.5, abs=0.02)
    assert measure(np.full((20, 20), full_scale, np.uint16)).statistics.saturated_fraction == 1


def test_unclipped_frames_are_not_saturated() -> None:
    rng = np.random.default_rng(3)
    for level, sigma in [(500, 0.3), (500, 5.0), (30000, 100.0), (4500, 0.6), (16000, 2.0)]:
        values = frame(rng.normal(level, sigma, (200, 300)))
        assert measure(values).statistics.saturated_fraction == 0
        values[::19, ::23] = 65535
        hot = np.mean(values[central_region(values.shape)] == 65535)
        assert measure(values).statistics.saturated_fraction == hot


@pytest.mark.parametrize("bits", [12, 14])
def test_hot_pixels_reveal_a_converter_with_fewer_bits(bits: int) -> None:
    rng = np.random.default_rng(4)
    top = 2**bits - 1
    values = frame(rng.normal(0.4 * top, 20, (200, 300)))
    assert measure(values).statistics.saturation_adu == 65535
    values[::40, ::60] = top
    assert measure(values).statistics.saturation_adu == top
    values[0, 0] = top + 1
    assert measure(values).statistics.saturation_adu == 65535, "the highest possible value"


@pytest.mark.parametrize("step", [4, 16])
def test_scaled_values_give_the_highest_possible_level(step: int) -> None:
    values = frame(np.random.default_rng(5).normal(2000, 30, (200, 300)))
    assert measure(values).statistics.saturation_adu == 65535
    assert measure(values * np.uint16(step)).statistics.saturation_adu == 65536 - step


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_each_colour_has_the_median_of_its_own_pixels(pattern: str) -> None:
    rng = np.random.default_rng(6)
    level = {"R": 5000.0, "G": 20000.0, "B": 9000.0}
    pixels = np.empty((120, 180), np.uint16)
    for site, colour in enumerate(pattern):
        down, across = divmod(site, 2)
        pixels[down::2, across::2] = frame(rng.normal(level[colour], 50, (60, 90)))
    found = measure(pixels, cfa_pattern=pattern).statistics
    rows, columns = central_region(pixels.shape)
    center = pixels[rows, columns]
    for channel in found.channels:
        sites = [divmod(site, 2) for site, colour in enumerate(pattern) if colour == channel.colour]
        own = np.concatenate([center[down::2, across::2].ravel() for down, across in sites])
        assert channel.level_adu == np.median(own)
    assert (found.faintest_adu, found.brightest_adu) == pytest.approx((5000, 20000), abs=10)
    assert measure(pixels).statistics.channels == ()
    assert measure(pixels).statistics.brightest_adu == found.level_adu


@given(
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(1, 64),
    st.integers(1, 96),
)
@settings(max_examples=60, deadline=None)
def test_the_preview_fits_and_keeps_the_aspect(shape: tuple[int, int], rows: int, columns: int) -> None:
    picture = preview(np.zeros(shape, np.uint16), rows, columns)
    height, width = picture.shape
    assert 1 <= height <= min(rows, shape[0])
    assert 1 <= width <= min(columns, shape[1])
    block = max(-(-shape[0] // rows), -(-shape[1] // columns))
    block += block % 2 if block > 1 else 0
    assert abs(height - shape[0] / block) <= 1
    assert abs(width - shape[1] / block) <= 1


def test_the_preview_shows_the_frame() -> None:
    pixels = np.full((640, 960), 1000, np.uint16)
    pixels[:320, :480] = 3000
    picture = preview(pixels)
    assert picture.shape == (64, 96)
    assert (picture[:31, :47] == 255).all()
    assert (picture[33:] == 0).all()
    assert (picture[:, 49:] == 0).all()
    assert (preview(np.full((640, 960), 1000, np.uint16)) == 128).all()


def test_the_preview_of_a_colour_sensor_is_smooth() -> None:
    mosaic = np.tile(np.array([[8000, 20000], [20000, 4000]], np.uint16), (1000, 1500))
    mosaic[:, 1500:] += 1000
    picture = preview(mosaic).astype(int)
    assert picture[:, :46].max() < 60
    assert picture[:, 50:].min() > 195
