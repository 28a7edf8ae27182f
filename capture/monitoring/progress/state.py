"""The state of a night, built from its events, as the dashboard and telemetry show it."""

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
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightResumed,
    NightStarted,
    PanelChanged,
    PedestalDecided,
    SetResized,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import Severity, SkippedBy, StepOutcome
from coldframe.capture.events.verification import LightsVerified
from coldframe.capture.monitoring.progress.narrator import LogLine, Narrator
from coldframe.capture.monitoring.progress.pace import Outlook, Pace, StepProgress
from coldframe.capture.monitoring.progress.problems import Problems
from coldframe.capture.monitoring.progress.verification_words import night_sentences

HISTORY = timedelta(minutes=30)
"""Length of the temperature history."""

HISTORY_INTERVAL = timedelta(seconds=5)
"""Shortest time between two readings in the history."""

LATEST = 60
"""Maximum number of lines kept for the latest events."""

READING_STAYS = timedelta(minutes=1)
"""Maximum age of a current temperature reading. Runs publish a reading, even an empty one, every second."""

SHOWN_ELSEWHERE = (TemperatureRead, CoolingProgress, ExposureStarted)
"""Events that the dashboard shows in other sections, and not among the latest events."""


@dataclass(slots=True)
class Tuning:
    """The tuning of one set of flats. `tuned` is None until the tuning succeeds."""

    step: int
    tests: list[FlatTested] = field(default_factory=list)
    tuned: FlatTuned | None = None


@dataclass(slots=True)
class DashboardState:
    """The state of a night. Call `apply` with each event, in order.

    A watcher that attaches later reaches the same state by applying the journal from its start. Only the preview is
    missing, because it is not journalled.

    Attributes
    ----------
    is_stopping
        True from the interruption of the night until its end.
    last_event_at
        Time of the latest event.
    lost_at
        Time of the last event before the connection to the night was lost. See `lose`.
    silent_since
        Time of the last event if the attached run no longer sends events. See `fall_silent`.
    steps
        Progress of each step by step number, in the order of the plan.
    running
        Number of the step under way.
    temperatures
        Thinned readings of the last `HISTORY`, oldest first.
    noise
        Events about the growth of the master of the running set or, if no set is running, of the last set.
    masters
        Masters in the order in which they were written. A master that was written again in a later run is listed once.
    verified
        The latest diagnosis of each set of lights, and of the flats of each filter.
    latest
        Lines for the latest events, oldest first.
    problems
        The warnings and errors. They are kept for longer than other lines.
    """

    night: NightStarted | None = None
    ended: NightEnded | None = None
    paused: NightPaused | None = None
    is_stopping: bool = False
    last_event_at: datetime | None = None
    lost_at: datetime | None = None
    silent_since: datetime | None = None
    steps: dict[int, StepProgress] = field(default_factory=dict)
    running: int | None = None
    exposure: ExposureStarted | None = None
    thermals: TemperatureRead | None = None
    temperatures: deque[TemperatureRead] = field(default_factory=deque)
    cooling: str | None = None
    panel: PanelChanged | None = None
    filter: str | None = None
    rotator_deg: float | None = None
    tuning: Tuning | None = None
    frame: FrameAccepted | None = None
    shown: FrameShown | None = None
    noise: list[MasterGrew] = field(default_factory=list)
    masters: list[MasterWritten] = field(default_factory=list)
    verified: dict[object, LightsVerified] = field(default_factory=dict)
    latest: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LATEST))
    problems: Problems = field(default_factory=Problems)
    pace: Pace = field(default_factory=Pace)
    narrator: Narrator = field(init=False)
    _latest_event: Event | None = None
    _pauses: timedelta = timedelta()

    def __post_init__(self) -> None:
        # The narrator uses the durations that `pace` expects, because the plan and the headline show them as well.
        self.narrator = Narrator(self.pace.expected_s)

    def apply(self, event: Event) -> None:
        """Update the state with an event."""
        self.last_event_at, self.silent_since = event.at, None
        line = self.narrator.narrate(event)
        if line and not isinstance(event, SHOWN_ELSEWHERE):
            self._remember(line, event)
        self._take(event)

    def lose(self) -> None:
        """Record that the connection to the night is lost, unless the night has ended."""
        if self.night is not None and self.ended is None:
            self.lost_at = self.last_event_at

    def fall_silent(self) -> None:
        """Record that the attached night no longer sends events. The next event ends this state."""
        self.silent_since = self.last_event_at

    @property
    def stopped_at(self) -> datetime | None:
        """Time of the last event if the current activity of the night is unknown; None otherwise."""
        return self.lost_at or self.silent_since

    @property
    def is_reading_current(self) -> bool:
        """True if the latest temperature reading is current."""
        if self.thermals is None or self.last_event_at is None or self.ended is not None:
            return False
        return self.stopped_at is None and self.last_event_at - self.thermals.at <= READING_STAYS

    def _remember(self, line: LogLine, event: Event) -> None:
        # The frames of a set share one line, because many lines for one set would displace all other lines.
        if isinstance(event, FrameAccepted) and self.latest and self._is_same_set_as_latest(event):
            self.latest.pop()
        self.latest.append(line)
        self._latest_event = event
        if line.severity is not Severity.INFO:
            self.problems.add(line)

    def _is_same_set_as_latest(self, event: FrameAccepted) -> bool:
        latest = self._latest_event
        return isinstance(latest, FrameAccepted) and latest.step == event.step

    @property
    def step(self) -> StepProgress | None:
        """The step under way."""
        return self.steps.get(self.running) if self.running is not None else None

    @property
    def lights_sentence(self) -> str:
        """Sentence about whether the lights calibrate cleanly; empty if this is unknown."""
        return night_sentences(self.verified.values())

    @property
    def missing(self) -> list[StepProgress]:
        """Steps that failed or were skipped."""
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
        """Return the expected duration of the rest of the night."""
        if self.ended is not None:
            return Outlook(0.0)
        return self._rest_of_plan(now)

    def _rest_of_plan(self, now: datetime) -> Outlook:
        to_come = [step for step in self.steps.values() if step.is_running or not self.is_stopping]
        rests = [self.pace.rest_of_step(step, now) for step in to_come]
        return Outlook(sum(rest.remaining_s for rest in rests), overdue=any(rest.overdue for rest in rests))

    def done_fraction(self, now: datetime) -> float:
        """Return the elapsed fraction of the expected time, without pauses. It is below 1 if the night ended early."""
        if self.night is None:
            return 0.0
        until = now if self.ended is None else self.ended.at
        paused = self._pauses + (until - self.paused.at if self.paused else timedelta())
        passed_s = max((until - self.night.at - paused).total_seconds(), 0.0)
        whole_s = passed_s + self._rest_of_plan(until).remaining_s
        return passed_s / whole_s if whole_s > 0 else float(self.ended is not None)

    @singledispatchmethod
    def _take(self, _event: Event) -> None:
        """Update the parts of the state that depend on the kind of event."""

    @_take.register
    def _take_night_started(self, event: NightStarted) -> None:
        # The journal of a resumed night contains several runs. Nothing from the previous run is still under way.
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
    def _take_rotator_turned(self, event: RotatorTurned) -> None:
        self.rotator_deg = event.angle_deg

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
            step.accept(event)
            # Saving overlaps with the next exposure, so the last frame of a set may arrive during the next step. Frames
            # from an earlier run do not count, because reading them from disk is faster than shooting them.
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
    def _take_lights_verified(self, event: LightsVerified) -> None:
        self.verified[event.key] = event

    @_take.register
    def _take_master_written(self, event: MasterWritten) -> None:
        self.masters = [*(each for each in self.masters if each.path != event.path), event]
