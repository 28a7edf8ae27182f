"""A night as it is told over MQTT, as events again: for those who watch from another machine."""

import base64
import binascii
import json
from datetime import datetime

import numpy as np

from coldframe.capture.events.kinds import Event, FrameShown
from coldframe.capture.monitoring.telemetry.digest import unpacked
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event

LARGEST_PICTURE = (64, 96)
BINS = 128


class Follower:
    """Puts events together from journals and single lines, each once. What is no message of ours is passed over.

    Attributes
    ----------
    run
        Names the run that is followed; None before its first event.
    is_behind
        Whether a line was missed: the next journal has it, and is to be followed from its start by another one.
    """

    def __init__(self) -> None:
        self.run: str | None = None
        self.is_behind = False
        self._count = 0

    def journal(self, payload: bytes) -> list[Event]:
        """Return the events of a journal that are new, in order; of another run than before all are."""
        try:
            return self._of_lines(list(unpacked(payload)))
        except ValueError:
            return []

    def line(self, payload: bytes) -> list[Event]:
        """Return the event of a line, if it is new."""
        known = self._count
        found = self._of_lines([payload.decode("ascii", "replace")])
        self.is_behind = self.is_behind or (bool(found) and self._count != known + 1)
        return found

    def _of_lines(self, lines: list[str]) -> list[Event]:
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
    """Return the frame of a picture message, None where it is none."""
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
