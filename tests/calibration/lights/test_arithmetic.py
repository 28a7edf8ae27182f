from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.kernels.lights import average_locally
from coldframe.calibration.lights.arithmetic import (
    HARMLESS_NOISE,
    Correction,
    GlowError,
    MismatchError,
    calibrate,
    correction,
    dark_subtraction,
    scaled_subtraction,
    with_other_bias,
    with_own_bias,
)
from coldframe.calibration.lights.pixels import HeldPixels
from coldframe.calibration.lights.words import pedestal_for, to_floats, to_words
from coldframe.calibration.masters.reading import MasterPlanes
from coldframe.calibration.measuring.amp_glow import measure_glow

SHAPE = (64, 96)
EXPOSURES = 30


def planes(mean: NDArray[np.float64] | float, frame_noise: float = 0.0, shape: tuple[int, int] = SHAPE) -> MasterPlanes:
    """Return a noisy master of 30 frames."""
    full = np.broadcast_to(mean, shape).astype(np.float32)
    variance = np.full(shape, frame_noise**2, np.float32)
    return MasterPlanes(full, np.sqrt(variance / np.float32(EXPOSURES)), variance, None, {})


def vignetted() -> NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    response = 1 - 0.3 * (x**2 + y**2)
    return np.asarray(response / response.mean())


@given(st.integers(0, 65535), st.floats(0, 60000), st.floats(0.05, 5))
@settings(deadline=None)  # the first call compiles
def test_the_arithmetic_matches_its_formula(light: int, dark: float, response: float) -> None:
    pixels = np.full((3, 4), light, np.uint16)
    flat = planes(response, shape=(3, 4))
    if not 0.5 < flat.mean[0, 0] < 2:
        with pytest.raises(MismatchError, match="must be about 1"):
            correction(dark_subtraction(planes(dark, shape=(3, 4))), flat)
        return
    done = calibrate(pixels, correction(dark_subtraction(planes(dark, shape=(3, 4))), flat), None)
    expected = (np.float32(light) - np.float32(dark)) / np.float32(response)
    np.testing.assert_array_equal(done.signal, expected)


@given(
    st.integers(0, 65535),
    st.floats(0, 5000),
    st.floats(0.6, 1.9),
    st.tuples(st.floats(0, 50), st.floats(0, 0.1)),
    st.floats(0.1, 5),
)
@settings(deadline=None)  # the first call compiles
def test_the_uncertainty_follows_the_propagation_of_errors(
    light: int, dark: float, response: float, errors: tuple[float, float], e_per_adu: float
) -> None:
    noise, flat_error = errors
    shape = (2, 3)
    flat = replace(planes(response, shape=shape), uncertainty=np.full(shape, flat_error, np.float32))
    steps = correction(dark_subtraction(planes(dark, noise, shape)), flat)
    done = calibrate(np.full(shape, light, np.uint16), steps, e_per_adu)
    signal = (light - dark) / response
    variance = noise**2 * (1 + 1 / EXPOSURES) + max(light - dark, 0) / e_per_adu
    expected = np.sqrt(variance / response**2 + (signal * flat_error / response) ** 2)
    np.testing.assert_allclose(done.uncertainty, expected, rtol=1e-5, atol=0.05)


def test_the_uncertainty_equals_the_scatter_of_many_trials() -> None:
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


@pytest.mark.parametrize("sky_e", [5, 10, 50])
def test_faint_skies_are_weighted_without_bias(sky_e: int) -> None:
    rng = np.random.default_rng(sky_e)
    trials = (400, 400)
    light = np.rint(rng.poisson(sky_e, trials) + rng.normal(500, 1.5, trials)).astype(np.uint16)
    done = calibrate(light, correction(dark_subtraction(planes(500.0, np.hypot(1.5, 12**-0.5), trials)), None), 1.0)
    assert np.mean(((done.signal - sky_e) / done.uncertainty) ** 2) == pytest.approx(1, abs=0.03)
    # With the pixel's own count, this mean would be 2 to 22 % too low.
    assert np.average(done.signal, weights=done.uncertainty**-2.0) == pytest.approx(sky_e, rel=0.012)


def test_a_star_has_its_own_photon_noise_and_leaves_that_of_the_sky() -> None:
    light = np.full(SHAPE, 600, np.uint16)
    light[30, 40] = 30100
    done = calibrate(light, correction(dark_subtraction(planes(100.0, 2.0)), None), 2.0)
    readout = 2.0**2 * (1 + 1 / EXPOSURES)
    assert done.uncertainty[30, 40] == pytest.approx(np.sqrt(readout + 30000 / 2))
    # The star counts as sky plus ten sigma, one of 49 pixels.
    around = np.sqrt(readout + (500 + 10 * np.sqrt(4 * (1 + 1 / EXPOSURES) + 250) / 49) / 2)
    np.testing.assert_allclose(done.uncertainty[24:37:2, 34:47:2][[0, -1]], around, rtol=1e-4)
    ordinary = np.delete(done.uncertainty.reshape(-1), 30 * SHAPE[1] + 40)
    assert ordinary.min() == pytest.approx(np.sqrt(readout + 250))
    assert ordinary.max() < 1.01 * ordinary.min()


@pytest.mark.parametrize(("shape", "period"), [((40, 50), 2), ((40, 50), 6), ((3, 5), 2), ((9, 70), 1)])
def test_the_local_mean_covers_seven_pixels_of_a_colour_each_way(shape: tuple[int, int], period: int) -> None:
    values = np.random.default_rng(1).uniform(0, 100, shape).astype(np.float32)
    values[1, 2], limited = np.nan, values.copy()
    limited[1, 2] = (90 - 5) / 2
    local = np.empty_like(values)
    average_locally(values, np.zeros_like(values), period, -5, 90, local)
    limited = np.minimum(limited, 90)
    steps = period * np.arange(-3, 4)
    for row, column in np.ndindex(shape):
        rows, columns = (
            [at + step for step in steps if 0 <= at + step < size]
            for at, size in zip((row, column), shape, strict=True)
        )
        assert local[row, column] == pytest.approx(limited[np.ix_(rows, columns)].mean(), rel=1e-4)


def test_lights_without_a_flat_are_not_divided() -> None:
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
def test_scaled_darks_match_their_formula(scale: float) -> None:
    rng = np.random.default_rng(3)
    bias_level, current = 500.0, rng.gamma(4, 30, SHAPE)
    bias, dark = planes(bias_level, 4.0), planes(bias_level + current, 6.0)
    scaled = scaled_subtraction(bias, dark, scale)
    np.testing.assert_allclose(scaled.subtracted, bias_level + scale * current, rtol=1e-6)
    masters = (scale * 6) ** 2 / EXPOSURES + ((1 - scale) * 4) ** 2 / EXPOSURES
    np.testing.assert_allclose(scaled.variance, masters + 16 + scale * 20, rtol=1e-5)


def test_glow_is_scaled_only_if_the_error_is_harmless() -> None:
    rng = np.random.default_rng(4)
    y, x = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    even = rng.gamma(8, 10, SHAPE)
    even.reshape(-1)[rng.integers(0, even.size, 40)] += 5000
    glow = 200 * np.exp(-((x - SHAPE[1]) ** 2 + (y - 32) ** 2) / 200)
    scaled_subtraction(planes(500.0), planes(500 + even), 0.5)
    glowing = planes(500 + even + glow)
    with pytest.raises(GlowError, match=r"at the right edge might not scale .*may leave an error of \d+ ADU .*unknown"):
        scaled_subtraction(planes(500.0), glowing, 0.5)
    insisted = scaled_subtraction(planes(500.0), glowing, 0.5, despite_glow=True)
    np.testing.assert_allclose(insisted.subtracted, 500 + (even + glow) / 2, rtol=1e-4)
    assert "glow" in insisted.caveats[0]
    error_adu = 0.5 * measure_glow((even + glow).astype(np.float32)).amplitude_adu
    with pytest.raises(GlowError):
        scaled_subtraction(planes(500.0, 0.99 * error_adu / HARMLESS_NOISE), glowing, 0.5)
    noise_adu = 1.01 * error_adu / HARMLESS_NOISE
    (caveat,) = scaled_subtraction(planes(500.0, noise_adu), glowing, 0.5).caveats
    assert f"the noise of a light is at least {noise_adu:.3g} ADU" in caveat


def test_shapes_must_agree() -> None:
    small, large = planes(1.0, shape=(4, 4)), planes(1.0)
    with pytest.raises(MismatchError, match="shape"):
        correction(dark_subtraction(large), small)
    with pytest.raises(MismatchError, match="shape"):
        scaled_subtraction(small, large, 1.0)
    with pytest.raises(MismatchError, match="light"):
        calibrate(np.zeros((4, 4), np.uint16), correction(dark_subtraction(large), None), None)


def without_masters(shape: tuple[int, int]) -> Correction:
    return correction(dark_subtraction(planes(0, shape=shape)), None)


@pytest.mark.parametrize(("lowest", "pedestal"), [(5000, 100), (-99.9, 100), (-100, 100), (-130, 200), (-20_000, 1000)])
def test_the_pedestal_keeps_every_pixel_above_zero(lowest: float, pedestal: int) -> None:
    signal = np.random.default_rng(5).normal(6000, 30, SHAPE).astype(np.float32)
    signal[3, 4] = lowest
    assert pedestal_for(lowest) == pedestal
    words = to_words(HeldPixels(signal), without_masters(SHAPE), None, None)
    assert words.pedestal_adu == pedestal
    assert (words.below, words.above) == (lowest < -1000, 0)
    np.testing.assert_array_equal(words.pixels, np.rint(signal + np.float32(pedestal)).clip(0))


def test_bad_pixels_do_not_raise_the_pedestal() -> None:
    signal = np.full(SHAPE, 50, np.float32)
    signal[0, 0], signal[0, 1] = -900, -450
    bad = np.zeros(SHAPE, np.bool_)
    bad[0, 0] = True
    words = to_words(HeldPixels(signal), without_masters(SHAPE), bad, None)
    assert (words.pedestal_adu, words.below) == (500, 0)
    assert words.pixels[0, :3].tolist() == [500, 50, 550]


def test_a_second_trial_of_the_pedestal_overwrites_the_first() -> None:
    into = np.full(SHAPE, 7, np.uint16)
    signal = np.full(SHAPE, 50, np.float32)
    signal[0, 0] = -450
    words = to_words(HeldPixels(signal), without_masters(SHAPE), None, None, into)
    assert words.pixels is into
    assert (words.pedestal_adu, words.below) == (500, 0)
    assert words.pixels[0, :2].tolist() == [50, 550]


def test_values_beyond_sixteen_bits_are_counted() -> None:
    signal = np.array([[-0.4, -0.6, 65535.4, 65535.6, 1e9]], np.float32)
    words = to_words(HeldPixels(signal), without_masters(signal.shape), None, 0)
    assert (words.below, words.above) == (1, 2)
    assert words.pixels.tolist() == [[0, 0, 65535, 65535, 65535]]


def test_pixels_are_those_of_the_calibration_with_uncertainty() -> None:
    rng = np.random.default_rng(8)
    light = rng.integers(0, 65536, SHAPE).astype(np.uint16)
    masters = correction(dark_subtraction(planes(rng.normal(500, 3, SHAPE))), planes(vignetted()))
    signal = calibrate(light, masters, None).signal
    np.testing.assert_array_equal(to_floats(HeldPixels(light), masters, None, 12.5), signal + np.float32(12.5))
    words = to_words(HeldPixels(light), masters, None, 200)
    np.testing.assert_array_equal(words.pixels, np.rint(signal + np.float32(200)).clip(0, 65535))


@pytest.mark.parametrize("own", [True, False])
def test_the_uncertainty_with_a_bias_subtracted_dark_equals_the_scatter_of_many_trials(own: bool) -> None:  # noqa: FBT001
    rng = np.random.default_rng(6)
    trials, frames, bias_noise, dark_noise = (300, 300), 12, 5.0, 7.0

    def mean_of(noise: float) -> NDArray[np.float64]:
        return rng.normal(0, noise / np.sqrt(frames), trials)

    biases = [500 + mean_of(bias_noise) for _ in range(2)]
    bias = planes(biases[0] if own else biases[1], bias_noise, trials)
    bias = replace(bias, uncertainty=np.full(trials, bias_noise / np.sqrt(frames), np.float32))
    total = np.full(trials, np.hypot(dark_noise, bias_noise) / np.sqrt(frames), np.float32)
    dark = MasterPlanes((580 + mean_of(dark_noise) - biases[0]).astype(np.float32), total, total**2 * frames, None, {})
    whole = (with_own_bias if own else with_other_bias)(dark, bias)
    np.testing.assert_allclose(whole.frame_variance, dark_noise**2, rtol=1e-4)
    light = np.rint(rng.normal(580 + 1000, dark_noise, trials)).astype(np.uint16)
    done = calibrate(light, correction(dark_subtraction(whole), None), None)
    assert np.mean(((done.signal - 1000) / done.uncertainty) ** 2) == pytest.approx(1, abs=0.02)


def test_a_bias_of_another_shape_is_refused() -> None:
    for restored in (with_own_bias, with_other_bias):
        with pytest.raises(MismatchError, match="shape"):
            restored(planes(1.0), planes(1.0, shape=(4, 4)))
