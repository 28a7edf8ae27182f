"""A night's journal, cut into the runs of the program that wrote it: several where the night was resumed. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coldframe.capture.events.kinds import Event, HookEnded, NightEnded, NightStarted, Notice, StepType
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError

JOURNAL = "journal.jsonl"
"""Name of the journal in a night's folder."""


class NoNightError(ColdframeError):
    """A journal tells of no night; the text says so."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the program over a night.

    Attributes
    ----------
    started
        Its first event: the plan.
    events
        All of its events, `started` the first. Notices that a later run told ahead of its plan are still among them.
    """

    started: NightStarted
    events: tuple[Event, ...]

    @property
    def last_word(self) -> NightEnded | None:
        """How the run ended; None where it broke off."""
        return next((event for event in reversed(self.events) if isinstance(event, NightEnded)), None)

    @property
    def ended_at(self) -> datetime:
        """Time of its last word, or of the last event that only a running night tells."""
        if self.last_word is not None:
            return self.last_word.at
        return max(event.at for event in self.events if not isinstance(event, Notice | HookEnded))


def runs_of(events: Iterable[Event]) -> list[Run]:
    """Return the runs of a night in their order.

    Raises
    ------
    NoNightError
        None of the events is the start of a night.
    """
    runs: list[list[Event]] = []
    for event in events:
        if isinstance(event, NightStarted):
            runs.append([event])
        elif runs:
            runs[-1].append(event)
    if not runs:
        raise NoNightError("the journal tells of no night that began")
    return [Run(run[0], tuple(run)) for run in runs if isinstance(run[0], NightStarted)]


Work = tuple[StepType, FrameKind | None, str | None, float | None, float | None]
StepKey = tuple[Work, int]
"""Names a step in every run, although its number changes: its work, and how many steps before it have the same."""


def step_keys(plan: NightStarted) -> dict[int, StepKey]:
    """Return the key of each step of a plan by its number."""
    keys: dict[int, StepKey] = {}
    seen = Counter[Work]()
    for step in plan.steps:
        work = step.step_type, step.kind, step.filter, step.exposure_s, step.setpoint_c
        keys[step.number] = work, seen[work]
        seen[work] += 1
    return keys
