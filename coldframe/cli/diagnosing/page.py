"""The diagnosis as one HTML file with pictures, without scripts or network requests; all text is escaped."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment
from markupsafe import Markup, escape
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.findings import Finding, Kind, Sensitivity
from coldframe.capture.monitoring.report.page import CONTROLS, data_uri, style, templates
from coldframe.capture.monitoring.report.svg import Axis, Chart, padded
from coldframe.cli.diagnosing.marks import marks_of, overlay
from coldframe.cli.diagnosing.pictures import SetPictures, fixed_picture
from coldframe.operations.results import SetResult, findings, seen_down_to, size_text, untested, verdict
from coldframe.visible import visible

_FOLDER = Path(__file__).parent

_OPTION = re.compile(r"--[a-z-]+")

LINES_SHOWN = 96
"""Number of rows or columns that a chart of the line pattern shows; they are taken from the centre of the sensor."""

LOW_HEIGHT = 170

LEGENDS = {
    "flat": "shadow in the flat",
    "moved": "the same shadow in the lights",
    "new": "shadow that only the lights have",
    "gone": "shadow that only the flat has",
}

GENTLE = {
    Kind.DUST: "dust",
    Kind.OVERCORRECTION: "over- or under-correction",
    Kind.BANDING: "banding and noise from masters",
    Kind.AMP_GLOW: "amplifier glow",
    Kind.COLOUR: "colours",
    Kind.GRADIENT: "gradient",
    Kind.OFFSET: "offset",
    Kind.TEMPERATURE: "temperature",
    Kind.MASTERS: "masters",
}


@dataclass(frozen=True, slots=True)
class SetCard:
    """A set of lights on the page.

    Attributes
    ----------
    result
        The diagnosis.
    lights
        Number of lights from which the background was computed.
    background, before, after, fixed
        Pictures as data URIs: the background, a light before and after calibration, and the map of fixed structures.
    fixed_percent
        Value that is shown as white in the map, % of the sky.
    marks
        Marks on the map.
    legend
        Class and text of each type of mark, with the number of marks.
    charts
        Profiles and patterns of rows and columns, each with its caption.
    """

    result: SetResult
    lights: int
    background: str
    before: str
    after: str
    fixed: str
    fixed_percent: float
    marks: Markup
    legend: tuple[tuple[str, str], ...]
    charts: tuple[tuple[Markup, str], ...]


def page_of(results: Sequence[SetResult], pictures: Sequence[SetPictures]) -> str:
    """Return the diagnoses of all sets as an HTML page.

    Parameters
    ----------
    results
        The diagnoses.
    pictures
        The pictures of each set, in the order of the diagnoses.
    """
    every = findings(results)
    page = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            style=style() + Markup((_FOLDER / "page.css").read_text("utf-8")),  # noqa: S704 - our own file
            verdict=verdict(results),
            clean=all(result.is_clean for result in results),
            lights=sum(len(result.found.read) for result in results),
            cards=[_card(result, seen) for result, seen in zip(results, pictures, strict=True)],
            harmful=[each for each in every if each[1].matters],
            harmless=[each for each in every if not each[1].matters],
            seen=seen_down_to(results),
            untested=untested(results),
            several=len(results) > 1,
        )
    )
    return CONTROLS.sub(" ", page)


@cache
def _environment() -> Environment:
    environment = templates(_FOLDER)
    environment.filters |= {"visible": _words, "fix": _fix, "size": _size, "limit": _limit, "kind": GENTLE.get}
    return environment


def _words(text: str) -> str:
    return visible(text).replace("+-", "±")


def _fix(text: str) -> Markup:
    """Return a remedy as HTML in which no option is broken across lines."""
    return Markup(_OPTION.sub(r'<span class="option">\g<0></span>', str(escape(_words(text)))))  # noqa: S704 - escaped


def _size(finding: Finding) -> str:
    return _words(size_text(finding))


def _limit(limit: Sensitivity) -> str:
    return f"{limit.size:.2g} {limit.unit}"


def _card(result: SetResult, seen: SetPictures) -> SetCard:
    examined = result.found.examined
    fixed, limit = fixed_picture(examined.pattern.relative)
    marks = marks_of(examined)
    counts = Counter(mark.name for mark in marks)
    return SetCard(
        result,
        seen.lights,
        data_uri(seen.background()),
        data_uri(seen.before()),
        data_uri(seen.after()),
        data_uri(fixed),
        100 * limit,
        overlay(marks, seen.shape),
        tuple((name, f"{LEGENDS[name]} ({count})") for name, count in counts.items()),
        (*_profile_charts(seen), *_pattern_charts(seen)),
    )


def _profile_charts(seen: SetPictures) -> list[tuple[Markup, str]]:
    rows, columns = seen.profiles()
    lengths = seen.shape
    return [
        (_chart(_places(profile, length), f"{name}, pixels", "% of the sky", f"Profile of the {name}s"), caption)
        for profile, length, name, caption in (
            (100 * rows, lengths[0], "row", "background from top to bottom: the median of each row"),
            (100 * columns, lengths[1], "column", "background from left to right: the median of each column"),
        )
    ]


def _pattern_charts(seen: SetPictures) -> list[tuple[Markup, str]]:
    charts = []
    for pattern, name in zip(seen.line_patterns(), ("row", "column"), strict=True):
        first = max((pattern.size - LINES_SHOWN) // 8 * 4, 0)
        shown = [(float(first + at), float(value)) for at, value in enumerate(pattern[first : first + LINES_SHOWN])]
        caption = f"pattern of {name}s near the centre: difference from the mean of four lines, averaged over lights"
        charts.append((_chart(shown, f"{name}, pixels", "ADU", f"Pattern of the {name}s"), caption))
    return charts


def _places(profile: NDArray[np.float64], length: int) -> list[tuple[float, float]]:
    side = length / max(profile.size, 1)
    return [((at + 0.5) * side, float(value)) for at, value in enumerate(profile)]


def _chart(points: list[tuple[float, float]], across: str, up: str, description: str) -> Markup:
    known = [value for _, value in points if np.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    span = f"from {low:.3g} to {high:.3g} {up}"
    axis = Axis(points[0][0], points[-1][0], across) if len(points) > 1 else padded([0.0], across)
    chart = Chart(axis, padded(known, up), f"{description}: {span}", LOW_HEIGHT)
    chart.line(points)
    return chart.drawn()
