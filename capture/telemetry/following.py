"""A night as it is told over MQTT, as events again: for those who watch from another machine."""

import base64
import binascii
import json
from datetime import datetime

import numpy as np

from coldframe.capture.events import Event, FrameShown
from coldframe.capture.journal_reading import JournalLineError, decode_event
from coldframe.capture.telemetry.digest import unpacked
from coldframe.capture.telemetry.topics import Topics

LARGEST_PICTURE = (64, 96)
BINS = 128


class Follower:
    """Puts together what the topics of a rig tell. What is no message of ours is passed over.

    Attributes
    ----------
    presence
        The last word of the status topic, empty before.
    """

    def __init__(self, topics: Topics) -> None:
        self.presence = ""
        self._topics = topics
        self._run: str | None = None
        self._count = 0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Topics to subscribe to; what they have retained comes at once."""
        topics = self._topics
        return (topics.status, topics.journal, topics.event, topics.picture)

    def take(self, topic: str, payload: bytes) -> list[Event]:
        """Return the events that a message adds to those before, in order.

        Of another run all are new, and what was known of the one before is outdated.
        """
        topics = self._topics
        if topic == topics.status:
            self.presence = payload[:20].decode("ascii", "replace")
        elif topic == topics.journal:
            return self._of_journal(payload)
        elif topic == topics.event:
            return self._of_lines([payload.decode("ascii", "replace")])
        elif topic == topics.picture:
            return [shown] if (shown := _picture(payload)) else []
        return []

    def _of_journal(self, payload: bytes) -> list[Event]:
        try:
            return self._of_lines(list(unpacked(payload)))
        except ValueError:
            return []

    def _of_lines(self, lines: list[str]) -> list[Event]:
        found: list[Event] = []
        for line in lines:
            try:
                place = json.loads(line)
                run, count = str(place["run"]), int(place["n"])
                event = decode_event(line)
            except (JournalLineError, ValueError, TypeError, LookupError, RecursionError):
                continue
            if run != self._run:
                self._run, self._count = run, 0
            if count > self._count:
                self._count = count
                found.append(event)
        return found


def _picture(payload: bytes) -> FrameShown | None:
    try:
        fields = json.loads(payload)
        height, width = int(fields["height"]), int(fields["width"])
        pixels = np.frombuffer(base64.b64decode(fields["pixels"], validate=True), np.uint8)
        histogram = np.array([int(count) for count in fields["histogram"]], np.int64)
        at = datetime.fromisoformat(fields["at"])
        title = str(fields["title"])
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError, binascii.Error):
        return None
    is_ours = 0 < height <= LARGEST_PICTURE[0] and 0 < width <= LARGEST_PICTURE[1] and histogram.shape == (BINS,)
    if not is_ours or pixels.size != height * width or at.tzinfo is None:
        return None
    return FrameShown(at, title, pixels.reshape(height, width), histogram)
