"""Logs for runs without a terminal, as lines for people or as JSON for programs."""

import io
import json
from datetime import UTC, datetime

import numpy as np

from coldframe.capture.events.kinds import FilterChanged, NightStarted
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.progress.line_logs import JsonLog, LineLog

AT = datetime(2026, 11, 22, 3, 12, 33, tzinfo=UTC)
STARTED = NightStarted(AT, "/nights/1", "ASI2600", "Flip Flat", None, 6248, 4176, ())


def test_a_closed_pipe_is_ignored() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    LineLog(Closed())(STARTED)
    JsonLog(Closed())(STARTED)


def test_characters_outside_the_encoding_of_the_stream_are_replaced() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    LineLog(stream, zone=UTC)(FilterChanged(AT, "Hé"))
    assert raw.getvalue() == b"03:12:33 filter H?\n"


def test_the_json_log_has_an_object_per_line_and_no_previews() -> None:
    stream = io.StringIO()
    log = JsonLog(stream)
    log(STARTED)
    log(FrameShown(AT, "x", np.zeros((2, 2), np.uint8), np.zeros(128, np.int64)))
    log(FilterChanged(AT, "Ha"))
    objects = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [item["event"] for item in objects] == ["night-started", "filter-changed"]
