"""Reconstruct a night from its MQTT messages, for watchers on another machine. This module performs no I/O."""

import base64
import binascii
import json
from datetime import datetime

import numpy as np

from coldframe.capture.events.kinds import Event
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.telemetry.digest import unpack
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics
from coldframe.capture.monitoring.watching.source import Attached, Detached, Update
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event

LARGEST_PICTURE = (64, 96)
BINS = 128

_WHY_DETACHED = {
    Presence.ENDED.encode(): "the run is over",
    Presence.OFFLINE.encode(): "the run ended without a final message, or its network is down",
}


class RemoteNight:
    """A receiver that follows a night over MQTT, and turns the messages of one rig into updates for a watcher.

    Parameters
    ----------
    topics
        Topics of the rig.
    allows_commands
        Whether a run that is online accepts commands.
    """

    def __init__(self, topics: Topics, *, allows_commands: bool) -> None:
        self._topics = topics
        self._allows_commands = allows_commands
        self._follower = Follower()
        self._presence = b""
        self._journal: bytes | None = None
        self._shown: FrameShown | None = None
        self._is_attached = False

    def receive(self, topic: str, payload: bytes) -> list[Update]:
        """Return the updates from a message: none if it contains nothing new or was not sent by coldframe."""
        topics = self._topics
        if topic == topics.status:
            self._presence = payload
            return self._attach()
        if topic == topics.journal:
            return self._receive_journal(payload)
        if topic == topics.picture:
            self._shown = picture(payload) or self._shown
            return [*self._pictures()] if self._is_attached else []
        if topic == topics.event:
            return [*self._follower.line(payload)] if self._is_attached else []
        return []

    def _receive_journal(self, payload: bytes) -> list[Update]:
        self._journal = payload
        if not self._is_attached or self._follower.is_behind:
            return self._attach()
        known = self._follower.run
        events = self._follower.journal(payload)
        return [*events] if self._follower.run == known else self._attach()

    def _attach(self) -> list[Update]:
        """Return an update that attaches to the run, and a second update that detaches if the run is not online."""
        if not self._presence or self._journal is None:
            return []
        self._follower = Follower()
        events = self._follower.journal(self._journal)
        self._is_attached = self._presence == Presence.ONLINE.encode()
        updates: list[Update] = [Attached((*events, *self._pictures()), self._allows_commands and self._is_attached)]
        if not self._is_attached:
            updates.append(Detached(_WHY_DETACHED.get(self._presence, "the run has an unknown status")))
        return updates

    def _pictures(self) -> tuple[FrameShown, ...]:
        return () if self._shown is None else (self._shown,)


class Follower:
    """A filter that returns each event once, from a journal or a single line, and ignores lines from other programs.

    Attributes
    ----------
    run
        Identifier of the followed run; None before its first event.
    is_behind
        True if a line was missed. The next journal contains the line and must be read with a new follower.
    """

    def __init__(self) -> None:
        self.run: str | None = None
        self.is_behind = False
        self._count = 0

    def journal(self, payload: bytes) -> list[Event]:
        """Return the new events of the journal in order, or all events if the journal belongs to a new run."""
        try:
            return self._events(list(unpack(payload)))
        except ValueError:
            return []

    def line(self, payload: bytes) -> list[Event]:
        """Return the event of a line, or an empty list if the event is not new."""
        known = self._count
        found = self._events([payload.decode("ascii", "replace")])
        self.is_behind = self.is_behind or (bool(found) and self._count != known + 1)
        return found

    def _events(self, lines: list[str]) -> list[Event]:
        found: list[Event] = []
        for line in lines:
            try:
                place = json.loads(line)
                run, count = str(place["run"]), int(place["n"])
                event = decode_event(line)
            except (JournalLineError, ValueError, TypeError, LookupError, RecursionError):
                continue
            if run != self.run:
                self.run, self._count = run, 0
            if count > self._count:
                self._count = count
                found.append(event)
        return found


def picture(payload: bytes) -> FrameShown | None:
    """Return the picture and the histogram in a picture message, or None if the message is not valid."""
    try:
        fields = json.loads(payload)
        height, width = int(fields["height"]), int(fields["width"])
        pixels = np.frombuffer(base64.b64decode(fields["pixels"], validate=True), np.uint8)
        histogram = np.array([int(count) for count in fields["histogram"]], np.int64)
        at = datetime.fromisoformat(fields["at"])
        title = str(fields["title"])
        # Earlier versions of coldframe publish the full range, without these fields.
        first_adu, bin_adu = int(fields.get("first_adu", 0)), int(fields.get("bin_adu", 512))
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError, binascii.Error):
        return None
    is_ours = 0 < height <= LARGEST_PICTURE[0] and 0 < width <= LARGEST_PICTURE[1] and histogram.shape == (BINS,)
    if not is_ours or pixels.size != height * width or at.tzinfo is None or first_adu < 0 or bin_adu < 1:
        return None
    return FrameShown(at, title, pixels.reshape(height, width), histogram, first_adu, bin_adu)
