"""Build the report of a night from its events, without reading a clock or files.

The journal of a resumed night contains several runs, each with its own plan. The report follows the last plan. Steps of
two plans count as the same step if they do the same work (see `step_keys`). A frame counts once, even if several runs
report it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, tzinfo
from functools import singledispatchmethod
from pathlib import PurePath

from coldframe.calibration.files.naming import flat_ending
from coldframe.capture.events.kinds import (
    CameraMeasured,
    Event,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightStarted,
    PedestalDecided,
    SetResized,
    StepEnded,
    TemperatureRead,
)
from coldframe.capture.events.values import (
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.events.verification import LightsVerified
from coldframe.capture.monitoring.progress.narrator import Narrator
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.progress.verification_words import night_sentences
from coldframe.capture.monitoring.report.contents import (
    CameraReport,
    FramePoint,
    Growth,
    MasterReport,
    NightReport,
    Reading,
    Remark,
    RunReport,
    SetReport,
    SetState,
    TuningReport,
    TuningTest,
)
from coldframe.capture.monitoring.report.lights import lights_reports
from coldframe.capture.monitoring.report.runs import Run, StepKey, runs_of, step_keys
from coldframe.capture.monitoring.report.time_budget import time_budget
from coldframe.capture.monitoring.report.verdict import verdict_of
from coldframe.capture.steps import angle_words
from coldframe.config.frames import FrameKind

READINGS = 400
"""Number of equal periods into which the night is divided, to keep the coldest and warmest reading of each period."""


def gather(events: Iterable[Event], *, zone: tzinfo | None = None, is_running: bool = False) -> NightReport:
    """Return the report of a night, without the values that must be read from its image files.

    Parameters
    ----------
    events
        Events from the journal.
    zone
        Time zone for clock times in sentences; None for the local time zone.
    is_running
        Whether a night for which no ending is recorded is still running (True) or stopped unexpectedly (False).

    Raises
    ------
    NoNightError
        If the events do not include the start of a night.
    """
    all_events = list(events)
    runs = runs_of(all_events)
    night = _Gathered()
    for run in runs:
        for event in run.events:
            night.take(event)
    last = runs[-1]
    sets, lights = tuple(night.set_reports(is_over=not is_running)), night_sentences(night.verified.values())
    return NightReport(
        verdict=verdict_of(last, sets, lights, zone=zone, is_running=is_running and last.ending is None),
        folder=last.started.folder,
        camera=last.started.camera,
        panel=last.started.panel,
        wheel=last.started.wheel,
        width=last.started.width,
        height=last.started.height,
        began=runs[0].started.at,
        ended=last.ended_at,
        runs=tuple(_run_report(run) for run in runs),
        masters_made=sum(each.is_made for each in sets),
        masters_planned=len(sets),
        frames_accepted=len(night.accepted),
        frames_rejected=len(night.rejected),
        sets=sets,
        tunings=tuple(night.tuning_reports()),
        cameras=tuple(night.cameras.values()),
        lights=lights_reports(night.verified.values()),
        temperature=tuple(thinned(night.readings)),
        time=time_budget(runs),
        remarks=tuple(remarks_of(all_events)),
    )


def relative(path: str, folder: str) -> str:
    """Return a path relative to the folder of the night, or unchanged if the path is outside that folder."""
    within, whole = PurePath(path), PurePath(folder)
    return str(within.relative_to(whole)) if within.is_relative_to(whole) and ".." not in within.parts else path


def thinned(readings: Sequence[Reading]) -> Iterator[Reading]:
    """Yield the coldest and the warmest reading of each of `READINGS` equal periods, in chronological order."""
    if not readings:
        return
    first = readings[0].at
    width = max((readings[-1].at - first) / READINGS, timedelta(microseconds=1))
    stretches: dict[int, list[Reading]] = {}
    for reading in readings:
        stretches.setdefault((reading.at - first) // width, []).append(reading)
    for stretch in stretches.values():
        known = [(reading.sensor_c, place) for place, reading in enumerate(stretch) if reading.sensor_c is not None]
        places = {min(known)[1], max(known)[1]} if known else {0}
        yield from (stretch[place] for place in sorted(places))


def remarks_of(events: Iterable[Event]) -> Iterator[Remark]:
    """Yield a night's warnings and errors, except diagnoses and the ending. Merge identical consecutive remarks."""
    narrator, current = Narrator(), None
    for event in events:
        line = narrator.narrate(event)
        if line is None or line.severity is Severity.INFO or isinstance(event, NightEnded | LightsVerified):
            continue
        if current is not None and (current.severity, current.text) == (line.severity, line.text):
            current = replace(current, times=current.times + 1)
            continue
        if current is not None:
            yield current
        current = Remark(line.at, line.severity, line.text)
    if current is not None:
        yield current


def _run_report(run: Run) -> RunReport:
    ending = run.ending
    outcome, summary = (None, "") if ending is None else (ending.outcome.value, printable(ending.summary))
    return RunReport(run.started.at, run.ended_at, outcome, summary)


@dataclass(slots=True)
class _Step:
    """A step of the night, with its events from all runs."""

    planned: PlannedStep
    run: int
    count: int = 0
    note: str = ""
    ended: StepEnded | None = None
    frames: dict[str, FramePoint] = field(default_factory=dict)
    growth: dict[int, Growth] = field(default_factory=dict)
    masters: dict[str, MasterReport] = field(default_factory=dict)
    tests: list[TuningTest] = field(default_factory=list)
    tuned: FlatTuned | None = None
    # The number of the run that last reported growth, masters and tests, respectively. A later run's reports replace
    # those of earlier runs.
    growth_run: int = 0
    masters_run: int = 0
    tests_run: int = 0

    @property
    def title(self) -> str:
        return printable(self.planned.title)

    @property
    def is_sky(self) -> bool:
        return self.planned.step_type is StepType.SKY_FLATS

    @property
    def is_combining(self) -> bool:
        return self.planned.step_type is StepType.SKY_MASTER

    @property
    def is_tuning(self) -> bool:
        return self.planned.step_type is StepType.TUNE

    @property
    def is_set(self) -> bool:
        """True if the step produces a master. Twilight flats are shot in one step and combined in other steps."""
        return self.planned.step_type in (StepType.SHOOT, StepType.SKY_MASTER)

    @property
    def is_left_out(self) -> bool:
        """True if the set was resized to zero frames."""
        return bool(self.note) and self.count == 0

    @property
    def flat_title(self) -> str:
        """Title of the flats that the step tunes or combines."""
        return printable(" ".join(["flat", self.planned.filter or "", *angle_words(self.planned.rotator_deg)]))

    @property
    def failure(self) -> str:
        """Reason why the step failed or was skipped; empty if it was done or has not ended."""
        return "" if self.ended is None or self.ended.outcome is StepOutcome.DONE else printable(self.ended.reason)


@dataclass(slots=True)
class _Gathered:
    """The events of a night, collected for the report."""

    steps: dict[StepKey, _Step] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    cameras: dict[tuple[str, float | None], CameraReport] = field(default_factory=dict)
    verified: dict[object, LightsVerified] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    run: int = 0
    folder: str = ""
    _keys: dict[int, StepKey] = field(default_factory=dict)

    def _step(self, number: int) -> _Step | None:
        key = self._keys.get(number)
        return None if key is None else self.steps[key]

    @singledispatchmethod
    def take(self, _event: Event) -> None:
        """Add an event."""

    @take.register
    def _take_night_started(self, event: NightStarted) -> None:
        self.run += 1
        self.folder = event.folder
        self._keys = step_keys(event)
        for planned in event.steps:
            key = self._keys[planned.number]
            step = self.steps.setdefault(key, _Step(planned, self.run))
            step.planned, step.run, step.count, step.note, step.ended = planned, self.run, planned.count, "", None

    @take.register
    def _take_lights_verified(self, event: LightsVerified) -> None:
        self.verified[event.key] = event

    @take.register
    def _take_step_ended(self, event: StepEnded) -> None:
        if step := self._step(event.step):
            step.ended = event

    @take.register
    def _take_set_resized(self, event: SetResized) -> None:
        if step := self._step(event.step):
            step.count, step.note = event.count, printable(event.reason)

    @take.register
    def _take_pedestal_decided(self, event: PedestalDecided) -> None:
        if step := self._step(event.step):
            step.count, step.note = event.count, printable(event.verdict.reason)

    @take.register
    def _take_temperature_read(self, event: TemperatureRead) -> None:
        self.readings.append(Reading.of(event))

    @take.register
    def _take_camera_measured(self, event: CameraMeasured) -> None:
        self.cameras[event.camera, event.gain] = CameraReport(
            camera=printable(event.camera),
            gain=event.gain,
            e_per_adu=event.e_per_adu,
            read_noise_e=event.read_noise_e,
            saturation_adu=event.saturation_adu,
            full_well_e=event.full_well_e,
            largest_deviation=event.largest_deviation,
            curve=event.curve,
            dark_current=event.dark_current,
        )

    @take.register
    def _take_flat_tested(self, event: FlatTested) -> None:
        step = self._step(event.step)
        if step is None:
            return
        if step.tests_run != self.run:
            step.tests, step.tuned, step.tests_run = [], None, self.run
        step.tests.append(TuningTest.of(event))

    @take.register
    def _take_flat_tuned(self, event: FlatTuned) -> None:
        if step := self._step(event.step):
            step.tuned = event

    @take.register
    def _take_frame_accepted(self, event: FrameAccepted) -> None:
        self.accepted.add(event.path)
        self.rejected.discard(event.path)
        step = self._step(event.step)
        if step is None or event.path in step.frames:
            return
        step.frames[event.path] = FramePoint.of(event, relative(event.path, self.folder))

    @take.register
    def _take_frame_rejected(self, event: FrameRejected) -> None:
        self.rejected.add(event.path)
        step = self._step(event.step)
        if step is None:
            return
        self._withdraw(step, PurePath(event.path))
        sensor_c = self.readings[-1].sensor_c if self.readings else None
        path, reason = relative(event.path, self.folder), printable(event.reason)
        step.frames[event.path] = FramePoint(event.at, path, None, sensor_c, None, None, None, reason or "rejected")

    def _withdraw(self, step: _Step, path: PurePath) -> None:
        """Remove an accepted frame that was quarantined later, possibly with a number appended to its file name."""
        for name in (path.name, f"{path.stem.rpartition('-')[0]}{path.suffix}"):
            for accepted in [each for each in step.frames if PurePath(each).name == name and each != str(path)]:
                if not step.frames[accepted].rejected:
                    del step.frames[accepted]
                    self.accepted.discard(accepted)
                    return

    @take.register
    def _take_master_grew(self, event: MasterGrew) -> None:
        step = self._step(event.step)
        if step is None:
            return
        if step.growth_run != self.run:
            step.growth, step.growth_run = {}, self.run
        step.growth[event.frames] = Growth(event.frames, event.noise_adu)

    @take.register
    def _take_master_written(self, event: MasterWritten) -> None:
        step = self._step(event.step)
        if step is None:
            return
        if step.masters_run != self.run:
            step.masters, step.masters_run = {}, self.run
        step.masters[event.path] = MasterReport(
            path=relative(event.path, self.folder),
            written_at=event.at,
            frames=event.frames,
            level=event.level,
            noise=event.noise,
            rejected_fraction=event.rejected_fraction,
        )

    def set_reports(self, *, is_over: bool) -> Iterator[SetReport]:
        """Yield a report on each set in the last plan, and on each set with a master in an earlier plan."""
        for step in self.steps.values():
            if step.is_set and (step.run == self.run or step.masters):
                yield self._set_report(step, is_over=is_over)

    def _set_report(self, step: _Step, *, is_over: bool) -> SetReport:
        frames = tuple(self._twilight_frames(step) if step.is_combining else step.frames.values())
        accepted = [frame for frame in frames if not frame.rejected]
        state, reason = self._outcome_of(step, is_over=is_over)
        return SetReport(
            title=step.flat_title if step.is_combining else step.title,
            kind=step.planned.kind or FrameKind.FLAT,
            filter=step.planned.filter,
            exposure_s=step.planned.exposure_s,
            planned=len(accepted) if step.is_combining else step.count,
            accepted=len(accepted),
            rejected=len(frames) - len(accepted),
            state=state,
            reason=reason,
            frames=frames,
            growth=tuple(step.growth[frames] for frames in sorted(step.growth)),
            masters=tuple(step.masters.values()),
            is_reached=not is_over or step.ended is not None or step.is_left_out or bool(step.masters),
        )

    def _twilight_frames(self, step: _Step) -> Iterator[FramePoint]:
        """Yield the twilight flats of one filter.

        One step shoots the twilight flats of all filters, so only the folder of a frame identifies its filter.
        """
        end = flat_ending(*step.planned.light)
        for sky in self.steps.values():
            if sky.is_sky:
                yield from (each for each in sky.frames.values() if PurePath(each.path).parent.name.endswith(end))

    def _outcome_of(self, step: _Step, *, is_over: bool) -> tuple[SetState, str]:
        """Return the state of a set, and the reason if the set differs from the plan."""
        if step.masters and (step.ended is None or step.ended.outcome is StepOutcome.DONE):
            return SetState.MADE, step.note
        if step.masters:
            return SetState.SHORT, step.failure
        if step.is_left_out:
            return SetState.MISSING, f"skipped, {step.note}"
        if step.ended is None:
            if not is_over:
                return SetState.NOT_YET, ""
            return SetState.MISSING, "the night ended before the set was finished"
        return SetState.MISSING, self._root_cause(step) or step.failure or "no master was written"

    def _root_cause(self, step: _Step) -> str:
        """Return why the cool-down or tuning on which a skipped step depends failed; empty if neither failed."""
        assert step.ended is not None
        if step.ended.outcome is not StepOutcome.SKIPPED:
            return ""
        before = [each for each in self.steps.values() if each.run == step.run]
        before = before[: before.index(step)]
        cooling = next((each for each in reversed(before) if each.planned.step_type is StepType.COOL), None)
        if cooling is not None and cooling.failure:
            return cooling.failure
        is_flat = step.planned.kind in (FrameKind.FLAT, FrameKind.DARK_FLAT)
        tunings = [each for each in before if each.is_tuning and each.planned.light == step.planned.light]
        return tunings[-1].failure if is_flat and tunings else ""

    def tuning_reports(self) -> Iterator[TuningReport]:
        """Yield a report on the tuning of each set of flats."""
        for step in self.steps.values():
            if step.tests or step.tuned is not None or (step.is_tuning and step.failure):
                yield TuningReport(
                    title=step.flat_title if step.is_tuning else step.title,
                    filter=step.tuned.filter if step.tuned else None,
                    tests=tuple(step.tests),
                    exposure_s=step.tuned.exposure_s if step.tuned else None,
                    brightness=step.tuned.brightness if step.tuned else None,
                    full_scale_adu=step.tuned.full_scale_adu if step.tuned else None,
                    reason=step.failure,
                )
