"""The dashboard's last lines: keys, questions, answers; and the page of help."""

from rich.style import Style
from rich.text import Text

from coldframe.capture.monitoring.dashboard.controls import SCREENS, Controls
from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, NOTE, PLAIN, QUIET, STRONG, WARN, fit
from coldframe.capture.monitoring.dashboard.sections import Section, View, spread
from coldframe.capture.monitoring.progress.narrator import printable

ALL_VIEWS = 110
"""Columns from which on all views are named."""


def lines(controls: Controls) -> int:
    """Return how many lines are needed."""
    return 2 if controls.note else 1


def footing(controls: Controls) -> Section:
    """Return the section of the last lines."""

    def draw(view: View) -> list[Text]:
        note = [_note(controls.note, view)] if controls.note else []
        return [*note, _last(controls, view)]

    return draw


def _note(note: str, view: View) -> Text:
    return Text(f" {fit(f'{view.glyphs.warning} {printable(note)}', view.width - 1, view.glyphs)}", WARN)


def _last(controls: Controls, view: View) -> Text:
    controls.forget_question_of_another(view.state)
    if controls.question:
        return Text.assemble(
            (f" {fit(controls.question, view.width - 22, view.glyphs)} ", WARN), ("y", STRONG), " yes, other keys no"
        )
    if message := controls.message(view.now):
        return Text(f" {fit(message, view.width - 2, view.glyphs)}", NOTE)
    return spread(_keys(controls, view), _views(controls, view), view.width)


def _keys(controls: Controls, view: View) -> Text:
    ask = [("p", "resume" if view.state.paused else "pause"), ("s", "skip"), ("a", "abort")]
    leave = [("q", "quit")] if controls.leave is not None else []
    text = Text()
    for key, meaning in (("?", "help"), *leave, *(ask if controls.may_ask else [])):
        text.append_text(Text.assemble((f" {key}", STRONG), (f" {meaning} ", QUIET)))
    return text


def _views(controls: Controls, view: View) -> Text:
    chosen = Style.combine([STRONG, Style(reverse=True)])
    if view.width < ALL_VIEWS:
        return Text.assemble(("1-5 tab", STRONG), (" views ", QUIET), (f"[{controls.screen}]", STRONG), " ")
    text = Text()
    for number, screen in enumerate(SCREENS, start=1):
        is_chosen = screen is controls.screen
        name = f"[{screen}]" if is_chosen else f"{screen} "
        text.append_text(Text.assemble((f" {number} ", STRONG), (name, chosen if is_chosen else QUIET)))
    return text


def help_lines(view: View) -> list[Text]:
    """Explain keys and signs."""
    glyphs = view.glyphs
    keys = (
        ("p", "pause after the frame under way, and resume: the cooler goes on"),
        ("s", "skip the step under way (asks first): a master is made of 5 frames or more"),
        ("a", "abort: end the night and make the rig safe (asks first)"),
        ("1 ... 5", "overview, plan, tuning, frame, log; tab: the next of them"),
        ("q", "close this dashboard, where another process runs the night"),
        ("Ctrl-C", "in the run's own terminal ends the night in the safe state"),
    )
    signs = (
        (glyphs.done, GOOD, "done, all is well"),
        (glyphs.running, NOTE, "under way"),
        (glyphs.waiting, QUIET, "to come"),
        (glyphs.skipped, WARN, "skipped"),
        (glyphs.warning, WARN, "a warning"),
        (glyphs.failed, BAD, "failed, or an error"),
        (glyphs.paused, WARN, "paused"),
    )
    return [
        *(Text.assemble((f"  {key:<9}", STRONG), fit(text, view.width - 11, glyphs)) for key, text in keys),
        Text(""),
        *(Text.assemble((f"  {sign:<9}", style), (text, PLAIN)) for sign, style, text in signs),
        Text(""),
        Text("  Any key closes this page.", QUIET),
    ][: view.height]
