"""Parse MQTT commands, and reject expired, retained and repeated commands. This module performs no I/O."""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from coldframe.capture.monitoring.telemetry.documents import SCHEMA, to_json
from coldframe.errors import ColdframeError

LONGEST_BYTES = 1024
LONGEST_LIFE = timedelta(minutes=10)
"""Longest lifetime of a command. A command that the network or the broker delays for longer has no effect."""

MOST_IDS = 1000
"""Maximum number of identifiers to remember; senders use fewer within `LONGEST_LIFE`."""

VERBS = ("pause", "resume", "skip", "abort", "run")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_WRITTEN_ID = re.compile(rb'"id"\s*:\s*"([A-Za-z0-9._:-]{1,64})"')
_FIELDS = frozenset({"id", "command", "expires", "step"})
_MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Command:
    """A valid command.

    Attributes
    ----------
    verb
        One of `VERBS`.
    step
        Number of the step to skip; None for the running step.
    """

    id: str
    verb: str
    expires: datetime
    step: int | None = None


class CommandError(ColdframeError, ValueError):
    """A command was refused. The error message states the reason.

    Attributes
    ----------
    id
        Identifier of the command; None if the command has no identifier.
    """

    def __init__(self, text: str, command_id: str | None = None) -> None:
        super().__init__(text)
        self.id = command_id


def parse_command(payload: bytes) -> Command:
    """Parse a command.

    Parameters
    ----------
    payload
        ``{"id": "4f1c", "command": "skip", "step": 7, "expires": "2026-11-22T04:31:00Z"}``; `step` is optional.

    Raises
    ------
    CommandError
        If the payload is not a valid command.
    """
    if len(payload) > LONGEST_BYTES:
        text = f"too long: {len(payload):,} bytes; a command has at most {LONGEST_BYTES:,}"
        raise CommandError(text, _id_at_start(payload))
    try:
        fields = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CommandError(
            'invalid JSON; a command has the form {"id": "...", "command": "...", "expires": "..."}'
        ) from None
    if not isinstance(fields, dict):
        raise CommandError("not a JSON object")
    given_id = fields.get("id")
    if not isinstance(given_id, str) or not _ID.fullmatch(given_id):
        raise CommandError("id: expected 1 to 64 letters, digits or . _ : -")
    return Command(given_id, _verb(fields, given_id), _expiry(fields, given_id), _step(fields, given_id))


def _id_at_start(payload: bytes) -> str | None:
    """Return the identifier from the start of a payload that is too long to be parsed, for the answer to the sender."""
    found = _WRITTEN_ID.search(payload, 0, LONGEST_BYTES)
    return found[1].decode("ascii") if found else None


def _verb(fields: dict[str, object], given_id: str) -> str:
    verb = fields.get("command")
    if not isinstance(verb, str) or verb not in VERBS:
        raise CommandError(f"command: expected one of {', '.join(VERBS)}", given_id)
    if unknown := fields.keys() - _FIELDS:
        raise CommandError(f"unknown fields: {len(unknown)}; allowed: {', '.join(sorted(_FIELDS))}", given_id)
    return verb


def _expiry(fields: dict[str, object], given_id: str) -> datetime:
    given = fields.get("expires")
    try:
        expires = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None:
        raise CommandError("expires: expected a time with a time zone, such as 2026-11-22T04:31:00Z", given_id)
    return expires


def _step(fields: dict[str, object], given_id: str) -> int | None:
    step = fields.get("step")
    if step is None:
        return None
    if fields.get("command") != "skip" or type(step) is not int or not 0 < step < _MOST_STEPS:
        raise CommandError("step: expected a step number; allowed only with the command skip", given_id)
    return step


class CommandGate:
    """A gate that admits each command once, before it expires.

    Parameters
    ----------
    known
        Identifiers of commands that were executed in earlier runs.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict.fromkeys(known)

    @property
    def ids_remembered(self) -> int:
        """Number of remembered identifiers. They cannot be used again."""
        return len(self._seen)

    def admit(self, payload: bytes, now: datetime, *, is_retained: bool) -> Command:
        """Return the command in the payload if it may be carried out now.

        Parameters
        ----------
        payload
            The message.
        now
            Current wall-clock time in UTC. The run shares no other clock with the sender.
        is_retained
            True if the broker had retained the message. A retained message can be of any age.

        Raises
        ------
        CommandError
            If the command must not be carried out.
        """
        command = parse_command(payload)
        if is_retained:
            raise CommandError("ignored: coldframe does not accept retained commands", command.id)
        if command.id in self._seen:
            raise CommandError("ignored: this id has been used before", command.id)
        self._remember(command.id)
        try:
            left = command.expires - now
        except OverflowError:
            left = LONGEST_LIFE * 2
        if left <= timedelta(0):
            raise CommandError(f"ignored: expired; the time here is {now:%H:%M:%S} UTC", command.id)
        if left > LONGEST_LIFE:
            minutes = LONGEST_LIFE.total_seconds() / 60
            raise CommandError(
                f"expires: more than {minutes:g} minutes ahead; the time here is {now:%H:%M:%S} UTC", command.id
            )
        return command

    def _remember(self, command_id: str) -> None:
        self._seen[command_id] = None
        while len(self._seen) > MOST_IDS:
            self._seen.popitem(last=False)


def answer_document(command_id: str | None, text: str, now: datetime, *, accepted: bool) -> bytes:
    """Return the answer to a command.

    Parameters
    ----------
    command_id
        Identifier of the command; None if the message had none.
    accepted
        True if the command was passed to a night or started one. `text` is the reply if the command was accepted, and
        otherwise the reason for the refusal.
    """
    document = {
        "schema": SCHEMA,
        "id": command_id,
        "accepted": accepted,
        "text": text,
        "at": now.isoformat(timespec="seconds"),
    }
    return to_json(document)
