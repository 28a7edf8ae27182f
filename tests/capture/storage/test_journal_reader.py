"""Every event survives a round trip through the journal, and a line that is not an event is refused."""

import dataclasses
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    EVENT_KINDS,
    Event,
    FilterChanged,
    FrameAccepted,
    MasterGrew,
    MasterWritten,
    TemperatureRead,
)
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event, read_journal
from coldframe.capture.tuner.target import FlatTarget

AT = datetime(2026, 11, 22, 3, 12, 33, 250_000, tzinfo=UTC)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a type hint."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return whole(hint)
    if hint is datetime:
        return st.datetimes(timezones=st.just(UTC))
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    hints = get_args(hint)
    if hints and hints[-1] is Ellipsis:
        return st.lists(values(hints[0]), max_size=3).map(tuple)
    if hints:
        return (st.tuples if get_origin(hint) is tuple else st.one_of)(*map(values, hints))
    return st.from_type(hint)


def whole(kind: type) -> st.SearchStrategy[Any]:
    if kind is FlatTarget:
        return st.builds(FlatTarget, st.floats(0, 1000), st.floats(4000, 65535), faintest_part=st.floats(0.1, 1))
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", EVENT_KINDS.values(), ids=EVENT_KINDS)
def test_every_kind_of_event_survives_the_round_trip(kind: type[Event]) -> None:
    @given(whole(kind))
    def survives(event: Event) -> None:
        assert decode_event(encode_event(event)) == event

    survives()


def test_null_in_a_float_field_is_read_as_nan() -> None:
    line = encode_event(FilterChanged(AT, "Ha")).replace('"filter-changed"', '"master-grew"')[:-1]
    grown = decode_event(line + ', "step": 1, "frames": 2, "noise_adu": null}')
    assert grown == MasterGrew(AT, 1, 2, None)
    decided = encode_event(MasterWritten(AT, 1, "/m.fits", 5, math.nan, 0.5, 0.0))
    read = decode_event(decided)
    assert isinstance(read, MasterWritten)
    assert math.isnan(read.level)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        '{"event": "frame-shown"}',
        '{"event": "event", "at": "2026-11-22T03:12:33+00:00"}',
        '{"event": "filter-changed", "at": "2026-11-22T03:12:33+00:00"}',
        '{"event": "filter-changed", "at": "2026-11-22T03:12:33", "filter": "Ha"}',
        '{"event": "filter-changed", "at": "2026-11-22T03:12:33+00:00", "filter": 7}',
        '{"event": "step-ended", "at": "2026-11-22T03:12:33+00:00", "step": true, "outcome": "done"}',
        '{"event": "step-ended", "at": "2026-11-22T03:12:33+00:00", "step": 1, "outcome": "perhaps"}',
        '{"event": "night-started", "at": "2026-11-22T03:12:33+00:00", "steps": 3}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_not_an_event_is_refused_with_a_short_message(line: str) -> None:
    with pytest.raises(JournalLineError) as caught:
        decode_event(line)
    assert "\n" not in str(caught.value)[:200]


def test_torn_lines_and_unknown_events_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    events = [FilterChanged(AT, "Ha"), TemperatureRead(AT, -9.5, -10.0, 43.0)]
    lines = [encode_event(events[0]), '{"event": "from-the-future", "at": ""}', "\xff", encode_event(events[1])]
    torn = encode_event(FrameAccepted(AT, 1, 1, "/raw.fits", 1.0, None, FrameStatistics(1, 1, 1, 1, 1, 1, 0)))[:50]
    path.write_bytes("\n".join([*lines, torn]).encode("latin-1"))
    assert list(read_journal(path)) == events
