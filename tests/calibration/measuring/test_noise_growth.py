"""The expected decrease of noise, and the reported cause if noise does not decrease."""

import tracemalloc
from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.measuring.noise_growth import LARGEST_EXCESS, MOST_GROUPS, Cause, NoiseGrowth, SampledFrames

F64 = NDArray[np.float64]
SIZE = 128
FRAMES = 24


class Sky:
    """Frames of a camera with fixed pattern, hot pixels, and noise of pixels, rows and whole frames."""

    def __init__(self, seed: int, frames: int = FRAMES, noise_adu: float = 10.0) -> None:
        self.random = np.random.default_rng(seed)
        self.hot = np.zeros((SIZE, SIZE))
        self.hot.flat[self.random.choice(SIZE * SIZE, 80, replace=False)] = self.random.uniform(200, 5000, 80)
        pattern = 1000 + self.random.normal(0, 5, (SIZE, SIZE)) + self.hot
        pixels = self.random.normal(0, 1, (frames, SIZE, SIZE)) * np.sqrt(noise_adu**2 + self.hot)
        rows, whole = self.random.normal(0, 0.4, (frames, SIZE, 1)), self.random.normal(0, 0.5, (frames, 1, 1))
        self.frames: F64 = pattern + pixels + rows + whole
        self.time = np.linspace(0, 1, frames)[:, None, None]


def grown(frames: F64) -> NoiseGrowth:
    samples = SampledFrames()
    for frame in np.clip(np.rint(frames), 0, 65535).astype(np.uint16):
        samples.add(frame)
    growth = samples.growth()
    assert growth is not None
    return growth


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(8, 40), st.sampled_from([1.0, 4.0, 30.0]))
def test_noise_of_independent_frames_falls_with_the_root_of_their_number(seed: int, frames: int, noise: float) -> None:
    growth = grown(Sky(seed, frames, noise).frames)
    assert growth.cause is None
    assert growth.excess < 1.04
    # Rounding to whole ADU adds 1/12 to the variance; rows and hot pixels add a little.
    assert growth.frame_noise_adu == pytest.approx(sqrt(noise**2 + 1 / 12 + 0.16), rel=0.07)
    assert growth.master_noise_adu == pytest.approx(growth.frame_noise_adu / sqrt(frames), rel=0.07)


@pytest.mark.deep
def test_500_clean_sets_raise_no_alarm() -> None:
    found = [grown(Sky(seed, frames=8 + seed % 30).frames) for seed in range(500)]
    assert [growth.cause for growth in found if growth.cause is not None] == []
    assert max(growth.excess for growth in found) < (1 + LARGEST_EXCESS) / 2


def test_cosmic_rays_do_not_count_as_drift() -> None:
    sky = Sky(3)
    places = sky.random.random(sky.frames.shape) < 2e-4
    assert grown(sky.frames + 3000 * places).cause is None


def warmer(sky: Sky) -> F64:
    return sky.frames + sky.time * (0.15 * sky.hot + 12)


def growing_light(sky: Sky) -> F64:
    return sky.frames + 25 * sky.time * np.linspace(0, 1, SIZE)


def drifting_offset(sky: Sky) -> F64:
    return sky.frames + 15 * sky.time


def jumping_pixels(sky: Sky) -> F64:
    states = np.cumsum(sky.random.random(sky.frames.shape) < 0.05, axis=0) % 2
    return sky.frames + 80 * states * (sky.random.random((SIZE, SIZE)) < 0.03)


def wandering(sky: Sky) -> F64:
    return sky.frames + np.cumsum(sky.random.normal(0, 3, sky.frames.shape), axis=0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (warmer, Cause.TEMPERATURE),
        (growing_light, Cause.PATTERN),
        (drifting_offset, Cause.LEVEL),
        (jumping_pixels, Cause.TELEGRAPH),
        (wandering, Cause.UNKNOWN),
    ],
)
def test_the_cause_of_noise_that_does_not_fall_is_reported(trouble: object, cause: Cause, seed: int) -> None:
    assert callable(trouble)
    growth = grown(trouble(Sky(seed)))
    assert growth.cause is cause
    assert growth.excess > LARGEST_EXCESS


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("colours", [(1.0, 1.0), (1.0, 0.6)])
def test_a_gradient_that_drifts_over_vignetted_flats_is_no_dark_current(
    seed: int, colours: tuple[float, float]
) -> None:
    random = np.random.default_rng(seed)
    down, across = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    flat = 16384 * (1 - 0.4 * (down**2 + (across - 0.3) ** 2) / 2) * np.tile(colours, SIZE // 2)
    tilt = np.linspace(-0.003, 0.003, FRAMES)[:, None, None] * across
    assert grown(random.normal(flat * (1 + tilt), 80)).cause is Cause.PATTERN


def test_the_noise_of_a_drifting_master_is_that_of_its_halves() -> None:
    sky = Sky(8)
    growth = grown(drifting_offset(sky))
    halves = np.diff([half.mean(axis=0) for half in np.split(drifting_offset(sky), 2)], axis=0) / 2
    assert growth.master_noise_adu == pytest.approx(sqrt(float(np.mean(halves**2))), rel=0.05)
    assert growth.drift_adu == pytest.approx(7.8, abs=0.5)


def test_a_sample_of_large_frames_gives_the_same_result_as_all_pixels() -> None:
    random = np.random.default_rng(5)
    samples = SampledFrames()
    for _ in range(FRAMES):
        samples.add(random.normal(500, 7, (600, 900)).astype(np.uint16))
    growth = samples.growth()
    assert growth is not None
    assert growth.frames == FRAMES
    assert growth.frame_noise_adu == pytest.approx(7.0, rel=0.02)
    assert samples.mean().shape == (200, 129)


def test_too_few_frames_give_no_result() -> None:
    samples = SampledFrames()
    for _ in range(7):
        samples.add(np.full((64, 64), 100, np.uint16))
    assert samples.growth() is None


def test_frames_without_noise_have_zero_noise() -> None:
    growth = grown(np.full((9, 16, 16), 7.0))
    assert (growth.master_noise_adu, growth.excess, growth.cause) == (0.0, 1.0, None)


def test_the_halves_of_a_large_set_are_compared_in_the_memory_of_a_small_set() -> None:
    """The frames are merged into groups, and the drift between the halves and the noise remain those of the frames."""
    random, samples = np.random.default_rng(11), SampledFrames()
    frames = 5 * MOST_GROUPS + 3
    tracemalloc.start()
    try:
        for place in range(frames):
            samples.add(random.normal(500 + 40 * place / frames, 7, (48, 64)).astype(np.uint16))
            if place == 2 * MOST_GROUPS:
                small, _ = tracemalloc.get_traced_memory()
        large, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    growth = samples.growth()
    assert growth is not None
    assert growth.frames == frames
    assert growth.frame_noise_adu == pytest.approx(7.0, rel=0.05)
    assert growth.drift_adu == pytest.approx(20.0, abs=1.0)
    assert growth.cause is Cause.LEVEL
    assert large - small < 100 * frames
