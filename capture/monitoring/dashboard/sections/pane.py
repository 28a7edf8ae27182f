"""The pane that a section fills, and the block that puts a title above it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from coldframe.capture.monitoring.dashboard.drawing import ASCII, FAINT, QUIET, STRONG, UNICODE, Glyphs, fit
from coldframe.capture.monitoring.progress.state import DashboardState


@dataclass(frozen=True, slots=True)
class Pane:
    """The input for a section: the state of the night, the current time, a size and a set of characters."""

    state: DashboardState
    now: datetime
    width: int
    height: int
    glyphs: Glyphs

    def clock(self, at: datetime, form: str = "%H:%M:%S") -> str:
        """Format a time of day in the time zone of `now`."""
        return f"{at.astimezone(self.now.tzinfo):{form}}"


Section = Callable[[Pane], list[Text]]


class Block:
    """A section under its title, as a rich renderable that fills the available area.

    Parameters
    ----------
    section
        Function that draws the lines.
    title
        Title, shown in a rule above the lines; if it is empty, the rule is omitted.
    gutter
        Number of columns to leave free on the right.
    """

    def __init__(
        self, section: Section, state: DashboardState, now: datetime, *, title: str = "", gutter: int = 0
    ) -> None:
        self._section = section
        self._state = state
        self._now = now
        self._title = title
        self._gutter = gutter

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the section, cropped to the available area."""
        glyphs = ASCII if options.ascii_only else UNICODE
        width, height = options.max_width - self._gutter, options.height or console.height
        if width <= 0 or height <= 0:
            return
        lines = [heading(self._title, width, glyphs)] if self._title else []
        pane = Pane(self._state, self._now, width, height - len(lines), glyphs)
        if pane.height > 0:
            lines += self._section(pane)
        for line in lines[:height]:
            line.truncate(width, overflow="crop")
            yield from Segment.apply_style(line.render(console), console.get_style(line.style))
            yield Segment.line()


def heading(title: str, width: int, glyphs: Glyphs) -> Text:
    """Draw the title of a section as part of a rule."""
    text = fit(title, width - 4, glyphs)
    return Text.assemble((glyphs.rule, FAINT), (f" {text} ", STRONG), (glyphs.rule * (width - len(text) - 3), FAINT))


def spread(left: Text, right: Text, width: int) -> Text:
    """Put one text at the left end and one at the right end of a line. Omit the right text if only one text fits."""
    gap = width - left.cell_len - right.cell_len
    return Text.assemble(left, " " * gap, right) if gap > 0 else left


def labelled(lines: list[Text], top: str, bottom: str, gutter: int) -> list[Text]:
    """Put labels to the left of the first and the last line of a drawing."""
    names = [top, *[""] * (len(lines) - 2), bottom]
    return [Text.assemble((f"{name:>{gutter - 1}} ", QUIET), line) for name, line in zip(names, lines, strict=True)]
