"""Fields derived from sentences in old journals. tests/nights/test_nights_of_67ea06a tests complete journals."""

from typing import Any

import pytest

from coldframe.capture.events.kinds import NightEnded, Notice, StepEnded
from coldframe.capture.events.values import SkippedBy, StepType
from coldframe.capture.storage.journal_reader import decode_event
from coldframe.capture.storage.old_journals import upgraded

LAMP = "Panel did not put its lamp out: no answer; cable? Look after it by hand."
COOLER = "Camera does not answer, so its cooler is as it was. Look after it by hand."


def last_word(summary: str, outcome: str = "incomplete") -> NightEnded:
    event = decode_event(
        f'{{"event": "night-ended", "at": "2026-11-22T05:00:00+00:00", "outcome": "{outcome}", "summary": "{summary}"}}'
    )
    assert isinstance(event, NightEnded)
    return event


def test_a_safe_rig_is_known_by_the_end_of_the_summary() -> None:
    ended = last_word("missing: flat Ha (the sensor did not reach -10 C); the rig is safe")
    assert (ended.rig_is_safe, ended.not_safe) == (True, ())
    assert ended.result == "missing: flat Ha (the sensor did not reach -10 C)"


@pytest.mark.parametrize("failures", [(LAMP,), (COOLER,), (LAMP, COOLER)])
@pytest.mark.parametrize(
    "result", ["all planned masters were made", "missing: a (the sensor did not reach 0 C); b (x)"]
)
def test_each_failure_of_the_safe_state_is_a_sentence(result: str, failures: tuple[str, ...]) -> None:
    ended = last_word("; ".join((result, *failures)))
    assert (ended.rig_is_safe, ended.result, ended.not_safe) == (False, result, failures)


def test_an_aborted_night_has_its_cause_as_its_result() -> None:
    ended = last_word("internal error: KeyError(1); the log has the details; the rig is safe", "aborted")
    assert ended.result == "internal error: KeyError(1)"


@pytest.mark.parametrize(
    ("reason", "skipped_by"),
    [
        ("by request", SkippedBy.USER),
        ("by request; its master is of 6 frames of 8", SkippedBy.USER),
        ("the night was ended", SkippedBy.NIGHT_ENDED),
        ("no time for it before 06:30", SkippedBy.TIME),
        ("no exposure was found for its flats", SkippedBy.MISSING_PREREQUISITE),
    ],
)
def test_skipped_steps(reason: str, skipped_by: SkippedBy) -> None:
    line = '{"event": "step-ended", "at": "2026-11-22T05:00:00+00:00", "step": 3, "outcome": "%s", "reason": "%s"}'
    skipped, failed = decode_event(line % ("skipped", reason)), decode_event(line % ("failed", reason))
    assert isinstance(skipped, StepEnded)
    assert isinstance(failed, StepEnded)
    assert (skipped.skipped_by, failed.skipped_by) == (skipped_by, None)


@pytest.mark.parametrize(("text", "will_retry"), [("no frame; trying again", True), ("no frame", False)])
def test_retries(text: str, will_retry: bool) -> None:  # noqa: FBT001
    notice = decode_event(
        f'{{"event": "notice", "at": "2026-11-22T05:00:00+00:00", "severity": "warning", "text": "{text}"}}'
    )
    assert isinstance(notice, Notice)
    assert notice.will_retry is will_retry


@pytest.mark.parametrize(
    ("title", "kind", "wanted"),
    [
        ("cool to -12.5 C", None, (StepType.COOL, None, -12.5)),
        ("tune flat", None, (StepType.TUNE, None, None)),
        ("tune flat H alpha", None, (StepType.TUNE, "H alpha", None)),
        ("combine flat L", None, (StepType.SKY_MASTER, "L", None)),
        ("sky flats L R", "flat", (StepType.SKY_FLATS, None, None)),
        ("flat sky", "flat", (StepType.SHOOT, "sky", None)),
        ("warm up", None, (StepType.WARM, None, None)),
    ],
)
def test_planned_steps(title: str, kind: str | None, wanted: tuple[StepType, str | None, float | None]) -> None:
    step: dict[str, Any] = {
        "number": 1,
        "title": title,
        "kind": kind,
        "filter": "sky" if title == "flat sky" else None,
        "count": 3,
        "exposure_s": None,
        "estimate_s": 5.0,
    }
    fields = upgraded(
        {
            "event": "night-started",
            "steps": [step],
        }
    )
    (found,) = fields["steps"]  # type: ignore[misc]
    assert (found["step_type"], found["filter"], found.get("setpoint_c")) == wanted  # type: ignore[has-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "notice", "text": "lost; trying again", "will_retry": False},
        {"event": "night-ended", "summary": "all made; the rig is safe", "rig_is_safe": False},
        {"event": "step-ended", "outcome": "skipped", "reason": "by request", "skipped_by": None},
        {"event": "night-started", "steps": [{"title": "warm up", "kind": None, "step_type": "cool"}, 7, {"title": 7}]},
        {"event": "night-started", "steps": 3},
        {"event": "filter-changed", "filter": "; trying again"},
        {"event": "notice", "text": 7},
    ],
)
def test_new_lines_and_nonsense_are_left_alone(fields: dict[str, object]) -> None:
    assert upgraded(fields) == fields
