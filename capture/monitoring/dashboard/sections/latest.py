"""The latest events in words."""

from textwrap import wrap

from rich.text import Text

from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.dashboard.drawing import BAD, PLAIN, QUIET, WARN, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.narrator import LogLine

SEVERITY_STYLE = {Severity.INFO: PLAIN, Severity.WARNING: WARN, Severity.ERROR: BAD}


INDENT = 11
"""Width of the time and the sign before the text of an event, in columns."""

LEAST_WRAPPED = 8
"""Minimum height, in rows, of a pane in which long lines are wrapped rather than shortened."""


def draw_latest(pane: Pane) -> list[Text]:
    """List the latest events in order. If the most important problem has scrolled off, it is shown first."""
    drawn = [_event_lines(line, pane) for line in pane.state.latest]
    first = max(len(drawn) - 1, 0)
    while first > 0 and sum(map(len, drawn[first - 1 :])) <= pane.height:
        first -= 1
    # Prefer errors to warnings, and newer problems to older ones.
    problem = max(pane.state.problems, key=lambda line: (line.severity is Severity.ERROR, line.at), default=None)
    if problem is not None and first < len(drawn) and problem.at < pane.state.latest[first].at:
        pinned = _event_lines(problem, pane)
        while first < len(drawn) and len(pinned) + sum(map(len, drawn[first:])) > pane.height:
            first += 1
        drawn[:first] = [pinned]
        first = 0
    return [line for lines in drawn[first:] for line in lines][-pane.height :]


def _event_lines(line: LogLine, pane: Pane) -> list[Text]:
    """Draw an event; wrap it if the pane is high enough."""
    sign = {Severity.INFO: " ", Severity.WARNING: pane.glyphs.warning, Severity.ERROR: pane.glyphs.failed}[
        line.severity
    ]
    style = SEVERITY_STYLE[line.severity]
    room = max(pane.width - INDENT, 1)
    texts = (
        wrap(line.text, room, break_on_hyphens=False)
        if pane.height >= LEAST_WRAPPED
        else [fit(line.text, room, pane.glyphs)]
    )
    first = Text.assemble((f"{pane.clock(line.at)} ", QUIET), (f"{sign} ", style), (texts[0] if texts else "", style))
    return [first, *(Text(" " * INDENT + text, style) for text in texts[1:])]
