"""The topics of one rig."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

LONGEST_PART = 40


class Presence(StrEnum):
    """What the status topic says."""

    ONLINE = "online"
    """A run is under way and told."""

    ENDED = "ended"
    """The run said its last word."""

    OFFLINE = "offline"
    """The broker's word, as the last will: the run, its computer or the network is gone without a last word."""


def topic_part(name: str) -> str:
    """Return a name as a part of a topic and of Home Assistant's ids: letters, digits, - and _, at most 40."""
    part = re.sub(r"[^A-Za-z0-9-]+", "_", name)[:LONGEST_PART].strip("_")
    return part.lower() or "rig"


@dataclass(frozen=True, slots=True)
class Topics:
    """Names below the topic of a rig. All but events, commands and answers are retained.

    Attributes
    ----------
    base
        Such as ``coldframe/small_refractor``.
    """

    base: str

    @classmethod
    def for_rig(cls, base_topic: str, rig: str) -> Self:
        """Return the topics of a rig, given its display name."""
        return cls(f"{base_topic}/{topic_part(rig)}")

    @property
    def status(self) -> str:
        """A word of `Presence`."""
        return f"{self.base}/status"

    @property
    def state(self) -> str:
        """Where the night stands."""
        return f"{self.base}/state"

    @property
    def plan(self) -> str:
        """The steps."""
        return f"{self.base}/plan"

    @property
    def journal(self) -> str:
        """The night so far, for those who come later."""
        return f"{self.base}/journal"

    @property
    def picture(self) -> str:
        """The last frame, small."""
        return f"{self.base}/picture"

    @property
    def event(self) -> str:
        """Each event as it happens."""
        return f"{self.base}/event"

    @property
    def listener(self) -> str:
        """Whether somebody waits for `run` here: online or offline of `Presence`."""
        return f"{self.base}/listener"

    @property
    def command(self) -> str:
        """Where commands are sent to."""
        return f"{self.base}/command"

    @property
    def answer(self) -> str:
        """What became of a command."""
        return f"{self.base}/answer"
