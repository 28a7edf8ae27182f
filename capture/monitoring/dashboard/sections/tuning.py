"""The search for the exposure of a flat."""

from rich.text import Text

from coldframe.capture.events.kinds import FlatTested
from coldframe.capture.monitoring.dashboard.drawing import GOOD, NOTE, QUIET, fit, gauge
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.quantities import exposure_text, printable


def draw_tuning(pane: Pane) -> list[Text]:
    """Draw the search for a flat's exposure, with the target, each test and the result."""
    search = pane.state.tuning
    if search is None or not search.tests:
        return [Text("no flat tuned yet", QUIET)]
    last = search.tests[-1]
    aim = f"target {last.target_adu:,.0f} ADU, band {last.low_adu:,.0f} to {last.high_adu:,.0f}"
    lines = [Text(fit(aim, pane.width, pane.glyphs), QUIET)]
    lines += [_test_line(number, test, pane) for number, test in enumerate(search.tests, start=1)][
        -max(pane.height - 2, 1) :
    ]
    lines.append(_tuning_verdict(pane))
    return lines


def _test_line(number: int, test: FlatTested, pane: Pane) -> Text:
    light = "" if test.brightness is None else f" @{test.brightness}"
    words = f"{number:>2} {exposure_text(test.exposure_s) + light:<13} {test.level_adu:>6,.0f} "
    room = pane.width - len(words)
    line = Text(words)
    if room >= 8:  # noqa: PLR2004 - characters; a shorter gauge is useless
        line.append_text(gauge(test.level_adu, test.low_adu, test.high_adu, min(room, 40), pane.glyphs))
    return line


def _tuning_verdict(pane: Pane) -> Text:
    search = pane.state.tuning
    assert search is not None
    if search.tuned is None:
        return Text(fit(printable(search.tests[-1].verdict), pane.width, pane.glyphs), NOTE)
    light = "" if search.tuned.brightness is None else f" at brightness {search.tuned.brightness}"
    words = f"{pane.glyphs.done} found: {exposure_text(search.tuned.exposure_s)}{light}"
    return Text(fit(words, pane.width, pane.glyphs), GOOD)
