"""Read journals back into events, for resuming, watching and the morning report.

The decoder is written by hand. To read null as NaN, `pydantic.TypeAdapter` would need an annotation on every `float`
field, including the fields of dataclasses in other packages.
"""

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

from coldframe.calibration.files.regular import open_regular
from coldframe.capture.events.kinds import EVENT_KINDS, Event
from coldframe.capture.storage.old_journals import upgraded
from coldframe.errors import ColdframeError

T = TypeVar("T")

LONGEST_LINE_BYTES = 1 << 20
"""Maximum length of a line that can be decoded. In practice, the longest line, a plan of hundreds of sets, has about
100,000 bytes.
"""


class JournalLineError(ColdframeError, ValueError):
    """A line of a journal cannot be decoded as an event; the message gives the reason."""


def decode_event(line: str) -> Event:
    """Return the event in one line of a journal. This function is the inverse of `encode_event`.

    Parameters
    ----------
    line
        Line with or without the newline. Unknown fields are ignored, and missing fields get their default values or
        values that `old_journals` derives, so that journals from other versions can be read. A null in a `float` field
        becomes NaN.

    Raises
    ------
    JournalLineError
        If the line is not a JSON object, does not name a known event, or has an invalid value in a field.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalLineError(f"the line is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise JournalLineError("the line is not a JSON object")
    kind = EVENT_KINDS.get(str(fields.get("event")))
    if kind is None:
        raise JournalLineError(f"the event {fields.get('event')!r} is unknown")
    try:
        return _dataclass(kind, upgraded(fields))
    except (TypeError, ValueError, OverflowError) as error:
        raise JournalLineError(f"{kind.wire_name}: {error}") from error


def read_journal(path: Path) -> Iterator[Event]:
    """Yield the events of a journal in order, skipping lines that cannot be decoded.

    After a power cut, the last line may be incomplete. A different version of coldframe may have written events that
    this version does not support. The other lines are still valid.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with open_regular(path) as file:
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
        raise TypeError(f"{kind.__name__} is not a JSON object")
    hints = _hints(kind)  # type: ignore[arg-type]  # typeshed's protocol does not see that types are hashable
    known = {field.name for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    return kind(**{name: _value(hints[name], value) for name, value in fields.items() if name in known})


def _value(hint: object, value: object) -> object:
    """Convert a JSON value to the type of a field."""
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
        raise TypeError(f"{value!r} is not of type {hint.__name__}")
    return value


def _optional(hints: tuple[object, ...], value: object) -> object:
    if value is None and type(None) in hints:
        return None
    (hint,) = (each for each in hints if each is not type(None))
    return _value(hint, value)


def _tuple(hints: tuple[object, ...], value: object) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    if hints[-1] is Ellipsis:
        return tuple(_value(hints[0], each) for each in value)
    return tuple(_value(hint, each) for hint, each in zip(hints, value, strict=True))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
