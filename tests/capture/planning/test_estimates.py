"""The estimated durations of the steps of a night."""

from dataclasses import replace

import pytest

from coldframe.capture.planning.estimates import Pace, estimate_s
from coldframe.capture.planning.night_plan import plan_night
from coldframe.capture.steps import CoolStep, ShootStep, TuneStep, WarmStep
from coldframe.config.examples import example_night, example_nights
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings


@pytest.mark.parametrize("name", example_nights())
def test_every_step_has_an_estimate(name: str) -> None:
    night = load_settings(example_night(name))
    steps = plan_night(night)
    estimates = estimate_s(steps, night)
    assert len(estimates) == len(steps)
    assert all(estimate > 0 for estimate in estimates)
    for step, estimate in zip(steps, estimates, strict=True):
        if isinstance(step, ShootStep) and step.exposure_s is not None:
            assert estimate > step.count * step.exposure_s
        assert step.title
        assert isinstance(step, CoolStep | TuneStep | ShootStep | WarmStep)


def test_ramps_begin_at_the_temperature_of_the_sensor() -> None:
    night = load_settings(example_night("small"))
    cool = CoolStep(-10.0)
    (from_warm_s,) = estimate_s([cool], night, Pace(sensor_c=20.0))
    (from_cold_s,) = estimate_s([cool], night, Pace(sensor_c=-10.0))
    assert from_cold_s == night.cooling.dwell_s
    assert from_warm_s == pytest.approx(60 * 30 / night.cooling.ramp_c_per_min + night.cooling.dwell_s)


def test_measured_times_replace_the_guesses() -> None:
    night = load_settings(example_night("small"))
    flat = next(step for step in plan_night(night) if isinstance(step, ShootStep) and step.kind is FrameKind.FLAT)
    pace = Pace(readout_s=0.5, flats_s={flat.tuning: 2.0})
    assert estimate_s([flat], night, pace) == pytest.approx((flat.count * 2.5,))


def test_turns_of_the_rotator_take_time() -> None:
    night = load_settings(example_night("rotator"))
    tunings = [step for step in plan_night(night) if isinstance(step, TuneStep)]
    assert len({step.rotator_deg for step in tunings}) > 1
    turned = estimate_s(tunings, night)
    still = estimate_s([replace(step, rotator_deg=None) for step in tunings], night)
    first_s, *_ = (one - other for one, other in zip(turned, still, strict=True))
    assert first_s > 0
    again = estimate_s([tunings[0], tunings[0]], night)
    assert again[0] - again[1] == pytest.approx(first_s)
    flat = next(step for step in plan_night(night) if isinstance(step, ShootStep) and step.kind is FrameKind.FLAT)
    assert estimate_s([flat], night) == estimate_s([replace(flat, rotator_deg=None)], night)
