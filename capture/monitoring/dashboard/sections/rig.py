"""The sensor temperature with its history, the filter, the panel, and the names of the devices."""

from collections.abc import Iterator
from datetime import timedelta

from rich.style import Style
from rich.text import Text

from coldframe.capture.events.kinds import TemperatureRead
from coldframe.capture.monitoring.dashboard.drawing import (
    GOOD,
    NOTE,
    PLAIN,
    QUIET,
    STRONG,
    WARN,
    Canvas,
    fit,
    sparkline,
)
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, labelled
from coldframe.capture.monitoring.progress.night_words import clock, light_path
from coldframe.capture.monitoring.progress.quantities import duration_text, is_on_setpoint, printable
from coldframe.capture.monitoring.progress.state import HISTORY


def draw_rig(pane: Pane) -> list[Text]:
    """Draw the temperature and its history, the filter and the panel, and the device names if there is room."""
    lines = [_temperature(pane)]
    if pane.state.temperatures:
        lines += _temperature_history(pane)
    lines += _beam(pane)
    if pane.state.cooling:
        lines.append(Text(fit(f"cooling: {printable(pane.state.cooling)}", pane.width, pane.glyphs)))
    night = pane.state.night
    if night is not None:
        lines.append(_fact("camera", f"{printable(night.camera)}, {night.width} x {night.height}", pane))
        lines += [_fact("panel", printable(night.panel), pane)] if night.panel else []
        lines += [_fact("wheel", printable(night.wheel), pane)] if night.wheel else []
        lines.append(_fact("folder", printable(night.folder), pane))
    return lines[: pane.height]


def _fact(name: str, value: str, pane: Pane) -> Text:
    return Text.assemble((f"{name:<7}", QUIET), fit(value, pane.width - 7, pane.glyphs))


def _temperature(pane: Pane) -> Text:
    reading, degree = pane.state.thermals, pane.glyphs.degree
    if reading is None or reading.sensor_c is None:
        return Text("sensor temperature unknown", QUIET)
    style = PLAIN
    if pane.state.is_reading_current:
        style = GOOD if is_on_setpoint(reading) else WARN if reading.setpoint_c is not None else PLAIN
    line = Text.assemble("sensor ", (f"{reading.sensor_c:.1f} {degree}", Style.combine([style, STRONG])))
    for words in _cooler_words(reading, pane):
        if line.cell_len + len(words) <= pane.width:
            line.append(words)
    return line


def _cooler_words(reading: TemperatureRead, pane: Pane) -> Iterator[str]:
    """Yield the age, the setpoint and the power, as text. The caller omits those that do not fit."""
    if not pane.state.is_reading_current:
        yield f" at {clock(reading.at, pane.now, '%H:%M')} "
    if reading.setpoint_c is not None:
        yield f" {pane.glyphs.arrow} {reading.setpoint_c:.1f}"
    elif reading.power_percent is not None:
        yield "  cooler off"
    if reading.power_percent is not None:
        yield f"  power {reading.power_percent:.0f} %"


def _temperature_history(pane: Pane) -> list[Text]:
    """Draw one line of bars in a short pane, or a curve with the setpoint as a reference in a tall pane."""
    readings = [reading for reading in pane.state.temperatures if reading.sensor_c is not None]
    if not readings:
        return []
    values = [reading.sensor_c for reading in readings if reading.sensor_c is not None]
    setpoints = [reading.setpoint_c for reading in readings if reading.setpoint_c is not None]
    low, high = min(values + setpoints[-1:]), max(values + setpoints[-1:])
    margin = max(0.5 - (high - low) / 2, 0.0)  # the scale spans at least one degree, so that noise does not fill it
    low, high = low - margin, high + margin
    rows = min(pane.height - 7, 10)
    if rows < 3:  # noqa: PLR2004 - lines; a lower curve is harder to read than bars
        return [_temperature_bars(pane, low, high)]
    return _temperature_curve(pane, readings, low, high, rows)


def _history_span(pane: Pane) -> timedelta:
    oldest = pane.state.temperatures[0].at
    return min(max(pane.state.temperatures[-1].at - oldest, timedelta(minutes=1)), HISTORY)


def _temperature_bars(pane: Pane, low: float, high: float) -> Text:
    span = _history_span(pane)
    label = f" {duration_text(span.total_seconds())}"
    width = max(pane.width - len(label), 1)
    newest = pane.state.temperatures[-1].at
    columns: list[float | None] = [None] * width
    for reading in pane.state.temperatures:
        column = min(int((1 - (newest - reading.at) / span) * width), width - 1)
        columns[column] = reading.sensor_c
    _close_gaps(columns)
    line = Text(sparkline(columns, low, high, pane.glyphs), NOTE)
    return Text.assemble(line, (label, QUIET))


def _close_gaps(columns: list[float | None]) -> None:
    """Repeat each reading until the column of the next reading."""
    last: float | None = None
    for index, value in enumerate(columns):
        last = value if value is not None else last
        columns[index] = last


def _temperature_curve(pane: Pane, readings: list[TemperatureRead], low: float, high: float, rows: int) -> list[Text]:
    labels = [f"{high:.1f}", f"{low:.1f}"]
    gutter = max(len(label) for label in labels) + 1
    canvas = Canvas(max(pane.width - gutter, 1), rows, pane.glyphs)
    span, newest = _history_span(pane), pane.state.temperatures[-1].at
    for reading in readings:
        x = 1 - (newest - reading.at) / span
        if reading.sensor_c is not None:
            canvas.line_to(x, (reading.sensor_c - low) / (high - low))
    setpoint = readings[-1].setpoint_c
    if setpoint is not None:
        for column in range(0, canvas.width, 3):
            canvas.reference_dot(column / canvas.width, (setpoint - low) / (high - low))
    lines = labelled(canvas.lines(NOTE), labels[0], labels[1], gutter)
    return [*lines, Text(f"{'':<{gutter}}last {duration_text(span.total_seconds())}, dotted: setpoint", QUIET)]


def _beam(pane: Pane) -> list[Text]:
    """Name the filter and the states of the panel and the cover, on as many lines as needed."""
    lines = [""]
    for words in light_path(pane.state):
        longer = pane.glyphs.dot.join([lines[-1], words]) if lines[-1] else words
        if len(longer) <= pane.width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(words)
    return [Text(fit(line, pane.width, pane.glyphs)) for line in lines if line]
