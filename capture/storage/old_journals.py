"""Add the fields that journals up to November 2026 lack, by deriving them from the sentences in these journals.

With the derived fields, these journals can be used for reports, watching and resuming. No other module may parse the
text of a message. This module parses only sentences that coldframe no longer writes, and only if a line lacks a field.
"""

import re

from coldframe.capture.events.values import (
    NightOutcome,
    SkippedBy,
    StepOutcome,
    StepType,
)

Fields = dict[str, object]

_RIG_IS_SAFE = "; the rig is safe"
_NOT_SAFE = re.compile(
    r"(?:^|; )(?P<sentence>[^;()]+ "
    r"(?:did not (?:end its exposure|put its lamp out|bring its cover into place|go back to how it was|warm up|"
    r"switch its cooler off)|does not answer, so its cooler|was not warmed up, so its cooler)"
    r".{0,600}?Look after it by hand\.)"
)
_COOL = re.compile(r"cool to (?P<setpoint_c>-?\d+(?:\.\d+)?(?:e[+-]\d+)?) C")
_OF_A_FILTER = re.compile(r"(?P<what>tune|combine) flat(?: (?P<filter>.+))?")
_OF_A_FILTER_TYPES = {"tune": StepType.TUNE, "combine": StepType.SKY_MASTER}


def upgraded(fields: Fields) -> Fields:
    """Return the fields of a journal line together with the fields that an old line lacks."""
    match fields:
        case {"event": "night-started", "steps": list(steps)}:
            return {**fields, "steps": [_step(step) for step in steps]}
        case {"event": "night-ended", "summary": str(summary)} if "rig_is_safe" not in fields:
            return {**fields, **_last_word(summary, fields.get("outcome"))}
        case {"event": "step-ended", "outcome": StepOutcome.SKIPPED, "reason": str(reason)} if (
            "skipped_by" not in fields
        ):
            return {**fields, "skipped_by": _skipped_by(reason)}
        case {"event": "notice", "text": str(text)} if "will_retry" not in fields:
            return {**fields, "will_retry": text.endswith("; trying again")}
    return fields


def _step(step: object) -> object:
    """Return a planned step together with its type and the filter or setpoint from its title."""
    if not isinstance(step, dict) or "step_type" in step or not isinstance(step.get("title"), str):
        return step
    return {**step, **_type_of(step["title"], shoots=step.get("kind") is not None)}


def _type_of(title: str, *, shoots: bool) -> Fields:
    if shoots:
        return {"step_type": StepType.SKY_FLATS if title.startswith("sky flats") else StepType.SHOOT}
    if found := _COOL.fullmatch(title):
        return {"step_type": StepType.COOL, "setpoint_c": float(found["setpoint_c"])}
    if found := _OF_A_FILTER.fullmatch(title):
        return {"step_type": _OF_A_FILTER_TYPES[found["what"]], "filter": found["filter"]}
    return {"step_type": StepType.WARM}


def _last_word(summary: str, outcome: object) -> Fields:
    """Return the result of a night and the state of the rig, as fields of the event that ended the night."""
    if summary.endswith(_RIG_IS_SAFE):
        result, not_safe = summary.removesuffix(_RIG_IS_SAFE), []
    else:
        found = list(_NOT_SAFE.finditer(summary))
        result, not_safe = summary[: found[0].start()] if found else summary, [each["sentence"] for each in found]
    if outcome == NightOutcome.ABORTED:
        result = result.split("; ", maxsplit=1)[0]
    return {"rig_is_safe": summary.endswith(_RIG_IS_SAFE), "result": result, "not_safe": not_safe}


def _skipped_by(reason: str) -> SkippedBy:
    if reason.startswith("by request"):
        return SkippedBy.USER
    if reason == "the night was ended":
        return SkippedBy.NIGHT_ENDED
    return SkippedBy.TIME if reason.startswith("no time for it before ") else SkippedBy.MISSING_PREREQUISITE
