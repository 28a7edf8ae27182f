"""The words for the current state of a night: the verdict, the expected end, the activity and the latest frame.

The dashboard and the web page show the same words. Times of day are in the time zone of `now`.

This module performs no I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from coldframe.capture.events.values import ExposurePurpose, NightOutcome, Severity, SkippedBy, StepOutcome
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.quantities import (
    duration_text,
    exposure_text,
    panel_parts,
    printable,
    short_duration_text,
)
from coldframe.capture.monitoring.progress.state import DashboardState

FLICKER_S = 5.0
"""Shortest exposure whose progress is shown. The progress of a shorter exposure would only flicker."""


LONGEST_REST_S = 1e7
"""Longest remaining time for which an expected end is shown. Longer times result only from invalid numbers."""


class Mark(StrEnum):
    """The sign of a verdict. Words and colours alone are easily overlooked."""

    WAITING = "waiting"
    DONE = "done"
    WARNING = "warning"
    FAILED = "failed"
    PAUSED = "paused"


class Mood(StrEnum):
    """How good a verdict is."""

    GOOD = "good"
    NOTE = "note"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a night in a few words."""

    mark: Mark
    mood: Mood
    words: str


@dataclass(frozen=True, slots=True)
class Activity:
    """The current activity of a step.

    Attributes
    ----------
    words
        Text for display; empty if nothing is known.
    fraction
        Elapsed part of the exposure, from 0 to 1; None if its progress is not shown.
    is_halted
        True if nothing is known to be happening, because the night is paused or out of contact.
    """

    words: str
    fraction: float | None = None
    is_halted: bool = False


_FINAL = {
    NightOutcome.COMPLETE: Verdict(Mark.DONE, Mood.GOOD, "Complete"),
    NightOutcome.INCOMPLETE: Verdict(Mark.WARNING, Mood.WARN, "Ended, incomplete"),
    NightOutcome.INTERRUPTED: Verdict(Mark.WARNING, Mood.WARN, "Interrupted"),
    NightOutcome.ABORTED: Verdict(Mark.FAILED, Mood.BAD, "Aborted"),
}


SAME_NIGHT = timedelta(hours=20)
"""Maximum difference from the current time at which a time of day is shown without a date; longer than a night."""


def clock(at: datetime, now: datetime, form: str = "%H:%M:%S") -> str:
    """Return a time of day in the time zone of `now`, with the date if the time belongs to another night."""
    try:
        local = at.astimezone(now.tzinfo)
    except OverflowError:  # a journal can contain any time, even in the year 1
        return "an unknown time"
    return f"{local:{form}}" if abs(now - at) < SAME_NIGHT else f"{local:{form} on %-d %B}"


def verdict_of(state: DashboardState, now: datetime) -> Verdict:
    """Summarise the night in a few words."""
    if state.ended is not None:
        return _FINAL[state.ended.outcome]
    if state.night is None:
        return Verdict(Mark.WAITING, Mood.NOTE, "Waiting for the night to begin")
    if state.lost_at is not None:
        return Verdict(Mark.WARNING, Mood.WARN, f"No contact since {clock(state.lost_at, now)}")
    if state.silent_since is not None:
        return Verdict(Mark.WARNING, Mood.WARN, f"No news since {clock(state.silent_since, now, '%H:%M')}")
    if state.paused is not None:
        is_last_frame = is_exposing(state, now)
        words = "Pausing after this frame" if is_last_frame else f"Paused since {clock(state.paused.at, now)}"
        return Verdict(Mark.PAUSED, Mood.WARN, words)
    return _verdict_under_way(state)


def _verdict_under_way(state: DashboardState) -> Verdict:
    if state.is_stopping:
        return Verdict(Mark.WARNING, Mood.WARN, "Ending, making the rig safe")
    missing = [step for step in state.missing if step.skipped_by is not SkippedBy.USER]
    if missing:
        what = printable(missing[0].planned.title) if len(missing) == 1 else f"{len(missing)} steps"
        return Verdict(Mark.FAILED, Mood.BAD, f"{what} not done, continuing")
    if state.problems.count(Severity.ERROR):
        return Verdict(Mark.FAILED, Mood.BAD, "Errors, continuing")
    if count := state.problems.total:
        return Verdict(Mark.WARNING, Mood.WARN, f"Running, {'1 warning' if count == 1 else f'{count} warnings'}")
    return Verdict(Mark.DONE, Mood.GOOD, "All well")


def is_exposing(state: DashboardState, now: datetime) -> bool:
    """Return True if the camera is exposing a frame."""
    exposure = state.exposure
    return exposure is not None and (now - exposure.at).total_seconds() < exposure.exposure_s


def ending(state: DashboardState, now: datetime) -> str:
    """Return the expected end of the night (the earliest possible end if overdue), or the time at which it ended."""
    if state.ended is not None:
        return f"ended at {clock(state.ended.at, now, '%H:%M')}"
    if state.night is None:
        return "no plan yet"
    if state.lost_at is not None:
        return f"last contact at {clock(state.lost_at, now, '%H:%M')}"
    if state.silent_since is not None:
        return "attached, but the run is sending no events"
    return _expected_end(state, now)


def _expected_end(state: DashboardState, now: datetime) -> str:
    outlook = state.outlook(now)
    if state.paused is not None:
        return f"paused, {duration_text(outlook.remaining_s)} to go"
    if not abs(outlook.remaining_s) < LONGEST_REST_S:  # a journal can contain any number, even NaN
        return "done at an unknown time"
    at = clock(now + timedelta(seconds=outlook.remaining_s), now, "%H:%M")
    left = duration_text(outlook.remaining_s)
    if outlook.overdue:
        return f"done no earlier than {at}, in {left} or more"
    return f"done about {at}, in {left}"


def result_text(state: DashboardState) -> str:
    """Return the result of a night that has ended, in sentences; empty while the night is running."""
    if state.ended is None:
        return ""
    return printable(" ".join(filter(None, [state.lights_sentence, state.ended.summary])))


_PURPOSE_WORDS = {
    ExposurePurpose.CAMERA: "measuring the camera",
    ExposurePurpose.BIAS_LEVEL: "measuring the bias level",
    ExposurePurpose.GAIN: "checking the gain",
}


def step_words(step: StepProgress, state: DashboardState) -> str:
    """Return the title of a step with its count, or with the tuner's progress."""
    title = printable(step.planned.title)
    if state.is_tuning and state.tuning is not None:
        return f"{title}: finding the exposure, test {len(state.tuning.tests)}"
    if state.exposure is not None and (words := _PURPOSE_WORDS.get(state.exposure.purpose)):
        return f"{title}: {words}"
    return f"{title}  {step.accepted}/{step.planned.count}" if step.planned.kind else title


def activity_of(state: DashboardState, now: datetime) -> Activity:
    """Return the activity of the step under way, for example its exposure."""
    exposure = state.exposure
    if state.stopped_at is not None:
        return Activity("was running", is_halted=True)
    if state.paused is not None and not is_exposing(state, now):
        return Activity("no exposure until the night is resumed", is_halted=True)
    if exposure is None:
        return Activity(printable(state.cooling or ""))
    passed_s = max((now - exposure.at).total_seconds(), 0.0)
    total = exposure_text(exposure.exposure_s)
    if exposure.exposure_s < FLICKER_S:
        return Activity(f"exposing {total}")
    if passed_s >= exposure.exposure_s:
        return Activity(f"reading out {total}")
    return Activity(f"exposing {passed_s:.0f} of {total}", passed_s / exposure.exposure_s)


def step_time(step: StepProgress, state: DashboardState, now: datetime) -> tuple[str, bool]:
    """Return the duration of a step, or its outcome if it failed or was skipped; and whether this is an estimate."""
    if step.outcome in (StepOutcome.FAILED, StepOutcome.SKIPPED):
        return step.outcome.value, False
    if step.is_over and step.began and step.ended:
        return short_duration_text((step.ended - step.began).total_seconds()), False
    if state.ended is not None or state.lost_at is not None:
        return "not done", False
    return short_duration_text(state.pace.rest_of_step(step, state.silent_since or now).remaining_s), True


def frame_title(state: DashboardState) -> str:
    """Return the title of the last frame."""
    frame = state.frame
    if frame is None:
        return "Last frame"
    step = state.steps.get(frame.step)
    name = f"{printable(step.planned.title)} {frame.index}" if step else f"step {frame.step}, {frame.index}"
    return f"Last frame: {name}, {exposure_text(frame.exposure_s)}"


def light_path(state: DashboardState) -> Iterator[str]:
    """Yield the filter, the angle of the rotator, and the states of the panel and the cover."""
    if state.filter is not None:
        yield f"filter {printable(state.filter)}"
    if state.rotator_deg is not None:
        yield f"rotator {state.rotator_deg:g} deg"
    if state.panel is not None:
        light, *cover = panel_parts(state.panel)
        yield from (f"panel {light}", *cover)
    elif state.night is not None and state.night.panel is None:
        yield "no panel"
