"""The numbers of frames that a set has, needs and shows, from its first frame to its last."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.masters.flat_pedestal import PROBES
from coldframe.capture.pipeline.accepted_frames import AcceptedFrame, AcceptedFrames
from coldframe.capture.shooting.frame_count import FrameCount, SetSize
from coldframe.capture.steps import NoiseTarget, ShootStep
from coldframe.config.counts import NoiseGoal
from coldframe.config.frames import FrameKind, ReadoutSettings
from tests.capture.contexts import START

DARK = FrameKind.DARK


def step(count: int, target: NoiseTarget | None = None, setpoint_c: float | None = -10.0) -> ShootStep:
    return ShootStep(DARK, count, None, 60.0, ReadoutSettings(), setpoint_c, target)


def shoot(size: SetSize, frames: int) -> None:
    random = np.random.default_rng(2)
    for _ in range(frames):
        size.add(random.normal(500, 8, (100, 120)).astype(np.uint16))


def accept(accepted: AcceptedFrames, *sensors_c: float) -> None:
    for sensor_c in sensors_c:
        accepted.frames.append(AcceptedFrame(Path("frame.fits"), 60.0, sensor_c, START, 500.0, b""))


def test_a_set_is_first_evaluated_at_its_minimum_count() -> None:
    size = SetSize(step(99, NoiseTarget(NoiseGoal(0.01), 20, 120)), may_grow=True)
    assert (size.look_at, size.aim) == (20, 99)
    shoot(size, 20)
    assert size.look(20) is not None
    # 1 % is 49.75 frames.
    assert 47 <= size.look_at == size.aim <= 52


def test_under_a_deadline_a_set_may_shrink_but_not_grow() -> None:
    size = SetSize(step(30, NoiseTarget(NoiseGoal(0.01), 20, 120)), may_grow=False)
    shoot(size, 20)
    view = size.look(20)
    assert view is not None
    assert not view.is_met
    assert size.aim == size.most == 30


def test_a_plain_count_stays() -> None:
    size = SetSize(step(30), may_grow=True)
    shoot(size, 30)
    assert (size.look_at, size.aim, size.look(30)) == (30, 30, None)
    assert size.cause() == ""


def counting(planned: ShootStep, *, is_tested: bool = False, shot_before: int = 0) -> tuple[FrameCount, AcceptedFrames]:
    accepted = AcceptedFrames()
    size = SetSize(planned, may_grow=True)
    return FrameCount(planned, size, accepted, is_tested=is_tested, shot_before=shot_before), accepted


def test_a_plain_set_wants_its_frames_and_shows_them() -> None:
    count, accepted = counting(step(12))
    assert (count.wanted, count.missing, count.shown, count.index) == (12, 12, 12, 0)
    accept(accepted, *[-10.0] * 12)
    assert (count.missing, count.index, count.is_complete) == (0, 12, True)


@given(st.integers(PROBES + 1, 200), st.integers(0, 200))
def test_a_comparison_with_the_bias_wants_its_frames_first(planned: int, extra: int) -> None:
    count, accepted = counting(step(planned), is_tested=True)
    assert (count.wanted, count.shown, count.is_limited_to_probes) == (PROBES, PROBES, True)
    accept(accepted, *[-10.0] * (PROBES + extra))
    assert count.is_complete
    count.shoot_all()
    assert (count.wanted, count.shown, count.is_limited_to_probes) == (planned, planned, False)
    assert count.is_complete is (PROBES + extra >= planned)


def test_frames_in_earlier_masters_count_for_users_only() -> None:
    count, accepted = counting(step(20), shot_before=15)
    accept(accepted, -10.0)
    assert (count.accepted, count.missing) == (1, 19)
    assert (count.index, count.shown) == (16, 35)


def test_only_a_sensor_without_temperature_control_can_drift() -> None:
    for setpoint_c, expected in ((None, True), (-10.0, False)):
        count, accepted = counting(step(20, setpoint_c=setpoint_c))
        accept(accepted, 5.0, 5.5, 6.0, 6.5)
        assert not count.is_drifting
        accept(accepted, 7.5)
        assert count.is_drifting is expected
        assert count.is_complete is expected
