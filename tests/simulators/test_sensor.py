import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.config.simulated_rig import SensorModel, load_rig
from coldframe.simulators.sensor import CFA_RESPONSE, Exposure, Sensor

SMALL = load_rig("small").sensor
CLEAN = SMALL.model_copy(
    update={
        "hot_fraction": 0.0,
        "glow_e_per_s": 0.0,
        "prnu": 0.0,
        "vignetting": 0.0,
        "dust_motes": 0,
        "cosmic_rays_per_cm2_min": 0.0,
        "column_pattern_adu": 0.0,
        "row_pattern_adu": 0.0,
        "row_noise_adu": 0.0,
    }
)


def pair(sensor: Sensor, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    first, second = (sensor.render(Exposure(number=number, **settings)) for number in (1, 2))  # type: ignore[arg-type]
    return first.astype(float), second.astype(float)


def changed(**figures: object) -> SensorModel:
    return CLEAN.model_copy(update=figures)


@pytest.mark.parametrize("gain", [0, 100, 300])
def test_photon_transfer_finds_gain_and_read_noise(gain: float) -> None:
    sensor = Sensor(CLEAN, 1)
    light = 12000 * sensor.e_per_adu(gain)
    bias = pair(sensor, exposure_s=0, gain=gain, offset=50)
    flat = pair(sensor, exposure_s=1, light_e_per_s=light, gain=gain, offset=50)
    read_variance = np.var(bias[0] - bias[1]) / 2
    signal = (flat[0] + flat[1] - bias[0] - bias[1]).mean() / 2
    shot_variance = np.var(flat[0] - flat[1]) / 2 - read_variance
    assert signal / shot_variance == pytest.approx(sensor.e_per_adu(gain), rel=0.01)
    # Rounding by the converter has a variance of 1/12 of a step squared.
    in_steps = sensor.read_noise_e(gain) / sensor.e_per_adu(gain)
    assert np.sqrt(read_variance) == pytest.approx(np.sqrt(in_steps**2 + 1 / 12), rel=0.01)
    assert bias[0].mean() == pytest.approx(sensor.bias_adu(50), abs=5 * in_steps / np.sqrt(bias[0].size))


@pytest.mark.parametrize("sensor_c", [-10.0, -4.0, 8.0])
def test_dark_current_doubles_with_temperature(sensor_c: float) -> None:
    sensor = Sensor(CLEAN, 1)
    dark = pair(sensor, exposure_s=300, sensor_c=sensor_c, gain=100)
    expected_e = CLEAN.dark_e_per_s * 300 * 2 ** ((sensor_c + 10) / 6)
    level_e = (np.mean(dark) - sensor.bias_adu(0)) * sensor.e_per_adu(100)
    assert level_e == pytest.approx(expected_e, rel=0.01)


def test_the_mean_of_many_darks_is_the_true_dark_current() -> None:
    sensor = Sensor(SMALL.model_copy(update={"width": 240, "height": 160, "cosmic_rays_per_cm2_min": 0.0}), 1)
    frames = [sensor.render(Exposure(n, 20, sensor_c=-10, gain=100)).astype(float) for n in range(200)]
    down, across = sensor.glow_e_per_s
    truth_e = 20 * (sensor.dark_e_per_s + down * across)
    mean_e = (np.mean(frames, axis=0) - sensor.bias_adu(0)) * sensor.e_per_adu(100)
    error_e = np.std(frames, axis=0) * sensor.e_per_adu(100) / np.sqrt(len(frames))
    fixed_e = np.hypot(SMALL.column_pattern_adu, SMALL.row_pattern_adu) * sensor.e_per_adu(100)
    deviation = (mean_e - truth_e) / np.hypot(error_e, fixed_e)
    assert np.std(deviation) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("slot", [0, 3])
def test_flats_show_the_flat_response(slot: int) -> None:
    sensor = Sensor(SMALL.model_copy(update={"hot_fraction": 0.0, "dark_e_per_s": 0.0, "glow_e_per_s": 0.0}), 1)
    bias = sensor.bias_adu(0)
    frames = [sensor.render(Exposure(n, 1, 6000.0, slot, gain=100)).astype(float) - bias for n in range(20)]
    ratio = np.mean(frames, axis=0) * sensor.e_per_adu(100) / (6000 * sensor.flat_response(slot))
    assert np.median(ratio) == pytest.approx(1, abs=0.001)
    assert np.std(ratio) < 1.3 / np.sqrt(6000 * 0.8 * 20)


def test_dust_belongs_to_the_filter() -> None:
    sensor = Sensor(SMALL, 1)
    red, green, red_again = (sensor.flat_response(slot).copy() for slot in (1, 2, 1))
    assert np.array_equal(red, red_again)
    apart = np.mean(np.abs(red / green - 1) > 0.005)
    assert 0.001 < apart < 0.2


def test_the_same_seed_gives_the_same_bits() -> None:
    shots = [Exposure(1, 300, 0.0), Exposure(2, 1, 5000.0, 2), Exposure(3, 0)]
    first, second = Sensor(SMALL, 5), Sensor(SMALL, 5)
    early = [first.render(shot) for shot in shots]
    # Every frame is the same in another order and after other frames.
    late = [second.render(shot) for shot in reversed(shots)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(early, late, strict=True))
    assert not np.array_equal(early[0], Sensor(SMALL, 6).render(shots[0]))
    assert not np.array_equal(early[0], first.render(Exposure(4, 300, 0.0)))


def test_hot_pixels_stay_where_they_are() -> None:
    sensor = Sensor(SMALL, 1)
    first, second = pair(sensor, exposure_s=120, sensor_c=-10, gain=100)
    hot = sensor.dark_e_per_s > 2
    assert 0.3 * SMALL.hot_fraction < hot.mean() < SMALL.hot_fraction
    assert np.all(first[hot] > np.median(first) + 500)
    assert np.all(second[hot] > np.median(second) + 500)


def test_full_well_and_converter_limit_the_signal() -> None:
    shallow = Sensor(changed(full_well_e=10000.0), 1)
    full = shallow.render(Exposure(1, 1, 1e6)).astype(float)
    assert full.max() == full.min() == round(shallow.bias_adu(0) + 10000 / CLEAN.e_per_adu)
    deep = Sensor(CLEAN, 1).render(Exposure(1, 1, 1e6))
    assert deep.min() == deep.max() == 65535


@pytest.mark.parametrize(("scaled", "step", "top"), [(True, 16, 65520), (False, 1, 4095)])
def test_twelve_bits(scaled: bool, step: int, top: int) -> None:  # noqa: FBT001
    model = load_rig("uncooled").sensor.model_copy(update={"scaled_to_16_bit": scaled})
    sensor = Sensor(model, 1)
    flat = sensor.render(Exposure(1, 1, 3000.0, gain=100, offset=40))
    assert not np.any(flat % step)
    assert sensor.render(Exposure(1, 1, 1e6, gain=100, offset=40)).max() == model.saturation_adu == top


def test_colours() -> None:
    sensor = Sensor(changed(cfa_pattern="GRBG"), 1)
    flat = sensor.render(Exposure(1, 1, 20000.0)).astype(float) - sensor.bias_adu(0)
    levels = [flat[row::2, column::2].mean() for row in (0, 1) for column in (0, 1)]
    expected = [20000 * CFA_RESPONSE[colour] / CLEAN.e_per_adu for colour in "GRBG"]
    assert levels == pytest.approx(expected, rel=0.002)


def test_the_overscan_has_only_bias_and_read_noise() -> None:
    model = load_rig("ccd-overscan").sensor
    sensor = Sensor(model.model_copy(update={"height": 256}), 1)
    flat = sensor.render(Exposure(1, 100, 200.0, 1, sensor_c=10)).astype(float)
    overscan = flat[:, model.active_width :]
    assert overscan.shape[1] == 32
    assert overscan.mean() == pytest.approx(sensor.bias_adu(0), abs=2)
    assert flat[:, : model.active_width].mean() > 20000


def test_an_iris_shutter_exposes_the_middle_longer() -> None:
    model = changed(shutter_travel_s=0.02)
    sensor = Sensor(model, 1)
    flat = sensor.render(Exposure(1, 0.1, 1e5)).astype(float) - sensor.bias_adu(0)
    middle, corner = flat[300:340, 460:500].mean(), flat[:20, -20:].mean()
    # The exposure is 20 ms longer on the axis than at the rim, to which these patches are close.
    assert middle / corner == pytest.approx(1.18, abs=0.02)


def test_cosmic_rays_come_at_their_rate() -> None:
    sensor = Sensor(changed(cosmic_rays_per_cm2_min=2.0, dark_e_per_s=0.0), 1)
    area_cm2 = 960 * 640 * (3.76e-4) ** 2
    hits = 0
    for number in range(60):
        rows, columns = np.nonzero(sensor.render(Exposure(number, 600, gain=100)) > 500)
        # Tracks are shorter than these cells, and there are few of them.
        hits += len({(row // 160, column // 160) for row, column in zip(rows, columns, strict=True)})
    assert hits == pytest.approx(60 * 2 * area_cm2 * 10, rel=0.25)


@pytest.mark.parametrize("binning", [2, 3])
def test_binning_sums_and_clips(binning: int) -> None:
    sensor = Sensor(CLEAN, 1)
    binned = sensor.render(Exposure(1, 1, 5000.0, binning=binning))
    assert binned.shape == (640 // binning, 960 // binning)
    plain = sensor.render(Exposure(1, 1, 5000.0)).astype(np.int64)
    assert binned[0, 0] == plain[:binning, :binning].sum()
    assert sensor.render(Exposure(1, 1, 45000.0, binning=binning)).max() == 65535


def test_a_fast_readout_mode_is_noisier() -> None:
    model = load_rig("ccd-overscan").sensor
    sensor = Sensor(model.model_copy(update={"height": 256}), 1)
    slow, fast = (np.std(np.subtract(*pair(sensor, exposure_s=0, readout_mode=mode))) for mode in (0, 1))
    assert fast / slow == pytest.approx(1.6, rel=0.03)


@given(gain=st.floats(0, 300), offset=st.floats(0, 240), light=st.floats(0, 1e7), exposure_s=st.floats(0, 3600))
def test_any_exposure_gives_a_frame_near_its_expectation(
    gain: float, offset: float, light: float, exposure_s: float
) -> None:
    sensor = Sensor(changed(width=64, height=64), 1)
    frame = sensor.render(Exposure(1, exposure_s, light, gain=gain, offset=offset, sensor_c=-10))
    e_per_adu = sensor.e_per_adu(gain)
    electrons = min((light + CLEAN.dark_e_per_s) * exposure_s, CLEAN.full_well_e)
    expected = min(electrons / e_per_adu + sensor.bias_adu(offset), 65535)
    noise = np.hypot(np.sqrt(electrons), sensor.read_noise_e(gain)) / e_per_adu
    # Clipping of the noise lowers the mean by up to 0.4 of it.
    assert float(frame.mean()) == pytest.approx(expected, abs=0.5 * noise + 1)


def test_a_small_frame_is_rendered_quickly() -> None:
    sensor = Sensor(SMALL, 1)
    sensor.render(Exposure(1, 1, 5000.0))
    begin = time.process_time()
    for number in range(10):
        sensor.render(Exposure(number, 1, 5000.0))
    assert (time.process_time() - begin) / 10 < 0.03
