"""Make the pictures of README and guides from a real night: `python docs/make_pictures.py [NIGHT]`.

NIGHT is the folder of a finished night; without it, a night is shot on the simulated rig over real INDI, which takes
minutes. Dashboards and charts are drawn from its journal and frames. Chromium takes a screenshot of the report; if
it is not installed, the old picture is kept.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

from markupsafe import Markup
from rich.console import Console

from coldframe.calibration.files.frame_file import read_pixels
from coldframe.calibration.measuring.statistics import measure, preview
from coldframe.capture.events.kinds import Event, ExposureStarted, FlatTested, NightStarted
from coldframe.capture.events.previews import FrameShown, preview_event
from coldframe.capture.monitoring.dashboard.controls import Controls, View
from coldframe.capture.monitoring.dashboard.layout import render
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.report import charts
from coldframe.capture.monitoring.report.contents import NightReport
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.monitoring.report.making import PAGE
from coldframe.capture.monitoring.report.page import style
from coldframe.capture.monitoring.report.runs import JOURNAL
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.storage.night_folder import newest_night

PICTURES = Path(__file__).parent / "pictures"

HOME = "/home/astro/coldframe"
"""Storage folder shown in the pictures, so that they do not depend on who makes them."""

SHOWN_STEP, SHOWN_FRAME = "flat Ha", 12
"""The frame after which the night is drawn: flats are tuned, a master is growing, and most of the plan is done."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
REPORT_SIZE = (1180, 900)
"""Size of the screenshot of the report, pixels."""

PHONE_SIZE = (390, 844)
"""Size of the screenshots of the page for browsers, pixels."""

SCREENSHOT_DEADLINE_S = 120

FONTS = '"Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace'

FRAME = f"""<svg viewBox="0 0 {{width}} {{height}}" xmlns="http://www.w3.org/2000/svg">
<style>
.{{unique_id}}-matrix {{{{ font: {{char_height}}px {FONTS}; white-space: pre }}}}
.{{unique_id}}-title {{{{ font: bold 18px sans-serif }}}}
rect {{{{ shape-rendering: crispEdges }}}}
{{styles}}
</style>
{{chrome}}
<g transform="translate({{terminal_x}}, {{terminal_y}})">
{{backgrounds}}
<g class="{{unique_id}}-matrix">
{{matrix}}
</g>
</g>
</svg>
"""
"""Rich's template for terminal pictures, without its fonts from the network."""

BLOCKS = re.compile(r'<text class="(t-r\d+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"[^>]*>([▀▁-█\xa0]+)</text>')
NEEDLESS = re.compile(r' clip-path="url\(#t-line-\d+\)"| shape-rendering="crispEdges"')
CELL_WIDTH, CELL_HEIGHT = 12.2, 24.4
OVERLAP = 0.25
RISE = 18.5
"""Distance from the upper edge of a cell to the baseline of its text, in rich's pictures."""

CHART_STYLE = re.compile(r"^svg .*$", re.MULTILINE)
LIGHT = re.compile(r":root \{(.*?)\}", re.DOTALL)
COLOUR = re.compile(r"var\((--\w+)\)")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a night to draw: after the first event for which `is_reached` returns true."""

    name: str
    size: tuple[int, int]
    is_reached: Callable[[DashboardState, Event], bool]
    view: View | None = None


def after_frame(state: DashboardState, event: Event) -> bool:
    """Return whether the exposure after the shown frame has started."""
    is_shown = state.step is not None and state.step.planned.title == SHOWN_STEP and state.step.accepted == SHOWN_FRAME
    return is_shown and isinstance(event, ExposureStarted)


def after_tuning_test(state: DashboardState, event: Event) -> bool:
    """Return whether the first filter's last tuning test has been judged."""
    return isinstance(event, FlatTested) and state.tuning is not None and event.low_adu <= event.level_adu


MOMENTS = (
    Moment("dashboard-80x24", (80, 24), after_frame),
    Moment("dashboard-120x40", (120, 40), after_frame),
    Moment("dashboard-200x50", (200, 50), after_frame),
    Moment("view-plan", (100, 26), after_frame, View.PLAN),
    Moment("view-tuning", (100, 26), after_tuning_test, View.TUNING),
    Moment("view-frame", (100, 34), after_frame, View.FRAME),
    Moment("view-log", (100, 26), after_frame, View.LOG),
)


def draw_dashboards(events: Iterable[Event], night: Path) -> Iterator[tuple[str, str]]:
    """Yield name and SVG of the dashboard at each moment."""
    state, waiting = DashboardState(), list(MOMENTS)
    folder = night
    for event in events:
        if isinstance(event, NightStarted):
            folder = Path(event.folder)
            state.apply(replace(event, folder=f"{HOME}/{night.name}"))
        else:
            state.apply(event)
        for moment in [each for each in waiting if each.is_reached(state, event)]:
            waiting.remove(moment)
            state.apply(last_picture(state, night, folder))
            yield f"{moment.name}.svg", dashboard_svg(state, moment, event.at)
    if waiting:
        names = ", ".join(each.name for each in waiting)
        raise SystemExit(f"{night}: this night has nothing for {names}; run without NIGHT to shoot a suitable one")


def last_picture(state: DashboardState, night: Path, folder: Path) -> FrameShown:
    """Return the event with the last frame's picture, which the journal omits; `folder` is the journal's."""
    assert state.step is not None
    if state.is_tuning and state.tuning is not None:
        tests = sorted((night / "tuning").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        path = tests[len(state.tuning.tests) - 1]
    else:
        assert state.frame is not None
        path = night / Path(state.frame.path).relative_to(folder)
    pixels = read_pixels(path)
    at = state.latest[-1].at
    return preview_event(at, state.step.planned.title, preview(pixels), measure(pixels))


def dashboard_svg(state: DashboardState, moment: Moment, at: datetime) -> str:
    """Return the dashboard as it was half a second later."""
    width, height = moment.size
    console = Console(
        file=io.StringIO(),
        width=width,
        height=height,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    controls = None if moment.view is None else Controls(lambda _: None, lambda: None, view=moment.view)
    console.print(render(state, width, height, (at + timedelta(seconds=0.5)).astimezone(), controls))
    svg = console.export_svg(title="coldframe", code_format=FRAME, unique_id="t")
    return NEEDLESS.sub("", BLOCKS.sub(_rectangles, svg.replace("&#160;", "\xa0")))


def _rectangles(text: re.Match[str]) -> str:
    """Return block characters as rectangles, because not every font fills its cells with them."""
    style, x, y, characters = text.groups()
    column, drawn = 0, []
    for character, run in groupby(characters):
        columns = len(list(run))
        if character != "\xa0":
            eighths = 4 if character == "▀" else ord(character) - ord("▁") + 1
            height = CELL_HEIGHT * eighths / 8
            top = float(y) - RISE + (0 if character == "▀" else CELL_HEIGHT - height)
            drawn.append(
                f'<rect class="{style}" x="{float(x) + CELL_WIDTH * column:g}" y="{top:g}"'
                f' width="{CELL_WIDTH * columns + OVERLAP:g}" height="{height + OVERLAP:g}"/>'
            )
        column += columns
    return "".join(drawn)


def draw_charts(report: NightReport) -> Iterator[tuple[str, str]]:
    """Yield name and SVG of charts of the report, each as a standalone picture."""
    tuning = max(report.tunings, key=lambda each: len(each.tests))
    biggest = max(report.sets, key=lambda each: each.accepted)
    for name, chart in (
        ("tuning", charts.tuning_chart(tuning)),
        ("noise", charts.growth_chart(biggest.growth)),
        ("photon-transfer", charts.transfer_chart(report.cameras[0])),
    ):
        if chart is not None:
            yield f"{name}.svg", standalone(chart)


def standalone(chart: Markup) -> str:
    """Return a chart with the page's light colours and a background."""
    css = str(style())
    light = LIGHT.search(css)
    assert light is not None
    colours = dict(re.findall(r"(--\w+): ([^;]+);", light[1]))
    rules = COLOUR.sub(lambda named: colours[named[1]], "\n".join(CHART_STYLE.findall(css)).replace("svg ", ""))
    opening, rest = str(chart).split(">", 1)
    opening = opening.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" ')
    paper = f'<rect width="100%" height="100%" rx="6" fill="{colours["--card"]}"/>'
    return f"{opening}><style>\n{rules.replace('font-family: inherit;', '')}\n</style>{paper}{rest}\n"


def photograph_phone(storage: Path) -> None:
    """Take screenshots of the page for browsers, in the size of a phone, in its dark and in its red colours."""
    command = [sys.executable, "-m", "coldframe", "serve", "--folder", str(storage), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[-1]
        for theme in ("dark", "red"):
            photograph(f"{url}?theme={theme}", PICTURES / f"serve-{theme}.png", PHONE_SIZE)
        serving.terminate()


def photograph(url: str, picture: Path, size: tuple[int, int]) -> None:
    """Take a screenshot of a page with Chromium; keep the old picture if it is not installed."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"{picture.name}: kept, because none of {', '.join(BROWSERS)} is installed", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as profile:
        width, height = size
        command = [
            browser,
            "--headless",
            "--hide-scrollbars",
            "--disable-gpu",
            "--disable-background-networking",
            "--blink-settings=preferredColorScheme=1",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            f"--screenshot={picture}",
            "--timeout=5000",  # the page for browsers never finishes loading, because its events go on
            url,
        ]
        if os.geteuid() == 0:  # Chromium's sandbox refuses root
            command.insert(1, "--no-sandbox")
        subprocess.run(command, check=True, timeout=SCREENSHOT_DEADLINE_S, capture_output=True)


def shoot_night(storage: Path) -> Path:
    """Shoot the demonstration night, and return its folder."""
    command = [sys.executable, "-m", "coldframe", "run", "--simulate", "small", "--no-dashboard"]
    subprocess.run([*command, "--folder", str(storage)], check=True)
    night = newest_night(storage)
    assert night is not None
    return night


def make_pictures(night: Path) -> None:
    """Make all pictures from a night's folder."""
    PICTURES.mkdir(exist_ok=True)
    events = tuple(read_journal(night / JOURNAL))
    for name, svg in (*draw_dashboards(events, night), *draw_charts(gather(events))):
        (PICTURES / name).write_text(svg, encoding="utf-8")
    photograph((night / PAGE).resolve().as_uri(), PICTURES / "report.png", REPORT_SIZE)
    photograph_phone(night.parent)
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture}: {picture.stat().st_size:,} bytes")


def main() -> None:
    """Make the pictures from the given night, or shoot one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("night", nargs="?", type=Path, metavar="NIGHT")
    night: Path | None = parser.parse_args().night
    if night is not None:
        make_pictures(night)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(shoot_night(Path(folder) / "coldframe"))


if __name__ == "__main__":
    main()
