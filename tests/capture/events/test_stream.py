"""The order of delivered events, flushing, and beats."""

from datetime import UTC, datetime
from functools import partial

import pytest

from coldframe.capture.events.kinds import Event, FilterChanged, Notice, StepStarted
from coldframe.capture.events.stream import EventStream
from coldframe.capture.events.values import Topic

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
L, STEP = FilterChanged(AT, "L"), StepStarted(AT, 1)


def test_every_subscriber_receives_later_events_in_order() -> None:
    events, received = EventStream(), list[tuple[str, Event]]()
    events.publish(FilterChanged(AT, "before anyone subscribed"))
    events.subscribe(lambda event: received.append(("first", event)))
    events.subscribe(lambda event: received.append(("second", event)))
    events.publish(L)
    events.publish(STEP)
    assert received == [("first", L), ("second", L), ("first", STEP), ("second", STEP)]


async def test_flushing_waits_for_all() -> None:
    events, flushed = EventStream(), list[str]()

    async def flush(name: str) -> None:
        flushed.append(name)

    await events.flush()
    events.add_flush(lambda: flush("journal"))
    events.add_flush(lambda: flush("copy"))
    await events.flush()
    assert flushed == ["journal", "copy"]


def test_beats_are_no_events() -> None:
    events, received, beats = EventStream(), list[Event](), list[int]()
    events.subscribe(received.append)
    events.subscribe_beats(lambda: beats.append(1))
    events.beat()
    events.beat()
    assert (received, beats) == ([], [1, 1])


def test_a_subscriber_that_raises_is_reported_once_and_the_others_receive_all_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events, received, tried = EventStream(), list[Event](), list[Event]()

    def stumble(event: Event) -> None:
        tried.append(event)
        raise KeyError("a bug")

    events.subscribe(stumble)
    events.subscribe(received.append)
    events.publish(L)
    events.publish(STEP)
    first, notice, second = received
    assert (first, second) == (L, STEP)
    assert isinstance(notice, Notice)
    assert notice.topic is Topic.INTERNAL_ERROR
    assert "KeyError('a bug')" in notice.text
    assert tried == received
    assert len(caplog.records) == 1


async def test_a_flush_or_a_beat_that_raises_does_not_prevent_the_others() -> None:
    events, done = EventStream(), list[str]()

    async def flush(name: str) -> None:
        done.append(name)
        raise OSError(name)

    def beat() -> None:
        done.append("beat")
        raise ValueError("a bug")

    for name in ("journal", "copy"):
        events.add_flush(partial(flush, name))
    events.subscribe_beats(beat)
    events.subscribe_beats(lambda: done.append("another beat"))
    await events.flush()
    events.beat()
    assert done == ["journal", "copy", "beat", "another beat"]
