"""Store the messages that are waiting for the broker, in a bounded amount of memory. This module performs no I/O."""

from collections import deque

from coldframe.devices.mqtt.message import Message

MOST_EVENTS = 1000
"""Maximum number of waiting messages that are not retained.

The oldest messages are dropped first. The message on the journal topic still contains the events in them.
"""


class Outbox:
    """The latest message of each retained topic, and a queue of at most `most_events` other messages.

    Attributes
    ----------
    dropped
        Number of messages dropped so far.
    """

    def __init__(self, most_events: int = MOST_EVENTS) -> None:
        self.dropped = 0
        self._latest: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        self._queue: deque[Message] = deque(maxlen=most_events)

    def __len__(self) -> int:
        return len(self._unsent) + len(self._queue)

    def retain(self, topic: str, payload: bytes) -> None:
        """Replace the message of a retained topic. An identical message is not sent again."""
        if self._latest.get(topic) != payload:
            self._latest[topic] = payload
            self._unsent[topic] = None

    def add(self, topic: str, payload: bytes) -> None:
        """Add a message to be sent once. Drop the oldest message if the queue is full."""
        self.dropped += len(self._queue) == self._queue.maxlen
        self._queue.append(Message(topic, payload))

    def resend_retained(self) -> None:
        """Send every retained message again."""
        self._unsent = dict.fromkeys(self._latest)

    def take(self) -> Message | None:
        """Remove and return the next message, retained messages first. Return None if no message is waiting."""
        if self._unsent:
            topic = next(iter(self._unsent))
            del self._unsent[topic]
            return Message(topic, self._latest[topic], is_retained=True)
        return self._queue.popleft() if self._queue else None

    def put_back(self, message: Message) -> None:
        """Store an unsent message again, at the front of the queue. Drop it if the queue is full."""
        if message.is_retained:
            self._unsent[message.topic] = None
        elif len(self._queue) < (self._queue.maxlen or 0):
            self._queue.appendleft(message)
        else:
            self.dropped += 1
