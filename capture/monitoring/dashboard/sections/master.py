"""The noise of the growing master, and the names of the finished masters."""

import math
from statistics import median

from rich.text import Text

from coldframe.capture.events.kinds import MasterGrew, MasterWritten
from coldframe.capture.monitoring.dashboard.drawing import GOOD, QUIET, Canvas, fit, logarithmic
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, labelled
from coldframe.capture.monitoring.progress.quantities import noise_text, printable
from coldframe.counted import counted


def draw_noise(pane: Pane) -> list[Text]:
    """Draw the noise of the growing master against its number of frames, with the ideal, 1/sqrt(N), for comparison."""
    grown = [step for step in pane.state.noise if step.noise_adu is not None and step.noise_adu > 0]
    if not grown:
        return [Text("needs two frames", QUIET)]
    reference_adu = _noise_of_one(grown)
    last = grown[-1]
    expected_adu = reference_adu / math.sqrt(last.frames)
    assert last.noise_adu is not None
    words = f"{noise_text(last.noise_adu)} ADU after {last.frames} frames (ideal {noise_text(expected_adu)})"
    lines = [Text(fit(words, pane.width, pane.glyphs))]
    if pane.height >= 3:  # noqa: PLR2004 - lines; a curve needs two
        lines += _noise_curve(pane, grown, reference_adu)
    return lines


def _noise_of_one(grown: list[MasterGrew]) -> float:
    """Estimate the noise of a single frame, in ADU, from the noise of the master after the first few frames."""
    return median((step.noise_adu or 0.0) * math.sqrt(step.frames) for step in grown[:5])


def _noise_curve(pane: Pane, grown: list[MasterGrew], reference_adu: float) -> list[Text]:
    """Draw the noise curve on two logarithmic axes, so that 1/sqrt(N) is a straight line."""
    step = pane.state.steps.get(grown[-1].step)
    most = max(grown[-1].frames, step.planned.count if step else 2, 3)
    values = [item.noise_adu or 0.0 for item in grown]
    low = min(*values, reference_adu / math.sqrt(most))
    high = max(*values, reference_adu / math.sqrt(2))
    labels = noise_text(high), noise_text(low)
    gutter = max(len(label) for label in labels) + 1
    has_scale = pane.height >= 5  # noqa: PLR2004 - lines
    canvas = Canvas(max(pane.width - gutter, 1), pane.height - 1 - has_scale, pane.glyphs)
    for column in range(0, canvas.width, 3):
        x = column / max(canvas.width - 1, 1)
        canvas.reference_dot(x, logarithmic(reference_adu / math.sqrt(2 * (most / 2) ** x), low, high))
    for item, value in zip(grown, values, strict=True):
        canvas.line_to(logarithmic(item.frames, 2, most), logarithmic(value, low, high))
    lines = labelled(canvas.lines(GOOD), *labels, gutter)
    scale = f"{'':<{gutter}}2{f'{most} frames':>{max(pane.width - gutter - 1, 0)}}"
    return [*lines, Text(scale, QUIET)] if has_scale else lines


def draw_masters(pane: Pane) -> list[Text]:
    """List the masters that have been written."""
    return [_master_line(master, pane) for master in pane.state.masters][-pane.height :]


def _master_line(master: MasterWritten, pane: Pane) -> Text:
    step = pane.state.steps.get(master.step)
    title = printable(step.planned.title) if step else f"step {master.step}"
    line = Text.assemble((f"{pane.glyphs.done} ", GOOD), f"{title}, {counted(master.frames, 'frame')}  ")
    line.append(fit(printable(master.path.rpartition("/")[2]), max(pane.width - line.cell_len, 0), pane.glyphs), QUIET)
    return line
