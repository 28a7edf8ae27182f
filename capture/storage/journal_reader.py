"""What a journal tells, as events again: for resuming, watching and the morning report."""

import dataclasses
import json
import math
import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TypeVar, Union, get_args, get_origin, get_type_hints

from coldframe.capture.events.kinds import EVENT_KINDS, Event
from coldframe.capture.storage.old_journals import upgraded
from coldframe.errors import ColdframeError

T = TypeVar("T")

LONGEST_LINE_BYTES = 1 << 20
"""The longest line of ours, a plan of hundreds of sets, has some 100,000; more is no journal."""


class JournalLineError(ColdframeError, ValueError):
    """A line that is no event; the text says why."""


def decode_event(line: str) -> Event:
    """Read one line of a journal, the inverse of `encode_event`.

    Parameters
    ----------
    line
        With or without the line's end. Fields that are unknown are passed over, those that are missing get their
        defaults, so that journals of other versions can be read. Numbers that JSON cannot hold come back as NaN.

    Raises
    ------
    JournalLineError
        It is no JSON object, names no event, or a field has no such value.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalLineError(f"no line of JSON: {error}") from error
    if not isinstance(fields, dict):
        raise JournalLineError("no JSON object")
    kind = EVENT_KINDS.get(str(fields.get("event")))
    if kind is None:
        raise JournalLineError(f"unknown event {fields.get('event')!r}")
    try:
        return _dataclass(kind, upgraded(fields))
    except (TypeError, ValueError, OverflowError) as error:
        raise JournalLineError(f"{kind.wire_name}: {error}") from error


def read_journal(path: Path) -> Iterator[Event]:
    """Yield the events of a journal in their order; what cannot be read is passed over.

    A power cut may tear the last line, and a program of another version may have written events that this one does
    not know. Neither makes the rest worthless.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        while raw := file.readline(LONGEST_LINE_BYTES):
            try:
                yield decode_event(raw.decode("ascii"))
            except (JournalLineError, UnicodeDecodeError):
                continue


@cache
def _hints(kind: type[object]) -> Mapping[str, object]:
    return get_type_hints(kind)


def _dataclass(kind: type[T], fields: object) -> T:
    if not isinstance(fields, dict):
        raise TypeError(f"{kind.__name__} is no object")
    hints = _hints(kind)  # type: ignore[arg-type]  # types are hashable, which typeshed's protocol does not see
    known = {field.name for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    return kind(**{name: _value(hints[name], value) for name, value in fields.items() if name in known})


def _value(hint: object, value: object) -> object:
    """Turn what JSON knows into a value of a field's type."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(get_args(hint), value)
    if origin is tuple:
        return _tuple(get_args(hint), value)
    if hint is float:
        return math.nan if value is None else _number(value)
    assert isinstance(hint, type)
    if hint is datetime:
        return _moment(value)
    return _dataclass(hint, value) if dataclasses.is_dataclass(hint) else _simple(hint, value)


def _simple(hint: type, value: object) -> object:
    if issubclass(hint, Enum):
        return hint(value)
    if type(value) is not hint:
        raise TypeError(f"{value!r} is no {hint.__name__}")
    return value


def _optional(hints: tuple[object, ...], value: object) -> object:
    if value is None and type(None) in hints:
        return None
    (hint,) = (each for each in hints if each is not type(None))
    return _value(hint, value)


def _tuple(hints: tuple[object, ...], value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    if hints[-1] is Ellipsis:
        return tuple(_value(hints[0], each) for each in value)
    return tuple(_value(hint, each) for hint, each in zip(hints, value, strict=True))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
