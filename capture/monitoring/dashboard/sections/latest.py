"""The latest events in words."""

from rich.text import Text

from coldframe.capture.events.kinds import Severity
from coldframe.capture.monitoring.dashboard.drawing import BAD, PLAIN, QUIET, WARN, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.narrator import LogLine

SEVERITY_STYLE = {Severity.INFO: PLAIN, Severity.WARNING: WARN, Severity.ERROR: BAD}


def draw_latest(pane: Pane) -> list[Text]:
    """List the newest events, newest last; a problem that has scrolled off keeps the first line."""
    shown = list(pane.state.latest)[-pane.height :]
    # Of the worst problems the newest.
    problem = max(pane.state.problems, key=lambda told: (told.severity is Severity.ERROR, told.at), default=None)
    if problem is not None and shown and problem.at < shown[0].at:
        shown = [problem, *shown[1:]]
    return [_event_line(told, pane) for told in shown]


def _event_line(told: LogLine, pane: Pane) -> Text:
    sign = {Severity.INFO: " ", Severity.WARNING: pane.glyphs.warning, Severity.ERROR: pane.glyphs.failed}[
        told.severity
    ]
    style = SEVERITY_STYLE[told.severity]
    return Text.assemble(
        (f"{pane.clock(told.at)} ", QUIET), (f"{sign} ", style), (fit(told.text, pane.width - 11, pane.glyphs), style)
    )
