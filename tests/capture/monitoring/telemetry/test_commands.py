"""Commands from afar: only what is whole, fresh and new is obeyed, and no message does harm."""

import json
import sys
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
def test_every_verb_is_read(verb: str) -> None:
    assert parse_command(payload(command=verb)) == Command("a1", verb, NOW + timedelta(minutes=1))
    check("command", payload(command=verb))
    assert verb in schema("command")["properties"]["command"]["enum"]


def test_a_step_belongs_to_skip() -> None:
    assert parse_command(payload(command="skip", step=7)).step == 7
    for verb, step in (("pause", 7), ("skip", 0), ("skip", True), ("skip", "7"), ("skip", 7.0), ("skip", 10**9)):
        with pytest.raises(CommandError, match="step"):
            parse_command(payload(command=verb, step=step))


@pytest.mark.parametrize(
    ("given_payload", "said"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"[" * 1000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
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
def test_what_is_no_command_is_told(given_payload: bytes, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        CommandGate().admit(given_payload, NOW, is_retained=False)


def test_a_command_is_obeyed_once() -> None:
    gate = CommandGate()
    assert gate.admit(payload(), NOW, is_retained=False).verb == "pause"
    with pytest.raises(CommandError, match="came before"):
        gate.admit(payload(command="abort"), NOW, is_retained=False)


def test_a_retained_command_is_not_obeyed_however_fresh() -> None:
    with pytest.raises(CommandError, match="retained") as refused:
        CommandGate().admit(payload(), NOW, is_retained=True)
    assert refused.value.id == "a1"


@pytest.mark.parametrize(
    ("expires", "said"),
    [
        (NOW, "expired"),
        (NOW - timedelta(days=200), "expired"),
        (NOW + LONGEST_LIFE + timedelta(seconds=1), "10 minutes"),
        (datetime.max.replace(tzinfo=UTC), "10 minutes"),
        (datetime.min.replace(tzinfo=UTC), "expired"),
    ],
)
def test_only_a_fresh_command_is_obeyed(expires: datetime, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        CommandGate().admit(payload(expires=expires.isoformat()), NOW, is_retained=False)


def test_times_at_the_edge_of_the_calendar_raise_nothing_else() -> None:
    for text in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        with pytest.raises(CommandError):
            CommandGate().admit(payload(expires=text), NOW, is_retained=False)


def test_ids_are_remembered_up_to_a_bound() -> None:
    gate = CommandGate()
    for number in range(3 * MOST_IDS):
        gate.admit(payload(id=f"n{number}"), NOW, is_retained=False)
    assert len(gate._seen) == MOST_IDS
    assert sys.getsizeof(gate._seen) < 1_000_000


@given(st.binary(max_size=2 * LONGEST_BYTES))
def test_bytes_are_a_command_or_refused(given_payload: bytes) -> None:
    with pytest.raises(CommandError):
        CommandGate().admit(given_payload, NOW, is_retained=False)


def test_almost_commands_do_no_harm() -> None:
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
    assert len(gate._seen) <= MOST_IDS
