"""An MQTT message. Pure: no network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish, or one that has arrived.

    Attributes
    ----------
    is_retained
        For a message to publish: whether the broker keeps it for later subscribers. For one that has arrived: whether
        the broker had kept it from earlier.
    """

    topic: str
    payload: bytes
    is_retained: bool = False
