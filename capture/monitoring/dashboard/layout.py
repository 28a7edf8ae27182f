"""Lay out the dashboard: select and place its sections according to the size of the terminal."""

import io
from collections.abc import Iterator
from datetime import datetime

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.layout import Layout
from rich.segment import Segment
from rich.text import Text

from coldframe.capture.events.values import NightOutcome, StepOutcome
from coldframe.capture.monitoring.dashboard.controls import Controls, View
from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, QUIET, STRONG, WARN, Picture
from coldframe.capture.monitoring.dashboard.footer import draw_help, footer_height, footer_section
from coldframe.capture.monitoring.dashboard.sections.frame import draw_frame_facts, draw_histogram
from coldframe.capture.monitoring.dashboard.sections.headline import draw_headline
from coldframe.capture.monitoring.dashboard.sections.latest import draw_latest
from coldframe.capture.monitoring.dashboard.sections.master import draw_masters, draw_noise
from coldframe.capture.monitoring.dashboard.sections.pane import Block
from coldframe.capture.monitoring.dashboard.sections.plan import draw_plan
from coldframe.capture.monitoring.dashboard.sections.rig import draw_rig
from coldframe.capture.monitoring.dashboard.sections.tuning import draw_tuning
from coldframe.capture.monitoring.progress.night_words import frame_title
from coldframe.capture.monitoring.progress.quantities import printable
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.counted import counted

WIDE = (150, 40)
"""Smallest size, in columns and rows, that shows everything at once."""

COMPACT = (70, 20)
"""Smallest size, in columns and rows, for the two-column layout.

Smaller terminals show the headline, the plan and the events.
"""

HEADLINE, WIDE_HEADLINE, WIDE_LATEST = 3, 4, 11
"""Heights, in rows, of the headline, of the headline in the wide layout, and of the events in the wide layout."""

LEAST_WITH_KEYS = 6
"""Largest height of a terminal without a footer, in rows."""

LEAST_RIG = 16
"""Number of rows that the rig section needs to show the temperature as a curve."""

BLANK = Text(" ")
"""An empty area. It contains a space, because rich would draw a placeholder for empty text."""

PICTURE_ASPECT = 1.5
"""Ratio of columns to rows in the area for the picture, chosen for the aspect ratio of most sensors."""


def render(state: DashboardState, width: int, height: int, now: datetime, controls: Controls | None = None) -> "Sized":
    """Draw the dashboard.

    Parameters
    ----------
    state
        The night.
    width, height
        Size in characters, which the result never exceeds.
    now
        Current time. Times of day are shown in its time zone.
    controls
        The user's choices; None to draw the overview without a footer.

    Returns
    -------
    Sized
        A renderable that can be printed or split into lines. Its characters are ASCII if the console's encoding is not
        Unicode. Its pictures are drawn in shades instead of half blocks if the console has no colours.
    """
    if controls is None:
        return Sized(_overview(state, width, height, now), width, height)
    footer_rows = footer_height(controls) if height > LEAST_WITH_KEYS else 0
    layout = Layout()
    layout.split_column(
        Layout(_chosen(controls, state, width, height - footer_rows, now), ratio=1),
        *([Layout(Block(footer_section(controls), state, now), size=footer_rows)] if footer_rows else []),
    )
    return Sized(layout, width, height)


def _chosen(controls: Controls, state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    """Return the view that the user has chosen."""
    if controls.is_help_shown:
        return Layout(Block(draw_help, state, now, title="Help"))
    match controls.view:
        case View.OVERVIEW:
            return _overview(state, width, height, now)
        case View.PLAN:
            return _headed(state, now, Layout(Block(draw_plan, state, now, title="Plan")))
        case View.TUNING:
            return _headed(state, now, *_tuning(state, now))
        case View.FRAME:
            return _headed(state, now, _frame(state, width, height - HEADLINE, now))
        case View.LOG:
            return _headed(state, now, Layout(Block(draw_latest, state, now, title="Latest")))


def _headed(state: DashboardState, now: datetime, *parts: Layout) -> Layout:
    layout = Layout()
    layout.split_column(Layout(Block(draw_headline, state, now), size=HEADLINE), *parts)
    return layout


def _overview(state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    """Return the variant of the overview that fits the size."""
    if width >= WIDE[0] and height >= WIDE[1]:
        return _wide(state, width, height, now)
    if width >= COMPACT[0] and height >= COMPACT[1]:
        return _compact(state, width, height, now)
    return _small(state, now)


class Sized:
    """A rich renderable of exactly `width` by `height` characters."""

    def __init__(self, renderable: RenderableType, width: int, height: int) -> None:
        self._renderable = renderable
        self._width = width
        self._height = height

    def lines(self, console: Console, options: ConsoleOptions | None = None) -> list[list[Segment]]:
        """Return the lines."""
        options = (options or console.options).update_dimensions(self._width, self._height)
        return console.render_lines(self._renderable, options)[: self._height]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the lines."""
        for index, line in enumerate(self.lines(console, options)):
            if index:
                yield Segment.line()
            yield from line


def _small(state: DashboardState, now: datetime) -> Layout:
    layout = Layout()
    layout.split_column(
        Layout(Block(draw_headline, state, now), size=HEADLINE),
        Layout(Block(draw_plan, state, now, title="Plan"), ratio=3),
        Layout(Block(draw_latest, state, now, title="Latest"), ratio=2),
    )
    return layout


def _compact(state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    """Arrange the plan and the rig on the left, and the tuning or the frame with its master on the right."""
    left = Layout(size=min(max(width * 45 // 100, 38), 60))
    latest_height = 5 if height < 30 else height // 4  # noqa: PLR2004 - rows
    left.split_column(*_plan_and_rig(state, height - HEADLINE - latest_height, now))
    body = Layout(ratio=1)
    body.split_row(left, _tuning_or_frame(state, width - (left.size or 0), height, now))
    layout = Layout()
    layout.split_column(
        Layout(Block(draw_headline, state, now), size=HEADLINE),
        body,
        Layout(Block(draw_latest, state, now, title="Latest"), size=latest_height),
    )
    return layout


def _plan_and_rig(state: DashboardState, height: int, now: datetime) -> tuple[Layout, Layout]:
    """Give the plan as many rows as it has steps, if that leaves enough rows for the rig."""
    plan_height = min(len(state.steps) + 2, height - min(LEAST_RIG, height // 3))
    return (
        Layout(Block(draw_plan, state, now, title="Plan", gutter=2), size=plan_height),
        Layout(Block(draw_rig, state, now, title="Rig", gutter=2), ratio=1),
    )


def _tuning_or_frame(state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    if state.is_tuning:
        layout = Layout()
        layout.split_column(*_tuning(state, now))
        return layout
    return _frame(state, width, height - HEADLINE, now)


def _tuning(state: DashboardState, now: datetime) -> tuple[Layout, Layout]:
    return (
        Layout(Block(draw_tuning, state, now, title="Search for the flat exposure"), ratio=3),
        Layout(Block(draw_histogram, state, now, title="Histogram"), ratio=2),
    )


def _frame(state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    """Arrange the picture and the histogram of the last frame, and the noise of its master."""
    picture_width = min(width * 45 // 100, int((height - 11) * PICTURE_ASPECT) + 6)
    layout = Layout()
    layout.split_column(
        Layout(Block(draw_frame_facts, state, now, title=frame_title(state)), size=2),
        Layout(_picture_and_histogram(state, picture_width, now), ratio=3),
        Layout(Block(draw_noise, state, now, title="Noise of the master"), ratio=2),
    )
    return layout


def _picture_and_histogram(state: DashboardState, picture_width: int, now: datetime) -> Layout:
    layout = Layout()
    layout.split_row(
        Layout(_picture(state), size=picture_width),
        Layout(BLANK, size=1),
        Layout(Block(draw_histogram, state, now)),
    )
    return layout


def _wide(state: DashboardState, width: int, height: int, now: datetime) -> Layout:
    """Arrange all sections at once: three columns, with the events and masters below."""
    left, middle, right = Layout(size=width * 29 // 100), Layout(ratio=1), Layout(size=width * 31 // 100)
    left.split_column(*_plan_and_rig(state, height - WIDE_HEADLINE - WIDE_LATEST, now))
    middle.split_column(
        Layout(Block(draw_frame_facts, state, now, title=frame_title(state), gutter=2), size=2),
        Layout(_picture(state), ratio=1),
        Layout(Block(draw_histogram, state, now, gutter=2), size=8),
    )
    right.split_column(
        Layout(Block(draw_tuning, state, now, title="Flat exposure"), size=12),
        Layout(Block(draw_noise, state, now, title="Noise of the master"), ratio=1),
    )
    body, below = Layout(ratio=1), Layout(size=WIDE_LATEST)
    body.split_row(left, middle, right)
    below.split_row(
        Layout(Block(draw_latest, state, now, title="Latest", gutter=2), ratio=1),
        Layout(Block(draw_masters, state, now, title="Masters"), size=width * 31 // 100),
    )
    layout = Layout()
    layout.split_column(Layout(Block(draw_headline, state, now), size=WIDE_HEADLINE), body, below)
    return layout


def _picture(state: DashboardState) -> RenderableType:
    return Picture(state.shown.picture) if state.shown is not None else BLANK


def summary(state: DashboardState) -> RenderableType:
    """Return the masters of the night and the missing sets, to print after the dashboard has closed."""
    return Group(_outcome(state), *_masters(state), *_missing(state), *_folder(state))


def _outcome(state: DashboardState) -> Text:
    if state.ended is None:
        return Text("The dashboard was closed before the night ended", WARN)
    style = GOOD if state.ended.outcome is NightOutcome.COMPLETE else WARN
    return Text(f"Night {state.ended.outcome.value}: {printable(state.ended.summary)}", style)


def _masters(state: DashboardState) -> Iterator[Text]:
    for master in state.masters:
        step = state.steps.get(master.step)
        title = printable(step.planned.title) if step else f"step {master.step}"
        name = printable(master.path.rpartition("/")[2])
        yield Text.assemble(
            ("  made     ", GOOD), (title, STRONG), f", {counted(master.frames, 'frame')}: ", (name, QUIET)
        )


def _folder(state: DashboardState) -> Iterator[Text]:
    if state.night is not None:
        yield Text(f"  in {printable(state.night.folder)}")


def _missing(state: DashboardState) -> Iterator[Text]:
    """Yield a line for each step that failed or was skipped, and for each set that was not reached or not finished."""
    for step in state.steps.values():
        if step.outcome is StepOutcome.DONE or (step.planned.kind is None and step.outcome is None):
            continue
        reason = step.reason or ("not reached" if step.began is None else "not finished")
        yield Text.assemble(("  missing  ", BAD), (printable(step.planned.title), STRONG), f": {printable(reason)}")


def snapshot_svg(state: DashboardState, width: int, height: int, now: datetime) -> str:
    """Draw the dashboard as an SVG picture. The parameters are those of `render`."""
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(render(state, width, height, now))
    return console.export_svg(title="coldframe")
