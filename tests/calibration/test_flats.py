import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.accumulator import Accumulator, Stack
from coldframe.calibration.clipping import Clipping
from coldframe.calibration.flats import REFERENCE_LEVEL, FlatScaler, NoSignalError, flat_response
from coldframe.calibration.statistics import central_region

SHAPE = (120, 160)


def response(shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    vignetting = 1 - 0.25 * (x**2 + y**2)
    mote = 1 - 0.1 * ((x - 0.4) ** 2 + (y + 0.3) ** 2 < 0.01)
    return np.asarray(vignetting * mote * np.random.default_rng(7).normal(1, 0.01, shape))


def shot(rng: np.random.Generator, light: NDArray[np.float64], dark: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.clip(np.round(rng.poisson(light) + rng.normal(dark, 3)), 0, 65535).astype(np.uint16)


def master(
    frames: list[NDArray[np.uint16]], scaler: FlatScaler, cfa: str | None = None, kappa: float = 3.0
) -> tuple[Stack, NDArray[np.bool_]]:
    state = Accumulator(SHAPE, len(frames))
    for number, frame in enumerate(frames):
        state.add(scaler.scale(frame), bytes([number]))
    return flat_response(state.combine(Clipping(kappa=kappa), lambda: map(scaler.scale, frames)), cfa)


def test_drifting_light_and_the_dark_vanish_from_the_master() -> None:
    rng = np.random.default_rng(1)
    truth = response()
    dark = 500 + rng.uniform(0, 200, SHAPE)
    frames = [shot(rng, level * truth, dark) for level in np.linspace(18000, 30000, 40)]
    stack, dead = master(frames, FlatScaler(dark.astype(np.float32)), kappa=5.0)
    assert stack.mean.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert not dead.any()
    residual = stack.mean / (truth / truth.mean()) - 1
    assert residual.std() < 0.0012  # photon noise of 40 frames of 24,000 electrons: 0.00105
    assert np.mean(((stack.mean - truth / truth.mean()) / stack.uncertainty) ** 2) == pytest.approx(39 / 37, rel=0.06)


def test_outliers_show_once_the_drift_is_gone() -> None:
    rng = np.random.default_rng(2)
    truth = response()
    frames = [shot(rng, level * truth, np.zeros(SHAPE)) for level in np.linspace(15000, 30000, 20)]
    clean, _ = master(frames, FlatScaler(0.0))
    frames[3][10:20, 10:20] += 3000
    struck, _ = master(frames, FlatScaler(0.0))
    assert (struck.counts[10:20, 10:20] < 20).all()
    np.testing.assert_allclose(struck.mean[10:20, 10:20], clean.mean[10:20, 10:20], rtol=0.008)


def test_each_colour_is_scaled_by_itself() -> None:
    rng = np.random.default_rng(3)
    truth = response()
    colours = np.tile([[0.4, 1.0], [1.0, 0.6]], (SHAPE[0] // 2, SHAPE[1] // 2))
    frames = [shot(rng, 25000 * truth * colours, np.full(SHAPE, 500.0)) for _ in range(20)]
    stack, _ = master(frames, FlatScaler(500.0, "RGGB"), "RGGB")
    for row in (0, 1):
        for column in (0, 1):
            colour = stack.mean[row::2, column::2]
            expected = truth[row::2, column::2]
            assert colour.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
            assert (colour / (expected / expected.mean()) - 1).std() < 0.003


@pytest.mark.parametrize("cfa", [None, "GRBG"])
def test_the_scaling_is_the_documented_one(cfa: str | None) -> None:
    rng = np.random.default_rng(4)
    dark = rng.uniform(400, 600, SHAPE).astype(np.float32)
    pixels = rng.integers(0, 65536, SHAPE).astype(np.uint16)
    scaled = FlatScaler(dark, cfa).scale(pixels)
    signal = pixels.astype(np.float32) - dark
    phases = [np.s_[:, :]] if cfa is None else [np.s_[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    for phase in phases:
        level = np.median(signal[central_region(SHAPE)][phase])
        expected = np.clip(np.round(signal[phase] * (REFERENCE_LEVEL / level)), 0, 65535)
        # The level is interpolated within 1 ADU, here among few pixels per ADU.
        np.testing.assert_allclose(scaled[phase], expected, rtol=1e-4, atol=1.01)


def test_the_level_follows_the_light_in_less_than_steps() -> None:
    rng = np.random.default_rng(5)
    frames = [np.round(rng.normal(300 + tenth / 10, 5, SHAPE)).astype(np.uint16) for tenth in range(10)]
    levels = [FlatScaler(0.0).scale(frame) for frame in frames]
    means = [scaled[central_region(SHAPE)].mean() / REFERENCE_LEVEL for scaled in levels]
    np.testing.assert_allclose(means, 1, atol=0.0006)


def test_a_single_level_serves_as_dark() -> None:
    pixels = np.random.default_rng(6).integers(1000, 60000, SHAPE).astype(np.uint16)
    from_level = FlatScaler(512).scale(pixels)
    np.testing.assert_array_equal(from_level, FlatScaler(np.full(SHAPE, 512, np.float32)).scale(pixels))


def test_the_buffer_is_used_again() -> None:
    scaler = FlatScaler(0.0)
    first = scaler.scale(np.full(SHAPE, 1000, np.uint16))
    assert scaler.scale(np.full(SHAPE, 2000, np.uint16)) is first


def test_a_flat_without_light_is_refused() -> None:
    with pytest.raises(NoSignalError, match="no light"):
        FlatScaler(500.0).scale(np.full(SHAPE, 500, np.uint16))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        FlatScaler(np.zeros((4, 4), np.float32)).scale(np.full(SHAPE, 500, np.uint16))
    with pytest.raises(ValueError, match="2x2"):
        FlatScaler(0.0, "XTRANS")


def test_dead_pixels_are_flagged_and_never_divided_by() -> None:
    rng = np.random.default_rng(8)
    light = np.full(SHAPE, 20000.0)
    light[5, 6] = 0
    light[7, :] = 100
    frames = [shot(rng, light, np.full(SHAPE, 500.0)) for _ in range(10)]
    stack, dead = master(frames, FlatScaler(500.0))
    assert dead[5, 6]
    assert dead[7].all()
    assert dead.sum() == 1 + SHAPE[1]
    assert (stack.mean[dead] == 1).all()
    assert (stack.uncertainty[dead] == 0).all()
    assert stack.mean[~dead].mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)


def test_a_master_without_any_light_is_all_dead() -> None:
    blank = np.zeros(SHAPE, np.float32)
    stack, dead = flat_response(Stack(5, blank, blank.copy(), np.full(SHAPE, 5, np.uint16), 0))
    assert dead.all()
    assert (stack.mean == 1).all()
