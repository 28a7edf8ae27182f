"""Render the report as one HTML file without scripts or network requests, and escape all text from devices."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path, PurePath
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from numpy.typing import NDArray

from coldframe.capture.events.verification import Cleanness, Verified
from coldframe.capture.monitoring.progress.quantities import duration_text, exposure_text, printable
from coldframe.capture.monitoring.report import charts
from coldframe.capture.monitoring.report.contents import MasterReport, NightReport, NightState, SetReport, SetState
from coldframe.capture.monitoring.report.pixels import ImageSummary
from coldframe.capture.monitoring.report.png import png_bytes
from coldframe.capture.monitoring.report.time_budget import Activity, TimeSpent
from coldframe.visible import visible

_FOLDER = Path(__file__).parent

SIGNS = {
    NightState.COMPLETE: ("good", "✔"),
    NightState.INCOMPLETE: ("warn", "▲"),
    NightState.ABORTED: ("bad", "✘"),
    NightState.INTERRUPTED: ("warn", "▲"),
    NightState.BROKEN_OFF: ("bad", "✘"),
    NightState.RUNNING: ("note", "▶"),
}
"""CSS class and sign of each state of a night.

Each class has its own sign, because some users cannot distinguish the colours.
"""

SET_SIGNS = {
    SetState.MADE: ("good", "✔"),
    SetState.SHORT: ("warn", "▲"),
    SetState.MISSING: ("bad", "✘"),
    SetState.NOT_YET: ("note", "…"),
}

LIGHT_SIGNS = {
    Cleanness.CLEAN.value: ("good", "✔"),
    Cleanness.FAULTY.value: ("warn", "▲"),
    Cleanness.UNKNOWN.value: ("note", "…"),
}

NOT_SAFE = ("bad", "✘")

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters. In a device's name, they could affect a terminal that displays the page."""

ACTIVITIES = {
    Activity.EXPOSING: "the shutter is open",
    Activity.READING: "readout and download of frames",
    Activity.WAITING: "cooling, warming up, combining, saving",
    Activity.MOVING: "panel, cover and filters, including settling",
    Activity.LOST: "rejected frames, retries, gaps between runs",
}

FOLDERS = (
    ("masters", "master frames"),
    ("biases", "raw bias frames"),
    ("darks", "raw darks"),
    ("flats", "raw flats"),
    ("dark-flats", "raw dark flats"),
    ("tuning", "test frames of the tuner, and frames shot to measure saturation"),
    ("checks", "frames shot to check the gain and the lamp"),
    ("quarantine", "rejected frames, each with its reason"),
    ("journal.jsonl", "all events, one per line"),
    ("coldframe.log", "log of the program"),
    ("report.json", "this report, for programs"),
)
"""Files and folders in the folder of a night, in the order in which the page lists them."""


@dataclass(frozen=True, slots=True)
class MasterCard:
    """A master on the page. Its pictures are data URIs, or empty if the file could not be read."""

    made: SetReport
    master: MasterReport
    unit: str
    whole: str
    detail: str
    histogram: Markup | None


@dataclass(frozen=True, slots=True)
class SetCard:
    """A set on the page."""

    made: SetReport
    sign: tuple[str, str]
    masters: tuple[MasterCard, ...]
    growth: Markup | None
    levels: Markup | None
    temperatures: Markup | None


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one activity in the time budget."""

    name: str
    meaning: str
    seconds: float
    percent: float


def render(
    report: NightReport,
    summaries: Mapping[str, ImageSummary],
    folder: Path,
    *,
    made_at: datetime,
    zone: tzinfo | None = None,
) -> str:
    """Return the report as an HTML page.

    Parameters
    ----------
    report
        Values of the report.
    summaries
        Image summaries of the masters, by path in the report.
    folder
        Folder of the night. The page links to the files that exist in this folder.
    made_at
        Current time.
    zone
        Time zone for clock times; None for the local time zone.
    """
    template = _environment().get_template("page.html.jinja")
    page = template.render(
        report=report,
        clock=lambda at: f"{at.astimezone(zone):%H:%M}",
        seconds=lambda at: f"{at.astimezone(zone):%H:%M:%S}",
        day=lambda at: f"{at.astimezone(zone):%Y-%m-%d}",
        style=style(),
        sign=_sign(report),
        light_signs=LIGHT_SIGNS,
        cards=[_card(made, summaries) for made in report.sets],
        missing=[made for made in report.sets if made.state not in {SetState.MADE, SetState.NOT_YET}],
        next_steps=next_steps(report),
        tunings=[(tuning, charts.tuning_chart(tuning)) for tuning in report.tunings],
        cameras=[(camera, charts.transfer_chart(camera)) for camera in report.cameras],
        sensor=charts.sensor_chart(report.temperature, zone),
        cooler=charts.cooler_chart(report.temperature, zone),
        budget=shares(report.time.spent, report.time.length_s),
        steps=[(step, shares(step.spent, _longest(report))) for step in report.time.steps if step.spent.total_s >= 1],
        files=[(name, meaning) for name, meaning in FOLDERS if name == "report.json" or (folder / name).exists()],
        night=folder.name,
        made_at=made_at,
    )
    return CONTROLS.sub(" ", page)


def _sign(report: NightReport) -> tuple[str, str]:
    """Return the sign of a night; a complete night whose lights have artifacts gets the sign of an incomplete night."""
    if report.verdict.safe is False:
        return NOT_SAFE
    is_faulty = any(each.cleanness == Cleanness.FAULTY for each in report.lights)
    state = report.verdict.state
    return SIGNS[NightState.INCOMPLETE if is_faulty and state is NightState.COMPLETE else state]


def commands(text: str) -> Markup:
    """Return text with the commands between backticks marked up as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def next_steps(report: NightReport) -> list[tuple[str, str]]:
    """Return the commands to run after a night, each with its purpose."""
    steps = [("coldframe run", "shoot the missing sets")] if report.masters_made < report.masters_planned else []
    if not report.masters_made:
        return steps
    lights = [each for each in report.lights if each.frames == Verified.LIGHTS]
    if not lights or any(each.cleanness != Cleanness.CLEAN for each in lights):
        steps.append(("coldframe diagnose LIGHTS --html diagnosis.html", "see whether the lights calibrate cleanly"))
    return [
        *steps,
        ("coldframe calibrate LIGHTS", "calibrate the lights with the matching masters"),
        ("coldframe export FOLDER --for siril", "export the masters for Siril"),
        ("coldframe export FOLDER --for wbpp", "export the masters for PixInsight (WBPP)"),
    ]


def style() -> Markup:
    """Return the style sheet for pages, with a light and a dark theme."""
    return Markup((_FOLDER / "page.css").read_text("utf-8") + chart_style())  # noqa: S704 - our own file


def chart_style() -> str:
    """Return the style sheet for charts. The colours are defined by the style sheet of the page."""
    return (_FOLDER / "chart.css").read_text("utf-8")


def templates(folder: Path) -> Environment:
    """Return a Jinja environment that loads templates from a folder, escapes text, and has the filter `visible`."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    return environment


@cache
def _environment() -> Environment:
    environment = templates(_FOLDER)
    environment.filters |= {
        "duration": duration_text,
        "exposure": exposure_text,
        "number": number_text,
        "printable": printable,
        "commands": commands,
        "name": lambda path: PurePath(path).name,
        "percent": lambda fraction: f"{number_text(100 * fraction, 2)} %",
        "link": link,
    }
    return environment


def link(path: str) -> str | None:
    """Return a link to a path in the folder of the night, or None for a path outside that folder."""
    pure = PurePath(path)
    if pure.is_absolute() or ".." in pure.parts:
        return None
    return "./" + quote(str(pure))


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a number as text with about `digits` significant digits, or a dash for None and NaN."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "-"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def shares(spent: TimeSpent, whole_s: float) -> list[Share]:
    """Return the activities of a time budget, with the time spent on each and its percentage of `whole_s`."""
    seconds = {activity: float(getattr(spent, f"{activity}_s")) for activity in Activity}
    return [
        Share(activity.value, ACTIVITIES[activity], each, 100 * each / whole_s if whole_s > 0 else 0.0)
        for activity, each in seconds.items()
    ]


def _longest(report: NightReport) -> float:
    return max((step.spent.total_s for step in report.time.steps), default=0.0)


def _card(made: SetReport, summaries: Mapping[str, ImageSummary]) -> SetCard:
    unit = charts.unit_of(made)
    return SetCard(
        made=made,
        sign=SET_SIGNS[made.state],
        masters=tuple(_master_card(made, master, summaries.get(master.path), unit) for master in made.masters),
        growth=charts.growth_chart(made.growth),
        levels=charts.level_chart(made.frames),
        temperatures=charts.temperature_chart(made.frames),
    )


def _master_card(made: SetReport, master: MasterReport, summary: ImageSummary | None, unit: str) -> MasterCard:
    whole, detail = ("", "") if summary is None else (data_uri(summary.whole), data_uri(summary.detail))
    return MasterCard(made, master, unit, whole, detail, charts.histogram_chart(master, unit))


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return a picture as a data URI, which can be embedded in a page; see `png_bytes`."""
    return "data:image/png;base64," + base64.b64encode(png_bytes(pixels)).decode("ascii")
