"""The order of delivered events, flushing, and beats."""

from datetime import UTC, datetime

from coldframe.capture.events.kinds import Event, FilterChanged, StepStarted
from coldframe.capture.events.stream import EventStream

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
