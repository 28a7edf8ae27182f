"""The last lines of the dashboard (keys, questions, messages), and the help screen."""

from rich.style import Style
from rich.text import Text

from coldframe.capture.monitoring.dashboard.controls import VIEWS, Controls
from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, NOTE, PLAIN, QUIET, STRONG, WARN, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, Section, spread
from coldframe.capture.monitoring.progress.quantities import printable

ALL_VIEWS = 110
"""Smallest width, in columns, of a footer that names all views."""


def footer_height(controls: Controls) -> int:
    """Return the number of lines that the footer needs."""
    return 2 if controls.note else 1


def footer_section(controls: Controls) -> Section:
    """Return the section that draws the footer."""

    def draw(pane: Pane) -> list[Text]:
        note = [_note(controls.note, pane)] if controls.note else []
        return [*note, _last_line(controls, pane)]

    return draw


def _note(note: str, pane: Pane) -> Text:
    return Text(f" {fit(f'{pane.glyphs.warning} {printable(note)}', pane.width - 1, pane.glyphs)}", WARN)


def _last_line(controls: Controls, pane: Pane) -> Text:
    controls.withdraw_outdated_question(pane.state)
    if controls.question:
        return Text.assemble(
            (f" {fit(controls.question, pane.width - 25, pane.glyphs)} ", WARN), ("y", STRONG), " yes, any other key no"
        )
    if message := controls.message(pane.now):
        return Text(f" {fit(message, pane.width - 2, pane.glyphs)}", NOTE)
    return spread(_keys(controls, pane), _views(controls, pane), pane.width)


def _keys(controls: Controls, pane: Pane) -> Text:
    commands = [("p", "resume" if pane.state.paused else "pause"), ("s", "skip"), ("a", "abort")]
    close = [("q", "quit")] if controls.close is not None else []
    text = Text()
    for key, meaning in (("?", "help"), *close, *(commands if controls.allows_commands else [])):
        text.append_text(Text.assemble((f" {key}", STRONG), (f" {meaning} ", QUIET)))
    return text


def _views(controls: Controls, pane: Pane) -> Text:
    chosen = Style.combine([STRONG, Style(reverse=True)])
    if pane.width < ALL_VIEWS:
        return Text.assemble(("1-5 tab", STRONG), (" views ", QUIET), (f"[{controls.view}]", STRONG), " ")
    text = Text()
    for number, view in enumerate(VIEWS, start=1):
        is_chosen = view is controls.view
        name = f"[{view}]" if is_chosen else f"{view} "
        text.append_text(Text.assemble((f" {number} ", STRONG), (name, chosen if is_chosen else QUIET)))
    return text


def draw_help(pane: Pane) -> list[Text]:
    """Draw the help screen: the keys and the signs."""
    glyphs = pane.glyphs
    keys = (
        ("p", "pause after the current frame, or resume; the cooler stays on"),
        ("s", "skip the current step (asks first); 5 frames are enough for a master"),
        ("a", "abort the night and make the rig safe (asks first)"),
        ("1 ... 5", "overview, plan, tuning, frame, log; Tab shows the next view"),
        ("q", "close the dashboard, if another process is running the night"),
        ("Ctrl-C", "in the terminal of the run: end the night and make the rig safe"),
    )
    signs = (
        (glyphs.done, GOOD, "done"),
        (glyphs.running, NOTE, "running"),
        (glyphs.waiting, QUIET, "to come"),
        (glyphs.skipped, WARN, "skipped"),
        (glyphs.warning, WARN, "warning"),
        (glyphs.failed, BAD, "failed, or an error message"),
        (glyphs.paused, WARN, "paused"),
    )
    return [
        *(Text.assemble((f"  {key:<9}", STRONG), fit(text, pane.width - 11, glyphs)) for key, text in keys),
        Text(""),
        *(Text.assemble((f"  {sign:<9}", style), (text, PLAIN)) for sign, style, text in signs),
        Text(""),
        Text("  Press any key to close this help.", QUIET),
    ][: pane.height]
