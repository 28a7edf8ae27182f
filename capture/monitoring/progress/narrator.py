"""Turn events into sentences for logs, the dashboard, notifications and the report. An event gets at most one line."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import singledispatchmethod
from pathlib import Path

from coldframe.capture.events.kinds import (
    CameraMeasured,
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    FrameRejected,
    HookEnded,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightResumed,
    NightStarted,
    Notice,
    PanelChanged,
    PedestalDecided,
    SetResized,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.rotator import RotatorTurned
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
)
from coldframe.capture.events.verification import Cleanness, LightsVerified
from coldframe.capture.monitoring.progress.quantities import (
    duration_text,
    exposure_text,
    noise_text,
    panel_text,
    printable,
    temperature_text,
)
from coldframe.capture.monitoring.progress.verification_words import line_of
from coldframe.counted import counted

READINGS_INTERVAL = timedelta(seconds=60)
"""Shortest time between two lines about temperatures, or between two lines about cooling."""

LONG_EXPOSURE_S = 30.0
"""Shortest exposure that gets a line when it starts. After a shorter exposure, the line for the frame follows soon."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event as a sentence."""

    at: datetime
    severity: Severity
    text: str


_STEP_SEVERITY = {
    StepOutcome.DONE: Severity.INFO,
    StepOutcome.SKIPPED: Severity.WARNING,
    StepOutcome.FAILED: Severity.ERROR,
}
_NIGHT_SEVERITY = {
    NightOutcome.COMPLETE: Severity.INFO,
    NightOutcome.INCOMPLETE: Severity.WARNING,
    NightOutcome.INTERRUPTED: Severity.WARNING,
    NightOutcome.ABORTED: Severity.ERROR,
}


def severity_of(event: Event) -> Severity:
    """Return the severity of an event."""
    match event:
        case Notice():
            return event.severity
        case StepEnded():
            return _STEP_SEVERITY[event.outcome]
        case NightEnded():
            return _NIGHT_SEVERITY[event.outcome]
        case FrameRejected() | SetResized() | LightsVerified(cleanness=Cleanness.FAULTY):
            return Severity.WARNING
        case HookEnded():
            return Severity.ERROR if event.fault else Severity.INFO
        case _:
            return Severity.INFO


def planned_s(step: PlannedStep) -> float:
    """Return the duration of a step according to the plan, in seconds."""
    return step.estimate_s


class Narrator:
    """A narrator that turns events into sentences. It stores the plan, because events refer to steps by number.

    Parameters
    ----------
    expected_s
        Function that returns the expected duration of a step that is beginning, in seconds.
    """

    def __init__(self, expected_s: Callable[[PlannedStep], float] = planned_s) -> None:
        self._expected_s = expected_s
        self._steps: dict[int, PlannedStep] = {}
        self._step_began: dict[int, datetime] = {}
        self._last_readings: dict[type[Event], datetime] = {}

    def narrate(self, event: Event) -> LogLine | None:
        """Return the event as a sentence, or None for an event that gets no line.

        Previews, short exposures and the growth of a master get no line, because the frame itself gets one. A reading
        gets no line within `READINGS_INTERVAL` of the last line for a reading of the same kind.
        """
        sentence = self._sentence(event)
        return LogLine(event.at, severity_of(event), printable(sentence)) if sentence else None

    def _title(self, number: int) -> str:
        step = self._steps.get(number)
        return step.title if step else f"step {number}"

    def _is_due(self, reading: TemperatureRead | CoolingProgress) -> bool:
        last = self._last_readings.get(type(reading))
        if last is not None and reading.at - last < READINGS_INTERVAL:
            return False
        self._last_readings[type(reading)] = reading.at
        return True

    @singledispatchmethod
    def _sentence(self, _event: Event) -> str | None:
        return None

    @_sentence.register
    def _night_started(self, event: NightStarted) -> str:
        self._steps = {step.number: step for step in event.steps}
        devices = [f"{event.camera} ({event.width} x {event.height})"]
        devices += [f"panel {event.panel}"] if event.panel else []
        devices += [f"wheel {event.wheel}"] if event.wheel else []
        estimate = duration_text(sum(step.estimate_s for step in event.steps))
        begins = "is resumed" if event.is_resumed else "begins"
        steps = counted(len(event.steps), "step")
        return f"night {begins}: {', '.join(devices)}; {steps}, about {estimate}; in {event.folder}"

    @_sentence.register
    def _night_ended(self, event: NightEnded) -> str:
        return f"night {event.outcome.value}: {event.summary}"

    @_sentence.register
    def _night_paused(self, _event: NightPaused) -> str:
        return "the night is paused by request; no exposure will begin until the night is resumed"

    @_sentence.register
    def _night_resumed(self, _event: NightResumed) -> str:
        return "the night is resumed"

    @_sentence.register
    def _step_started(self, event: StepStarted) -> str:
        self._step_began[event.step] = event.at
        step = self._steps.get(event.step)
        about = f", about {duration_text(self._expected_s(step))}" if step else ""
        return f"{self._title(event.step)} begins{about}"

    @_sentence.register
    def _step_ended(self, event: StepEnded) -> str:
        sentence = f"{self._title(event.step)} {event.outcome.value}"
        began = self._step_began.get(event.step)
        if began is not None:
            sentence += f" after {duration_text((event.at - began).total_seconds())}"
        return f"{sentence}: {event.reason}" if event.reason else sentence

    @_sentence.register
    def _set_resized(self, event: SetResized) -> str:
        title = self._title(event.step)
        if step := self._steps.get(event.step):
            self._steps[event.step] = replace(step, count=event.count, estimate_s=event.estimate_s)
        return f"{title}: {counted(event.count, 'frame') if event.count else 'skipped'}, {event.reason}"

    @_sentence.register
    def _pedestal_decided(self, event: PedestalDecided) -> str:
        if step := self._steps.get(event.step):
            self._steps[event.step] = replace(step, count=event.count)
        return f"{self._title(event.step)}: {event.verdict.reason}"

    @_sentence.register
    def _camera_measured(self, event: CameraMeasured) -> str:
        figures = [
            (event.e_per_adu, "{:.3g} e-/ADU"),
            (event.read_noise_e, "read noise {:.3g} e-"),
            (event.full_well_e, "full well {:,.0f} e-"),
        ]
        return f"{event.camera}: " + ", ".join(text.format(value) for value, text in figures if value is not None)

    @_sentence.register
    def _hook_ended(self, event: HookEnded) -> str:
        return f"{event.command}: {event.fault}" if event.fault else f"{event.command}: done"

    @_sentence.register
    def _temperature_read(self, event: TemperatureRead) -> str | None:
        return f"sensor {temperature_text(event)}" if self._is_due(event) else None

    @_sentence.register
    def _cooling_progress(self, event: CoolingProgress) -> str | None:
        return f"cooling: {event.verdict}" if self._is_due(event) else None

    @_sentence.register
    def _panel_changed(self, event: PanelChanged) -> str:
        return f"panel {panel_text(event)}"

    @_sentence.register
    def _filter_changed(self, event: FilterChanged) -> str:
        return f"filter {event.filter}"

    @_sentence.register
    def _rotator_turned(self, event: RotatorTurned) -> str:
        return "rotator turning" if event.angle_deg is None else f"rotator at {event.angle_deg:g} deg"

    @_sentence.register
    def _exposure_started(self, event: ExposureStarted) -> str | None:
        if event.exposure_s < LONG_EXPOSURE_S:
            return None
        return f"{self._title(event.step)} exposing {exposure_text(event.exposure_s)}"

    @_sentence.register
    def _flat_tested(self, event: FlatTested) -> str:
        light = "" if event.brightness is None else f" at brightness {event.brightness}"
        test = f"{self._title(event.step)}: tested {exposure_text(event.exposure_s)}{light}"
        return f"{test}, level {event.level_adu:,.0f} ADU: {event.verdict}"

    @_sentence.register
    def _flat_tuned(self, event: FlatTuned) -> str:
        light = "" if event.brightness is None else f" at brightness {event.brightness}"
        tests = "1 test" if event.tests == 1 else f"{event.tests} tests"
        return f"{self._title(event.step)}: chose {exposure_text(event.exposure_s)}{light} after {tests}"

    @_sentence.register
    def _frame_accepted(self, event: FrameAccepted) -> str:
        step = self._steps.get(event.step)
        count = f"{event.index}/{step.count}" if step else f"{event.index}"
        level, noise = event.statistics.level_adu, event.statistics.noise_adu
        return (
            f"{self._title(event.step)} {count} {exposure_text(event.exposure_s)} "
            f"level {level:,.0f} ADU noise {noise_text(noise)}"
        )

    @_sentence.register
    def _frame_rejected(self, event: FrameRejected) -> str:
        return f"{self._title(event.step)} frame rejected: {event.reason}, kept as {Path(event.path).name}"

    @_sentence.register
    def _master_written(self, event: MasterWritten) -> str:
        frames = counted(event.frames, "frame")
        return f"master of {self._title(event.step)} written from {frames}: {Path(event.path).name}"

    @_sentence.register
    def _lights_verified(self, event: LightsVerified) -> str:
        return line_of(event)

    @_sentence.register
    def _notice(self, event: Notice) -> str:
        return event.text if event.severity is Severity.INFO else f"{event.severity.value}: {event.text}"
