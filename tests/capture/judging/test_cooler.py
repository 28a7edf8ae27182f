import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.judging.cooler import (
    Cooling,
    CoolingJudge,
    CoolingState,
    Obstacle,
    SetpointRamp,
    setpoints_within_reach,
)
from coldframe.capture.judging.thermometer import plausible_c

Sensor = Callable[[float], float | None]


def judge(**changes: float) -> CoolingJudge:
    return CoolingJudge(**({"setpoint_c": -10.0, "tolerance_c": 0.3, "dwell_s": 60.0, "deadline_s": 1200.0} | changes))


def follow(
    judge: CoolingJudge, sensor: Sensor, power: float | None = 50.0, until_s: int = 3000, step_s: int = 5
) -> tuple[Cooling, int]:
    """Feed `sensor(time_s)` until the verdict is final; return it and its time."""
    for time_s in range(0, until_s, step_s):
        verdict = judge.observe(float(time_s), sensor(time_s), power)
        if verdict.state in (CoolingState.STABLE, CoolingState.UNREACHABLE):
            return verdict, time_s
    pytest.fail("no verdict")


def newton(time_s: float) -> float:
    """Return the temperature on the way from 20 to -10 C with a time constant of two minutes."""
    return -10 + 30 * math.exp(-time_s / 120)


def test_cooling_then_settling_then_stable() -> None:
    states = []
    rig = judge()
    for time_s in range(0, 1000, 5):
        state = rig.observe(float(time_s), newton(time_s), 60.0).state
        if state not in states:
            states.append(state)
    assert states == [CoolingState.COOLING, CoolingState.SETTLING, CoolingState.STABLE]


def test_stable_means_a_whole_dwell_inside() -> None:
    inside_from_s = 120 * math.log(30 / 0.3)
    _, time_s = follow(judge(), newton)
    assert time_s == pytest.approx(inside_from_s + 60, abs=10)


def test_colder_than_the_setpoint_is_not_reached() -> None:
    verdict, _ = follow(judge(), lambda _: -14.0)
    assert (verdict.state, verdict.obstacle) == (CoolingState.UNREACHABLE, Obstacle.STALLED)


def test_overshoot_restarts_the_dwell() -> None:
    rig = judge()
    rig.observe(0.0, -10.0, 50.0)
    assert rig.observe(50.0, -10.1, 50.0).state is CoolingState.SETTLING
    assert rig.observe(55.0, -10.5, 50.0).state is CoolingState.COOLING
    assert rig.observe(60.0, -10.0, 50.0).state is CoolingState.SETTLING
    assert rig.observe(110.0, -10.0, 50.0).state is CoolingState.SETTLING
    assert rig.observe(120.0, -10.0, 50.0).state is CoolingState.STABLE


def test_full_power_with_a_flat_slope_ends_the_wait_long_before_the_deadline() -> None:
    verdict, time_s = follow(judge(), lambda t: -5 + 25 * math.exp(-t / 60), power=100.0)
    assert verdict.obstacle is Obstacle.POWER
    assert time_s < 600
    assert "-5.0 C, 5.0 C above the setpoint, steady, cooler at 100 %" in verdict.message


def test_full_power_while_still_falling_is_no_obstacle() -> None:
    verdict, _ = follow(judge(), newton, power=100.0)
    assert verdict.state is CoolingState.STABLE


def test_an_unplugged_supply_is_a_stall_at_any_reported_power() -> None:
    for power in (0.0, None, 60.0):
        verdict, time_s = follow(judge(), lambda _: 18.0, power=power)
        assert verdict.obstacle is Obstacle.STALLED
        assert time_s == 300


def test_a_temperature_that_runs_away_is_a_stall() -> None:
    verdict, _ = follow(judge(), lambda t: 10 + t / 60)
    assert verdict.obstacle is Obstacle.STALLED


def test_slow_cooling_ends_at_the_deadline() -> None:
    verdict, time_s = follow(judge(deadline_s=600.0), lambda t: 20 - t / 120)
    assert verdict.obstacle is Obstacle.DEADLINE
    assert time_s == 600


def test_a_dwell_that_began_before_the_deadline_may_finish() -> None:
    verdict, time_s = follow(judge(deadline_s=100.0), lambda t: -10.0 if t >= 80 else 0.0)
    assert verdict.state is CoolingState.STABLE
    assert time_s == 140


@pytest.mark.parametrize("nonsense", [None, -300.0, -273.15, math.nan, math.inf, 999.0])
def test_implausible_values_count_as_no_reading(nonsense: float | None) -> None:
    assert plausible_c(nonsense) is None
    verdict, time_s = follow(judge(), lambda t: newton(t) if t < 60 else nonsense)
    assert verdict.obstacle is Obstacle.SILENCE
    assert time_s == pytest.approx(120, abs=5)
    assert "none arrived for" in verdict.message


def test_a_single_lost_reading_does_not_matter() -> None:
    verdict, _ = follow(judge(), lambda t: -273.15 if t % 50 == 0 else newton(t))
    assert verdict.state is CoolingState.STABLE


def test_a_silence_restarts_the_dwell() -> None:
    rig = judge()
    rig.observe(0.0, -10.0, 50.0)
    assert rig.observe(70.0, None, 50.0).obstacle is Obstacle.SILENCE
    assert rig.observe(75.0, -10.0, 50.0).state is CoolingState.SETTLING


def test_no_reading_at_all() -> None:
    rig = judge()
    assert rig.observe(0.0, None, None).message == "no temperature reading yet"
    assert rig.observe(61.0, None, None).obstacle is Obstacle.SILENCE


def test_the_message_describes_the_way_to_the_setpoint() -> None:
    rig = judge()
    for time_s in range(0, 121, 5):
        verdict = rig.observe(float(time_s), -1.0 - 3.1 * time_s / 60, 80.0)
    assert verdict.message == "-7.2 C, 2.8 C above the setpoint, falling 3.1 C/min, about 1 min to go"
    assert verdict.slope_c_per_min == pytest.approx(-3.1)


def test_sensor_with_half_degree_steps_settles() -> None:
    verdict, _ = follow(judge(tolerance_c=0.5), lambda t: round(2 * newton(t)) / 2)
    assert verdict.state is CoolingState.STABLE


@given(st.lists(st.tuples(st.floats(0, 30), st.none() | st.floats(), st.none() | st.floats(0, 100)), min_size=1))
def test_any_readings_give_a_consistent_verdict(readings: list[tuple[float, float | None, float | None]]) -> None:
    rig, time_s = judge(), 0.0
    for wait_s, sensor_c, power in readings:
        time_s += wait_s
        verdict = rig.observe(time_s, sensor_c, power)
        assert (verdict.obstacle is not None) == (verdict.state is CoolingState.UNREACHABLE)
        if verdict.state in (CoolingState.SETTLING, CoolingState.STABLE):
            assert verdict.sensor_c is not None
            assert abs(verdict.sensor_c + 10) <= 0.3


@pytest.mark.parametrize(
    "wrong",
    [{"tolerance_c": 0.0}, {"deadline_s": 0.0}, {"dwell_s": -1.0}, {"setpoint_c": math.nan}, {"tolerance_c": math.nan}],
)
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot judge cooling"):
        judge(**wrong)


@given(st.floats(-40, 40), st.floats(-40, 40), st.floats(0.1, 10), st.floats(-10, 1e5))
def test_a_ramp_stays_between_its_ends_and_arrives(
    start_c: float, goal_c: float, c_per_min: float, elapsed_s: float
) -> None:
    ramp = SetpointRamp(start_c, goal_c, c_per_min)
    assert min(start_c, goal_c) - 1e-9 <= ramp.setpoint_c(elapsed_s) <= max(start_c, goal_c) + 1e-9
    assert ramp.setpoint_c(0.0) == pytest.approx(start_c)
    assert ramp.setpoint_c(ramp.duration_s) == goal_c


def test_a_ramp_keeps_its_rate_in_both_directions() -> None:
    assert SetpointRamp(20, -10, 2).setpoint_c(300) == pytest.approx(10)
    assert SetpointRamp(-10, 15, 2.5).setpoint_c(120) == pytest.approx(-5)
    assert SetpointRamp(20, -10, 2).duration_s == 900


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_ramp_without_rate_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="cannot ramp"):
        SetpointRamp(0, 1, speed)


@pytest.mark.parametrize(
    ("limit_c", "wanted"),
    [
        (-6.1, (-5.0, 0.0)),
        (-5.9, (0.0, 5.0)),
        (-2.0, (0.0, 5.0)),
        (14.2, (20.0,)),
        (25.0, ()),
        (-12.0, (-15.0, -20.0)),
    ],
)
def test_setpoints_within_reach_lie_on_a_grid_beyond_the_limit(limit_c: float, wanted: tuple[float, ...]) -> None:
    assert setpoints_within_reach(-10.0, limit_c) == wanted
