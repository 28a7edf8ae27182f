"""What happens, in words: one line per event for people and journals of services, or JSON lines for programs."""

import contextlib
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import singledispatchmethod
from pathlib import Path
from typing import TextIO

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
    NightOutcome,
    NightPaused,
    NightResumed,
    NightStarted,
    Notice,
    PanelChanged,
    PedestalDecided,
    PlannedStep,
    SetResized,
    Severity,
    StepEnded,
    StepOutcome,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.storage.journal import encode_event, is_journalled

CALM = timedelta(seconds=60)
"""Readings that come all the time (temperature, cooling) get a line no more often than this."""

LONG_EXPOSURE_S = 30.0
"""The start of an exposure is worth a line from here on; a shorter one ends, and gets its frame's line, soon enough."""

MINUTE_S, HOUR_S = 60, 3600


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event in words."""

    at: datetime
    severity: Severity
    text: str


def printable(text: str) -> str:
    """Return `text` on one line and without control characters, which a driver's message could smuggle in."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def duration_text(seconds: float) -> str:
    """Write a span of time for people, to two units at most: "42 s", "12 min", "1 h 04 min"; a dash for no number."""
    if not math.isfinite(seconds):  # a journal may tell any
        return "-"
    whole = round(seconds)
    if whole < 2 * MINUTE_S:
        return f"{whole} s"
    minutes = round(seconds / MINUTE_S)
    if minutes < HOUR_S // MINUTE_S:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def exposure_text(exposure_s: float) -> str:
    """Write an exposure as people do: "300 s", "0.842 s", "0.032 ms"."""
    return f"{exposure_s:.5g} s" if exposure_s >= 0.001 or exposure_s == 0 else f"{exposure_s * 1000:.3g} ms"  # noqa: PLR2004 - one millisecond


def noise_text(noise_adu: float) -> str:
    """Write a noise in ADU, with decimals only where it is small."""
    return f"{noise_adu:,.0f}" if abs(noise_adu) >= 100 else f"{noise_adu:.3g}"  # noqa: PLR2004 - three digits


def panel_text(panel: PanelChanged) -> str:
    """Say how a panel stands: "lit at 120, cover closed"."""
    light = "dark" if not panel.lit else "lit" if panel.brightness is None else f"lit at {panel.brightness}"
    return light if panel.cover is None else f"{light}, cover {panel.cover.value}"


def temperature_text(reading: TemperatureRead) -> str:
    """Say what a temperature reading tells: "-9.8 C, setpoint -10.0 C, power 43 %"."""
    parts = ["no reading" if reading.sensor_c is None else f"{reading.sensor_c:.1f} C"]
    if reading.setpoint_c is not None:
        parts.append(f"setpoint {reading.setpoint_c:.1f} C")
    if reading.power_percent is not None:
        parts.append(f"power {reading.power_percent:.0f} %")
    return ", ".join(parts)


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
    """Tell how much an event matters."""
    match event:
        case Notice():
            return event.severity
        case StepEnded():
            return _STEP_SEVERITY[event.outcome]
        case NightEnded():
            return _NIGHT_SEVERITY[event.outcome]
        case FrameRejected() | SetResized():
            return Severity.WARNING
        case HookEnded():
            return Severity.ERROR if event.fault else Severity.INFO
        case _:
            return Severity.INFO


class Narrator:
    """Puts events into words. Remembers the plan, because events name steps by number only."""

    def __init__(self) -> None:
        self._steps: dict[int, PlannedStep] = {}
        self._step_began: dict[int, datetime] = {}
        self._last_calm: dict[type[Event], datetime] = {}

    def tell(self, event: Event) -> LogLine | None:
        """Return the event in words, or None for one that is not worth a line of its own.

        No line have pictures, the growing of a master (its frame has one), short exposures (likewise), and readings
        that follow one another within `CALM`.
        """
        sentence = self._sentence(event)
        return LogLine(event.at, severity_of(event), printable(sentence)) if sentence else None

    def _title(self, number: int) -> str:
        step = self._steps.get(number)
        return step.title if step else f"step {number}"

    def _is_calm_enough(self, event: Event) -> bool:
        last = self._last_calm.get(type(event))
        if last is not None and event.at - last < CALM:
            return False
        self._last_calm[type(event)] = event.at
        return True

    @singledispatchmethod
    def _sentence(self, _event: Event) -> str | None:
        return None

    @_sentence.register
    def _(self, event: NightStarted) -> str:
        self._steps = {step.number: step for step in event.steps}
        devices = [f"{event.camera} ({event.width} x {event.height})"]
        devices += [f"panel {event.panel}"] if event.panel else []
        devices += [f"wheel {event.wheel}"] if event.wheel else []
        estimate = duration_text(sum(step.estimate_s for step in event.steps))
        begins = "goes on" if event.is_resumed else "begins"
        return f"night {begins}: {', '.join(devices)}; {len(event.steps)} steps, about {estimate}, into {event.folder}"

    @_sentence.register
    def _(self, event: NightEnded) -> str:
        return f"night {event.outcome.value}: {event.summary}"

    @_sentence.register
    def _(self, _event: NightPaused) -> str:
        return "paused by request: no further exposure begins until the night is resumed"

    @_sentence.register
    def _(self, _event: NightResumed) -> str:
        return "resumed: the night goes on"

    @_sentence.register
    def _(self, event: StepStarted) -> str:
        self._step_began[event.step] = event.at
        step = self._steps.get(event.step)
        about = f", about {duration_text(step.estimate_s)}" if step else ""
        return f"{self._title(event.step)} begins{about}"

    @_sentence.register
    def _(self, event: StepEnded) -> str:
        sentence = f"{self._title(event.step)} {event.outcome.value}"
        began = self._step_began.get(event.step)
        if began is not None:
            sentence += f" after {duration_text((event.at - began).total_seconds())}"
        return f"{sentence}: {event.reason}" if event.reason else sentence

    @_sentence.register
    def _(self, event: SetResized) -> str:
        title = self._title(event.step)
        if step := self._steps.get(event.step):
            self._steps[event.step] = replace(step, count=event.count, estimate_s=event.estimate_s)
        return f"{title}: {f'{event.count} frames' if event.count else 'left out'}, {event.reason}"

    @_sentence.register
    def _(self, event: PedestalDecided) -> str:
        if step := self._steps.get(event.step):
            self._steps[event.step] = replace(step, count=event.count)
        return f"{self._title(event.step)}: {event.verdict.reason}"

    @_sentence.register
    def _(self, event: CameraMeasured) -> str:
        figures = [
            (event.e_per_adu, "{:.3g} e-/ADU"),
            (event.read_noise_e, "read noise {:.3g} e-"),
            (event.full_well_e, "full well {:,.0f} e-"),
        ]
        return f"{event.camera}: " + ", ".join(text.format(value) for value, text in figures if value is not None)

    @_sentence.register
    def _(self, event: HookEnded) -> str:
        return f"{event.command}: {event.fault}" if event.fault else f"{event.command}: done"

    @_sentence.register
    def _(self, event: TemperatureRead) -> str | None:
        return f"sensor {temperature_text(event)}" if self._is_calm_enough(event) else None

    @_sentence.register
    def _(self, event: CoolingProgress) -> str | None:
        return f"cooling: {event.verdict}" if self._is_calm_enough(event) else None

    @_sentence.register
    def _(self, event: PanelChanged) -> str:
        return f"panel {panel_text(event)}"

    @_sentence.register
    def _(self, event: FilterChanged) -> str:
        return f"filter {event.filter}"

    @_sentence.register
    def _(self, event: ExposureStarted) -> str | None:
        if event.exposure_s < LONG_EXPOSURE_S:
            return None
        return f"{self._title(event.step)} exposing {exposure_text(event.exposure_s)}"

    @_sentence.register
    def _(self, event: FlatTested) -> str:
        light = "" if event.brightness is None else f" at {event.brightness}"
        test = f"{self._title(event.step)} test {exposure_text(event.exposure_s)}{light}"
        return f"{test} level {event.level_adu:,.0f} ADU: {event.verdict}"

    @_sentence.register
    def _(self, event: FlatTuned) -> str:
        light = "" if event.brightness is None else f" at brightness {event.brightness}"
        tests = "1 test" if event.tests == 1 else f"{event.tests} tests"
        return f"{self._title(event.step)} tuned to {exposure_text(event.exposure_s)}{light} in {tests}"

    @_sentence.register
    def _(self, event: FrameAccepted) -> str:
        step = self._steps.get(event.step)
        count = f"{event.index}/{step.count}" if step else f"{event.index}"
        level, noise = event.statistics.level_adu, event.statistics.noise_adu
        return (
            f"{self._title(event.step)} {count} {exposure_text(event.exposure_s)} "
            f"level {level:,.0f} ADU noise {noise_text(noise)}"
        )

    @_sentence.register
    def _(self, event: FrameRejected) -> str:
        return f"{self._title(event.step)} frame rejected: {event.reason}, kept as {Path(event.path).name}"

    @_sentence.register
    def _(self, event: MasterWritten) -> str:
        return f"master of {self._title(event.step)} from {event.frames} frames written: {Path(event.path).name}"

    @_sentence.register
    def _(self, event: Notice) -> str:
        return event.text if event.severity is Severity.INFO else f"{event.severity.value}: {event.text}"


class LineLog:
    """An `EventStream` subscriber that writes a line per event, for runs without a terminal.

    Parameters
    ----------
    stream
        Where the lines go. A stream that went away is let go: the night matters more than its log.
    zone
        Time zone of the clock times; None is the computer's own.
    """

    def __init__(self, stream: TextIO, zone: tzinfo | None = None) -> None:
        self._stream = stream
        self._zone = zone
        self._narrator = Narrator()

    def __call__(self, event: Event) -> None:
        """Write the event's line, such as ``04:12:33 flat Ha 7/20 0.842 s level 26,180 ADU noise 142``."""
        told = self._narrator.tell(event)
        if told:
            _write_line(self._stream, f"{told.at.astimezone(self._zone):%H:%M:%S} {told.text}")


class JsonLog:
    """An `EventStream` subscriber that writes the journal's lines to a stream, for programs that listen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event as a line of JSON."""
        if is_journalled(event):
            _write_line(self._stream, encode_event(event))


def _write_line(stream: TextIO, line: str) -> None:
    encoding = stream.encoding or "utf-8"
    with contextlib.suppress(OSError):
        stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
