"""The cooler, the panel and the wheel, and the light that reaches the sensor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import CoolerModel, FilterModel, PanelModel, SimulatedRig, WheelModel, load_rig
from coldframe.devices.flat_panel import CoverState
from coldframe.simulators.cooler import Cooler
from coldframe.simulators.optics import Telescope
from coldframe.simulators.panel import Panel, radiance
from coldframe.simulators.wheel import Wheel

PLAIN = PanelModel(full_e_per_s=1000, cover_travel_s=2.0)


def cooler(rig: SimulatedRig, started_s: float = 0.0) -> Cooler:
    assert rig.cooler is not None
    return Cooler(rig, rig.cooler, started_s)


def test_the_small_rig_is_cold_within_15_seconds(small: SimulatedRig) -> None:
    peltier = cooler(small)
    peltier.cool_to(-10)
    trace = {}
    for second in range(40):
        peltier.advance(second)
        trace[second] = peltier.sensor_c
    assert trace[5] > -8
    assert all(abs(trace[second] + 10) < 0.3 for second in range(15, 40))
    assert peltier.power_percent == pytest.approx(70, abs=2)


def test_a_setpoint_out_of_reach_leads_to_full_power(small: SimulatedRig) -> None:
    peltier = cooler(small)
    peltier.cool_to(-30)
    peltier.advance(120)
    assert peltier.sensor_c == pytest.approx(small.ambient_c - 40, abs=0.1)
    assert peltier.power_percent == 100


def test_a_cooler_that_is_off_warms_up_to_ambient(small: SimulatedRig) -> None:
    peltier = cooler(small)
    peltier.cool_to(-10)
    peltier.advance(60)
    peltier.switch_off()
    peltier.advance(62)
    assert -8 < peltier.sensor_c < 0
    peltier.advance(200)
    assert peltier.sensor_c == pytest.approx(small.ambient_c, abs=0.01)
    assert peltier.power_percent == 0


def test_the_cooler_never_heats(small: SimulatedRig) -> None:
    peltier = cooler(small)
    peltier.cool_to(30)
    peltier.advance(100)
    assert peltier.sensor_c == pytest.approx(small.ambient_c)


@given(st.lists(st.floats(0.001, 20), max_size=30))
def test_reading_does_not_change_the_temperature(steps_s: list[float]) -> None:
    rig = load_rig("small")
    watched, alone = cooler(rig), cooler(rig)
    watched.cool_to(-10)
    alone.cool_to(-10)
    now_s = 0.0
    for step_s in steps_s:
        now_s += step_s
        watched.advance(now_s)
    alone.advance(now_s)
    assert (watched.sensor_c, watched.reading_c, watched.power) == (alone.sensor_c, alone.reading_c, alone.power)


def test_a_real_camera_takes_minutes() -> None:
    peltier = cooler(load_rig("cooled-mono"))
    peltier.cool_to(-10)
    minutes = 0
    while abs(peltier.sensor_c + 10) > 0.3:
        minutes += 1
        peltier.advance(60 * minutes)
    assert 2 <= minutes <= 6


def test_a_falling_ambient_temperature_reduces_the_power() -> None:
    rig = load_rig("cooled-mono")
    peltier = cooler(rig)
    peltier.cool_to(-10)
    peltier.advance(3600)
    evening = peltier.power
    peltier.advance(6 * 3600)
    assert peltier.power < evening
    assert peltier.sensor_c == pytest.approx(-10, abs=0.05)


def test_readings_scatter_around_the_true_temperature(small: SimulatedRig) -> None:
    noisy = small.model_copy(update={"cooler": CoolerModel(maximum_delta_c=40, time_constant_s=8, reading_noise_c=0.1)})
    peltier = cooler(noisy)
    errors = []
    for second in range(1, 500):
        peltier.advance(second)
        errors.append(peltier.reading_c - peltier.sensor_c)
    assert sum(error**2 for error in errors) / len(errors) == pytest.approx(0.01, rel=0.25)


@pytest.mark.parametrize(
    ("curve", "half"), [("linear", 0.5), ("gamma", 0.5**2.2), ("pwm", 0.5), ("saturating", 0.7773)]
)
def test_curves(curve: str, half: float) -> None:
    panel = PanelModel.model_validate({"full_e_per_s": 1, "curve": curve, "brightness_maximum": 4096})
    assert radiance(panel, 0) == 0
    assert radiance(panel, 2048) == pytest.approx(half, rel=1e-4)
    assert radiance(panel, 4096) == 1
    levels = [radiance(panel, setting) for setting in range(4097)]
    assert levels == sorted(levels)
    assert len(set(levels)) == (65 if curve == "pwm" else 4097)


def test_some_panels_glow_at_zero() -> None:
    panel = PanelModel(full_e_per_s=1, glow=0.1)
    assert radiance(panel, 0) == pytest.approx(0.1)
    assert radiance(panel, 255) == pytest.approx(1)


def test_a_cover_takes_time_and_can_reverse() -> None:
    panel = Panel(PLAIN)
    assert panel.cover(0) is CoverState.CLOSED
    assert panel.move_cover(10, closed=False) == 12
    assert panel.cover(11.5) is CoverState.MOVING
    assert panel.cover(12) is CoverState.OPEN
    assert panel.move_cover(20, closed=True) == 22
    # Half closed, it needs half the time to open.
    assert panel.move_cover(21, closed=False) == 22
    assert panel.move_cover(30, closed=False) == 30
    assert panel.cover(30) is CoverState.OPEN


def test_a_panel_without_a_cover_has_no_cover_state() -> None:
    panel = Panel(PanelModel(full_e_per_s=1000))
    assert panel.cover(0) is None
    assert panel.move_cover(5, closed=False) == 5


def test_the_wheel_turns_in_the_shorter_direction() -> None:
    wheel = Wheel(WheelModel(slot_s=1, filters=tuple(FilterModel(name=n, transmission=0.5) for n in "LRGBH")))
    assert wheel.turn_to(4, 0) == 1
    assert wheel.slot(0.5) is None
    assert wheel.transmission(0.5) == 0
    assert wheel.slot(1) == 4
    assert wheel.turn_to(2, 10) == 12
    assert wheel.turn_to(2, 20) == 20


def test_light_on_the_sensor(small: SimulatedRig) -> None:
    telescope = Telescope(small.model_copy(update={"stray_e_per_s": 0.5}), 0.0)
    panel, wheel = telescope.panel, telescope.wheel
    assert wheel is not None
    assert telescope.light_e_per_s(0) == 0.5
    panel.brightness = 255
    assert telescope.light_e_per_s(0) == 0.5
    panel.lit = True
    assert telescope.light_e_per_s(0) == small.panel.full_e_per_s + 0.5
    wheel.turn_to(4, 0)
    assert telescope.light_e_per_s(100) == pytest.approx(0.06 * (small.panel.full_e_per_s + 0.5))
    panel.move_cover(100, closed=False)
    assert telescope.light_e_per_s(200) == pytest.approx(0.06 * small.sky_e_per_s)


def shoot(rig_name: str, kind: FrameKind) -> float:
    telescope = Telescope(load_rig(rig_name), 0.0)
    telescope.panel.lit, telescope.panel.brightness = True, 100
    return telescope.begin(kind, 1, 0.0, gain=0, offset=0, binning=1, readout_mode=0).light_e_per_s


def test_only_a_mechanical_shutter_blocks_light() -> None:
    assert shoot("ccd-overscan", FrameKind.DARK) == shoot("ccd-overscan", FrameKind.BIAS) == 0
    assert shoot("ccd-overscan", FrameKind.FLAT) > 1000
    assert shoot("small", FrameKind.DARK) == shoot("small", FrameKind.FLAT) > 1000


def test_an_uncooled_sensor_follows_the_ambient_temperature() -> None:
    telescope = Telescope(load_rig("uncooled"), 0.0)
    assert telescope.sensor_c(3600) == pytest.approx(16 - 1.2)
