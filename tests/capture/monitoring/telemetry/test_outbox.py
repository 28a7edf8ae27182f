"""The queue of messages for the broker is bounded, and keeps the latest retained message of each topic."""

from coldframe.capture.monitoring.telemetry.outbox import Outbox
from coldframe.devices.mqtt.message import Message


def taken(outbox: Outbox) -> list[Message]:
    found = []
    while (message := outbox.take()) is not None:
        found.append(message)
    return found


def test_latest_message_of_a_retained_topic_is_sent() -> None:
    outbox = Outbox()
    for number in range(1000):
        outbox.retain("state", b"%d" % number)
    assert taken(outbox) == [Message("state", b"999", is_retained=True)]


def test_identical_retained_message_is_not_sent_again() -> None:
    outbox = Outbox()
    outbox.retain("plan", b"a")
    taken(outbox)
    outbox.retain("plan", b"a")
    assert taken(outbox) == []
    outbox.retain("plan", b"b")
    assert [message.payload for message in taken(outbox)] == [b"b"]


def test_all_retained_messages_can_be_sent_again() -> None:
    outbox = Outbox()
    outbox.retain("status", b"online")
    outbox.retain("state", b"s")
    taken(outbox)
    outbox.resend_retained()
    assert [message.topic for message in taken(outbox)] == ["status", "state"]


def test_oldest_message_is_dropped_and_counted() -> None:
    outbox = Outbox(most_events=3)
    for number in range(5):
        outbox.add("event", b"%d" % number)
    assert len(outbox) == 3
    assert [message.payload for message in taken(outbox)] == [b"2", b"3", b"4"]
    assert outbox.dropped == 2


def test_unsent_message_returns_to_its_place() -> None:
    outbox = Outbox(most_events=2)
    outbox.add("event", b"1")
    outbox.add("event", b"2")
    first = outbox.take()
    assert first is not None
    outbox.put_back(first)
    assert [message.payload for message in taken(outbox)] == [b"1", b"2"]


def test_unsent_message_neither_overwrites_a_newer_one_nor_exceeds_the_limit() -> None:
    outbox = Outbox(most_events=1)
    outbox.add("event", b"1")
    outbox.retain("state", b"old")
    state, event = outbox.take(), outbox.take()
    assert state is not None
    assert event is not None
    outbox.retain("state", b"new")
    outbox.add("event", b"2")
    outbox.put_back(state)
    outbox.put_back(event)
    assert [message.payload for message in taken(outbox)] == [b"new", b"2"]
    assert outbox.dropped == 1
