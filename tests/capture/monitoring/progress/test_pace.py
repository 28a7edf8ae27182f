"""The remaining time, which is never negative and is steady at a steady pace."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import FrameAccepted
from coldframe.capture.events.values import PlannedStep, StepOutcome, StepType
from coldframe.capture.monitoring.progress.pace import MOST_FRAMES, Pace, StepProgress
from coldframe.config.frames import FrameKind

START = datetime(2026, 11, 22, tzinfo=UTC)


def dark(number: int = 1, count: int = 40, estimate_s: float = 400.0, exposure_s: float | None = 5.0) -> PlannedStep:
    return PlannedStep(number, "dark", FrameKind.DARK, None, count, exposure_s, estimate_s, StepType.SHOOT)


def accepted(index: int) -> FrameAccepted:
    statistics = FrameStatistics(500.0, 500.0, 500.0, 10.0, 400, 600, 0.0)
    return FrameAccepted(START, 1, index, f"/n/{index}.fits", 5.0, -10.0, statistics)


class Night:
    """One running step, frame by frame."""

    def __init__(self, step: PlannedStep) -> None:
        self.pace = Pace()
        self.now = START
        self.progress = StepProgress(step, began=START)
        self.pace.step_began()

    def accept(self, after_s: float) -> None:
        self.now += timedelta(seconds=after_s)
        self.progress.accepted += 1
        self.pace.frame_accepted(self.progress.planned, self.now)

    def reject(self, after_s: float) -> None:
        self.now += timedelta(seconds=after_s)
        self.pace.frame_rejected(self.progress.planned, self.now)

    def remaining_s(self, later_s: float = 0.0) -> float:
        return self.pace.rest_of_step(self.progress, self.now + timedelta(seconds=later_s)).remaining_s


def test_a_step_that_has_not_begun_takes_its_estimate() -> None:
    assert Pace().rest_of_step(StepProgress(dark()), START).remaining_s == 400.0


def test_a_step_that_is_over_takes_no_time() -> None:
    progress = StepProgress(dark(), began=START, outcome=StepOutcome.FAILED)
    assert Pace().rest_of_step(progress, START).remaining_s == 0.0


@given(st.floats(0.05, 200.0))
def test_remaining_time_falls_as_time_passes(frame_s: float) -> None:
    night = Night(dark())
    night.accept(3.0)
    for _ in range(5):
        night.accept(frame_s)
    later = [night.remaining_s(later_s) for later_s in (0, 1, 5, 10, 100, 10_000)]
    assert later == sorted(later, reverse=True)
    assert later[-1] >= 0


@given(st.floats(0.2, 5.0))
def test_a_steady_pace_is_learned(factor: float) -> None:
    frame_s = 10.0 * factor
    night = Night(dark())
    for accepted in range(1, 40):
        night.accept(frame_s)
        true_s = (40 - accepted) * frame_s
        error = abs(night.remaining_s() - true_s) / true_s
        assert accepted <= 10 or error < 0.1
        assert accepted <= 30 or error < 0.03


@given(st.floats(0.5, 2.0))
def test_the_expected_end_changes_little_from_frame_to_frame(factor: float) -> None:
    frame_s = 10.0 * factor
    night = Night(dark())
    night.accept(frame_s)
    before = night.now + timedelta(seconds=night.remaining_s())
    for _ in range(38):
        night.accept(frame_s)
        after = night.now + timedelta(seconds=night.remaining_s())
        assert abs((after - before).total_seconds()) <= 0.3 * 40 * frame_s
        before = after


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60), st.floats(0, 1e5))
def test_the_remaining_time_is_never_negative(intervals: list[float], later_s: float) -> None:
    night = Night(dark())
    for interval in intervals:
        night.accept(interval)
        assert night.remaining_s(later_s) >= 0
    assert night.pace.expected_s(dark()) > 0


def test_a_single_delay_does_not_predict_others() -> None:
    night = Night(dark())
    for _ in range(10):
        night.accept(10.0)
    before = night.remaining_s()
    night.accept(3600.0)
    assert night.remaining_s() < 1.4 * before


def test_the_excess_per_frame_applies_to_later_steps() -> None:
    night = Night(dark(exposure_s=5.0))
    for _ in range(40):
        night.accept(12.0)  # planned: 10
    later = dark(2, count=20, estimate_s=6000.0, exposure_s=299.0)
    assert 6030 < night.pace.expected_s(later) <= 6040


def test_rejected_frames_do_not_make_later_steps_longer() -> None:
    night = Night(dark())
    for _ in range(20):
        night.accept(10.0)
        night.reject(10.0)
    assert night.pace.expected_s(dark(2)) == 400.0
    assert night.pace.frame_s(dark()) == 15.0


def test_flats_with_guessed_exposures_do_not_affect_darks() -> None:
    night = Night(dark(exposure_s=None))
    for _ in range(40):
        night.accept(30.0)
    assert night.pace.expected_s(dark(2)) == 400.0
    assert night.pace.expected_s(dark(3, exposure_s=None)) > 900


def test_an_overdue_step_is_marked() -> None:
    cooling = StepProgress(PlannedStep(1, "cool", None, None, 0, None, 600.0, StepType.COOL), began=START)
    on_time = Pace().rest_of_step(cooling, START + timedelta(seconds=500))
    late = Pace().rest_of_step(cooling, START + timedelta(seconds=700))
    assert (on_time.remaining_s, on_time.overdue) == (100.0, False)
    assert (late.remaining_s, late.overdue) == (0.0, True)


def test_a_missing_frame_makes_the_step_overdue() -> None:
    night = Night(dark())
    night.accept(10.0)
    night.accept(10.0)
    assert not night.pace.rest_of_step(night.progress, night.now + timedelta(seconds=15)).overdue
    late = night.pace.rest_of_step(night.progress, night.now + timedelta(seconds=25))
    assert late.overdue
    assert late.remaining_s == 37 * 10.0


def test_frames_of_a_set_that_is_shot_again_replace_the_earlier_ones() -> None:
    progress = StepProgress(dark())
    for index in (1, 2, 3, 1, 2):
        progress.accept(accepted(index))
    assert progress.accepted == 2
    assert [frame.index for frame in progress.frames] == [1, 2]


def test_frames_kept_for_a_set_are_limited() -> None:
    progress = StepProgress(dark())
    for index in range(1, MOST_FRAMES + 51):
        progress.accept(accepted(index))
    assert [frame.index for frame in progress.frames] == list(range(51, MOST_FRAMES + 51))
