"""The plan, with the outcome, the frames and the time of each step."""

from rich.style import Style
from rich.text import Text

from coldframe.capture.events.values import StepOutcome
from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, NOTE, PLAIN, QUIET, STRONG, WARN, Glyphs, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.night_words import step_time
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.quantities import printable


def draw_plan(pane: Pane) -> list[Text]:
    """List the steps with their progress and time. If not all steps fit, list those around the running step."""
    steps = list(pane.state.steps.values())
    if not steps:
        return [Text("no plan yet", QUIET)]
    first, last = _window(steps, pane.height)
    lines = [_plan_line(step, pane) for step in steps[first:last]]
    if first > 0:
        lines[0] = Text(f"  {pane.glyphs.ellipsis} {first + 1} earlier", QUIET)
    if last < len(steps):
        lines[-1] = Text(f"  {pane.glyphs.ellipsis} {len(steps) - last + 1} more", QUIET)
    return lines


def _window(steps: list[StepProgress], height: int) -> tuple[int, int]:
    """Return the range of steps to show: the first unfinished step and the steps around it."""
    current = next((index for index, step in enumerate(steps) if not step.is_over), len(steps) - 1)
    first = min(max(current - height // 3, 0), max(len(steps) - height, 0))
    return first, min(first + height, len(steps))


def _plan_line(step: StepProgress, pane: Pane) -> Text:
    glyphs = pane.glyphs
    sign, style = _step_sign(step, glyphs)
    time = f"{_step_time(step, pane):>10}"
    count = "" if step.planned.kind is None else f"{step.accepted}/{step.planned.count}"
    title = fit(printable(step.planned.title), pane.width - 2 - 8 - len(time), glyphs)
    line = Text.assemble((f"{sign} ", style), (title, STRONG if step.is_running else PLAIN))
    line.append(" " * (pane.width - line.cell_len - 8 - len(time)))
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


def _step_time(step: StepProgress, pane: Pane) -> str:
    """Return the time that the step took or will take, or the outcome of a failed or skipped step."""
    text, is_estimate = step_time(step, pane.state, pane.now)
    return f"{pane.glyphs.about}{text}" if is_estimate else text
