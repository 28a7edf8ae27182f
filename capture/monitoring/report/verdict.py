"""Summarise a night in the first sentence of the morning report."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import tzinfo

from coldframe.capture.events.kinds import NightEnded, Notice, StepEnded, StepStarted
from coldframe.capture.events.values import Topic
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.report.contents import NightState, SetReport, SetState, Verdict
from coldframe.capture.monitoring.report.runs import Run

SAFETY_UNKNOWN = "It is unknown whether the rig is safe: run “coldframe safe”."

MOST_REASONS = 2
"""Maximum number of reasons in the sentence. The table below the sentence contains all reasons."""

MOST_NAMES = 6
LONGEST_REASON = 120

CLAUSE_WORDS = 4
"""If at least this many words precede a colon, they suffice as a summary. Usually, only figures follow the colon."""


def verdict_of(
    last: Run, sets: Sequence[SetReport], lights: str = "", *, zone: tzinfo | None, is_running: bool
) -> Verdict:
    """Return the summary of a night.

    Parameters
    ----------
    last
        The last run of the night.
    sets
        The sets of the plan.
    lights
        Sentence about whether the lights calibrate cleanly, which becomes the first sentence of the summary; empty if
        this is unknown.
    zone
        Time zone for clock times; None for the local time zone.
    is_running
        True if the night has not ended yet.
    """
    verdict = _verdict_of_rig(last, sets, zone=zone, is_running=is_running)
    return replace(verdict, sentence=f"{printable(lights)} {verdict.sentence}") if lights else verdict


def _verdict_of_rig(last: Run, sets: Sequence[SetReport], *, zone: tzinfo | None, is_running: bool) -> Verdict:
    ending = last.ending
    if ending is not None:
        state = NightState(ending.outcome.value)
        setpoints = dict.fromkeys(f"{sentence}." for sentence in _setpoints_out_of_reach(last))
        sentence = " ".join([_opening(state, ending.result) + _masters(sets), *setpoints, *_safety(ending)])
        return Verdict(state, ending.rig_is_safe, printable(sentence))
    at = f"{last.ended_at.astimezone(zone):%H:%M}"
    if is_running:
        made = sum(each.is_made for each in sets)
        return Verdict(
            NightState.RUNNING, None, f"The night is still running: {made} of {len(sets)} masters were made by {at}."
        )
    during = f", during {title}" if (title := _running_step(last)) else ""
    sentence = f"The night stopped unexpectedly at {at}{during}; {_uncapped(_masters(sets))}"
    return Verdict(NightState.BROKEN_OFF, None, printable(f"{sentence} {SAFETY_UNKNOWN}"))


def _setpoints_out_of_reach(run: Run) -> Iterator[str]:
    """Yield a sentence for each setpoint that could not be reached. The sentence names the setting to change."""
    for event in run.events:
        if isinstance(event, Notice) and event.topic is Topic.SETPOINT:
            yield event.text


def _opening(state: NightState, result: str) -> str:
    if state is NightState.INTERRUPTED:
        return "The night was ended by request. "
    if state is NightState.ABORTED:
        return f"The night was aborted: {_first_clause(result)}. "
    return ""


def _uncapped(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _masters(sets: Sequence[SetReport]) -> str:
    """Return a sentence with the number of masters, the missing masters, and the reasons."""
    missing = [each for each in sets if each.state is SetState.MISSING]
    short = [each for each in sets if each.state is SetState.SHORT]
    if not missing and not short:
        return _all_made(len(sets)) + "."
    if not missing:
        return f"{_all_made(len(sets))}, with fewer frames than planned for {_listed([each.title for each in short])}."
    made = len(sets) - len(missing)
    # The opening already states that the night ended early, so sets that were not reached need no explanation.
    missing = [each for each in missing if each.is_reached]
    count = f"{made} of {len(sets)} masters {'was' if made == 1 else 'were'} made"
    if not made:
        count = "No master was made"
    return f"{count}. Missing: {_reasons(missing)}." if missing else f"{count}."


def _all_made(count: int) -> str:
    if count == 0:
        return "No master was planned"
    return "The one planned master was made" if count == 1 else f"All {count} masters were made"


def _reasons(missing: Sequence[SetReport]) -> str:
    """Return the missing sets with their reasons, grouped by reason."""
    titles: dict[str, list[str]] = {}
    for each in missing:
        titles.setdefault(each.reason, []).append(each.title)
    missing_for = [f"{_listed(names)} ({_first_clause(reason)})" for reason, names in titles.items()]
    rest = sum(len(names) for names in list(titles.values())[MOST_REASONS:])
    return ", ".join(missing_for[:MOST_REASONS]) + (f", and {rest} more" if rest else "")


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    if len(names) > MOST_NAMES:
        return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _first_clause(text: str) -> str:
    """Shorten text for display to its first clause that has enough words, without a full stop."""
    first = printable(text).split(". ")[0].rstrip(".? ")
    head = first.split(": ")[0]
    clause = head if len(head.split()) >= CLAUSE_WORDS else first
    if len(clause) <= LONGEST_REASON:
        return clause
    return clause[:LONGEST_REASON].rsplit(" ", 1)[0].rstrip(" ,:;") + " …"


def _safety(ending: NightEnded) -> list[str]:
    if ending.rig_is_safe is None:
        return [SAFETY_UNKNOWN]
    if ending.rig_is_safe:
        if ending.still_cold_c is not None:
            sensor = f"sensor at {ending.still_cold_c:.0f} C and warming up to the air temperature"
            return [f"The rig is safe: cooler off, {sensor}."]
        return ["The rig is safe."]
    return ["The rig is NOT safe:", *ending.not_safe] if ending.not_safe else ["The rig is NOT safe."]


def _running_step(run: Run) -> str:
    """Return the title of the step during which a run stopped unexpectedly; empty if the run was between two steps."""
    titles = {step.number: step.title for step in run.started.steps}
    for event in reversed(run.events):
        if isinstance(event, StepEnded):
            return ""
        if isinstance(event, StepStarted):
            return titles.get(event.step, "")
    return ""
