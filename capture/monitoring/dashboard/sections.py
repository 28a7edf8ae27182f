"""The dashboard's sections: each draws one matter into a given width and height, most important line first."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from coldframe.capture.events.kinds import (
    FlatTested,
    FrameAccepted,
    MasterGrew,
    NightOutcome,
    Severity,
    SkippedBy,
    StepOutcome,
    TemperatureRead,
)
from coldframe.capture.monitoring.dashboard.drawing import (
    ASCII,
    BAD,
    FAINT,
    GOOD,
    NOTE,
    PLAIN,
    QUIET,
    STRONG,
    UNICODE,
    WARN,
    Canvas,
    Glyphs,
    bar,
    fit,
    gauge,
    histogram,
    logarithmic,
    sparkline,
)
from coldframe.capture.monitoring.progress.narrator import (
    LogLine,
    duration_text,
    exposure_text,
    noise_text,
    panel_text,
    printable,
)
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.state import HISTORY, DashboardState

ON_SETPOINT_C = 0.5
"""A sensor this close to its setpoint is drawn as being there."""

FULL_SCALE_ADU = 65_535

SEVERITY_STYLE = {Severity.INFO: PLAIN, Severity.WARNING: WARN, Severity.ERROR: BAD}


@dataclass(frozen=True, slots=True)
class View:
    """What a section draws from, and into: the state, the moment, the room, the characters."""

    state: DashboardState
    now: datetime
    width: int
    height: int
    glyphs: Glyphs

    def clock(self, at: datetime, form: str = "%H:%M:%S") -> str:
        """Write a time of day in the time zone of `now`."""
        return f"{at.astimezone(self.now.tzinfo):{form}}"


Section = Callable[[View], list[Text]]


class Block:
    """A section under its title, as a renderable that fills the room it is given.

    Parameters
    ----------
    section
        Draws the lines.
    title
        Stands in a rule above them; without one there is no rule.
    gutter
        Columns left free on the right.
    """

    def __init__(
        self, section: Section, state: DashboardState, now: datetime, *, title: str = "", gutter: int = 0
    ) -> None:
        self._section = section
        self._state = state
        self._now = now
        self._title = title
        self._gutter = gutter

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the section; what does not fit is left out."""
        glyphs = ASCII if options.ascii_only else UNICODE
        width, height = options.max_width - self._gutter, options.height or console.height
        if width <= 0 or height <= 0:
            return
        lines = [heading(self._title, width, glyphs)] if self._title else []
        view = View(self._state, self._now, width, height - len(lines), glyphs)
        if view.height > 0:
            lines += self._section(view)
        for line in lines[:height]:
            line.truncate(width, overflow="crop")
            yield from Segment.apply_style(line.render(console), console.get_style(line.style))
            yield Segment.line()


def heading(title: str, width: int, glyphs: Glyphs) -> Text:
    """Draw a section's title in a rule."""
    text = fit(title, width - 4, glyphs)
    return Text.assemble((glyphs.rule, FAINT), (f" {text} ", STRONG), (glyphs.rule * (width - len(text) - 3), FAINT))


def spread(left: Text, right: Text, width: int) -> Text:
    """Put one text at the left and one at the right end of a line; the right one gives way where room is short."""
    gap = width - left.cell_len - right.cell_len
    return Text.assemble(left, " " * gap, right) if gap > 0 else left


def verdict(view: View) -> Text:
    """Say in a few words how the night goes."""
    state, glyphs = view.state, view.glyphs
    if state.ended is not None:
        return _final_verdict(view)
    if state.night is None:
        return Text(f"{glyphs.waiting} Waiting for the night to begin", NOTE)
    if state.lost_at is not None:
        return Text(f"{glyphs.warning} Not heard of since {view.clock(state.lost_at)}", Style.combine([WARN, STRONG]))
    if state.paused is not None:
        words = "Pausing after this frame" if _is_exposing(view) else f"Paused since {view.clock(state.paused.at)}"
        return Text(f"{glyphs.paused} {words}", Style.combine([WARN, STRONG]))
    return _verdict_under_way(view)


def _verdict_under_way(view: View) -> Text:
    state, glyphs = view.state, view.glyphs
    if state.is_stopping:
        return Text(f"{glyphs.warning} Stopping, the rig is made safe", Style.combine([WARN, STRONG]))
    missing = [step for step in state.missing if step.skipped_by is not SkippedBy.USER]
    if missing:
        what = printable(missing[0].planned.title) if len(missing) == 1 else f"{len(missing)} steps"
        return Text(fit(f"{glyphs.failed} {what} not done, going on", view.width - 26, glyphs), BAD)
    if any(problem.severity is Severity.ERROR for problem in state.problems):
        return Text(f"{glyphs.failed} Errors, going on", BAD)
    if state.problems:
        count = len(state.problems)
        warnings = "1 warning" if count == 1 else f"{count} warnings"
        return Text(f"{glyphs.warning} Going on, {warnings}", WARN)
    return Text(f"{glyphs.done} All well", Style.combine([GOOD, STRONG]))


def _is_exposing(view: View) -> bool:
    exposure = view.state.exposure
    return exposure is not None and (view.now - exposure.at).total_seconds() < exposure.exposure_s


_FINAL = {
    NightOutcome.COMPLETE: ("done", "Complete", GOOD),
    NightOutcome.INCOMPLETE: ("warning", "Ended, something is missing", WARN),
    NightOutcome.INTERRUPTED: ("warning", "Interrupted", WARN),
    NightOutcome.ABORTED: ("failed", "Aborted into the safe state", BAD),
}


def _final_verdict(view: View) -> Text:
    assert view.state.ended is not None
    sign, words, style = _FINAL[view.state.ended.outcome]
    return Text(f"{getattr(view.glyphs, sign)} {words}", Style.combine([style, STRONG]))


def headline(view: View) -> list[Text]:
    """Say how it goes, when it is done, what is being done: three lines, the most important of all."""
    return [
        spread(Text.assemble(" ", verdict(view)), Text(f"{_position(view)} ", PLAIN), view.width),
        _progress(view),
        _activity(view),
    ]


def _position(view: View) -> str:
    """Say where in the plan we are, and the time."""
    parts = []
    if (step := view.state.step) is not None:
        parts.append(f"step {step.planned.number} of {len(view.state.steps)}")
    parts.append(view.clock(view.now))
    return view.glyphs.dot.join(parts)


def _progress(view: View) -> Text:
    outlook = ending(view)
    fraction = view.state.done_fraction(view.state.lost_at or view.now)
    percent = f"{100 * fraction:3.0f} %"
    room = max(view.width - len(outlook) - len(percent) - 6, 4)
    return Text.assemble(" ", bar(fraction, room, view.glyphs), f"  {percent}  ", (outlook, STRONG), " ")


def ending(view: View) -> str:
    """Say when it will be over, as honestly as it can be said."""
    state = view.state
    if state.ended is not None:
        return f"ended at {view.clock(state.ended.at, '%H:%M')}"
    if state.night is None:
        return "no plan yet"
    if state.lost_at is not None:
        return f"last heard of at {view.clock(state.lost_at, '%H:%M')}"
    outlook = state.outlook(view.now)
    if state.paused is not None:
        return f"paused, {duration_text(outlook.remaining_s)} to go"
    at = view.clock(view.now + timedelta(seconds=outlook.remaining_s), "%H:%M")
    left = duration_text(outlook.remaining_s)
    if outlook.overdue:
        return f"done not before {at}, in {left} or more"
    return f"done about {at}, in {left}"


def _activity(view: View) -> Text:
    """Say what is being done right now."""
    state = view.state
    if state.ended is not None:
        return Text(f" {fit(printable(state.ended.summary), view.width - 2, view.glyphs)}")
    step = state.step
    if step is None:
        words = "nothing was told yet" if state.night is None else "between two steps"
        return Text(f" {words}", QUIET)
    left = Text.assemble(
        f" {view.glyphs.running} ", (fit(step_words(step, state), view.width // 2, view.glyphs), STRONG)
    )
    room = view.width - left.cell_len - 4
    return Text.assemble(left, "   ", _exposing(view, room))


def step_words(step: StepProgress, state: DashboardState) -> str:
    """Name a step with its count, or with what the tuner is at."""
    title = printable(step.planned.title)
    if state.is_tuning and state.tuning is not None:
        return f"{title}: finding the exposure, test {len(state.tuning.tests)}"
    return f"{title}  {step.accepted}/{step.planned.count}" if step.planned.kind else title


def _exposing(view: View, room: int) -> Text:
    """Show the exposure under way; a long one with a bar."""
    exposure, state = view.state.exposure, view.state
    if state.lost_at is not None:
        return Text("was under way", WARN)
    if state.paused is not None and not _is_exposing(view):
        return Text(fit("no exposure until the night is resumed", room, view.glyphs), WARN)
    if exposure is None:
        return Text(fit(printable(state.cooling or ""), room, view.glyphs))
    passed_s = max((view.now - exposure.at).total_seconds(), 0.0)
    total = exposure_text(exposure.exposure_s)
    if exposure.exposure_s < 5:  # noqa: PLR2004 - seconds; a shorter bar would only flicker
        return Text(fit(f"exposing {total}", room, view.glyphs))
    if passed_s >= exposure.exposure_s:
        return Text(fit(f"reading out {total}", room, view.glyphs))
    words = f"exposing {passed_s:.0f} of {total} "
    return Text.assemble(words, bar(passed_s / exposure.exposure_s, min(max(room - len(words), 0), 30), view.glyphs))


def plan(view: View) -> list[Text]:
    """List each step with its progress and time; a window around the running one where not all fit."""
    steps = list(view.state.steps.values())
    if not steps:
        return [Text("the plan comes with the first event", QUIET)]
    first, last = _window(steps, view.height)
    lines = [_plan_line(step, view) for step in steps[first:last]]
    if first > 0:
        lines[0] = Text(f"  {view.glyphs.ellipsis} {first + 1} earlier", QUIET)
    if last < len(steps):
        lines[-1] = Text(f"  {view.glyphs.ellipsis} {len(steps) - last + 1} more", QUIET)
    return lines


def _window(steps: list[StepProgress], height: int) -> tuple[int, int]:
    """Choose which steps to show: the first that is not over, with what comes before and after it."""
    current = next((index for index, step in enumerate(steps) if not step.is_over), len(steps) - 1)
    first = min(max(current - height // 3, 0), max(len(steps) - height, 0))
    return first, min(first + height, len(steps))


def _plan_line(step: StepProgress, view: View) -> Text:
    glyphs = view.glyphs
    sign, style = _step_sign(step, glyphs)
    time = f"{_step_time(step, view):>10}"
    count = "" if step.planned.kind is None else f"{step.accepted}/{step.planned.count}"
    title = fit(printable(step.planned.title), view.width - 2 - 8 - len(time), glyphs)
    line = Text.assemble((f"{sign} ", style), (title, STRONG if step.is_running else PLAIN))
    line.append(" " * (view.width - line.cell_len - 8 - len(time)))
    line.append(f"{count:>8}", STRONG if step.is_running else PLAIN)
    line.append(time, style if step.outcome in (StepOutcome.FAILED, StepOutcome.SKIPPED) else QUIET)
    return line


def _step_sign(step: StepProgress, glyphs: Glyphs) -> tuple[str, Style]:
    match step.outcome:
        case StepOutcome.DONE:
            return glyphs.done, GOOD
        case StepOutcome.FAILED:
            return glyphs.failed, BAD
        case StepOutcome.SKIPPED:
            return glyphs.skipped, WARN
        case None:
            return (glyphs.running, NOTE) if step.is_running else (glyphs.waiting, QUIET)


def _step_time(step: StepProgress, view: View) -> str:
    """Say how long a step took, or will."""
    if step.outcome in (StepOutcome.FAILED, StepOutcome.SKIPPED):
        return str(step.outcome.value)
    if step.is_over and step.began and step.ended:
        return _short_duration((step.ended - step.began).total_seconds())
    if view.state.ended is not None or view.state.lost_at is not None:
        return "not done"
    rest_s = view.state.pace.rest_of_step(step, view.now).remaining_s
    return f"{view.glyphs.about}{_short_duration(rest_s)}"


def _short_duration(seconds: float) -> str:
    words = duration_text(seconds)
    return words.removesuffix(" min") if " h " in words else words


def rig(view: View) -> list[Text]:
    """Show temperature with its history, then what stands in the beam, then names where there is room."""
    lines = [_temperature(view)]
    if view.state.temperatures:
        lines += _temperature_history(view)
    lines += _beam(view)
    if view.state.cooling:
        lines.append(Text(fit(f"cooling: {printable(view.state.cooling)}", view.width, view.glyphs)))
    night = view.state.night
    if night is not None:
        lines.append(_fact("camera", f"{printable(night.camera)}, {night.width} x {night.height}", view))
        lines += [_fact("panel", printable(night.panel), view)] if night.panel else []
        lines += [_fact("wheel", printable(night.wheel), view)] if night.wheel else []
        lines.append(_fact("folder", printable(night.folder), view))
    return lines[: view.height]


def _fact(name: str, value: str, view: View) -> Text:
    return Text.assemble((f"{name:<7}", QUIET), fit(value, view.width - 7, view.glyphs))


def _temperature(view: View) -> Text:
    reading, degree = view.state.thermals, view.glyphs.degree
    if reading is None or reading.sensor_c is None:
        return Text("sensor temperature unknown", QUIET)
    style = GOOD if _is_on_setpoint(reading) else WARN if reading.setpoint_c is not None else PLAIN
    line = Text.assemble("sensor ", (f"{reading.sensor_c:.1f} {degree}", Style.combine([style, STRONG])))
    for words in _cooler_words(reading, view):
        if line.cell_len + len(words) <= view.width:
            line.append(words)
    return line


def _cooler_words(reading: TemperatureRead, view: View) -> Iterator[str]:
    """Tell setpoint and power, in pieces that are left out where there is no room."""
    if reading.setpoint_c is not None:
        yield f" {view.glyphs.arrow} {reading.setpoint_c:.1f}"
    elif reading.power_percent is not None:
        yield "  cooler off"
    if reading.power_percent is not None:
        yield f"  power {reading.power_percent:.0f} %"


def _is_on_setpoint(reading: TemperatureRead) -> bool:
    return (
        reading.sensor_c is not None
        and reading.setpoint_c is not None
        and abs(reading.sensor_c - reading.setpoint_c) <= ON_SETPOINT_C
    )


def _temperature_history(view: View) -> list[Text]:
    """Draw one line of bars in a low section, a curve with the setpoint as its reference in a high one."""
    readings = [reading for reading in view.state.temperatures if reading.sensor_c is not None]
    if not readings:
        return []
    values = [reading.sensor_c for reading in readings if reading.sensor_c is not None]
    setpoints = [reading.setpoint_c for reading in readings if reading.setpoint_c is not None]
    low, high = min(values + setpoints[-1:]), max(values + setpoints[-1:])
    margin = max(0.5 - (high - low) / 2, 0.0)  # a degree at least, or mere noise would fill the height
    low, high = low - margin, high + margin
    rows = min(view.height - 7, 10)
    if rows < 3:  # noqa: PLR2004 - lines; a lower curve says less than bars
        return [_temperature_bars(view, low, high)]
    return _temperature_curve(view, readings, low, high, rows)


def _history_span(view: View) -> timedelta:
    oldest = view.state.temperatures[0].at
    return min(max(view.state.temperatures[-1].at - oldest, timedelta(minutes=1)), HISTORY)


def _temperature_bars(view: View, low: float, high: float) -> Text:
    span = _history_span(view)
    label = f" {duration_text(span.total_seconds())}"
    width = max(view.width - len(label), 1)
    newest = view.state.temperatures[-1].at
    columns: list[float | None] = [None] * width
    settled = [False] * width
    for reading in view.state.temperatures:
        column = min(int((1 - (newest - reading.at) / span) * width), width - 1)
        columns[column], settled[column] = reading.sensor_c, _is_on_setpoint(reading)
    _close_gaps(columns)
    line = Text(sparkline(columns, low, high, view.glyphs), NOTE)
    return Text.assemble(line, (label, QUIET))


def _close_gaps(columns: list[float | None]) -> None:
    """Let a reading stand until the next one."""
    last: float | None = None
    for index, value in enumerate(columns):
        last = value if value is not None else last
        columns[index] = last


def _temperature_curve(view: View, readings: list[TemperatureRead], low: float, high: float, rows: int) -> list[Text]:
    labels = [f"{high:.1f}", f"{low:.1f}"]
    gutter = max(len(label) for label in labels) + 1
    canvas = Canvas(max(view.width - gutter, 1), rows, view.glyphs)
    span, newest = _history_span(view), view.state.temperatures[-1].at
    for reading in readings:
        x = 1 - (newest - reading.at) / span
        if reading.sensor_c is not None:
            canvas.line_to(x, (reading.sensor_c - low) / (high - low))
    setpoint = readings[-1].setpoint_c
    if setpoint is not None:
        for column in range(0, canvas.width, 3):
            canvas.reference_dot(column / canvas.width, (setpoint - low) / (high - low))
    lines = _labelled(canvas.lines(NOTE), labels[0], labels[1], gutter)
    return [*lines, Text(f"{'':<{gutter}}last {duration_text(span.total_seconds())}, dotted: setpoint", QUIET)]


def _labelled(lines: list[Text], top: str, bottom: str, gutter: int) -> list[Text]:
    """Put the scale's ends to the left of a drawing."""
    names = [top, *[""] * (len(lines) - 2), bottom]
    return [Text.assemble((f"{name:>{gutter - 1}} ", QUIET), line) for name, line in zip(names, lines, strict=True)]


def _beam(view: View) -> list[Text]:
    """Name panel, cover and filter, only those that the rig has, on as many lines as they need."""
    lines = [""]
    for words in _beam_words(view.state):
        longer = view.glyphs.dot.join([lines[-1], words]) if lines[-1] else words
        if len(longer) <= view.width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(words)
    return [Text(fit(line, view.width, view.glyphs)) for line in lines if line]


def _beam_words(state: DashboardState) -> Iterator[str]:
    if state.filter is not None:
        yield f"filter {printable(state.filter)}"
    if state.panel is not None:
        yield from f"panel {panel_text(state.panel)}".split(", ")
    elif state.night is not None and state.night.panel is None:
        yield "no panel"


def tuning(view: View) -> list[Text]:
    """Show the search for a flat's exposure: what it aims at, each test, how it ended."""
    search = view.state.tuning
    if search is None or not search.tests:
        return [Text("no flat tuned yet", QUIET)]
    last = search.tests[-1]
    aim = f"aims at {last.target_adu:,.0f} ADU, band {last.low_adu:,.0f} to {last.high_adu:,.0f}"
    lines = [Text(fit(aim, view.width, view.glyphs), QUIET)]
    lines += [_test_line(number, test, view) for number, test in enumerate(search.tests, start=1)][
        -max(view.height - 2, 1) :
    ]
    lines.append(_tuning_verdict(view))
    return lines


def _test_line(number: int, test: FlatTested, view: View) -> Text:
    light = "" if test.brightness is None else f" @{test.brightness}"
    words = f"{number:>2} {exposure_text(test.exposure_s) + light:<13} {test.level_adu:>6,.0f} "
    room = view.width - len(words)
    line = Text(words)
    if room >= 8:  # noqa: PLR2004 - characters; a shorter gauge tells nothing
        line.append_text(gauge(test.level_adu, test.low_adu, test.high_adu, min(room, 40), view.glyphs))
    return line


def _tuning_verdict(view: View) -> Text:
    search = view.state.tuning
    assert search is not None
    if search.tuned is None:
        return Text(fit(printable(search.tests[-1].verdict), view.width, view.glyphs), NOTE)
    light = "" if search.tuned.brightness is None else f" at brightness {search.tuned.brightness}"
    words = f"{view.glyphs.done} found: {exposure_text(search.tuned.exposure_s)}{light}"
    return Text(fit(words, view.width, view.glyphs), GOOD)


def frame_facts(view: View) -> list[Text]:
    """Show level, noise and saturation of the last frame."""
    frame = view.state.frame
    if frame is None:
        return [Text("no frame yet", QUIET)]
    figures = frame.statistics
    line = Text.assemble(
        ("level ", QUIET),
        (f"{figures.level_adu:,.0f}", STRONG),
        ("  noise ", QUIET),
        (noise_text(figures.noise_adu), STRONG),
        (" ADU", QUIET),
    )
    if figures.saturated_fraction > 0:
        line.append(f"  clipped {100 * figures.saturated_fraction:.2g} %", WARN)
    return [line]


def frame_title(state: DashboardState) -> str:
    """Name the last frame."""
    frame = state.frame
    if frame is None:
        return "Last frame"
    return f"Last frame: {_frame_name(frame, state)}, {exposure_text(frame.exposure_s)}"


def _frame_name(frame: FrameAccepted, state: DashboardState) -> str:
    step = state.steps.get(frame.step)
    return f"{printable(step.planned.title)} {frame.index}" if step else f"step {frame.step}, {frame.index}"


def frame_histogram(view: View) -> list[Text]:
    """Draw the last frame's histogram over the full scale."""
    shown = view.state.shown
    if shown is None or view.height < 2:  # noqa: PLR2004 - bars and scale
        return []
    bars = histogram(shown.histogram, view.width, view.height - 1, view.glyphs)
    middle, end = f"{FULL_SCALE_ADU // 2:,}", f"{FULL_SCALE_ADU:,}"
    scale = f"0{middle:^{max(view.width - 1 - len(end), 0)}}{end}"
    return [*(Text(line, NOTE) for line in bars), Text(scale if len(scale) <= view.width else "", QUIET)]


def noise(view: View) -> list[Text]:
    """Draw the running master's noise as frames come in, against the fall as 1/sqrt(N) that pure noise shows."""
    grown = [step for step in view.state.noise if step.noise_adu is not None and step.noise_adu > 0]
    if not grown:
        return [Text("needs two frames", QUIET)]
    reference_adu = _noise_of_one(grown)
    last = grown[-1]
    expected_adu = reference_adu / math.sqrt(last.frames)
    assert last.noise_adu is not None
    words = f"{noise_text(last.noise_adu)} ADU after {last.frames}, 1/sqrt(N): {noise_text(expected_adu)}"
    lines = [Text(fit(words, view.width, view.glyphs))]
    if view.height >= 3:  # noqa: PLR2004 - lines; a curve needs two
        lines += _noise_curve(view, grown, reference_adu)
    return lines


def _noise_of_one(grown: list[MasterGrew]) -> float:
    """Estimate the noise of a single frame from the first few foldings."""
    return median((step.noise_adu or 0.0) * math.sqrt(step.frames) for step in grown[:5])


def _noise_curve(view: View, grown: list[MasterGrew], reference_adu: float) -> list[Text]:
    """Draw with both scales logarithmic, so that 1/sqrt(N) is a straight line."""
    step = view.state.steps.get(grown[-1].step)
    most = max(grown[-1].frames, step.planned.count if step else 2, 3)
    values = [item.noise_adu or 0.0 for item in grown]
    low = min(*values, reference_adu / math.sqrt(most))
    high = max(*values, reference_adu / math.sqrt(2))
    labels = noise_text(high), noise_text(low)
    gutter = max(len(label) for label in labels) + 1
    has_scale = view.height >= 5  # noqa: PLR2004 - lines
    canvas = Canvas(max(view.width - gutter, 1), view.height - 1 - has_scale, view.glyphs)
    for column in range(0, canvas.width, 3):
        x = column / max(canvas.width - 1, 1)
        canvas.reference_dot(x, logarithmic(reference_adu / math.sqrt(2 * (most / 2) ** x), low, high))
    for item, value in zip(grown, values, strict=True):
        canvas.line_to(logarithmic(item.frames, 2, most), logarithmic(value, low, high))
    lines = _labelled(canvas.lines(GOOD), *labels, gutter)
    scale = f"{'':<{gutter}}2{f'{most} frames':>{max(view.width - gutter - 1, 0)}}"
    return [*lines, Text(scale, QUIET)] if has_scale else lines


def latest(view: View) -> list[Text]:
    """List the newest events, newest last; a problem that has scrolled off keeps the first line."""
    shown = list(view.state.latest)[-view.height :]
    # Of the worst problems the newest.
    problem = max(view.state.problems, key=lambda told: (told.severity is Severity.ERROR, told.at), default=None)
    if problem is not None and shown and problem.at < shown[0].at:
        shown = [problem, *shown[1:]]
    return [_event_line(told, view) for told in shown]


def _event_line(told: LogLine, view: View) -> Text:
    sign = {Severity.INFO: " ", Severity.WARNING: view.glyphs.warning, Severity.ERROR: view.glyphs.failed}[
        told.severity
    ]
    style = SEVERITY_STYLE[told.severity]
    return Text.assemble(
        (f"{view.clock(told.at)} ", QUIET), (f"{sign} ", style), (fit(told.text, view.width - 11, view.glyphs), style)
    )


def masters(view: View) -> list[Text]:
    """List what has been made."""
    return [Text.assemble((f"{view.glyphs.done} ", GOOD), text) for text in _master_names(view)][-view.height :]


def _master_names(view: View) -> Iterator[str]:
    for master in view.state.masters:
        name = printable(master.path.rpartition("/")[2])
        yield fit(f"{name}, {master.frames} frames", view.width - 2, view.glyphs)
