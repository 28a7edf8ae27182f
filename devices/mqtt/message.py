"""What goes over MQTT. Pure: no network."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish, or something that came.

    Attributes
    ----------
    is_retained
        To publish: the broker keeps it for whoever comes later. Come: it is an old one that the broker had kept.
    """

    topic: str
    payload: bytes
    is_retained: bool = False
