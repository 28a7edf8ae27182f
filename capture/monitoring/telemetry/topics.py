"""The MQTT topics of one rig. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

LONGEST_PART = 40


class Presence(StrEnum):
    """The messages of the status topic."""

    ONLINE = "online"
    """A run is under way and publishes."""

    ENDED = "ended"
    """The run has ended, and published this as its last message."""

    OFFLINE = "offline"
    """Published by the broker as the last will: the run, its computer or the network has failed."""


def topic_part(name: str) -> str:
    """Return a name as part of a topic and of Home Assistant's ids: at most 40 letters, digits, - and _."""
    part = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:LONGEST_PART].strip("_")
    return part.lower() or "rig"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a rig. All but events, commands and answers are retained.

    Attributes
    ----------
    base
        Topic that all others start with, such as ``coldframe/small_refractor``.
    """

    base: str

    @classmethod
    def for_rig(cls, base_topic: str, rig: str) -> Self:
        """Return the topics of a rig, given its display name."""
        return cls(f"{base_topic}/{topic_part(rig)}")

    @property
    def status(self) -> str:
        """Whether a run is online; one of `Presence`."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """The state of the night."""
        return f"{self.base}/state"

    @property
    def plan(self) -> str:
        """The steps of the night."""
        return f"{self.base}/plan"

    @property
    def journal(self) -> str:
        """The events so far, for new watchers."""
        return f"{self.base}/journal"

    @property
    def picture(self) -> str:
        """A small picture of the last frame."""
        return f"{self.base}/picture"

    @property
    def event(self) -> str:
        """Each event as it happens."""
        return f"{self.base}/event"

    @property
    def listener(self) -> str:
        """Whether a listener waits for the command `run`: online or offline of `Presence`."""
        return f"{self.base}/listener"

    @property
    def command(self) -> str:
        """Commands to coldframe."""
        return f"{self.base}/command"

    @property
    def answer(self) -> str:
        """Answers to commands."""
        return f"{self.base}/answer"
