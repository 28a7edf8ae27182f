"""The answers of the steering, and timeouts that pauses extend. See also tests/nights/test_steering.py."""

import asyncio

import pytest

from coldframe.capture.clock import NightClock
from coldframe.capture.events.kinds import (
    NightEnded,
    NightPaused,
    NightResumed,
    StepEnded,
)
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.session.steering import Steering

pytestmark = pytest.mark.looptime


def steering_with(events: EventStream) -> tuple[Steering, NightClock]:
    clock = NightClock()
    return Steering(events, clock), clock


async def test_pause_and_resume_are_published_once() -> None:
    events, published = EventStream(), list[object]()
    events.subscribe(published.append)
    steering, _ = steering_with(events)
    with steering.taking_requests():
        answers = [steering.pause(), steering.pause(), steering.resume(), steering.resume()]
    assert answers[1::2] == ["already paused", "not paused"]
    assert [type(event) for event in published] == [NightPaused, NightResumed]


async def test_no_request_is_taken_once_the_night_is_ending() -> None:
    steering, _ = steering_with(EventStream())
    with steering.taking_requests():
        steering.pause()
    assert not steering.is_paused
    assert {steering.pause(), steering.skip(), steering.abort()} == {
        "the night is already ending, and the rig is being made safe"
    }


async def test_abort_cancels_the_task_that_runs_the_night() -> None:
    steering, _ = steering_with(EventStream())

    async def night() -> None:
        with steering.taking_requests():
            await asyncio.sleep(1000)

    running = asyncio.create_task(night())
    await asyncio.sleep(1)
    steering.abort()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_between_two_steps_there_is_nothing_to_skip() -> None:
    events = EventStream()
    steering, clock = steering_with(events)
    events.publish(StepEnded(clock.now(), 1, StepOutcome.DONE, ""))
    with steering.taking_requests():
        assert steering.skip() == "no step is running"


async def test_the_end_of_the_night_ends_a_pause() -> None:
    events = EventStream()
    steering, clock = steering_with(events)
    with steering.taking_requests():
        steering.pause()
        events.publish(NightEnded(clock.now(), NightOutcome.INTERRUPTED, "", rig_is_safe=True))
        assert not steering.is_paused


async def test_a_pause_extends_a_timeout() -> None:
    steering, clock = steering_with(EventStream())
    async with steering.timeout(10):
        await asyncio.sleep(5)
        steering.count_pause(100)
        await asyncio.sleep(100)
        await asyncio.sleep(4)
    assert steering.waited_s == 100
    with pytest.raises(TimeoutError):
        async with steering.timeout(10):
            await asyncio.sleep(11)
    assert clock.elapsed_s() == pytest.approx(119)
