"""What a run and its watchers say to each other: one JSON object per line. Pure.

A run says who it is, then all that has happened, then that this was all, and from then on what happens. Events are the
journal's lines; pictures, answers and landmarks of the conversation are objects without the key "event".
"""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np

from coldframe.capture.events.kinds import Event, FrameShown
from coldframe.capture.session.steering import Steering
from coldframe.capture.storage.journal_reader import JournalLineError, decode_event
from coldframe.errors import ColdframeError

PROTOCOL = 1

LONGEST_COMMAND_BYTES = 1000
"""A longer line is no command."""

LONGEST_MESSAGE_BYTES = 1 << 20
"""A longer line is no message of a run: it is as long as a journal's may be."""

LARGEST_PICTURE = 64 * 96
HISTOGRAM_BINS = 128


class MessageError(ColdframeError, ValueError):
    """A line that is no message; the text says why."""


class Request(StrEnum):
    """What people may ask of a night."""

    PAUSE = "pause"
    RESUME = "resume"
    SKIP = "skip"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Command:
    """A request, for `step` where it is about one that is not under way."""

    request: Request
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message: whether commands are obeyed."""

    allows_commands: bool


@dataclass(frozen=True, slots=True)
class Live:
    """All that has happened was told; what follows happens now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command, in words."""

    text: str


Message = Event | Hello | Live | Answer


def obey(steering: Steering, command: Command) -> str:
    """Hand a command to the night and return its answer."""
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
    """Write a command as a line, without the line's end."""
    step = {} if command.step is None else {"step": command.step}
    return json.dumps({"do": command.request.value, **step})


def decode_command(line: bytes) -> Command:
    """Read a command.

    Raises
    ------
    MessageError
        It is none.
    """
    fields = _object(line)
    try:
        request = Request(str(fields.get("do")))
    except ValueError as error:
        raise MessageError(str(error)) from None
    step = fields.get("step")
    if step is not None and type(step) is not int:
        raise MessageError(f"{step!r} is no step's number")
    return Command(request, step)


def encode_hello(hello: Hello) -> str:
    """Write the first message."""
    return json.dumps({"coldframe": PROTOCOL, "allows_commands": hello.allows_commands})


def encode_live() -> str:
    """Write that all was told."""
    return json.dumps({"live": True})


def encode_answer(text: str) -> str:
    """Write what became of a command."""
    return json.dumps({"answer": text})


def encode_shown(shown: FrameShown) -> str:
    """Write a picture and its histogram."""
    picture = base64.b64encode(np.ascontiguousarray(shown.picture).tobytes()).decode("ascii")
    return json.dumps(
        {
            "shown": shown.title,
            "at": shown.at.isoformat(),
            "shape": list(shown.picture.shape),
            "picture": picture,
            "histogram": shown.histogram.tolist(),
        }
    )


def decode_message(line: bytes) -> Message:
    """Read what a run says.

    Raises
    ------
    MessageError
        It is nothing that a run says.
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
    raise MessageError(f"unknown message with {', '.join(map(str, fields)) or 'nothing in it'}")


def _shown(fields: dict[str, object]) -> FrameShown:
    try:
        rows, columns = (int(each) for each in fields["shape"])  # type: ignore[attr-defined]  # else a TypeError
        if not 0 < rows * columns <= LARGEST_PICTURE:
            raise MessageError(f"a picture of {rows} x {columns}")
        data = base64.b64decode(str(fields["picture"]), validate=True)
        picture = np.frombuffer(data, np.uint8).reshape(rows, columns)
        histogram = np.array(fields["histogram"], np.int64)
        at = datetime.fromisoformat(str(fields["at"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"no picture: {error}") from error
    if histogram.shape != (HISTOGRAM_BINS,) or at.tzinfo is None:
        raise MessageError("no picture: its histogram or its time is not as it should be")
    return FrameShown(at, str(fields["shown"]), picture, histogram)


def _object(line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not a line of JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MessageError("not a JSON object")
    return fields
