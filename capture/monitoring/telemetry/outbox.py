"""What waits for the broker: of each retained topic the latest message only, of events so many and no more."""

from collections import deque

from coldframe.devices.mqtt.message import Message

MOST_EVENTS = 1000
"""Events that wait while the broker is away; the oldest go first. The journal topic has them all the same."""


class Outbox:
    """Never grows beyond its topics and `MOST_EVENTS`, however long nothing is taken out.

    Attributes
    ----------
    dropped
        Events that were given up.
    """

    def __init__(self, most_events: int = MOST_EVENTS) -> None:
        self.dropped = 0
        self._latest: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        self._passing: deque[Message] = deque(maxlen=most_events)

    def __len__(self) -> int:
        return len(self._unsent) + len(self._passing)

    def retain(self, topic: str, payload: bytes) -> None:
        """Put a retained message in the place of the one before it; one that says the same is not sent again."""
        if self._latest.get(topic) != payload:
            self._latest[topic] = payload
            self._unsent[topic] = None

    def add(self, topic: str, payload: bytes) -> None:
        """Add a message that is sent once, or dropped."""
        self.dropped += len(self._passing) == self._passing.maxlen
        self._passing.append(Message(topic, payload))

    def resend_retained(self) -> None:
        """Have every retained message sent again: the broker may have forgotten them."""
        self._unsent = dict.fromkeys(self._latest)

    def take(self) -> Message | None:
        """Take out the next message, retained ones first; None where nothing waits."""
        if self._unsent:
            topic = next(iter(self._unsent))
            del self._unsent[topic]
            return Message(topic, self._latest[topic], is_retained=True)
        return self._passing.popleft() if self._passing else None

    def put_back(self, message: Message) -> None:
        """Return a message that could not be sent to the front, unless it is outdated or the place is taken."""
        if message.is_retained:
            self._unsent[message.topic] = None
        elif len(self._passing) < (self._passing.maxlen or 0):
            self._passing.appendleft(message)
        else:
            self.dropped += 1
