"""Messages survive encoding and decoding, and invalid lines are refused."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.events.kinds import FilterChanged
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.monitoring.watching.messages import (
    Answer,
    Command,
    Hello,
    Live,
    MessageError,
    Request,
    decode_command,
    decode_message,
    encode_answer,
    encode_command,
    encode_hello,
    encode_live,
    encode_shown,
)
from coldframe.capture.storage.journal import encode_event

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
SHOWN = FrameShown(AT, "flat Ha 3/20", np.arange(64 * 96).reshape(64, 96).astype(np.uint8), np.arange(128))


def test_messages_survive_encoding() -> None:
    assert decode_message(encode_hello(Hello(allows_commands=True)).encode()) == Hello(allows_commands=True)
    assert decode_message(encode_live().encode()) == Live()
    assert decode_message(encode_answer("paused").encode()) == Answer("paused")
    assert decode_message(encode_event(FilterChanged(AT, "Ha")).encode()) == FilterChanged(AT, "Ha")


def test_pictures_survive_encoding() -> None:
    decoded = decode_message(encode_shown(SHOWN).encode())
    assert isinstance(decoded, FrameShown)
    assert (decoded.at, decoded.title) == (SHOWN.at, SHOWN.title)
    np.testing.assert_array_equal(decoded.picture, SHOWN.picture)
    np.testing.assert_array_equal(decoded.histogram, SHOWN.histogram)


@given(st.sampled_from(Request), st.none() | st.integers(1, 500))
def test_commands_survive_encoding(request: Request, step: int | None) -> None:
    command = Command(request, step)
    assert decode_command(encode_command(command).encode()) == command


@given(
    st.binary()
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_invalid_lines_are_refused(line: bytes) -> None:
    for decode in (decode_command, decode_message):
        with pytest.raises(MessageError):
            decode(line)


@pytest.mark.parametrize(
    "fields",
    [
        {"do": "park"},
        {"do": "skip", "step": "3"},
        {"do": "skip", "step": True},
        {"do": ["pause"]},
        {},
    ],
)
def test_invalid_commands_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MessageError):
        decode_command(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [100_000, 100_000]},
        {"shape": [64]},
        {"shape": [-64, -96]},
        {"picture": "????"},
        {"picture": ""},
        {"histogram": [1, 2, 3]},
        {"histogram": "many"},
        {"at": "yesterday"},
        {"at": "2026-11-22T04:12:33"},
    ],
)
def test_invalid_pictures_are_refused(change: dict[str, object]) -> None:
    fields = {**json.loads(encode_shown(SHOWN)), **change}
    with pytest.raises(MessageError):
        decode_message(json.dumps(fields).encode())


def test_picture_fits_into_a_message() -> None:
    assert len(encode_shown(SHOWN)) < 20_000
