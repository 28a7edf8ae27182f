"""Build the MQTT messages, which are JSON documents. The schemas are in docs/mqtt. This module performs no I/O."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import StepType
from coldframe.capture.events.verification import Cleanness, LightsVerified
from coldframe.capture.monitoring.progress.narrator import LogLine
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.progress.verification_words import latest_of

SCHEMA = 1
"""Version of the schemas, incremented when a field is removed or changes meaning, but not when a field is added."""

MOST_PROBLEMS = 10
"""Maximum number of problems in the state document, which lists the latest ones; the journal topic contains more."""

MOST_SETS = 20
"""Maximum number of diagnosed sets in the state document."""

LONGEST_TEXT = 500

_PHASES = {
    StepType.COOL: "cooling",
    StepType.WARM: "warming",
    StepType.TUNE: "tuning",
    StepType.SKY_MASTER: "combining",
}


def to_json(document: Mapping[str, object]) -> bytes:
    """Encode a document compactly, in ASCII."""
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")


def phase_of(state: DashboardState) -> str:
    """Return the current phase: the kind of frames being taken, or another activity, such as cooling."""
    if state.ended is not None:
        return "ended"
    step = state.step
    if step is None:
        return "waiting"
    if state.is_tuning:
        return "tuning"
    if step.planned.kind is not None:
        return step.planned.kind.value
    return _PHASES.get(step.planned.step_type, "working")


def state_document(state: DashboardState, now: datetime, *, dropped: int = 0) -> bytes:
    """Return the state of the night as a JSON document.

    Parameters
    ----------
    state
        The state after all events so far.
    now
        Current time in UTC.
    dropped
        Number of messages dropped because too many were waiting for the broker.
    """
    outlook = state.outlook(now)
    thermals, frame, ended = state.thermals, state.frame, state.ended
    step = state.step
    document = {
        "schema": SCHEMA,
        "at": now.isoformat(timespec="seconds"),
        "phase": phase_of(state),
        "paused": state.paused is not None,
        "outcome": ended.outcome.value if ended else None,
        "summary": _short(ended.summary) if ended else None,
        "step": _step(step) if step else None,
        "steps_done": sum(each.is_over for each in state.steps.values()),
        "steps": len(state.steps),
        "progress_percent": round(100 * state.done_fraction(now), 1),
        "remaining_s": round(outlook.remaining_s),
        "overdue": outlook.overdue,
        "eta": (now + timedelta(seconds=round(outlook.remaining_s))).isoformat(timespec="seconds"),
        "sensor_c": _number(thermals.sensor_c, 2) if thermals else None,
        "setpoint_c": _number(thermals.setpoint_c, 2) if thermals else None,
        "cooler_percent": _number(thermals.power_percent, 1) if thermals else None,
        "level_adu": _number(frame.statistics.level_adu, 1) if frame else None,
        "noise_adu": _number(frame.statistics.noise_adu, 2) if frame else None,
        "filter": state.filter,
        "panel_lit": state.panel.lit if state.panel else None,
        "frames": sum(each.accepted for each in state.steps.values()),
        "frames_rejected": sum(each.rejected for each in state.steps.values()),
        "masters": len(state.masters),
        "lights": _lights(state),
        "problems": [_problem(line) for line in list(state.problems)[-MOST_PROBLEMS:]],
        "problem_count": state.problems.total,
        "latest": _short(state.latest[-1].text) if state.latest else None,
        "events_dropped": dropped,
    }
    return to_json(document)


def plan_document(state: DashboardState) -> bytes:
    """Return the plan, including all changes so far, with the outcome of each step."""
    night = state.night
    assert night is not None
    document = {
        "schema": SCHEMA,
        "began": night.at.isoformat(timespec="seconds"),
        "folder": night.folder,
        "camera": night.camera,
        "panel": night.panel,
        "wheel": night.wheel,
        "width": night.width,
        "height": night.height,
        "steps": [_planned(step) for step in state.steps.values()],
    }
    return to_json(document)


def picture_document(shown: FrameShown) -> bytes:
    """Return the picture of the last frame, as base64-encoded rows of 8-bit values, and the frame's histogram."""
    height, width = shown.picture.shape
    document = {
        "schema": SCHEMA,
        "at": shown.at.isoformat(timespec="seconds"),
        "title": _short(shown.title),
        "width": width,
        "height": height,
        "pixels": base64.b64encode(shown.picture.tobytes()).decode("ascii"),
        "histogram": [int(count) for count in shown.histogram],
        "first_adu": shown.first_adu,
        "bin_adu": shown.bin_adu,
    }
    return to_json(document)


def _lights(state: DashboardState) -> dict[str, object] | None:
    """Return the findings on whether the lights calibrate cleanly; None before the first diagnosis."""
    verified = latest_of(state.verified.values())
    if not verified:
        return None
    kinds = {event.cleanness for event in verified}
    known = {Cleanness.CLEAN: True, Cleanness.FAULTY: False}
    worst = next(each for each in (Cleanness.FAULTY, Cleanness.UNKNOWN, Cleanness.CLEAN) if each in kinds)
    return {
        "clean": known.get(worst),
        "text": _short(state.lights_sentence),
        "sets": [_verified(event) for event in verified[:MOST_SETS]],
    }


def _verified(event: LightsVerified) -> dict[str, object]:
    worst = event.artifacts[0] if event.artifacts else None
    return {
        "frames": event.frames.value,
        "filter": event.filter,
        "exposure_s": _number(event.exposure_s),
        "count": event.count,
        "cleanness": event.cleanness.value,
        "kind": worst.kind.value if worst else None,
        "size": _number(worst.size, 3) if worst else None,
        "unit": worst.unit if worst else None,
        "remedy": worst.remedy.value if worst else None,
        "reshoots": event.reshoots.value if event.reshoots else None,
    }


def _planned(progress: StepProgress) -> dict[str, object]:
    step = progress.planned
    return {
        "number": step.number,
        "title": step.title,
        "kind": step.kind.value if step.kind else None,
        "filter": step.filter,
        "count": step.count,
        "exposure_s": _number(step.exposure_s),
        "estimate_s": round(step.estimate_s, 1),
        "outcome": progress.outcome.value if progress.outcome else None,
        "reason": _short(progress.reason),
    }


def _step(progress: StepProgress) -> dict[str, object]:
    step = progress.planned
    return {
        "number": step.number,
        "title": step.title,
        "accepted": progress.accepted,
        "rejected": progress.rejected,
        "count": step.count,
    }


def _problem(line: LogLine) -> dict[str, object]:
    return {
        "at": line.at.isoformat(timespec="seconds"),
        "severity": line.severity.value,
        "text": _short(line.text),
    }


def _number(value: float | None, digits: int | None = None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if digits is None else round(value, digits)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
