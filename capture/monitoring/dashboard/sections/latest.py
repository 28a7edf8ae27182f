"""The latest events in words."""

from rich.text import Text

from coldframe.capture.events.values import Severity
from coldframe.capture.monitoring.dashboard.drawing import BAD, PLAIN, QUIET, WARN, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.narrator import LogLine

SEVERITY_STYLE = {Severity.INFO: PLAIN, Severity.WARNING: WARN, Severity.ERROR: BAD}


def draw_latest(pane: Pane) -> list[Text]:
    """List the latest events, the newest last. A problem that has scrolled off replaces the first line."""
    shown = list(pane.state.latest)[-pane.height :]
    # Prefer errors to warnings, and then the newest problem.
    problem = max(pane.state.problems, key=lambda line: (line.severity is Severity.ERROR, line.at), default=None)
    if problem is not None and shown and problem.at < shown[0].at:
        shown = [problem, *shown[1:]]
    return [_event_line(line, pane) for line in shown]


def _event_line(line: LogLine, pane: Pane) -> Text:
    sign = {Severity.INFO: " ", Severity.WARNING: pane.glyphs.warning, Severity.ERROR: pane.glyphs.failed}[
        line.severity
    ]
    style = SEVERITY_STYLE[line.severity]
    return Text.assemble(
        (f"{pane.clock(line.at)} ", QUIET), (f"{sign} ", style), (fit(line.text, pane.width - 11, pane.glyphs), style)
    )
