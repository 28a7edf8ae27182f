"""An MQTT message. Pure: no network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish, or one that has arrived.

    Attributes
    ----------
    is_retained
        When publishing: whether the broker shall keep the message for later subscribers. On arrival: whether the broker
        had kept the message from earlier.
    """

    topic: str
    payload: bytes
    is_retained: bool = False
