import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coldframe.calibration.camera.photon_transfer import (
    LEAST_NOISE_STEPS,
    Measured,
    TileNoise,
    TileSeries,
    bright_signal_adu,
    dark_current_e_per_s,
    doubling_temperature_c,
    electrons_per_adu,
    ladder_error,
    nonlinearity,
    read_noise_adu,
    sample_tiles,
    saturation_adu,
)
from coldframe.config.simulated_rig import SensorModel, load_rig
from coldframe.simulators.sensor import Exposure, Sensor

Frame = NDArray[np.uint16]


@dataclass
class Bench:
    """A simulated sensor of a given size, and its true figures."""

    model: SensorModel
    seed: int
    gain: float = 100
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.sensor = Sensor(self.model, self.seed)
        self.gain = self.gain if self.model.gain else 0
        self.offset = self.model.offset.default if self.model.offset else 0

    @property
    def e_per_adu(self) -> float:
        return self.sensor.e_per_adu(self.gain) / self.model.file_scale

    @property
    def saturation_adu(self) -> float:
        well = self.model.full_well_e / self.sensor.e_per_adu(self.gain) + self.sensor.bias_adu(self.offset)
        return min(well * self.model.file_scale, self.model.saturation_adu)

    def frames(self, count: int, **shot: float) -> Iterator[Frame]:
        for _ in range(count):
            exposure = Exposure(number=next(self.numbers), gain=self.gain, offset=self.offset, **shot)  # type: ignore[arg-type]
            yield self.sensor.render(exposure)

    def series(self, count: int, **shot: float) -> TileNoise:
        return noise_of(self.frames(count, **shot))

    def flats(self, count: int, ratio: float = 1.0) -> TileNoise:
        light = 0.4 * self.saturation_adu * self.e_per_adu
        return self.series(count, exposure_s=ratio, light_e_per_s=light, sensor_c=self.model.dark_reference_c)


def noise_of(frames: Iterator[Frame]) -> TileNoise:
    series = TileSeries()
    for frame in frames:
        series.add(frame)
    return series.noise()


def bench(rig: str, seed: int, **figures: object) -> Bench:
    model = load_rig(rig).sensor.model_copy(update={"width": 512, "height": 512, **figures})
    return Bench(model, seed)


RIGS: dict[str, tuple[str, dict[str, object]]] = {
    "small": ("small", {}),
    "16-bit mono": ("cooled-mono", {}),
    "16-bit colour": ("cooled-osc", {}),
    "14-bit": ("cooled-mono", {"bit_depth": 14, "e_per_adu": 3.1, "converter_noise_adu": 1.0}),
    "CCD, a tile across the edge of its overscan": ("ccd-overscan", {"width": 960, "height": 256}),
    "12-bit, scaled": ("uncooled", {}),
    "12-bit, as it is": ("uncooled", {"scaled_to_16_bit": False}),
    "well below the converter's top": ("cooled-mono", {"full_well_e": 12000}),
}


def assert_truth(rig: str, seed: int, biases: int = 24, flats: int = 8, darks: int = 8) -> None:
    name, figures = RIGS[rig]
    it = bench(name, seed, **figures)
    bias = it.series(biases, exposure_s=0.0001, sensor_c=it.model.dark_reference_c)
    flat, bright = it.flats(flats), it.flats(2, 3.2)
    gain = electrons_per_adu([(flat, bias)])
    assert gain.value == pytest.approx(it.e_per_adu, rel=0.01)
    assert abs(gain.value - it.e_per_adu) < 5 * gain.error < 0.02 * it.e_per_adu
    read_noise_e = read_noise_adu(bias).value * gain.value
    assert read_noise_e == pytest.approx(it.sensor.read_noise_e(it.gain), rel=0.01)
    saturation = saturation_adu(bright, flat, bias, 3.2)
    assert saturation is not None
    assert saturation.value == pytest.approx(it.saturation_adu, rel=0.001)
    for warmer_c in (0.0, 9.0):
        sensor_c = it.model.dark_reference_c + warmer_c
        truth = it.model.dark_e_per_s * it.sensor.warmth(sensor_c)
        exposure_s = min(3600.0, max(60.0, 10 / truth))
        dark = it.series(darks, exposure_s=exposure_s, sensor_c=sensor_c)
        zero = it.series(4, exposure_s=0.0001, sensor_c=sensor_c)
        current = dark_current_e_per_s(dark, zero, exposure_s, gain)
        assert current.value == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("rig", RIGS)
def test_true_figures_are_found_on_every_kind_of_sensor(rig: str) -> None:
    assert_truth(rig, 5)


@pytest.mark.deep
@pytest.mark.parametrize("rig", RIGS)
@pytest.mark.parametrize("seed", range(20, 40))
def test_true_figures_are_found_with_any_seed(rig: str, seed: int) -> None:
    assert_truth(rig, seed)


def gaussian(
    count: int, sigma: float, *, seed: int = 1, shape: tuple[int, int] = (256, 256)
) -> list[NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    return [2000 + sigma * random.standard_normal(shape) for _ in range(count)]


def as_frames(values: list[NDArray[np.float64]]) -> Iterator[Frame]:
    return (np.rint(np.clip(each, 0, 65535)).astype(np.uint16) for each in values)


@settings(max_examples=15, deadline=None)
@given(sigma=st.floats(1, 100), seed=st.integers(0, 1000))
def test_undisturbed_noise_agrees_with_numpy(sigma: float, seed: int) -> None:
    frames = gaussian(6, sigma, seed=seed)
    noise = noise_of(as_frames(frames))
    reference = np.var(np.stack(frames), axis=0, ddof=1).mean()
    assert np.mean(noise.variance_adu2) - 1 / 12 == pytest.approx(reference, rel=0.03)
    assert noise.level_adu == pytest.approx(
        np.full(noise.level_adu.shape, 2000), abs=6 * sigma / np.sqrt(6 * 256) + 0.1
    )


def test_the_reported_scatter_is_the_true_one() -> None:
    for frames in (2, 3, 10):
        noise = noise_of(as_frames(gaussian(frames, 20, shape=(512, 512))))
        scatter = np.std(noise.variance_adu2) / np.mean(noise.variance_adu2)
        assert scatter == pytest.approx(noise.variance_scatter, rel=0.1)


def test_flicker_bands_hot_pixels_and_cosmic_rays_do_not_count_as_noise() -> None:
    random = np.random.default_rng(7)
    frames = gaussian(8, 20)
    fixed = 1 + 0.3 * np.linspace(0, 1, 256)[None, :] + 0.01 * random.standard_normal((256, 256))
    disturbed = []
    for frame in frames:
        bands = 100 * np.sin(np.arange(256) / 5 + random.uniform(0, 7))[:, None]
        lit = frame + 2000 * (fixed - 1) + bands + random.normal(0, 100)
        lit.reshape(-1)[random.integers(lit.size, size=50)] += 20000
        lit.reshape(-1)[::997] = random.integers(0, 65535)
        disturbed.append(lit)
    assert np.mean(noise_of(as_frames(disturbed)).variance_adu2) == pytest.approx(20**2, rel=0.03)


def test_tiles_are_split_into_the_planes_of_a_filter_array() -> None:
    frame = np.zeros((200, 330), np.uint16)
    for number, (row, column) in enumerate(itertools.product((0, 1), (0, 1))):
        frame[row::2, column::2] = 100 * (number + 1)
    tiles = sample_tiles(frame)
    assert tiles.shape == (4, 6, 10, 16, 16)
    assert [set(np.unique(plane)) for plane in tiles] == [{100}, {200}, {300}, {400}]


def test_256_tiles_cover_all_parts_of_a_large_frame() -> None:
    rows = np.repeat(np.arange(4096, dtype=np.uint16)[:, None], 4096, axis=1)
    tiles = sample_tiles(rows)
    assert tiles.shape == (4, 16, 16, 16, 16)
    assert tiles.min() < 256
    assert tiles.max() > 4096 - 256


def test_frames_that_cannot_be_measured_are_refused() -> None:
    series = TileSeries()
    with pytest.raises(ValueError, match="no frames"):
        series.noise()
    with pytest.raises(ValueError, match="32 pixels"):
        series.add(np.zeros((31, 400), np.uint16))
    series.add(np.full((64, 64), 100, np.uint16))
    assert np.isnan(series.noise().variance_adu2).all()
    with pytest.raises(ValueError, match="first frame has a different shape"):
        series.add(np.zeros((64, 96), np.uint16))
    dark = noise_of(as_frames(gaussian(3, 5)))
    with pytest.raises(ValueError, match="no measurable shot noise"):
        electrons_per_adu([(dark, dark)])


def test_frames_of_one_value_have_no_noise() -> None:
    noise = noise_of(iter([np.full((64, 64), 500, np.uint16)] * 3))
    assert (noise.variance_adu2 == 0).all()
    assert read_noise_adu(noise).value == 0


@pytest.mark.parametrize("step", [1, 4, 16])
def test_rounding_is_removed_from_the_read_noise(step: int) -> None:
    sigma = 0.8 * step
    frames = as_frames([step * np.rint(each / step) for each in gaussian(20, sigma, shape=(512, 512))])
    noise = noise_of(frames)
    assert noise.step_adu == step
    assert read_noise_adu(noise).value == pytest.approx(sigma, rel=0.005)


@pytest.mark.parametrize("level", [500.0, 500.25, 500.5])
@pytest.mark.parametrize("sigma", [0.5, 0.55, 0.6, 0.7])
def test_the_error_of_the_read_noise_covers_the_rounding(sigma: float, level: float) -> None:
    rng = np.random.default_rng(7)
    measured = read_noise_adu(noise_of(as_frames([np.rint(rng.normal(level, sigma, (512, 512))) for _ in range(10)])))
    assert abs(measured.value - sigma) < 3 * measured.error
    assert measured.error < 0.03 * sigma


@pytest.mark.parametrize("level", [500.0, 500.25, 500.5])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.45])
def test_read_noise_below_half_a_step_is_measured_below_it(sigma: float, level: float) -> None:
    rng = np.random.default_rng(7)
    noise = noise_of(as_frames([np.rint(rng.normal(level, sigma, (512, 512))) for _ in range(10)]))
    assert read_noise_adu(noise).value < LEAST_NOISE_STEPS * noise.step_adu


def test_a_ladder_that_is_climbed_both_ways_cancels_an_even_drift() -> None:
    signals = np.array([1000.0, 3000.0, 9000.0, 12000.0])
    before_s = 2.0 * np.arange(4)[::-1] + 1
    drifting = [(s * (1 - 0.001 * t), s * (1 + 0.001 * t)) for s, t in zip(signals, before_s, strict=True)]
    assert ladder_error(drifting) == pytest.approx(0, abs=1e-12)
    flickering = [(s, s * (1 + d)) for s, d in zip(signals, (0.002, -0.001, 0.001, -0.002), strict=True)]
    assert 0.0005 < ladder_error(flickering) < 0.0015


def test_saturation_is_found_only_if_tiles_saturate() -> None:
    it = bench("small", 3)
    bias, flat = it.series(4, exposure_s=0.0001), it.flats(4)
    signals = [bright_signal_adu(each, flat, bias) for each in (flat, it.flats(2, 2.0), it.flats(2, 4.0))]
    assert signals[1] == pytest.approx(2 * signals[0], rel=0.002)
    assert signals[2] == pytest.approx(it.saturation_adu - np.median(bias.level_adu), rel=1e-3)
    assert saturation_adu(it.flats(2, 2.0), flat, bias, 2.0) is None


def test_tiles_off_the_line_do_not_bend_the_fit() -> None:
    random = np.random.default_rng(8)
    signal = np.broadcast_to(np.linspace(5000, 20000, 16), (4, 16, 16))
    dark = TileNoise(np.full(signal.shape, 500.0), np.full(signal.shape, 25.0), 0.03, 30, 1)
    variance = (25 + signal / 0.5) * (1 + 0.05 * random.standard_normal(signal.shape))
    variance[:, 5, :] *= 4  # telegraph noise, or interference from a cable
    gain = electrons_per_adu([(TileNoise(500 + signal, variance, 0.05, 10, 1), dark)])
    assert gain.value == pytest.approx(0.5, abs=4 * gain.error)
    assert gain.error == pytest.approx(0.5 * 0.05 / np.sqrt(signal.size), rel=0.15)


def test_tiles_outside_the_image_circle_do_not_count_as_saturated() -> None:
    random = np.random.default_rng(2)
    bias = 500 + 0.1 * random.standard_normal((4, 8, 8))
    circle = np.broadcast_to(np.arange(8) < 5, bias.shape)

    def seen(signal_adu: float) -> TileNoise:
        level = np.minimum(bias + np.where(circle, signal_adu, 0.05 * random.standard_normal(bias.shape)), 40000)
        return TileNoise(level, np.ones_like(level), 0.1, 2, 1)

    dark, flat = TileNoise(bias, np.ones_like(bias), 0.1, 20, 1), seen(20000)
    level = saturation_adu(seen(60000), flat, dark, 3.0)
    assert level is not None
    assert level.value == 40000
    assert level.error == 0.5
    assert saturation_adu(seen(30000), flat, dark, 1.5) is None


def test_injected_deviations_from_linearity_are_found() -> None:
    exposures = np.array([0.1, 0.5, 1.0, 1.6, 2.2, 4.0])
    straight = 20000 * (exposures + 0.02)  # a shutter opens 20 ms too long
    assert np.nanmax(np.abs(nonlinearity(exposures.tolist(), straight.tolist(), 60000))) < 1e-9
    bent = straight * (1 - 0.02 * straight / 60000)
    deviations = nonlinearity(exposures.tolist(), bent.tolist(), 60000)
    assert np.isnan(deviations[[0, 5]]).all(), "outside 5 to 95 % of saturation"
    assert 0.0005 < np.nanmax(np.abs(deviations)) < 0.02
    assert np.isnan(nonlinearity([1, 2], [100, 200], 300)).all()


@given(doubling=st.floats(4, 9))
def test_the_doubling_temperature_is_found(doubling: float) -> None:
    temperatures = [-15.0, -10.0, 0.0, 5.0]
    rates = [0.01 * 2 ** (each / doubling) for each in temperatures]
    assert doubling_temperature_c(temperatures, rates) == pytest.approx(doubling)


def test_one_temperature_gives_no_doubling_temperature() -> None:
    assert doubling_temperature_c([-10.0, -9.5], [0.1, 0.2]) is None
    assert doubling_temperature_c([-10.0, 0.0], [0.2, 0.1]) is None
    assert doubling_temperature_c([], []) is None


def test_amplifier_glow_does_not_count_as_dark_current() -> None:
    it = bench("small", 4, glow_e_per_s=6.0)
    dark, zero = it.series(6, exposure_s=120, sensor_c=-10.0), it.series(6, exposure_s=0.0001, sensor_c=-10.0)
    gain = Measured(it.e_per_adu, 0.0)
    current = dark_current_e_per_s(dark, zero, 120, gain)
    assert current.value == pytest.approx(it.model.dark_e_per_s, rel=0.03)
    everywhere = float(np.mean(dark.level_adu - zero.level_adu)) * it.e_per_adu / 120
    assert everywhere > 1.5 * it.model.dark_e_per_s
