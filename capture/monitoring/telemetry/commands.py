"""Commands from afar: what is one, and which may still be obeyed."""

import json
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from coldframe.capture.monitoring.telemetry.documents import SCHEMA, to_json
from coldframe.errors import ColdframeError

LONGEST_BYTES = 1024
LONGEST_LIFE = timedelta(minutes=10)
"""A command expires no later than this from now: one that the network or a broker held back must not surprise."""

MOST_IDS = 1000
"""Ids that are remembered; within `LONGEST_LIFE` nobody sends more."""

VERBS = ("pause", "resume", "skip", "abort", "run")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_FIELDS = frozenset({"id", "command", "expires", "step"})
_MOST_STEPS = 100_000


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes
    ----------
    verb
        One of `VERBS`.
    step
        For skip: number of the step; None is the one under way.
    """

    id: str
    verb: str
    expires: datetime
    step: int | None = None


class CommandError(ColdframeError, ValueError):
    """A command that is not obeyed; the text says why.

    Attributes
    ----------
    id
        Of the command, where it has one.
    """

    def __init__(self, text: str, command_id: str | None = None) -> None:
        super().__init__(text)
        self.id = command_id


def parse_command(payload: bytes) -> Command:
    """Read a command.

    Parameters
    ----------
    payload
        ``{"id": "4f1c", "command": "skip", "step": 7, "expires": "2026-11-22T04:31:00Z"}``; `step` is optional.

    Raises
    ------
    CommandError
        It is none.
    """
    if len(payload) > LONGEST_BYTES:
        raise CommandError(f"found {len(payload):,} bytes; a command has {LONGEST_BYTES:,} at most")
    try:
        fields = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise CommandError('no JSON; a command is {"id": "...", "command": "...", "expires": "..."}') from None
    if not isinstance(fields, dict):
        raise CommandError("no JSON object")
    given_id = fields.get("id")
    if not isinstance(given_id, str) or not _ID.fullmatch(given_id):
        raise CommandError("id: missing, or not 1 to 64 of letters, digits and . _ : -")
    return Command(given_id, _verb(fields, given_id), _expiry(fields, given_id), _step(fields, given_id))


def _verb(fields: dict[str, object], given_id: str) -> str:
    verb = fields.get("command")
    if not isinstance(verb, str) or verb not in VERBS:
        raise CommandError(f"command: unknown; allowed: {', '.join(VERBS)}", given_id)
    if unknown := fields.keys() - _FIELDS:
        raise CommandError(f"{len(unknown)} unknown fields; allowed: {', '.join(sorted(_FIELDS))}", given_id)
    return verb


def _expiry(fields: dict[str, object], given_id: str) -> datetime:
    given = fields.get("expires")
    try:
        expires = datetime.fromisoformat(given) if isinstance(given, str) else None
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None:
        raise CommandError("expires: missing, or no time with its zone, such as 2026-11-22T04:31:00Z", given_id)
    return expires


def _step(fields: dict[str, object], given_id: str) -> int | None:
    step = fields.get("step")
    if step is None:
        return None
    if fields.get("command") != "skip" or type(step) is not int or not 0 < step < _MOST_STEPS:
        raise CommandError("step: only with skip, and the number of a step", given_id)
    return step


class CommandGate:
    """Lets each command through once, while it is fresh."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def admit(self, payload: bytes, now: datetime, *, is_retained: bool) -> Command:
        """Return the command that may be obeyed now.

        Parameters
        ----------
        payload
            As it came.
        now
            UTC by the wall clock, as the sender reads it.
        is_retained
            Whether the broker had kept it for us: then it may be of any age.

        Raises
        ------
        CommandError
            It may not.
        """
        command = parse_command(payload)
        if is_retained:
            raise CommandError("ignored: it was retained, and commands are never kept", command.id)
        if command.id in self._seen:
            raise CommandError("ignored: a command with this id came before", command.id)
        self._remember(command.id)
        try:
            left = command.expires - now
        except OverflowError:
            left = LONGEST_LIFE * 2
        if left <= timedelta(0):
            raise CommandError(f"ignored: it has expired; here it is {now:%H:%M:%S} UTC", command.id)
        if left > LONGEST_LIFE:
            minutes = LONGEST_LIFE.total_seconds() / 60
            raise CommandError(
                f"expires: more than {minutes:g} minutes ahead; here it is {now:%H:%M:%S} UTC", command.id
            )
        return command

    def _remember(self, command_id: str) -> None:
        self._seen[command_id] = None
        while len(self._seen) > MOST_IDS:
            self._seen.popitem(last=False)


def answer_document(command_id: str | None, text: str, now: datetime, *, accepted: bool) -> bytes:
    """Tell what became of a command.

    Parameters
    ----------
    command_id
        None where the message had none.
    accepted
        Whether it was handed to the night; `text` is then the night's answer.
    """
    document = {
        "schema": SCHEMA,
        "id": command_id,
        "accepted": accepted,
        "text": text,
        "at": now.isoformat(timespec="seconds"),
    }
    return to_json(document)
