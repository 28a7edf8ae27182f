"""Where a night's time went: exposing, reading, waiting, moving, lost. Pure.

Every moment from the start of the first run to the end of the last one belongs to exactly one of the five, so that they
add up to the night's length. What counts is what the journal tells:

exposing
    From the start of an exposure for as long as it was to last, or until it was broken off.
reading
    From there to the next thing that was told: the next exposure, the frame as accepted, the verdict on a test.
moving
    Up to a change of panel, cover or filter from what was told before it, `LONGEST_MOVE` at most; and from it to the
    next exposure or change, `LONGEST_SETTLING` at most. What goes beyond is waiting.
lost
    Exposure and readout of frames that were turned away, or that never came; from a failure that was tried again to
    whatever worked next, which includes the wait for a device that went away; the gap between two runs, and what the
    one before had under way when it broke off.
waiting
    All the rest: cooling, warming up, combining, saving, waiting for the sky, and pauses by request.

Frames are saved and judged while the next one is exposed. Which exposure an accepted frame belongs to is therefore
found backwards: the last one of a step is that of the last exposure that had ended by then, and so on.
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
    StepOutcome,
    StepStarted,
)
from coldframe.capture.monitoring.report.runs import Run

LONGEST_MOVE = timedelta(minutes=2)
LONGEST_SETTLING = timedelta(seconds=20)
"""Covers, wheels and lamps take less; a longer pause is a wait for something else, such as the sky."""

BETWEEN_RUNS = "between two runs"
_ROUNDING = timedelta(milliseconds=1)

Judged = FrameAccepted | FrameRejected
Moved = PanelChanged | FilterChanged
Turn = CoolingProgress | FlatTested | FlatTuned | MasterWritten | NightEnded | NightResumed | StepEnded | StepStarted
"""Events after which nothing is exposed, read or moved until the next one says so."""


class Activity(StrEnum):
    """What a moment of the night was spent on."""

    EXPOSING = "exposing"
    READING = "reading"
    WAITING = "waiting"
    MOVING = "moving"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the night spent on one thing; `title` is that of the step, empty outside of all."""

    began: datetime
    ended: datetime
    activity: Activity
    title: str

    @property
    def length(self) -> timedelta:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """Seconds for each activity."""

    exposing_s: float
    reading_s: float
    waiting_s: float
    moving_s: float
    lost_s: float

    @classmethod
    def of(cls, spans: Sequence[Span]) -> "TimeSpent":
        """Add up spans."""
        sums = dict.fromkeys(Activity, timedelta())
        for span in spans:
            sums[span.activity] += span.length
        return cls(**{f"{activity}_s": length.total_seconds() for activity, length in sums.items()})

    @property
    def total_s(self) -> float:
        """All of them together."""
        return self.exposing_s + self.reading_s + self.waiting_s + self.moving_s + self.lost_s


@dataclass(frozen=True, slots=True)
class StepTime:
    """Where the time of one step went; the title is empty for what lies outside of all steps."""

    title: str
    spent: TimeSpent


@dataclass(frozen=True, slots=True)
class TimeBudget:
    """Where the night's time went; the module tells what counts as what.

    Attributes
    ----------
    length_s
        From the start of the first run to the end of the last; `spent` adds up to it.
    steps
        The same, by steps, in the order in which they began.
    """

    length_s: float
    spent: TimeSpent
    steps: tuple[StepTime, ...]


def time_budget(runs: Sequence[Run]) -> TimeBudget:
    """Return where the time of a night went."""
    spans = list(spans_of(runs))
    titles = dict.fromkeys(span.title for span in spans)
    return TimeBudget(
        sum((span.length for span in spans), timedelta()).total_seconds(),
        TimeSpent.of(spans),
        tuple(StepTime(title, TimeSpent.of([span for span in spans if span.title == title])) for title in titles),
    )


def spans_of(runs: Sequence[Run]) -> Iterator[Span]:
    """Yield what a night was spent on, one stretch after the other without gaps."""
    until: datetime | None = None
    for run in runs:
        if until is not None and run.started.at > until:
            yield Span(until, run.started.at, Activity.LOST, BETWEEN_RUNS)
        began = run.started.at if until is None else max(run.started.at, until)
        walk = _Walk(run, began, is_gone_on_with=run is not runs[-1])
        yield from walk.spans()
        until = walk.now


def _judged_exposures(events: Sequence[Event]) -> tuple[dict[int, int], set[int]]:
    """Return the exposure of each frame that was judged, both as places among the events, and which were rejected."""
    free = [place for place, event in enumerate(events) if isinstance(event, ExposureStarted)]
    exposure_of: dict[int, int] = {}
    rejected = set[int]()
    for place in reversed(range(len(events))):
        event = events[place]
        if not isinstance(event, FrameAccepted | FrameRejected):
            continue
        found = next((each for each in reversed(free) if each < place and _may_be(events[each], event)), None)
        if found is None:  # a frame that an earlier run shot
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
    """Return a span of time; a nonsensical one is none."""
    try:
        return max(timedelta(seconds=seconds), timedelta())
    except (ValueError, OverflowError):
        return timedelta()


@dataclass(slots=True)
class _Walk:
    """Goes through the events of a run; what is open since `now` gets its name when it ends."""

    run: Run
    now: datetime
    is_gone_on_with: bool
    _exposure: int | None = None
    _is_settling: bool = False
    _is_lost: bool = False
    _is_paused: bool = False
    _title: str = ""
    _titles: dict[int, str] = field(default_factory=dict)

    def spans(self) -> Iterator[Span]:
        """Yield the spans."""
        self._titles = {step.number: step.title for step in self.run.started.steps}
        events, end = self.run.events, self.run.ended_at
        exposure_of, rejected = _judged_exposures(events)
        for place, event in enumerate(events):
            if event.at > end:
                break
            yield from self._take(place, event, exposure_of.get(place), rejected)
        # The next run shoots again what this one had under way.
        self._is_lost = self._is_lost or (self.is_gone_on_with and self._exposure is not None)
        yield from self._close(end, None, rejected)

    def _take(self, place: int, event: Event, answered: int | None, rejected: set[int]) -> Iterator[Span]:
        """Take an event in: end what was open if it tells of something else, and open what it begins."""
        if isinstance(event, NightPaused | NightResumed):
            self._is_paused = isinstance(event, NightPaused)
        if self._is_paused and isinstance(event, Moved):
            return
        is_retry = isinstance(event, Notice) and event.will_retry
        is_its_frame = answered is not None and answered == self._exposure
        if not (is_retry or is_its_frame or isinstance(event, ExposureStarted | Moved | Turn)):
            return
        broke_off = is_retry or (isinstance(event, StepEnded) and event.outcome is not StepOutcome.DONE)
        self._is_lost = self._is_lost or (broke_off and self._exposure is not None)
        yield from self._close(event.at, event, rejected)
        self._exposure = place if isinstance(event, ExposureStarted) else None
        self._is_settling, self._is_lost = isinstance(event, Moved), is_retry
        if isinstance(event, StepStarted):
            self._title = self._titles.get(event.step, f"step {event.step}")
        elif isinstance(event, StepEnded):
            self._title = ""

    def _close(self, at: datetime, by: Event | None, rejected: set[int]) -> Iterator[Span]:
        """Give the time since `now` its name."""
        at = max(at, self.now)
        if self._is_lost or self._exposure in rejected:
            parts = [(at, Activity.LOST)]
        elif self._exposure is not None:
            exposure = self.run.events[self._exposure]
            assert isinstance(exposure, ExposureStarted)
            over = min(self.now + _seconds(exposure.exposure_s), at)
            parts = [(over, Activity.EXPOSING), (at, Activity.READING)]
        elif self._is_settling and isinstance(by, ExposureStarted | Moved):
            parts = [(min(self.now + LONGEST_SETTLING, at), Activity.MOVING), (at, Activity.WAITING)]
        elif isinstance(by, Moved):
            parts = [(max(at - LONGEST_MOVE, self.now), Activity.WAITING), (at, Activity.MOVING)]
        else:
            parts = [(at, Activity.WAITING)]
        for ended, activity in parts:
            if ended > self.now:
                yield Span(self.now, ended, activity, self._title)
                self.now = ended
