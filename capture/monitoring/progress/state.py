"""What the dashboard knows: events in, a picture of the night out. No clock, no terminal, no I/O."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import singledispatchmethod

from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    FrameShown,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightResumed,
    NightStarted,
    PanelChanged,
    PedestalDecided,
    SetResized,
    Severity,
    SkippedBy,
    StepEnded,
    StepOutcome,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.monitoring.progress.narrator import LogLine, Narrator
from coldframe.capture.monitoring.progress.pace import Outlook, Pace, StepProgress

HISTORY = timedelta(minutes=30)
"""How far back the temperature is shown."""

HISTORY_INTERVAL = timedelta(seconds=5)
"""Readings closer together than this are not kept for the history."""

LATEST, PROBLEMS = 60, 40
"""How many lines are remembered."""

SHOWN_ELSEWHERE = (TemperatureRead, CoolingProgress, ExposureStarted)
"""Events that sections of their own show; among the latest lines they would only be in the way."""


@dataclass(slots=True)
class Tuning:
    """The search for one flat's exposure; `tuned` is None while it goes on."""

    step: int
    tests: list[FlatTested] = field(default_factory=list)
    tuned: FlatTuned | None = None


@dataclass(slots=True)
class DashboardState:
    """A night as far as its events tell; `apply` takes them in, in order.

    A watcher that comes later reaches the same state by applying the journal from its start (without the pictures,
    which are not journalled).

    Attributes
    ----------
    is_stopping
        True once somebody has ended the night, until the rig is safe.
    told_at
        Time of the latest event.
    lost_at
        When the night was last heard of, where nobody tells of it any more; see `lose`.
    steps
        By number, in the order of the plan.
    running
        Number of the step under way.
    temperatures
        Thinned readings of the last `HISTORY`, oldest first.
    noise
        The running (or last) set's master as it grew.
    masters
        Masters written, in order; one that a later run of the night wrote again counts once.
    latest, problems
        Events in words, oldest first; problems are the warnings and errors among them, which stay for longer.
    """

    night: NightStarted | None = None
    ended: NightEnded | None = None
    paused: NightPaused | None = None
    is_stopping: bool = False
    told_at: datetime | None = None
    lost_at: datetime | None = None
    steps: dict[int, StepProgress] = field(default_factory=dict)
    running: int | None = None
    exposure: ExposureStarted | None = None
    thermals: TemperatureRead | None = None
    temperatures: deque[TemperatureRead] = field(default_factory=deque)
    cooling: str | None = None
    panel: PanelChanged | None = None
    filter: str | None = None
    tuning: Tuning | None = None
    frame: FrameAccepted | None = None
    shown: FrameShown | None = None
    noise: list[MasterGrew] = field(default_factory=list)
    masters: list[MasterWritten] = field(default_factory=list)
    latest: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LATEST))
    problems: deque[LogLine] = field(default_factory=lambda: deque(maxlen=PROBLEMS))
    pace: Pace = field(default_factory=Pace)
    narrator: Narrator = field(default_factory=Narrator)
    _latest_event: Event | None = None
    _pauses: timedelta = timedelta()

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self.told_at = event.at
        told = self.narrator.tell(event)
        if told and not isinstance(event, SHOWN_ELSEWHERE):
            self._remember(told, event)
        self._take(event)

    def lose(self) -> None:
        """Take in that nobody tells of the night any more; of one that has ended there is nothing more to tell."""
        if self.night is not None and self.ended is None:
            self.lost_at = self.told_at

    def _remember(self, told: LogLine, event: Event) -> None:
        # Frames of one set share a line, or twenty of them would push everything else out.
        if isinstance(event, FrameAccepted) and self.latest and self._is_same_set_as_latest(event):
            self.latest.pop()
        self.latest.append(told)
        self._latest_event = event
        if told.severity is not Severity.INFO:
            self.problems.append(told)

    def _is_same_set_as_latest(self, event: FrameAccepted) -> bool:
        latest = self._latest_event
        return isinstance(latest, FrameAccepted) and latest.step == event.step

    @property
    def step(self) -> StepProgress | None:
        """The step under way."""
        return self.steps.get(self.running) if self.running is not None else None

    @property
    def missing(self) -> list[StepProgress]:
        """Steps that ended without what they were to make."""
        return [step for step in self.steps.values() if step.outcome in (StepOutcome.FAILED, StepOutcome.SKIPPED)]

    @property
    def is_tuning(self) -> bool:
        """True from the first test frame of the step under way to its first accepted frame."""
        step = self.step
        return (
            step is not None
            and self.tuning is not None
            and self.tuning.step == step.planned.number
            and step.accepted == 0
        )

    def outlook(self, now: datetime) -> Outlook:
        """Tell how long the rest of the night will take."""
        if self.ended is not None:
            return Outlook(0.0)
        return self._rest_of_plan(now)

    def _rest_of_plan(self, now: datetime) -> Outlook:
        to_come = [step for step in self.steps.values() if step.is_running or not self.is_stopping]
        rests = [self.pace.rest_of_step(step, now) for step in to_come]
        return Outlook(sum(rest.remaining_s for rest in rests), overdue=any(rest.overdue for rest in rests))

    def done_fraction(self, now: datetime) -> float:
        """Return the share of the plan's time that has passed, 0 to 1; below 1 for a night that ended early."""
        if self.night is None:
            return 0.0
        until = now if self.ended is None else self.ended.at
        paused = self._pauses + (until - self.paused.at if self.paused else timedelta())
        passed_s = max((until - self.night.at - paused).total_seconds(), 0.0)
        whole_s = passed_s + self._rest_of_plan(until).remaining_s
        return passed_s / whole_s if whole_s > 0 else float(self.ended is not None)

    @singledispatchmethod
    def _take(self, _event: Event) -> None:
        """Events that only have words need nothing more."""

    @_take.register
    def _take_night_started(self, event: NightStarted) -> None:
        # A journal goes on with the next run of the night: what the one before had under way is no more.
        self.night, self.ended, self.paused, self.is_stopping, self._pauses = event, None, None, False, timedelta()
        self.running, self.exposure, self.cooling, self.tuning, self.noise = None, None, None, None, []
        self.pace.step_began()
        self.steps = {step.number: StepProgress(step) for step in event.steps}

    @_take.register
    def _take_night_ended(self, event: NightEnded) -> None:
        self.ended, self.running, self.exposure, self.paused = event, None, None, None

    @_take.register
    def _take_night_paused(self, event: NightPaused) -> None:
        self.paused = event

    @_take.register
    def _take_night_resumed(self, event: NightResumed) -> None:
        if self.paused is not None:
            self._pauses += event.at - self.paused.at
        self.paused = None
        self.pace.resumed(event.at)

    @_take.register
    def _take_step_started(self, event: StepStarted) -> None:
        self.running, self.exposure = event.step, None
        self.pace.step_began()
        if step := self.steps.get(event.step):
            step.began, step.ended, step.outcome, step.reason, step.skipped_by = event.at, None, None, "", None

    @_take.register
    def _take_step_ended(self, event: StepEnded) -> None:
        self.exposure, self.cooling = None, None
        self.is_stopping = self.is_stopping or event.skipped_by is SkippedBy.NIGHT_ENDED
        if self.running == event.step:
            self.running = None
        if step := self.steps.get(event.step):
            step.ended, step.outcome, step.reason = event.at, event.outcome, event.reason
            step.skipped_by = event.skipped_by

    @_take.register
    def _take_set_resized(self, event: SetResized) -> None:
        if step := self.steps.get(event.step):
            step.planned = replace(step.planned, count=event.count, estimate_s=event.estimate_s)

    @_take.register
    def _take_pedestal_decided(self, event: PedestalDecided) -> None:
        if step := self.steps.get(event.step):
            step.planned = replace(step.planned, count=event.count)

    @_take.register
    def _take_temperature_read(self, event: TemperatureRead) -> None:
        self.thermals = event
        if not self.temperatures or event.at - self.temperatures[-1].at >= HISTORY_INTERVAL:
            self.temperatures.append(event)
        while event.at - self.temperatures[0].at > HISTORY:
            self.temperatures.popleft()

    @_take.register
    def _take_cooling_progress(self, event: CoolingProgress) -> None:
        self.cooling = event.verdict

    @_take.register
    def _take_panel_changed(self, event: PanelChanged) -> None:
        self.panel = event

    @_take.register
    def _take_filter_changed(self, event: FilterChanged) -> None:
        self.filter = event.filter

    @_take.register
    def _take_exposure_started(self, event: ExposureStarted) -> None:
        self.exposure = event

    @_take.register
    def _take_flat_tested(self, event: FlatTested) -> None:
        if self.tuning is None or self.tuning.step != event.step or self.tuning.tuned is not None:
            self.tuning = Tuning(event.step)
        self.tuning.tests.append(event)

    @_take.register
    def _take_flat_tuned(self, event: FlatTuned) -> None:
        if self.tuning is None or self.tuning.step != event.step:
            self.tuning = Tuning(event.step)
        self.tuning.tuned = event

    @_take.register
    def _take_frame_accepted(self, event: FrameAccepted) -> None:
        self.frame = event
        if step := self.steps.get(event.step):
            step.accepted = event.index  # fewer than before where a set is put aside and shot once more
            # Saving overlaps with the next exposure, so the last frame of a set may come when the next has begun.
            # What an earlier run has shot comes from the disk, at a pace that tells nothing of the camera's.
            if event.step == self.running and not event.is_taken_over:
                self.pace.frame_accepted(step.planned, event.at)

    @_take.register
    def _take_frame_rejected(self, event: FrameRejected) -> None:
        if step := self.steps.get(event.step):
            step.rejected += 1
            if event.step == self.running:
                self.pace.frame_rejected(step.planned, event.at)

    @_take.register
    def _take_frame_shown(self, event: FrameShown) -> None:
        self.shown = event

    @_take.register
    def _take_master_grew(self, event: MasterGrew) -> None:
        if self.noise and (self.noise[-1].step != event.step or self.noise[-1].frames >= event.frames):
            self.noise = []
        self.noise.append(event)

    @_take.register
    def _take_master_written(self, event: MasterWritten) -> None:
        self.masters = [*(each for each in self.masters if each.path != event.path), event]
