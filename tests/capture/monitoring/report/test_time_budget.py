"""The time of each activity, and the sum of all activities in the time budget."""

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.events.kinds import (
    CoolingProgress,
    FilterChanged,
    FlatTested,
    NightPaused,
    NightResumed,
    PanelChanged,
)
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.monitoring.report.runs import NoNightError, runs_of
from coldframe.capture.monitoring.report.time_budget import BETWEEN_RUNS, TimeSpent, spans_of, time_budget
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.report.stories import Story, whole_night

if TYPE_CHECKING:
    from collections.abc import Callable

SAFE = "all planned masters were made"


def spent(story: Story) -> TimeSpent:
    budget = time_budget(runs_of(story.events))
    assert budget.spent.total_s == pytest.approx(budget.length_s, abs=1e-9)
    assert sum(step.spent.total_s for step in budget.steps) == pytest.approx(budget.length_s, abs=1e-6)
    return budget.spent


def test_a_night_without_faults_has_no_lost_time() -> None:
    assert spent(whole_night()) == TimeSpent(
        exposing_s=3 * 12, reading_s=9, waiting_s=60 + 3 + 3 * 2 + 30, moving_s=0, lost_s=0
    )


def test_a_frame_judged_during_the_next_exposure_ends_no_readout() -> None:
    story = Story().start().step(5).expose(5, 10).wait(11).expose(5, 10).wait(4).accept(5, 1, "a").wait(7)
    story.accept(5, 2, "b").done(5)
    assert spent(story) == TimeSpent(exposing_s=20, reading_s=2, waiting_s=0, moving_s=0, lost_s=0)


def test_bias_frames_of_a_check_are_not_counted_as_frames_of_the_set() -> None:
    story = Story().start().step(2).expose(2, 0.0).wait(1).expose(2, 0.0).wait(1)
    story.expose(2, 0.0).wait(1).expose(2, 0.0).wait(1).accept(2, 1, "a", 0.0).wait(1).accept(2, 2, "b", 0.0)
    story.wait(50).done(2)
    assert spent(story) == TimeSpent(exposing_s=0, reading_s=5, waiting_s=50, moving_s=0, lost_s=0)


def test_exposure_and_readout_of_a_rejected_frame_are_lost() -> None:
    story = Story().start().step(5).expose(5, 10).wait(12).expose(5, 10).wait(1).reject(5, "a", "hit by light").wait(11)
    story.accept(5, 1, "b").done(5)
    assert spent(story) == TimeSpent(exposing_s=10, reading_s=2, waiting_s=0, moving_s=0, lost_s=12)


def test_a_retried_failure_loses_the_time_up_to_the_next_success() -> None:
    story = Story().start().step(5).expose(5, 10).wait(4).warn("Camera: went away", will_retry=True).wait(90)
    story.expose(5, 10).wait(11).accept(5, 1, "a").done(5)
    assert spent(story) == TimeSpent(exposing_s=10, reading_s=1, waiting_s=0, moving_s=0, lost_s=94)


def test_other_warnings_lose_no_time() -> None:
    story = Story().start().step(5).expose(5, 10).wait(4).warn("not in the library").wait(7).accept(5, 1, "a").done(5)
    assert spent(story) == TimeSpent(exposing_s=10, reading_s=1, waiting_s=0, moving_s=0, lost_s=0)


def test_an_aborted_exposure_is_lost() -> None:
    story = Story().start().step(5).expose(5, 300).wait(70).done(5, StepOutcome.SKIPPED, "the night was ended").wait(5)
    story.end(NightOutcome.INTERRUPTED, "ended by request")
    assert spent(story) == TimeSpent(exposing_s=0, reading_s=0, waiting_s=5, moving_s=0, lost_s=70)


def test_moving_ends_with_the_event_and_settling_with_the_exposure() -> None:
    story = Story().start().step(4).wait(3).add(FilterChanged, "Ha").wait(1).wait(5)
    story.add(PanelChanged, True, 120, None).wait(2).expose(4, 1, FrameKind.FLAT).wait(1.5)
    story.accept(4, 1, "a", 1.0).add(PanelChanged, False, None, None).wait(8).master(4, "m", 1).done(4)
    assert spent(story) == TimeSpent(exposing_s=1, reading_s=0.5, waiting_s=8, moving_s=11, lost_s=0)


def test_a_long_pause_around_a_movement_is_waiting() -> None:
    story = Story().start().step(4).wait(1000).add(FilterChanged, "Ha").wait(1800).expose(4, 1, FrameKind.FLAT).wait(2)
    story.add(FlatTested, 4, "Ha", 1.0, None, 1000.0, 500.0, 900.0, 700.0, 1100.0, 0.0, "good").wait(1).done(4)
    assert spent(story) == TimeSpent(exposing_s=1, reading_s=1, waiting_s=880 + 1780 + 1, moving_s=140, lost_s=0)


def test_returning_to_the_setpoint_is_waiting() -> None:
    story = Story().start().step(5).expose(5, 10).wait(11)
    for _ in range(30):
        story.add(CoolingProgress, "0.5 C above").wait(1)
    story.expose(5, 10).wait(11).accept(5, 1, "a").done(5)
    assert spent(story).waiting_s == 30


def test_the_gap_between_two_runs_is_lost() -> None:
    story = Story().start().step(5).expose(5, 10).wait(11).accept(5, 1, "a").wait(3).temperature(-10)
    story.wait(600).warn("resuming").wait(2).start().step(5).expose(5, 10).wait(11).accept(5, 2, "b").done(5)
    story.end(NightOutcome.COMPLETE, SAFE)
    assert spent(story) == TimeSpent(exposing_s=20, reading_s=2, waiting_s=3, moving_s=0, lost_s=602)
    budget = time_budget(runs_of(story.events))
    assert next(step for step in budget.steps if step.title == BETWEEN_RUNS).spent.lost_s == 602


def test_the_exposure_under_way_when_a_run_broke_off_is_lost() -> None:
    story = Story().start().step(5).expose(5, 300).wait(70).temperature(-10)
    story.wait(30).start().step(5).expose(5, 10).wait(11).accept(5, 1, "a").done(5)
    assert spent(story) == TimeSpent(exposing_s=10, reading_s=1, waiting_s=0, moving_s=0, lost_s=100)


def test_a_pause_is_waiting_and_the_exposure_under_way_is_finished() -> None:
    story = Story().start().step(4).expose(4, 10, FrameKind.FLAT).wait(3).add(NightPaused).wait(8).accept(4, 1, "a")
    story.wait(300).add(PanelChanged, False, None, None).wait(500).add(NightResumed)
    story.wait(2).add(PanelChanged, True, 120, None).wait(3).expose(4, 10, FrameKind.FLAT).wait(11).accept(4, 2, "b")
    assert spent(story.done(4)) == TimeSpent(exposing_s=20, reading_s=2, waiting_s=800, moving_s=5, lost_s=0)


def test_a_clock_that_is_set_back_gives_no_negative_time() -> None:
    story = Story().start().step(5).wait(100).temperature(-10)
    story.wait(-50).start().step(5).wait(80).done(5)
    spans = list(spans_of(runs_of(story.events)))
    assert all(span.length > timedelta() for span in spans)
    assert spent(story).total_s == 130


def test_events_without_the_start_of_a_night_are_refused() -> None:
    with pytest.raises(NoNightError, match="does not contain the start of a night"):
        runs_of(Story().warn("a word").events)


@given(st.lists(st.tuples(st.integers(0, 10), st.floats(0, 40), st.integers(2, 5)), max_size=60))
def test_periods_of_any_events_are_contiguous_and_add_up(acts: list[tuple[int, float, int]]) -> None:
    story = Story().start()
    available: list[Callable[[int], Story]] = [
        story.step,
        story.done,
        lambda step: story.done(step, StepOutcome.FAILED, "no"),
        lambda step: story.expose(step, 7.3),
        lambda step: story.accept(step, 1, f"frame{len(story.events)}"),
        lambda step: story.reject(step, f"frame{len(story.events)}", "bad"),
        lambda _: story.warn("lost", will_retry=True),
        lambda step: story.add(PanelChanged, True, step, None),
        story.temperature,
        lambda step: story.add(NightPaused if step % 2 else NightResumed),
        lambda _: story.start(),
    ]
    for act, seconds, step in acts:
        available[act](step)
        story.wait(seconds)
    runs = runs_of(story.events)
    spans = list(spans_of(runs))
    assert all(one.ended == other.began for one, other in pairwise(spans))
    assert spent(story).total_s == pytest.approx((runs[-1].ended_at - runs[0].started.at).total_seconds(), abs=1e-5)


def test_rounding_is_to_the_microsecond() -> None:
    story = Story().start().step(5).expose(5, 0.1234567).wait(0.2).accept(5, 1, "a", 0.1234567).done(5)
    assert spent(story).exposing_s == pytest.approx(0.123457, abs=1e-9)
