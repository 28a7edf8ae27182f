"""Write the page, as a whole or by section, from the state of a night. All text in it is escaped.

This module performs no I/O except for loading its templates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from jinja2 import Environment, Template
from markupsafe import Markup

from coldframe.capture.events.values import Severity, StepOutcome
from coldframe.capture.monitoring.progress import night_words
from coldframe.capture.monitoring.progress.narrator import LogLine
from coldframe.capture.monitoring.progress.night_words import Mark
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.quantities import is_on_setpoint, printable
from coldframe.capture.monitoring.progress.state import DashboardState, Tuning
from coldframe.capture.monitoring.report import charts
from coldframe.capture.monitoring.report.contents import FramePoint, Reading, TuningReport, TuningTest
from coldframe.capture.monitoring.report.page import templates
from coldframe.config.frames import FrameKind

_FOLDER = Path(__file__).parent

SIGNS = {Mark.WAITING: "·", Mark.DONE: "✔", Mark.WARNING: "▲", Mark.FAILED: "✘", Mark.PAUSED: "‖"}

STEP_SIGNS = {
    StepOutcome.DONE: ("good", "✔"),
    StepOutcome.FAILED: ("bad", "✘"),
    StepOutcome.SKIPPED: ("warn", "▲"),
}

SEVERITY_SIGNS = {Severity.INFO: ("", ""), Severity.WARNING: ("warn", "▲"), Severity.ERROR: ("bad", "✘")}

MOST_PROBLEMS, MOST_LINES = 6, 40


class Theme(StrEnum):
    """The colours of the page. Red light preserves the eyes' dark adaptation."""

    DARK = "dark"
    RED = "red"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class Sight:
    """The input for the page.

    Attributes
    ----------
    now
        Current time. Times of day are shown in its time zone.
    note
        A line for the user; empty while a run is attached.
    refusal
        Reason why commands are not possible; None if they are possible.
    night_id
        See `commands.night_id`; empty if there is no night.
    picture, picture_title, picture_facts
        Number, title and measured values of the picture to show; the number is None if there is no picture.
    report_at
        Time at which the morning report was written; None if there is no report.
    """

    state: DashboardState
    now: datetime
    note: str = ""
    refusal: str | None = None
    night_id: str = ""
    picture: int | None = None
    picture_title: str = ""
    picture_facts: str = ""
    report_at: datetime | None = None

    def clock(self, at: datetime, form: str = "%H:%M:%S") -> str:
        """Format a time of day; see `night_words.clock`."""
        return night_words.clock(at, self.now, form)


@dataclass(frozen=True, slots=True)
class Row:
    """A step of the plan."""

    mood: str
    sign: str
    title: str
    count: str
    percent: int | None
    rejected: int
    time: str
    is_running: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log."""

    clock: str
    mood: str
    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its caption."""

    caption: str
    chart: Markup


def page(sight: Sight, theme: Theme) -> str:
    """Return the whole page."""
    return _template("page.html.jinja").render(theme=theme, themes=tuple(Theme), **_values(sight))


def sections(sight: Sight) -> dict[str, str]:
    """Return the sections of the page, keyed by the identifiers of the elements that contain them."""
    template = _template("page.html.jinja")
    values = _values(sight)
    return {name: "".join(block(template.new_context(values))) for name, block in template.blocks.items()}


def report_page(theme: Theme) -> str:
    """Return the page in which the morning report is embedded. The page has the colours of the theme."""
    return _template("report.html.jinja").render(theme=theme)


@cache
def _environment() -> Environment:
    return templates(_FOLDER)


def _template(name: str) -> Template:
    return _environment().get_template(name)


def _values(sight: Sight) -> dict[str, object]:
    state, now = sight.state, sight.now
    verdict = night_words.verdict_of(state, now)
    step = state.step
    return {
        "verdict": verdict.words,
        "mood": verdict.mood,
        "sign": SIGNS[verdict.mark],
        "ending": night_words.ending(state, now),
        "percent": _percent(state.done_fraction(state.stopped_at or now)),
        "result": night_words.result_text(state),
        "step": None if step is None else night_words.step_words(step, state),
        "step_number": None if step is None else step.planned.number,
        "step_title": "" if step is None else printable(step.planned.title),
        "steps": len(state.steps),
        "activity": night_words.activity_of(state, now),
        "exposed": _percent(night_words.activity_of(state, now).fraction or 0.0),
        "clock": sight.clock(now),
        "note": printable(sight.note),
        "refusal": printable(sight.refusal or ""),
        "is_over": state.ended is not None,
        "read_at": _read_at(sight),
        "is_paused": state.paused is not None,
        "night": state.night,
        "night_id": sight.night_id,
        "folder": "" if state.night is None else printable(state.night.folder),
        "devices": list(_devices(state)),
        "reading": state.thermals,
        "is_on_setpoint": state.thermals is not None and is_on_setpoint(state.thermals),
        "cooling": printable(state.cooling or ""),
        "light_path": list(night_words.light_path(state)),
        "problems": [_line(each, sight) for each in _problems(state)],
        "problem_count": state.problems.total,
        "rows": [_row(each, sight) for each in state.steps.values()],
        "picture": sight.picture,
        "picture_title": printable(sight.picture_title),
        "picture_facts": sight.picture_facts,
        "charts": list(_charts(sight)),
        "lines": [_line(each, sight) for each in list(state.latest)[: -MOST_LINES - 1 : -1]],
        "report_at": None if sight.report_at is None else sight.clock(sight.report_at, "%H:%M"),
    }


def _read_at(sight: Sight) -> str:
    """Return the time of the latest temperature reading; empty if the reading is current or missing."""
    reading = sight.state.thermals
    return "" if reading is None or sight.state.is_reading_current else sight.clock(reading.at, "%H:%M")


def _percent(fraction: float) -> int:
    """Return a fraction as a percentage from 0 to 100; 0 for NaN, which invalid numbers in a journal can cause."""
    return round(100 * min(max(fraction, 0.0), 1.0)) if fraction == fraction else 0  # noqa: PLR0124 - NaN


def _devices(state: DashboardState) -> Iterator[tuple[str, str]]:
    if (night := state.night) is not None:
        yield "camera", f"{printable(night.camera)}, {night.width} x {night.height}"
        yield from (
            (name, printable(device)) for name, device in (("panel", night.panel), ("wheel", night.wheel)) if device
        )


def _problems(state: DashboardState) -> list[LogLine]:
    """Return the latest problems, errors first."""
    return sorted(state.problems, key=lambda line: (line.severity is Severity.ERROR, line.at), reverse=True)[
        :MOST_PROBLEMS
    ]


def _line(line: LogLine, sight: Sight) -> Line:
    return Line(sight.clock(line.at), *SEVERITY_SIGNS[line.severity], printable(line.text))


def _row(step: StepProgress, sight: Sight) -> Row:
    planned = step.planned
    time, is_estimate = night_words.step_time(step, sight.state, sight.now)
    mood, sign = STEP_SIGNS[step.outcome] if step.outcome else ("note", "▶") if step.is_running else ("", "·")
    return Row(
        mood=mood,
        sign=sign,
        title=printable(planned.title),
        count=f"{step.accepted}/{planned.count}" if planned.kind else "",
        percent=_percent(step.accepted / planned.count) if planned.kind and planned.count > 0 else None,
        rejected=step.rejected,
        time=f"about {time}" if is_estimate else time,
        is_running=step.is_running,
    )


def _charts(sight: Sight) -> Iterator[Figure]:
    """Yield the charts of the cooler, then the charts of the flats, with the latest flats first."""
    state, zone = sight.state, sight.now.tzinfo
    readings = [Reading.of(each) for each in state.temperatures]
    read_at = _read_at(sight)
    span = f"30 minutes until {read_at}" if read_at else "last 30 minutes"
    drawn = [(f"Sensor temperature, {span}", charts.sensor_chart(readings, zone) if readings else None)]
    drawn.append((f"Cooler power, {span}", charts.cooler_chart(readings, zone) if readings else None))
    if state.tuning is not None:
        drawn.append(_tuning_chart(state.tuning, state))
    flats = [step for step in state.steps.values() if step.planned.kind is FrameKind.FLAT and step.frames]
    drawn += [_level_chart(step) for step in reversed(flats)]
    yield from (Figure(caption, chart) for caption, chart in drawn if chart is not None)


def _tuning_chart(tuning: Tuning, state: DashboardState) -> tuple[str, Markup | None]:
    step = state.steps.get(tuning.step)
    title = printable(step.planned.title) if step else f"step {tuning.step}"
    tests = tuple(TuningTest.of(test) for test in tuning.tests)
    return f"Test frames: {title}", charts.tuning_chart(TuningReport(title, None, tests, None, None, None, ""))


def _level_chart(step: StepProgress) -> tuple[str, Markup | None]:
    return f"Levels: {printable(step.planned.title)}", charts.level_chart(
        [FramePoint.of(each, "") for each in step.frames]
    )
