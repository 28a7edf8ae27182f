"""The schedule of twilight flats for many skies, with its filters, exposures and levels."""

from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, log

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.capture.tuner.target import FlatTarget
from coldframe.capture.twilight.schedule import Finished, SkyLimits, SkySchedule, Wait
from coldframe.capture.twilight.sky_brightness import GROWTH_PER_DEG, SkyBrightness

TARGET = FlatTarget(500.0, 65535.0)
LIMITS = SkyLimits(0.5, 60.0, 0.001)
SUN_DEG_PER_S = 0.0035
OVERHEAD_S, TURN_S = 2.0, 5.0
ENDS_S = 5000.0


@dataclass
class Sky:
    """A sky of twilight and night-sky background, with colours that drift and levels that scatter."""

    growth_per_s: float
    start_adu_per_s: float
    levelling_s: float = 1e9
    night_adu_per_s: float = 0.0
    scatter: float = 0.003
    reddening: float = 0.0
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def adu_per_s(self, transmission: float, at_s: float) -> float:
        grown = self.levelling_s * -np.expm1(-at_s / self.levelling_s)
        twilight = self.start_adu_per_s * exp(self.growth_per_s * grown + self.reddening * log(transmission) * at_s)
        return transmission * (twilight + self.night_adu_per_s)

    def level_adu(self, transmission: float, start_s: float, exposure_s: float) -> float:
        times_s = start_s + exposure_s * (np.arange(20) + 0.5) / 20
        signal_adu = exposure_s * np.mean([self.adu_per_s(transmission, at_s) for at_s in times_s])
        return float(
            np.clip(500 + signal_adu * self.random.normal(1, self.scatter) + self.random.normal(0, 1), 0, 65535)
        )


@dataclass
class Twilight:
    """The flats shot under a sky."""

    schedule: SkySchedule
    good: dict[str, list[float]] = field(default_factory=dict)
    wasted: dict[str, int] = field(default_factory=dict)
    ended_s: float = 0.0


def shot(sky: Sky, filters: dict[str, float], count: int = 20, sun_deg_per_s: float = SUN_DEG_PER_S) -> Twilight:
    """Shoot the flats of some filters, each with its transmission."""
    schedule = SkySchedule(SkyBrightness(GROWTH_PER_DEG * sun_deg_per_s), is_dawn=sun_deg_per_s > 0)
    for name in filters:
        schedule.plan(name, count, TARGET, LIMITS)
    made, now_s, in_beam = Twilight(schedule, {name: [] for name in filters}, dict.fromkeys(filters, 0)), 0.0, None
    low_adu, high_adu = TARGET.levels_adu
    while now_s < ENDS_S and not isinstance(decision := schedule.decide(now_s), Finished):
        if decision.filter != in_beam:
            in_beam, now_s = decision.filter, now_s + TURN_S
            continue
        if isinstance(decision, Wait):
            now_s = max(min(decision.until_s, now_s + 30), now_s + 0.1)
            continue
        assert isinstance(decision.filter, str)
        level_adu = sky.level_adu(filters[decision.filter], now_s, decision.exposure_s)
        schedule.observe(decision, now_s, level_adu)
        if low_adu <= level_adu <= high_adu:
            schedule.accept(decision.filter)
            made.good[decision.filter].append(decision.exposure_s)
        else:
            made.wasted[decision.filter] += 1
            if not decision.is_test:
                schedule.waste(decision.filter)
        now_s += decision.exposure_s + OVERHEAD_S
    made.ended_s = now_s
    return made


FILTERS = {"Ha": 0.05, "L": 1.0, "R": 0.34}


@st.composite
def skies(draw: st.DrawFn) -> Sky:
    return Sky(
        growth_per_s=log(2) / (60 * draw(st.floats(2.3, 4.5))),
        start_adu_per_s=draw(st.floats(20, 100)),
        levelling_s=60 * draw(st.sampled_from([90.0, 1e6])),
        night_adu_per_s=draw(st.floats(0, 1)),
        reddening=draw(st.floats(-5e-5, 5e-5)),
        random=np.random.default_rng(draw(st.integers(0, 10_000))),
    )


@given(skies())
@settings(max_examples=60, deadline=None)
def test_at_any_dawn_all_flats_lie_in_the_band_except_two_per_filter(sky: Sky) -> None:
    made = shot(sky, FILTERS)
    assert {name: len(good) for name, good in made.good.items()} == dict.fromkeys(FILTERS, 20)
    assert max(made.wasted.values()) <= 2, made.wasted


def test_exposures_follow_the_sky_between_their_limits() -> None:
    made = shot(Sky(0.0036, 30.0), FILTERS)
    for good in made.good.values():
        assert all(LIMITS.shortest_s <= exposure_s <= LIMITS.longest_s for exposure_s in good)
        assert all(later < earlier for earlier, later in pairwise(good[1:])), (
            "the first flat corrects the error of its test frame"
        )


def test_at_dusk_exposures_grow() -> None:
    made = shot(Sky(-0.0036, 3e6), FILTERS, sun_deg_per_s=-SUN_DEG_PER_S)
    assert {name: len(good) for name, good in made.good.items()} == dict.fromkeys(FILTERS, 20)
    assert max(made.wasted.values()) <= 2, made.wasted
    for good in made.good.values():
        assert all(later > 0.9 * earlier for earlier, later in pairwise(good))


def test_a_filter_whose_time_is_over_is_given_up_and_the_others_continue() -> None:
    made = shot(Sky(0.0036, 2e5), FILTERS)
    assert not made.good["L"]
    assert "too bright" in made.schedule.given_up["L"]
    assert len(made.good["Ha"]) == 20


def test_clouds_end_a_filter_but_not_the_night() -> None:
    made = shot(Sky(0.0036, 1000.0, scatter=0.7), FILTERS)
    assert any("clouds" in reason for reason in made.schedule.given_up.values())
    assert made.ended_s < ENDS_S


@given(growth_per_s=st.floats(-0.006, 0.006).filter(lambda each: abs(each) > 1e-4), rate=st.floats(10, 1e5))
def test_an_exposure_collects_the_requested_signal(growth_per_s: float, rate: float) -> None:
    sky = SkyBrightness(growth_per_s)
    sky.observe("L", -0.5, 1.0, rate)
    exposure_s = sky.exposure_s("L", 0.0, 26_000.0)
    if exposure_s < 100:
        collected_adu = rate * np.expm1(growth_per_s * exposure_s) / growth_per_s
        assert abs(collected_adu / 26_000 - 1) < 1e-6


def test_the_slope_is_measured_across_filters() -> None:
    sky = SkyBrightness(0.0030)
    for place, (name, transmission) in enumerate([("L", 1.0)] * 8 + [("R", 0.3)] * 8):
        sky.observe(name, 20.0 * place, 1.0, 1000 * transmission * exp(0.0040 * 20 * place))
    assert abs(sky.growth_per_s / 0.0040 - 1) < 0.01
