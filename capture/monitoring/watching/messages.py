"""The protocol between a run and its watchers, with one JSON object per line. This module performs no I/O.

A run sends a greeting, all events so far, a mark, and then each event as it happens. Events are lines of the journal.
All other messages are objects without the key "event".
"""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from coldframe.capture.events.kinds import Event
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event
from coldframe.errors import ColdframeError

PROTOCOL = 1

LONGEST_COMMAND_BYTES = 1000
"""Maximum length of a line that contains a command. Longer lines are invalid."""

LONGEST_MESSAGE_BYTES = 1 << 20
"""Maximum length of a line that contains a message. Longer lines are invalid. The journal has the same limit."""

LARGEST_PICTURE = 64 * 96
HISTOGRAM_BINS = 128


class MessageError(ColdframeError, ValueError):
    """A line is not a valid message. The error message states the reason."""


class Request(StrEnum):
    """The commands for a night."""

    PAUSE = "pause"
    RESUME = "resume"
    SKIP = "skip"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a night.

    Attributes
    ----------
    step
        Number of the step to skip; None for the running step.
    """

    request: Request
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The greeting, which states whether the run accepts commands."""

    allows_commands: bool


@dataclass(frozen=True, slots=True)
class Live:
    """The mark that follows all events so far. The run sends later events as they happen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The night's answer to a command."""

    text: str


Message = Event | Hello | Live | Answer


def obey(steering: Steering, command: Command) -> str:
    """Pass a command to the night and return the night's answer."""
    match command.request:
        case Request.PAUSE:
            return steering.pause()
        case Request.RESUME:
            return steering.resume()
        case Request.SKIP:
            return steering.skip(command.step)
        case Request.ABORT:
            return steering.abort()


def encode_command(command: Command) -> str:
    """Encode a command as a line, without the newline."""
    step = {} if command.step is None else {"step": command.step}
    return json.dumps({"do": command.request.value, **step})


def decode_command(line: bytes) -> Command:
    """Decode a command.

    Raises
    ------
    MessageError
        If the line is not a valid command.
    """
    fields = _object(line)
    try:
        request = Request(str(fields.get("do")))
    except ValueError as error:
        raise MessageError(str(error)) from None
    step = fields.get("step")
    if step is not None and type(step) is not int:
        raise MessageError(f"step: expected a number, found {step!r}")
    return Command(request, step)


def encode_hello(hello: Hello) -> str:
    """Encode the greeting."""
    return json.dumps({"coldframe": PROTOCOL, "allows_commands": hello.allows_commands})


def encode_live() -> str:
    """Encode the mark after all events so far."""
    return json.dumps({"live": True})


def encode_answer(text: str) -> str:
    """Encode the answer to a command."""
    return json.dumps({"answer": text})


def encode_shown(shown: FrameShown) -> str:
    """Encode a picture and its histogram."""
    picture = base64.b64encode(np.ascontiguousarray(shown.picture).tobytes()).decode("ascii")
    return json.dumps(
        {
            "shown": shown.title,
            "at": shown.at.isoformat(),
            "shape": list(shown.picture.shape),
            "picture": picture,
            "histogram": shown.histogram.tolist(),
            "first_adu": shown.first_adu,
            "bin_adu": shown.bin_adu,
        }
    )


def decode_message(line: bytes) -> Message:
    """Decode a message from a run.

    Raises
    ------
    MessageError
        If the line is not a valid message.
    """
    fields = _object(line)
    if "event" in fields:
        try:
            return decode_event(line.decode("ascii"))
        except (JournalLineError, UnicodeDecodeError) as error:
            raise MessageError(str(error)) from error
    if "shown" in fields:
        return _shown(fields)
    if "answer" in fields:
        return Answer(str(fields["answer"]))
    if "live" in fields:
        return Live()
    if fields.get("coldframe") == PROTOCOL:
        return Hello(fields.get("allows_commands") is True)
    raise MessageError(f"unknown message with the keys {', '.join(map(str, fields)) or '(none)'}")


def _shown(fields: dict[str, object]) -> FrameShown:
    try:
        rows, columns = (int(each) for each in fields["shape"])  # type: ignore[attr-defined]  # a TypeError if not a list
        if not 0 < rows * columns <= LARGEST_PICTURE:
            raise MessageError(f"invalid picture: {rows} x {columns} pixels")
        data = base64.b64decode(str(fields["picture"]), validate=True)
        picture = np.frombuffer(data, np.uint8).reshape(rows, columns)
        histogram = np.array(fields["histogram"], np.int64)
        at = datetime.fromisoformat(str(fields["at"]))
        # Earlier versions of coldframe send the full range, without these fields.
        first_adu, bin_adu = int(fields.get("first_adu", 0)), int(fields.get("bin_adu", 512))  # type: ignore[call-overload]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"invalid picture: {error}") from error
    if histogram.shape != (HISTOGRAM_BINS,) or at.tzinfo is None or first_adu < 0 or bin_adu < 1:
        raise MessageError("invalid picture: wrong histogram, or a time without a time zone")
    return FrameShown(at, str(fields["shown"]), picture, histogram, first_adu, bin_adu)


def _object(line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"invalid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MessageError("not a JSON object")
    return fields
