"""The night in one sentence, for a person who has just woken up. Pure."""

from collections.abc import Sequence
from datetime import tzinfo

from coldframe.capture.events.kinds import NightEnded, StepEnded, StepStarted
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.report.contents import NightState, SetReport, SetState, Verdict
from coldframe.capture.monitoring.report.runs import Run

SAFETY_UNKNOWN = "Whether the rig is safe is not known: “coldframe safe” brings it there."

REASONS_TOLD = 2
"""More reasons make no sentence; all of them stand in the table below it."""

NAMES_TOLD = 6
LONGEST_REASON = 120

CLAUSE_WORDS = 4
"""What stands ahead of a colon tells enough where it has so many words: figures and questions follow it."""


def verdict_of(last: Run, sets: Sequence[SetReport], *, zone: tzinfo | None, is_running: bool) -> Verdict:
    """Return the verdict on a night.

    Parameters
    ----------
    last
        Its last run.
    sets
        What became of each set.
    zone
        Of the clock times; None is the computer's own.
    is_running
        It has not ended yet.
    """
    word = last.last_word
    if word is not None:
        state = NightState(word.outcome.value)
        sentence = " ".join([_opening(state, word.result) + _masters(sets), *_safety(word)])
        return Verdict(state, word.rig_is_safe, printable(sentence))
    at = f"{last.ended_at.astimezone(zone):%H:%M}"
    if is_running:
        made = sum(each.state is not SetState.MISSING for each in sets)
        return Verdict(NightState.RUNNING, None, f"The night is going on: {made} of {len(sets)} masters by {at}.")
    during = f", in {title}" if (title := _running_step(last)) else ""
    sentence = f"The night ended without its last word at {at}{during}; {_uncapped(_masters(sets))}"
    return Verdict(NightState.BROKEN_OFF, None, printable(f"{sentence} {SAFETY_UNKNOWN}"))


def _opening(state: NightState, result: str) -> str:
    if state is NightState.INTERRUPTED:
        return "The night was ended by request. "
    if state is NightState.ABORTED:
        return f"The night was aborted: {_first_clause(result)}. "
    return ""


def _uncapped(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _masters(sets: Sequence[SetReport]) -> str:
    """Say how many masters were made, and which are missing and why."""
    missing = [each for each in sets if each.state is SetState.MISSING]
    short = [each for each in sets if each.state is SetState.SHORT]
    if not missing and not short:
        return _all_made(len(sets)) + "."
    if not missing:
        return f"{_all_made(len(sets))}, but {_listed([each.title for each in short])} from fewer frames than planned."
    made = len(sets) - len(missing)
    # That a night broke off is said already.
    missing = [each for each in missing if each.is_reached]
    count = f"{made} of {len(sets)} masters {'was' if made == 1 else 'were'} made"
    if not made:
        count = "No master was made"
    return f"{count}: {_reasons(missing)}." if missing else f"{count}."


def _all_made(count: int) -> str:
    if count == 0:
        return "No master was planned"
    return "The one planned master was made" if count == 1 else f"All {count} masters were made"


def _reasons(missing: Sequence[SetReport]) -> str:
    """Say what is missing and why: sets with one reason share it."""
    titles: dict[str, list[str]] = {}
    for each in missing:
        titles.setdefault(each.reason, []).append(each.title)
    told = [f"no {_listed(names, 'or')}, because {_first_clause(why)}" for why, names in titles.items()]
    rest = sum(len(names) for names in list(titles.values())[REASONS_TOLD:])
    return "; ".join(told[:REASONS_TOLD]) + (f"; and {rest} more" if rest else "")


def _listed(names: Sequence[str], word: str = "and") -> str:
    if len(names) == 1:
        return names[0]
    if len(names) > NAMES_TOLD:
        return f"{', '.join(names[:NAMES_TOLD])} {word} {len(names) - NAMES_TOLD} more"
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def _first_clause(text: str) -> str:
    """Abbreviate a text for display to its first clause of enough words, without a full stop."""
    first = printable(text).split(". ")[0].rstrip(".? ")
    head = first.split(": ")[0]
    clause = head if len(head.split()) >= CLAUSE_WORDS else first
    if len(clause) <= LONGEST_REASON:
        return clause
    return clause[:LONGEST_REASON].rsplit(" ", 1)[0].rstrip(" ,:;") + " …"


def _safety(word: NightEnded) -> list[str]:
    if word.rig_is_safe is None:
        return [SAFETY_UNKNOWN]
    if word.rig_is_safe:
        return ["The rig is safe."]
    return ["The rig is NOT safe:", *word.not_safe] if word.not_safe else ["The rig is NOT safe."]


def _running_step(run: Run) -> str:
    """Return the title of the step that was under way when a run broke off; empty between two."""
    titles = {step.number: step.title for step in run.started.steps}
    for event in reversed(run.events):
        if isinstance(event, StepEnded):
            return ""
        if isinstance(event, StepStarted):
            return titles.get(event.step, "")
    return ""
