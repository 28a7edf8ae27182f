"""Only valid, new and unexpired commands over MQTT are obeyed, and no message does harm."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.capture.monitoring.telemetry.commands import (
    LONGEST_BYTES,
    LONGEST_LIFE,
    MOST_IDS,
    VERBS,
    Command,
    CommandError,
    CommandGate,
    answer_document,
    parse_command,
)
from tests.capture.monitoring.telemetry.schemas import check, schema
from tests.fuzzing.mutations import inputs

NOW = datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
TOKENS = [b'"id"', b'"command"', b'"expires"', b'"skip"', b"null", b"true", b"{", b"[", b'"step"', b"\xff", b"\\u0000"]
SEED, COUNT = 45, 5000


def payload(**fields: object) -> bytes:
    command = {"id": "a1", "command": "pause", "expires": (NOW + timedelta(minutes=1)).isoformat()}
    return json.dumps({name: value for name, value in {**command, **fields}.items() if value is not ...}).encode()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_parsed(verb: str) -> None:
    assert parse_command(payload(command=verb)) == Command("a1", verb, NOW + timedelta(minutes=1))
    check("command", payload(command=verb))
    assert verb in schema("command")["properties"]["command"]["enum"]


def test_step_is_allowed_only_with_skip() -> None:
    assert parse_command(payload(command="skip", step=7)).step == 7
    for verb, step in (("pause", 7), ("skip", 0), ("skip", True), ("skip", "7"), ("skip", 7.0), ("skip", 10**9)):
        with pytest.raises(CommandError, match="step"):
            parse_command(payload(command=verb, step=step))


@pytest.mark.parametrize(
    ("given_payload", "text"),
    [
        (b"", "invalid JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 1000, "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b'{"id": ' + b"9" * 900 + b"}", "id"),
        (b" " * (LONGEST_BYTES + 1), "1,025 bytes"),
        (payload(id=...), "id"),
        (payload(id="a b"), "id"),
        (payload(id="x" * 65), "id"),
        (payload(command="rm -rf"), "command"),
        (payload(command=["pause"]), "command"),
        (payload(expires=...), "expires"),
        (payload(expires="tomorrow"), "expires"),
        (payload(expires="2026-11-22T04:31:00"), "zone"),
        (payload(expires=1e12), "expires"),
        (payload(more=1), "unknown fields"),
    ],
)
def test_invalid_commands_are_refused_with_a_reason(given_payload: bytes, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        CommandGate().admit(given_payload, NOW, is_retained=False)


@pytest.mark.parametrize(
    ("start", "command_id"),
    [
        (b'{"id": "a1", ', "a1"),
        (b'{"id" :"a1",', "a1"),
        (b'{"id": "a b"', None),
        (b" " * LONGEST_BYTES + b'"id": "a1"', None),
    ],
)
def test_too_long_command_is_refused_with_the_id_at_its_start(start: bytes, command_id: str | None) -> None:
    with pytest.raises(CommandError, match="too long") as refused:
        CommandGate().admit(start + b" " * LONGEST_BYTES, NOW, is_retained=False)
    assert refused.value.id == command_id


def test_command_is_obeyed_once() -> None:
    gate = CommandGate()
    assert gate.admit(payload(), NOW, is_retained=False).verb == "pause"
    with pytest.raises(CommandError, match="used before"):
        gate.admit(payload(command="abort"), NOW, is_retained=False)


def test_retained_command_is_refused_even_if_it_has_not_expired() -> None:
    with pytest.raises(CommandError, match="retained") as refused:
        CommandGate().admit(payload(), NOW, is_retained=True)
    assert refused.value.id == "a1"


@pytest.mark.parametrize(
    ("expires", "text"),
    [
        (NOW, "expired"),
        (NOW - timedelta(days=200), "expired"),
        (NOW + LONGEST_LIFE + timedelta(seconds=1), "10 minutes"),
        (datetime.max.replace(tzinfo=UTC), "10 minutes"),
        (datetime.min.replace(tzinfo=UTC), "expired"),
    ],
)
def test_expiry_must_lie_ahead_but_not_too_far(expires: datetime, text: str) -> None:
    with pytest.raises(CommandError, match=text):
        CommandGate().admit(payload(expires=expires.isoformat()), NOW, is_retained=False)


def test_times_at_the_ends_of_the_calendar_are_refused() -> None:
    for expires in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        with pytest.raises(CommandError):
            CommandGate().admit(payload(expires=expires), NOW, is_retained=False)


def test_number_of_remembered_ids_is_limited() -> None:
    gate = CommandGate()
    for number in range(3 * MOST_IDS):
        gate.admit(payload(id=f"n{number}"), NOW, is_retained=False)
    assert gate.ids_remembered == MOST_IDS


@given(st.binary(max_size=2 * LONGEST_BYTES))
def test_random_bytes_are_refused(given_payload: bytes) -> None:
    with pytest.raises(CommandError):
        CommandGate().admit(given_payload, NOW, is_retained=False)


def test_mutated_commands_do_no_harm() -> None:
    gate, obeyed = CommandGate(), 0
    valid = [payload(command=verb) for verb in VERBS] + [payload(command="skip", step=3)]
    for number, mutant in inputs(SEED, COUNT, valid, TOKENS):
        try:
            command = gate.admit(mutant, NOW, is_retained=False)
        except CommandError as refused:
            answer = check("answer", answer_document(refused.id, str(refused), NOW, accepted=False))
            assert len(answer["text"]) < 300, number
        else:
            obeyed += 1
            assert command.verb in VERBS, number
            assert timedelta(0) < command.expires - NOW <= LONGEST_LIFE, number
    assert 0 < obeyed < COUNT / 2
    assert gate.ids_remembered <= MOST_IDS
