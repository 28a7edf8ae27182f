"""The names and values of events that journals, watchers and MQTT clients rely on."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coldframe.capture.events import kinds
from coldframe.capture.events.kinds import EVENT_KINDS, Event, on_the_wire
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import (
    AbortedBy,
    NightOutcome,
    Severity,
    SkippedBy,
    StepOutcome,
    StepType,
    Topic,
)
from coldframe.capture.storage.journal import is_journalled

AT = datetime(2026, 11, 22, 3, 12, tzinfo=UTC)
SCHEMA = Path(__file__).parents[3] / "docs/mqtt/event.schema.json"


def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(SCHEMA.read_text("utf-8"))["allOf"]
    return found


def test_wire_names_stay_the_same() -> None:
    assert set(EVENT_KINDS) == {
        "camera-measured",
        "cooling-progress",
        "exposure-started",
        "filter-changed",
        "flat-tested",
        "flat-tuned",
        "frame-accepted",
        "frame-rejected",
        "hook-ended",
        "lights-verified",
        "master-grew",
        "master-written",
        "night-ended",
        "night-paused",
        "night-resumed",
        "night-started",
        "notice",
        "panel-changed",
        "pedestal-decided",
        "rotator-turned",
        "set-resized",
        "step-ended",
        "step-started",
        "temperature-read",
        "tuning-kept",
    }


def test_every_kind_has_one_name() -> None:
    assert all(kind.wire_name == name for name, kind in EVENT_KINDS.items())
    declared = {each for each in vars(kinds).values() if isinstance(each, type) and issubclass(each, Event)}
    assert declared - set(EVENT_KINDS.values()) == {Event}


def test_a_name_cannot_be_given_twice() -> None:
    class Second(Event):
        pass

    with pytest.raises(AssertionError, match="notice"):
        on_the_wire("notice")(Second)


def test_previews_are_not_journalled() -> None:
    assert not is_journalled(FrameShown(AT, "x", np.zeros((2, 2), np.uint8), np.zeros(128, np.int64)))


@pytest.mark.parametrize(
    ("event", "field", "values"),
    [
        ("night-ended", "outcome", NightOutcome),
        ("night-ended", "aborted_by", AbortedBy),
        ("step-ended", "outcome", StepOutcome),
        ("step-ended", "skipped_by", SkippedBy),
        ("notice", "severity", Severity),
        ("notice", "topic", Topic),
    ],
)
def test_the_schema_lists_the_values(event: str, field: str, values: type[StrEnum]) -> None:
    assert set(properties(event)[field]["enum"]) - {None} == {each.value for each in values}


@pytest.mark.parametrize("event", [case["if"]["properties"]["event"]["const"] for case in cases()])
def test_the_schema_lists_the_fields(event: str) -> None:
    names = {each.name for each in fields(EVENT_KINDS[event])} - {"at"}
    assert names <= properties(event).keys()


def test_the_schema_lists_the_types_of_steps() -> None:
    step = properties("night-started")["steps"]["items"]["properties"]
    assert set(step["step_type"]["enum"]) == {each.value for each in StepType}


def properties(event: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        case["then"]["properties"] for case in cases() if case["if"]["properties"]["event"]["const"] == event
    )
    return found
