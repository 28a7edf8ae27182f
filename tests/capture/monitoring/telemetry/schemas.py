"""Checks of messages against the documented schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from coldframe.capture.monitoring.telemetry.digest import unpack
from coldframe.capture.monitoring.telemetry.topics import Presence, Topics

FOLDER = Path(__file__).parents[4] / "docs" / "mqtt"


@cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


@cache
def _validator(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(name))
    return Draft202012Validator(schema(name), format_checker=FormatChecker())


def check(name: str, payload: bytes | str) -> Any:
    """Parse a document, and fail if it does not follow its schema."""
    document = json.loads(payload)
    _validator(name).validate(document)
    return document


def check_message(topics: Topics, topic: str, payload: bytes) -> None:
    """Fail if a message does not follow the schema of its topic."""
    if topic == topics.status:
        assert payload.decode() in set(Presence)
    elif topic == topics.listener:
        check("listener", json.dumps(payload.decode()))
    elif topic == topics.journal:
        for line in unpack(payload):
            check("event", line)
    elif topic.startswith("homeassistant/device/"):
        check("home-assistant", payload)
    else:
        name = topic.removeprefix(f"{topics.base}/")
        assert name in {"state", "plan", "event", "picture", "command", "answer"}, topic
        check(name, payload)
