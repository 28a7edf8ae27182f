"""Split the journal of a night into runs of coldframe. The journal of a resumed night contains several runs."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from coldframe.capture.events.kinds import (
    Event,
    HookEnded,
    NightEnded,
    NightStarted,
    Notice,
)
from coldframe.capture.events.values import StepType
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError

JOURNAL = "journal.jsonl"
"""Name of the journal in the folder of a night."""


class NoNightError(ColdframeError):
    """A journal does not contain the start of a night."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of coldframe.

    Attributes
    ----------
    started
        First event of the run, with the plan.
    events
        All events of the run, starting with `started`. The notices that the next run published before its plan are
        included.
    """

    started: NightStarted
    events: tuple[Event, ...]

    @property
    def ending(self) -> NightEnded | None:
        """The event that ended the run; None if the run stopped unexpectedly."""
        return next((event for event in reversed(self.events) if isinstance(event, NightEnded)), None)

    @property
    def ended_at(self) -> datetime:
        """Time of `ending` or, if it is None, of the last event that only a running night publishes."""
        if self.ending is not None:
            return self.ending.at
        return max(event.at for event in self.events if not isinstance(event, Notice | HookEnded))


def runs_of(events: Iterable[Event]) -> list[Run]:
    """Return the runs of a night in order.

    Raises
    ------
    NoNightError
        If the events do not include the start of a night.
    """
    runs: list[list[Event]] = []
    for event in events:
        if isinstance(event, NightStarted):
            runs.append([event])
        elif runs:
            runs[-1].append(event)
    if not runs:
        raise NoNightError("the journal does not contain the start of a night")
    return [Run(run[0], tuple(run)) for run in runs if isinstance(run[0], NightStarted)]


Work = tuple[StepType, FrameKind | None, str | None, float | None, float | None, float | None]
StepKey = tuple[Work, int]
"""Key that identifies a step across runs: the work of the step, and the number of earlier steps with the same work."""


def step_keys(plan: NightStarted) -> dict[int, StepKey]:
    """Return the key of each step of a plan, by step number."""
    keys: dict[int, StepKey] = {}
    seen = Counter[Work]()
    for step in plan.steps:
        work = step.step_type, step.kind, step.filter, step.exposure_s, step.setpoint_c, step.rotator_deg
        keys[step.number] = work, seen[work]
        seen[work] += 1
    return keys
