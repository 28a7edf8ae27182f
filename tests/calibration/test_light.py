import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.light import (
    MismatchError,
    amp_glow_adu,
    calibrate,
    correction,
    dark_subtraction,
    pedestal_for,
    scaled_subtraction,
    sixteen_bits,
)
from coldframe.calibration.master_file import MasterPlanes

SHAPE = (64, 96)
EXPOSURES = 30


def planes(mean: NDArray[np.float64] | float, frame_noise: float = 0.0, shape: tuple[int, int] = SHAPE) -> MasterPlanes:
    """Return a master of 30 frames, each with a noise."""
    full = np.broadcast_to(mean, shape).astype(np.float32)
    variance = np.full(shape, frame_noise**2, np.float32)
    return MasterPlanes(full, np.sqrt(variance / np.float32(EXPOSURES)), variance, None, {})


def vignetted() -> NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    response = 1 - 0.3 * (x**2 + y**2)
    return np.asarray(response / response.mean())


@given(st.integers(0, 65535), st.floats(0, 60000), st.floats(0.05, 5))
@settings(deadline=None)  # the first call compiles
def test_the_arithmetic(light: int, dark: float, response: float) -> None:
    pixels = np.full((3, 4), light, np.uint16)
    flat = planes(response, shape=(3, 4))
    if not 0.5 < flat.mean[0, 0] < 2:
        with pytest.raises(MismatchError, match="relative to 1"):
            correction(dark_subtraction(planes(dark, shape=(3, 4))), flat)
        return
    done = calibrate(pixels, correction(dark_subtraction(planes(dark, shape=(3, 4))), flat), None)
    expected = (np.float32(light) - np.float32(dark)) / np.float32(response)
    np.testing.assert_array_equal(done.signal, expected)


def test_the_uncertainty_is_the_scatter_of_many_trials() -> None:
    rng = np.random.default_rng(1)
    e_per_adu, read_noise, level, dark_level = 0.5, 8.0, 400.0, 600.0
    response = 0.8
    trials = (400, 400)
    dark_noise, flat_noise = read_noise / np.sqrt(EXPOSURES), 0.004
    light = np.rint(
        rng.poisson(level * response * e_per_adu, trials) / e_per_adu + rng.normal(dark_level, read_noise, trials)
    ).astype(np.uint16)
    dark = MasterPlanes(
        rng.normal(dark_level, dark_noise, trials).astype(np.float32),
        np.full(trials, dark_noise, np.float32),
        np.full(trials, read_noise**2, np.float32),
        None,
        {},
    )
    flat = MasterPlanes(
        rng.normal(response, flat_noise, trials).astype(np.float32),
        np.full(trials, flat_noise, np.float32),
        np.zeros(trials, np.float32),
        None,
        {},
    )
    done = calibrate(light, correction(dark_subtraction(dark), flat), e_per_adu)
    residual = done.signal - level
    assert np.mean((residual / done.uncertainty) ** 2) == pytest.approx(1, abs=0.02)
    without = calibrate(light, correction(dark_subtraction(dark), flat), None).uncertainty
    assert (without < done.uncertainty).all()


def test_nothing_is_divided_by_where_there_is_no_flat() -> None:
    pixels = np.random.default_rng(2).integers(0, 65536, SHAPE).astype(np.uint16)
    done = calibrate(pixels, correction(dark_subtraction(planes(100.0, 3.0)), None), None)
    np.testing.assert_array_equal(done.signal, pixels.astype(np.float32) - 100)
    np.testing.assert_allclose(done.uncertainty, 3 * np.sqrt(1 + 1 / EXPOSURES), rtol=1e-6)


def test_pixels_without_response_are_never_divided_by() -> None:
    response = vignetted()
    response[3, 4] = 0
    response[5, 6] = -0.2
    done = calibrate(
        np.full(SHAPE, 900, np.uint16), correction(dark_subtraction(planes(100.0)), planes(response)), None
    )
    assert done.signal[3, 4] == done.signal[5, 6] == 800
    assert np.isfinite(done.uncertainty).all()


@pytest.mark.parametrize("scale", [0.25, 1.0, 1.8])
def test_scaled_darks(scale: float) -> None:
    rng = np.random.default_rng(3)
    bias_level, current = 500.0, rng.gamma(4, 30, SHAPE)
    bias, dark = planes(bias_level, 4.0), planes(bias_level + current, 6.0)
    scaled = scaled_subtraction(bias, dark, scale)
    np.testing.assert_allclose(scaled.subtracted, bias_level + scale * current, rtol=1e-6)
    masters = (scale * 6) ** 2 / EXPOSURES + ((1 - scale) * 4) ** 2 / EXPOSURES
    np.testing.assert_allclose(scaled.variance, masters + 16 + scale * 20, rtol=1e-5)


def test_glow_is_never_scaled() -> None:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    even = rng.gamma(8, 10, SHAPE)
    even.reshape(-1)[rng.integers(0, even.size, 40)] += 5000
    glow = 200 * np.exp(-((x - SHAPE[1]) ** 2 + (y - 32) ** 2) / 200)
    assert amp_glow_adu(planes(500 + even), planes(500.0)) is None
    glowing = planes(500 + even + glow)
    assert amp_glow_adu(glowing, planes(500.0)) == pytest.approx(150, abs=50)
    with pytest.raises(MismatchError, match="glow does not scale"):
        scaled_subtraction(planes(500.0), glowing, 0.5)


def test_shapes_must_agree() -> None:
    small, large = planes(1.0, shape=(4, 4)), planes(1.0)
    with pytest.raises(MismatchError, match="shape"):
        correction(dark_subtraction(large), small)
    with pytest.raises(MismatchError, match="shape"):
        scaled_subtraction(small, large, 1.0)
    with pytest.raises(MismatchError, match="light"):
        calibrate(np.zeros((4, 4), np.uint16), correction(dark_subtraction(large), None), None)


def test_the_pedestal_keeps_every_pixel_above_zero() -> None:
    signal = np.random.default_rng(5).normal(0, 30, SHAPE).astype(np.float32)
    signal[0, 0] = -130
    assert pedestal_for(signal) == 200
    pixels, below, above = sixteen_bits(signal, pedestal_for(signal))
    assert (below, above) == (0, 0)
    np.testing.assert_array_equal(pixels, np.rint(signal + 200))
    assert pedestal_for(np.full(SHAPE, 5000, np.float32)) == 100
    signal[0, 0] = -20000
    assert pedestal_for(signal) == 1000
    assert sixteen_bits(signal, 1000)[1:] == (1, 0)


def test_what_exceeds_sixteen_bits_is_counted() -> None:
    signal = np.array([[-0.4, -0.6, 65535.4, 65535.6, 1e9]], np.float32)
    pixels, below, above = sixteen_bits(signal, 0)
    assert (below, above) == (1, 2)
    assert pixels.tolist() == [[0, 0, 65535, 65535, 65535]]
