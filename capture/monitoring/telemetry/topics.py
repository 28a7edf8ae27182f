"""The MQTT topics of one rig. This module performs no I/O."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

LONGEST_PART = 40


class Presence(StrEnum):
    """The messages of the status topic."""

    ONLINE = "online"
    """A run is under way and publishes messages."""

    ENDED = "ended"
    """The run has ended. This is its last message."""

    OFFLINE = "offline"
    """The run, its computer or the network has failed. The broker publishes this message as the last will."""


def topic_part(name: str) -> str:
    """Convert a name to a part of a topic or of an identifier: up to 40 characters (letters, digits, - or _)."""
    part = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:LONGEST_PART].strip("_")
    return part.lower() or "rig"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a rig. The broker retains the last message on all topics except `event`, `command` and `answer`.

    Attributes
    ----------
    base
        Common prefix of all topics, such as ``coldframe/small_refractor``.
    """

    base: str

    @classmethod
    def for_rig(cls, base_topic: str, rig: str) -> Self:
        """Return the topics of the rig with the given display name."""
        return cls(f"{base_topic}/{topic_part(rig)}")

    @property
    def status(self) -> str:
        """Topic that shows whether a run is online. Its messages are the members of `Presence`."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """Topic of the state of the night."""
        return f"{self.base}/state"

    @property
    def plan(self) -> str:
        """Topic of the steps of the night."""
        return f"{self.base}/plan"

    @property
    def journal(self) -> str:
        """Topic of the events so far, for new watchers."""
        return f"{self.base}/journal"

    @property
    def picture(self) -> str:
        """Topic of a small picture of the last frame."""
        return f"{self.base}/picture"

    @property
    def event(self) -> str:
        """Topic on which each event is published as it happens."""
        return f"{self.base}/event"

    @property
    def listener(self) -> str:
        """Topic that shows, as ``online`` or ``offline``, whether a listener is waiting for the command `run`."""
        return f"{self.base}/listener"

    @property
    def command(self) -> str:
        """Topic of commands to coldframe."""
        return f"{self.base}/command"

    @property
    def answer(self) -> str:
        """Topic of answers to commands."""
        return f"{self.base}/answer"
