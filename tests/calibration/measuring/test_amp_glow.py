"""Amplifier glow on simulated sensors, and the decision to scale a dark with glow."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coldframe.calibration.measuring.amp_glow import DarkSignal, linearity, measure_glow, scaling_doubt
from coldframe.config.simulated_rig import SensorModel, load_rig
from coldframe.simulators.sensor import Exposure, Sensor

F32 = NDArray[np.float32]
SHAPE = (192, 256)


def model(rig: str, glow_e_per_s: float) -> SensorModel:
    update = {"width": 320, "height": 240, "glow_e_per_s": glow_e_per_s, "overscan_columns": 0}
    return load_rig(rig).sensor.model_copy(update=update)


def dark(sensor: Sensor, exposure_s: float, first: int, frames: int = 6) -> F32:
    """Return a master dark, the plain mean of some frames."""
    shots = (Exposure(first + number, exposure_s, sensor_c=0.0) for number in range(frames))
    total = np.zeros((sensor.model.height, sensor.model.width), np.float64)
    for shot in shots:
        total += sensor.render(shot)
    return np.asarray(total / frames, np.float32)


def painted(row: float, column: float, amplitude: float, seed: int = 1) -> F32:
    """Return a uniform dark with a round glow centred at a position in fractions of the frame."""
    y, x = np.mgrid[0 : 1 : SHAPE[0] * 1j, 0 : 1 : SHAPE[1] * 1j]
    even = np.random.default_rng(seed).gamma(9, 10, SHAPE)
    return np.asarray(even + amplitude * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 0.02), np.float32)


@pytest.mark.parametrize("rig", ["small", "ccd-overscan", "uncooled"])
@pytest.mark.parametrize("seeds", [5, pytest.param(200, marks=pytest.mark.deep)])
def test_no_glow_is_found_on_sensors_without_glow(rig: str, seeds: int) -> None:
    """None in 600 sensors, with the bias included, and with row and column patterns and hot pixels."""
    clean = model(rig, 0.0)
    found = [measure_glow(dark(Sensor(clean, seed), 60, 0)).significant for seed in range(seeds)]
    assert sum(found) == 0


@pytest.mark.parametrize("rig", ["small", "uncooled"])
@pytest.mark.parametrize("seeds", [3, pytest.param(50, marks=pytest.mark.deep)])
def test_glow_is_found_and_located(rig: str, seeds: int) -> None:
    glowing = model(rig, 0.4)
    for seed in range(seeds):
        sensor = Sensor(glowing, seed)
        glow = measure_glow(dark(sensor, 60, 0))
        down, across = sensor.glow_e_per_s
        true_adu = (down * across * 60 / sensor.e_per_adu(0)) * glowing.file_scale
        blocks = true_adu.reshape(16, 15, 16, 20).mean(axis=(1, 3))
        assert glow.significant
        assert glow.place == "at the right edge"
        assert glow.amplitude_adu == pytest.approx(blocks.max(), rel=0.15)


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [
        (0, 0, "in the upper left corner"),
        (0, 1, "in the upper right corner"),
        (1, 0, "in the lower left corner"),
        (1, 1, "in the lower right corner"),
        (0.5, 0, "at the left edge"),
        (1, 0.5, "at the lower edge"),
    ],
)
def test_the_place_of_the_glow_is_named(row: float, column: float, place: str) -> None:
    glow = measure_glow(painted(row, column, 40))
    assert glow.significant
    assert str(glow).endswith(f"ADU {place}")
    assert glow.fraction == pytest.approx(glow.amplitude_adu / 86, rel=0.05)


def test_other_structures_do_not_count_as_glow() -> None:
    plane = painted(0, 0, 0)
    assert not measure_glow(plane).significant
    hot = plane.copy()
    hot.reshape(-1)[np.random.default_rng(2).integers(0, hot.size, 800)] += 9000
    hot[:, -3:] += 500
    assert not measure_glow(hot).significant
    # Amplifier glow is never in the middle.
    assert not measure_glow(painted(0.5, 0.5, 40)).significant
    # Coarse steps of the converter cause no edge.
    assert not measure_glow(np.rint(plane / 16) * np.float32(16)).significant


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (24, 16)])
def test_tiny_frames_have_no_significant_glow(shape: tuple[int, int]) -> None:
    assert not measure_glow(np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)).significant


def exposed(factor: float, amplitude: float) -> F32:
    """Return a dark of this many times 60 s, with independent noise."""
    noise = np.random.default_rng(int(100 * factor + amplitude)).normal(0, 4, SHAPE)
    return np.asarray(factor * painted(1, 1, 0) + painted(1, 1, amplitude) - painted(1, 1, 0) + noise, np.float32)


def test_linear_growth_is_distinguished_from_other_growth() -> None:
    short = exposed(1, 40)
    linear = linearity(short, 60, exposed(3, 120), 180)
    assert linear.ratio == pytest.approx(1, abs=3 * linear.error)
    assert linear.linear
    saturating = linearity(short, 60, exposed(3, 80), 180)
    assert saturating.ratio == pytest.approx(2 / 3, abs=0.03)
    assert not saturating.linear
    assert not linearity(exposed(1, 0), 60, exposed(3, 120), 180).linear


def test_glow_is_scaled_without_doubt_only_if_a_second_exposure_shows_that_it_is_linear() -> None:
    short, long = DarkSignal(exposed(1, 40), 60), DarkSignal(exposed(3, 120), 180)
    alone = scaling_doubt(long, 5 / 3, None)
    assert alone is not None
    assert "in the lower right corner might not scale with time" in alone.reason
    assert alone.advice == "shoot darks of 300 s"
    assert alone.error_adu == pytest.approx(2 / 3 * measure_glow(long.adu).amplitude_adu)
    assert scaling_doubt(long, 0.5, short) is None
    assert scaling_doubt(short, 2, long) is None
    assert scaling_doubt(DarkSignal(exposed(1, 0), 60), 0.5, None) is None
    unknown = scaling_doubt(DarkSignal(long.adu, None), 0.5, short)
    assert unknown is not None
    assert unknown.advice == "shoot darks with the exposure of the lights"


@pytest.mark.parametrize("exposure_s", [60, 180])
def test_the_error_of_scaling_follows_from_the_glow_at_two_exposures(exposure_s: int) -> None:
    """A glow of 300 ADU is constant, and one of 100 ADU grows with each minute."""
    darks = {60: DarkSignal(exposed(1, 400), 60), 180: DarkSignal(exposed(3, 600), 180)}
    dark, witness = darks.pop(exposure_s), darks.popitem()[1]
    doubt = scaling_doubt(dark, 0.5, witness)
    assert doubt is not None
    assert "from 60 to 180 s its rate changes by a factor of 0.5" in doubt.reason
    brightest_block = measure_glow(painted(1, 1, 40) - painted(1, 1, 0)).amplitude_adu / 40
    assert doubt.error_adu == pytest.approx(0.5 * 300 * brightest_block, rel=0.1)


def test_simulated_glow_grows_linearly() -> None:
    sensor = Sensor(model("small", 1.5), 7)
    bias = dark(sensor, 0.001, 1000, 12)
    growth = linearity(dark(sensor, 60, 0) - bias, 60, dark(sensor, 180, 500) - bias, 180)
    assert growth.ratio == pytest.approx(1, abs=0.03)
