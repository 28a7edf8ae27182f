"""Journals read again: every event comes back as it was told, and nothing that is no event gets through."""

import dataclasses
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events import kinds as event_kinds
from coldframe.capture.events.kinds import Event, FilterChanged, FrameAccepted, FrameShown, TemperatureRead
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event, read_journal
from coldframe.capture.tuner.target import FlatTarget

AT = datetime(2026, 11, 22, 3, 12, 33, 250_000, tzinfo=UTC)
KINDS = sorted(
    (each for each in vars(event_kinds).values() if isinstance(each, type) and issubclass(each, Event)),
    key=lambda kind: kind.__name__,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a field: dataclasses and optional values by their own hints, the rest by hypothesis."""
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {Event, FrameShown}])
def test_every_event_comes_back_as_it_was_told(kind: type[Event]) -> None:
    @given(whole(kind))
    def comes_back(event: Event) -> None:
        assert decode_event(encode_event(event)) == event

    comes_back()


def test_what_json_cannot_hold_comes_back_as_nan() -> None:
    line = encode_event(FilterChanged(AT, "Ha")).replace('"filter-changed"', '"master-grew"')[:-1]
    grown = decode_event(line + ', "step": 1, "frames": 2, "noise_adu": null}')
    assert grown == event_kinds.MasterGrew(AT, 1, 2, None)
    decided = encode_event(event_kinds.MasterWritten(AT, 1, "/m.fits", 5, math.nan, 0.5, 0.0))
    read = decode_event(decided)
    assert isinstance(read, event_kinds.MasterWritten)
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
def test_what_is_no_event_is_refused_in_one_line(line: str) -> None:
    with pytest.raises(JournalLineError) as caught:
        decode_event(line)
    assert "\n" not in str(caught.value)[:200]


def test_a_torn_line_and_unknown_events_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    told = [FilterChanged(AT, "Ha"), TemperatureRead(AT, -9.5, -10.0, 43.0)]
    lines = [encode_event(told[0]), '{"event": "from-the-future", "at": ""}', "\xff", encode_event(told[1])]
    torn = encode_event(FrameAccepted(AT, 1, 1, "/raw.fits", 1.0, None, FrameStatistics(1, 1, 1, 1, 1, 1, 0)))[:50]
    path.write_bytes("\n".join([*lines, torn]).encode("latin-1"))
    assert list(read_journal(path)) == told
