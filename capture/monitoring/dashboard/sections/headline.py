"""The headline, with a verdict on the night, its expected end, and the current activity."""

from rich.style import Style
from rich.text import Text

from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, NOTE, PLAIN, QUIET, STRONG, WARN, bar, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, spread
from coldframe.capture.monitoring.progress.night_words import (
    Mood,
    activity_of,
    ending,
    result_text,
    step_words,
    verdict_of,
)

LONGEST_VERDICT = 33
"""Width of the longest verdict that does not contain the title of a step, in characters."""

STYLES = {Mood.GOOD: GOOD, Mood.NOTE: NOTE, Mood.WARN: WARN, Mood.BAD: BAD}


def draw_headline(pane: Pane) -> list[Text]:
    """Draw one line each for the verdict, the progress with the expected end, and the current activity."""
    return [
        spread(Text.assemble(" ", _verdict(pane)), Text(f"{_position(pane)} ", PLAIN), pane.width),
        _progress(pane),
        _activity(pane),
    ]


def _verdict(pane: Pane) -> Text:
    verdict = verdict_of(pane.state, pane.now)
    sign = getattr(pane.glyphs, verdict.mark)
    words = fit(f"{sign} {verdict.words}", max(pane.width - 26, LONGEST_VERDICT), pane.glyphs)
    return Text(words, Style.combine([STYLES[verdict.mood], STRONG]))


def _position(pane: Pane) -> str:
    """Return the number of the current step and the time of day."""
    parts = []
    if (step := pane.state.step) is not None:
        parts.append(f"step {step.planned.number} of {len(pane.state.steps)}")
    parts.append(pane.clock(pane.now))
    return pane.glyphs.dot.join(parts)


def _progress(pane: Pane) -> Text:
    outlook = ending(pane.state, pane.now)
    fraction = pane.state.done_fraction(pane.state.stopped_at or pane.now)
    percent = f"{100 * fraction:3.0f} %"
    room = max(pane.width - len(outlook) - len(percent) - 6, 4)
    return Text.assemble(" ", bar(fraction, room, pane.glyphs), f"  {percent}  ", (outlook, STRONG), " ")


def _activity(pane: Pane) -> Text:
    """Describe the current activity."""
    state = pane.state
    if state.ended is not None:
        return Text(f" {fit(result_text(state), pane.width - 2, pane.glyphs)}")
    step = state.step
    if step is None:
        words = "no event yet" if state.night is None else "between steps"
        return Text(f" {words}", QUIET)
    left = Text.assemble(
        f" {pane.glyphs.running} ", (fit(step_words(step, state), pane.width // 2, pane.glyphs), STRONG)
    )
    room = pane.width - left.cell_len - 4
    return Text.assemble(left, "   ", _exposing(pane, room))


def _exposing(pane: Pane, room: int) -> Text:
    """Draw the current exposure, with a progress bar if the exposure is long."""
    activity = activity_of(pane.state, pane.now)
    if activity.fraction is None:
        return Text(fit(activity.words, room, pane.glyphs), WARN if activity.is_halted else PLAIN)
    words = f"{activity.words} "
    return Text.assemble(words, bar(activity.fraction, min(max(room - len(words), 0), 30), pane.glyphs))
