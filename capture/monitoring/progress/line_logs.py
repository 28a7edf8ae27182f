"""Logs for runs without a terminal, with one sentence per event for users or one line of JSON for programs."""

import contextlib
from datetime import tzinfo
from typing import TextIO

from coldframe.capture.events.kinds import Event
from coldframe.capture.monitoring.progress.narrator import Narrator
from coldframe.capture.storage.journal import encode_event, is_journalled


class LineLog:
    """An `EventStream` subscriber that writes one line per event, for runs without a terminal.

    Parameters
    ----------
    stream
        Output stream. Write errors are ignored, because they must not end the night.
    zone
        Time zone for clock times; None for the local time zone.
    """

    def __init__(self, stream: TextIO, zone: tzinfo | None = None) -> None:
        self._stream = stream
        self._zone = zone
        self._narrator = Narrator()

    def __call__(self, event: Event) -> None:
        """Write one line for the event, such as ``04:12:33 flat Ha 7/20 0.842 s level 26,180 ADU noise 142``."""
        line = self._narrator.narrate(event)
        if line:
            _write_line(self._stream, f"{line.at.astimezone(self._zone):%H:%M:%S} {line.text}")


class JsonLog:
    """An `EventStream` subscriber that writes the same lines as the journal to a stream, for other programs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event as one line of JSON."""
        if is_journalled(event):
            _write_line(self._stream, encode_event(event))


def _write_line(stream: TextIO, line: str) -> None:
    encoding = stream.encoding or "utf-8"
    with contextlib.suppress(OSError):
        stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
