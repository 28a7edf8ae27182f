"""An MQTT message. This module does no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish, or a message that has arrived.

    Attributes
    ----------
    is_retained
        For a message to publish, True if the broker should keep it for later subscribers. For a message that has
        arrived, True if the broker had kept it for this subscriber.
    """

    topic: str
    payload: bytes
    is_retained: bool = False
