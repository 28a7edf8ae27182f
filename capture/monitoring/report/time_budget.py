"""Divide the time of a night into exposing, reading, moving, waiting and lost time.

Every moment from the start of the first run to the end of the last one belongs to exactly one of the five categories,
so the categories add up to the length of the night. The categories are derived from the journal as follows:

exposing
    From the start of an exposure to the end of its nominal duration, or until it was aborted.
reading
    From the end of an exposure to the next event: the next exposure, the accepted frame, or the result of a test frame.
moving
    From the preceding event to a change in the state of the panel, cover, filter wheel or rotator, but at most
    `LONGEST_MOVE`. Also from this change to the next exposure or change, but at most `LONGEST_SETTLING`. Any excess
    counts as waiting.
lost
    Exposure and readout of frames that were rejected or never arrived. Also the time from a failure with a retry to the
    next success, including the wait for a lost device. Also the gap between two runs, and the exposure that was under
    way when the first of the two runs stopped.
waiting
    Everything else: cooling, warming up, combining, saving, waiting for the sky, and requested pauses.

A frame is saved and judged during the next exposure. Frames are therefore assigned to exposures in reverse order. The
last frame of a step belongs to the last exposure that had ended before the frame's event, and so on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightResumed,
    Notice,
    PanelChanged,
    StepEnded,
    StepStarted,
)
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import StepOutcome
from coldframe.capture.monitoring.report.runs import Run

LONGEST_MOVE = timedelta(minutes=2)
LONGEST_SETTLING = timedelta(seconds=20)
"""Maximum time after a movement that counts as settling. A longer pause has a different cause, such as the sky."""

BETWEEN_RUNS = "between two runs"
_ROUNDING = timedelta(milliseconds=1)

Judged = FrameAccepted | FrameRejected
Movement = PanelChanged | FilterChanged | RotatorTurned
Ending = CoolingProgress | FlatTested | FlatTuned | MasterWritten | NightEnded | NightResumed | StepEnded | StepStarted
"""Events that end an exposure, a readout or a movement without starting a new one."""


class Activity(StrEnum):
    """Category of a period of the night."""

    EXPOSING = "exposing"
    READING = "reading"
    WAITING = "waiting"
    MOVING = "moving"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Span:
    """A period of the night with one activity. `title` is the title of the step, and is empty between steps."""

    began: datetime
    ended: datetime
    activity: Activity
    title: str

    @property
    def length(self) -> timedelta:
        """Duration of the period."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """Time spent on each activity, in seconds."""

    exposing_s: float
    reading_s: float
    waiting_s: float
    moving_s: float
    lost_s: float

    @classmethod
    def of(cls, spans: Sequence[Span]) -> "TimeSpent":
        """Return the total length of the spans of each activity."""
        sums = dict.fromkeys(Activity, timedelta())
        for span in spans:
            sums[span.activity] += span.length
        return cls(**{f"{activity}_s": length.total_seconds() for activity, length in sums.items()})

    @property
    def total_s(self) -> float:
        """Sum of all activities."""
        return self.exposing_s + self.reading_s + self.waiting_s + self.moving_s + self.lost_s


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time budget of one step. The title is empty for the time between steps."""

    title: str
    spent: TimeSpent


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Time budget of a night. The docstring of the module defines the categories.

    Attributes
    ----------
    length_s
        Time from the start of the first run to the end of the last one, in seconds. It equals the total of `spent`.
    steps
        Time budgets of the steps, in the order in which they began.
    """

    length_s: float
    spent: TimeSpent
    steps: tuple[StepTime, ...]


def time_budget(runs: Sequence[Run]) -> TimeBudget:
    """Return the time budget of a night."""
    spans = list(spans_of(runs))
    titles = dict.fromkeys(span.title for span in spans)
    return TimeBudget(
        sum((span.length for span in spans), timedelta()).total_seconds(),
        TimeSpent.of(spans),
        tuple(StepTime(title, TimeSpent.of([span for span in spans if span.title == title])) for title in titles),
    )


def spans_of(runs: Sequence[Run]) -> Iterator[Span]:
    """Yield the periods of a night in order, without gaps."""
    until: datetime | None = None
    for run in runs:
        if until is not None and run.started.at > until:
            yield Span(until, run.started.at, Activity.LOST, BETWEEN_RUNS)
        began = run.started.at if until is None else max(run.started.at, until)
        walk = _Walk(run, began, is_resumed=run is not runs[-1])
        yield from walk.spans()
        until = walk.now


def _judged_exposures(events: Sequence[Event]) -> tuple[dict[int, int], set[int]]:
    """Return the exposure of each judged frame, and the exposures of rejected frames, all as indices of events."""
    free = [place for place, event in enumerate(events) if isinstance(event, ExposureStarted)]
    exposure_of: dict[int, int] = {}
    rejected = set[int]()
    for place in reversed(range(len(events))):
        event = events[place]
        if not isinstance(event, FrameAccepted | FrameRejected):
            continue
        found = next((each for each in reversed(free) if each < place and _may_be(events[each], event)), None)
        if found is None:  # the frame was shot in an earlier run
            continue
        free.remove(found)
        exposure_of[place] = found
        if isinstance(event, FrameRejected):
            rejected.add(found)
    return exposure_of, rejected


def _may_be(exposure: Event, judged: Judged) -> bool:
    assert isinstance(exposure, ExposureStarted)
    return exposure.step == judged.step and exposure.at + _seconds(exposure.exposure_s) <= judged.at + _ROUNDING


def _seconds(seconds: float) -> timedelta:
    """Return a duration; zero for negative and infinite values, because a journal can contain them."""
    try:
        return max(timedelta(seconds=seconds), timedelta())
    except (ValueError, OverflowError):
        return timedelta()


@dataclass(slots=True)
class _Walk:
    """A run, divided into periods. The events at the start and at the end of a period determine its activity."""

    run: Run
    now: datetime
    is_resumed: bool
    _exposure: int | None = None
    _is_settling: bool = False
    _is_lost: bool = False
    _is_paused: bool = False
    _title: str = ""
    _titles: dict[int, str] = field(default_factory=dict)

    def spans(self) -> Iterator[Span]:
        """Yield the spans of the run in order."""
        self._titles = {step.number: step.title for step in self.run.started.steps}
        events, end = self.run.events, self.run.ended_at
        exposure_of, rejected = _judged_exposures(events)
        for place, event in enumerate(events):
            if event.at > end:
                break
            yield from self._take(place, event, exposure_of.get(place), rejected)
        # The next run repeats the exposure that was under way when this run ended.
        self._is_lost = self._is_lost or (self.is_resumed and self._exposure is not None)
        yield from self._close(end, None, rejected)

    def _take(self, place: int, event: Event, answered: int | None, rejected: set[int]) -> Iterator[Span]:
        """Process an event. If it starts or ends an activity, close the current period and begin the next one."""
        if isinstance(event, NightPaused | NightResumed):
            self._is_paused = isinstance(event, NightPaused)
        if self._is_paused and isinstance(event, Movement):
            return
        is_retry = isinstance(event, Notice) and event.will_retry
        is_its_frame = answered is not None and answered == self._exposure
        if not (is_retry or is_its_frame or isinstance(event, ExposureStarted | Movement | Ending)):
            return
        broke_off = is_retry or (isinstance(event, StepEnded) and event.outcome is not StepOutcome.DONE)
        self._is_lost = self._is_lost or (broke_off and self._exposure is not None)
        yield from self._close(event.at, event, rejected)
        self._exposure = place if isinstance(event, ExposureStarted) else None
        self._is_settling, self._is_lost = isinstance(event, Movement), is_retry
        if isinstance(event, StepStarted):
            self._title = self._titles.get(event.step, f"step {event.step}")
        elif isinstance(event, StepEnded):
            self._title = ""

    def _close(self, at: datetime, by: Event | None, rejected: set[int]) -> Iterator[Span]:
        """Yield the time from `now` to `at`, divided into periods of one activity each."""
        at = max(at, self.now)
        if self._is_lost or self._exposure in rejected:
            parts = [(at, Activity.LOST)]
        elif self._exposure is not None:
            exposure = self.run.events[self._exposure]
            assert isinstance(exposure, ExposureStarted)
            over = min(self.now + _seconds(exposure.exposure_s), at)
            parts = [(over, Activity.EXPOSING), (at, Activity.READING)]
        elif self._is_settling and isinstance(by, ExposureStarted | Movement):
            parts = [(min(self.now + LONGEST_SETTLING, at), Activity.MOVING), (at, Activity.WAITING)]
        elif isinstance(by, Movement):
            parts = [(max(at - LONGEST_MOVE, self.now), Activity.WAITING), (at, Activity.MOVING)]
        else:
            parts = [(at, Activity.WAITING)]
        for ended, activity in parts:
            if ended > self.now:
                yield Span(self.now, ended, activity, self._title)
                self.now = ended
