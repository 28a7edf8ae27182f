"""The console for tables, pictures and progress; see `terminal`."""

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from coldframe.cli.terminal import plain_stream
from coldframe.visible import visible_lines


class VisibleConsole(Console):
    """A console that shows unprintable characters in tables and texts as escape sequences.

    Only the console's own codes for colours and styles reach the terminal unchanged.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:  # noqa: ANN401 - the options of rich
        super().__init__(file=plain_stream(sys.stderr if stderr else sys.stdout), **options)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - the options of rich
        """Convert a string to text that is as wide as it appears on the screen."""
        return super().render_str(visible_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of any renderable object, with unprintable characters shown as escape sequences."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible_lines(segment.text))
