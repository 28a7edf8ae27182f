import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.masters.flat_scaling import (
    REFERENCE_LEVEL,
    FlatScaler,
    NoSignalError,
    flat_response,
    with_dark_noise,
)
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.statistics import central_region
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack

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
    return flat_response(
        state.combine(
            Clipping(kappa=kappa), lambda pixels: (scaler.scale(frame).reshape(-1)[pixels] for frame in frames)
        ),
        cfa,
    )


def test_the_master_contains_neither_drifting_light_nor_dark() -> None:
    rng = np.random.default_rng(1)
    truth = response()
    dark = 500 + rng.uniform(0, 200, SHAPE)
    frames = [shot(rng, level * truth, dark) for level in np.linspace(18000, 30000, 40)]
    stack, dead = master(frames, FlatScaler(dark.astype(np.float32)), kappa=5.0)
    assert stack.mean.mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert not dead.any()
    residual = stack.mean / (truth / truth.mean()) - 1
    assert residual.std() < 0.0012  # photon noise of 40 frames of 24,000 electrons: 0.00105
    assert np.mean(((stack.mean - truth / truth.mean()) / stack.uncertainty) ** 2) == pytest.approx(1, rel=0.06)


def test_outliers_are_rejected_after_scaling() -> None:
    rng = np.random.default_rng(2)
    truth = response()
    frames = [shot(rng, level * truth, np.zeros(SHAPE)) for level in np.linspace(15000, 30000, 20)]
    clean, _ = master(frames, FlatScaler(0.0))
    frames[3][10:20, 10:20] += 3000
    struck, _ = master(frames, FlatScaler(0.0))
    assert (struck.counts[10:20, 10:20] < 20).all()
    np.testing.assert_allclose(struck.mean[10:20, 10:20], clean.mean[10:20, 10:20], rtol=0.008)


def test_each_colour_is_scaled_separately() -> None:
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
def test_the_scaling_matches_its_documentation(cfa: str | None) -> None:
    rng = np.random.default_rng(4)
    dark = rng.uniform(400, 600, SHAPE).astype(np.float32)
    pixels = rng.integers(0, 65536, SHAPE).astype(np.uint16)
    scaled = FlatScaler(dark, cfa).scale(pixels)
    signal = pixels.astype(np.float32) - dark
    phases = [np.s_[:, :]] if cfa is None else [np.s_[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    for phase in phases:
        level = np.median(signal[central_region(SHAPE)][phase])
        expected = np.clip(np.round(signal[phase] * (REFERENCE_LEVEL / level)), 0, 65535)
        # The level is interpolated within 1 ADU, here from few pixels per ADU.
        np.testing.assert_allclose(scaled[phase], expected, rtol=1e-4, atol=1.01)


def test_the_level_is_finer_than_one_adu() -> None:
    rng = np.random.default_rng(5)
    frames = [np.round(rng.normal(300 + tenth / 10, 5, SHAPE)).astype(np.uint16) for tenth in range(10)]
    levels = [FlatScaler(0.0).scale(frame) for frame in frames]
    means = [scaled[central_region(SHAPE)].mean() / REFERENCE_LEVEL for scaled in levels]
    np.testing.assert_allclose(means, 1, atol=0.0006)


def test_a_single_level_serves_as_dark() -> None:
    pixels = np.random.default_rng(6).integers(1000, 60000, SHAPE).astype(np.uint16)
    from_level = FlatScaler(512).scale(pixels)
    np.testing.assert_array_equal(from_level, FlatScaler(np.full(SHAPE, 512, np.float32)).scale(pixels))


def test_the_buffer_is_reused() -> None:
    scaler = FlatScaler(0.0)
    first = scaler.scale(np.full(SHAPE, 1000, np.uint16))
    assert scaler.scale(np.full(SHAPE, 2000, np.uint16)) is first


def test_a_flat_without_light_is_refused() -> None:
    with pytest.raises(NoSignalError, match="no light"):
        FlatScaler(500.0).scale(np.full(SHAPE, 500, np.uint16))


def test_a_dark_of_another_shape_or_unknown_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        FlatScaler(np.zeros((4, 4), np.float32)).scale(np.full(SHAPE, 500, np.uint16))
    with pytest.raises(ValueError, match="2x2"):
        FlatScaler(0.0, "CMYG")


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


# ---- the dark's own noise ----


def test_the_noise_of_the_dark_is_in_the_uncertainty_and_does_not_average_out() -> None:
    """Chi-square over pixels, with a dark of few frames that is subtracted from many flats."""
    rng = np.random.default_rng(9)
    shape, count, e_per_adu, dark_noise = (200, 200), 120, 1.0, 4.0
    truth = np.linspace(0.8, 1.2, shape[1])[None, :] * np.ones(shape)
    true_dark = 500 + rng.uniform(0, 40, shape)
    dark = (true_dark + rng.normal(0, dark_noise, shape)).astype(np.float32)
    scaler = FlatScaler(dark)
    frames = [
        np.rint(rng.poisson(level * truth * e_per_adu) / e_per_adu + rng.normal(true_dark, 3)).astype(np.uint16)
        for level in np.linspace(2000, 4000, count)
    ]
    state = Accumulator(shape, count)
    for number, frame in enumerate(frames):
        state.add(scaler.scale(frame), bytes([number]))
    stack = state.combine(
        Clipping(kappa=6.0), lambda places: (scaler.scale(each).reshape(-1)[places] for each in frames)
    )
    blind, _ = flat_response(stack)
    seeing, _ = flat_response(
        with_dark_noise(stack, np.full(shape, dark_noise, np.float32), [scaler.factors(frame) for frame in frames])
    )
    residual = blind.mean - truth / truth.mean()
    assert np.mean((residual / blind.uncertainty) ** 2) > 1.4
    assert np.mean((residual / seeing.uncertainty) ** 2) == pytest.approx(1, abs=0.02)


def test_the_noise_does_not_depend_on_the_order_of_the_flats() -> None:
    rng = np.random.default_rng(10)
    factors = [rng.uniform(0.5, 3, (2, 2)).astype(np.float32) for _ in range(30)]
    plane = np.ones((6, 8), np.float32)
    stack = Stack(30, plane, plane * 5, np.full((6, 8), 30, np.uint16), 0)
    dark = rng.uniform(0, 9, (6, 8)).astype(np.float32)
    dark[2, 3] = np.nan
    one = with_dark_noise(stack, dark, factors).uncertainty
    assert one.tobytes() == with_dark_noise(stack, dark, factors[::-1]).uncertainty.tobytes()
    for row in (0, 1):
        for column in (0, 1):
            mean = np.mean([each[row, column] for each in factors])
            place = np.s_[row::2, column::2]
            np.testing.assert_allclose(one[place], np.hypot(5, mean * np.nan_to_num(dark[place])), rtol=1e-6)


# ---- colour filter arrays ----


@pytest.mark.parametrize("pattern", sorted(BAYER_PATTERNS))
@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, 1), (1, 1), (3, 5)])
def test_a_region_at_odd_offsets_equals_its_shifted_pattern(pattern: str, right: int, down: int) -> None:
    """A region read out from an odd row and column, against the same pixels declared with the pattern they show."""
    rng = np.random.default_rng(11)
    light = {"R": 0.4, "G": 1.0, "B": 0.6}
    cell = np.array([light[letter] for letter in pattern]).reshape(2, 2)
    colours = np.tile(cell, (SHAPE[0] // 2 + 4, SHAPE[1] // 2 + 4))
    region = np.s_[down : down + SHAPE[0], right : right + SHAPE[1]]
    truth = response()
    frames = [shot(rng, level * truth * colours[region], np.full(SHAPE, 500.0)) for level in (20000, 24000, 28000)]
    named = setup_of({"BAYERPAT": pattern, "XBAYROFF": right, "YBAYROFF": down}).mosaic
    shifted = setup_of({"BAYERPAT": "".join(seen(colours[region], light))}).mosaic
    assert named == shifted
    one, _ = master(frames, FlatScaler(500.0, named), named)
    other, _ = master(frames, FlatScaler(500.0, pattern), pattern)
    assert one.mean.tobytes() == other.mean.tobytes()
    # Each colour has a mean of 1, so only the response remains.
    assert (one.mean / truth).std() < 0.01


def seen(colours: NDArray[np.float64], light: dict[str, float]) -> list[str]:
    letters = {value: letter for letter, value in light.items()}
    return [letters[value] for value in colours[:2, :2].reshape(-1).tolist()]


@pytest.mark.parametrize("pattern", ["XTRANS", "XTRANS+1+0", "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"])
def test_x_trans_colours_each_have_the_mean_one(pattern: str) -> None:
    rng = np.random.default_rng(12)
    light = {"R": 0.4, "G": 1.0, "B": 0.6}
    cell = np.array([light[letter] for letter in "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"]).reshape(6, 6)
    colours = np.tile(cell, (20, 27))[: SHAPE[0], : SHAPE[1]]
    truth = response()
    frames = [shot(rng, level * truth * colours, np.full(SHAPE, 500.0)) for level in (30000, 40000, 50000)]
    stack, dead = master(frames, FlatScaler(500.0, pattern), pattern)
    assert not dead.any()
    for row in range(6):
        for column in range(6):
            assert stack.mean[row::6, column::6].mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert (stack.mean / truth).std() < 0.03
