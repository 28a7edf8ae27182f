"""The result of a bisection as one HTML file with pictures, without scripts or network requests; text is escaped."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from coldframe.calibration.diagnosis.bisection import Part
from coldframe.capture.monitoring.report.page import CONTROLS, data_uri, style, templates
from coldframe.cli.bisecting.results import (
    BisectionResult,
    left_text,
    master_text,
    not_compared,
    shoot_command,
    verdict,
)
from coldframe.cli.diagnosing.pictures import SetPictures

_FOLDER = Path(__file__).parent

Pictures = Mapping[tuple[Part, Part], SetPictures]
"""The pictures of each combination. The key of a combination is the pair of its dark part and its flat part."""


@dataclass(frozen=True, slots=True)
class Card:
    """A combination on the page.

    Attributes
    ----------
    title
        Keys of the dark that is subtracted and of the flat by which the lights are divided.
    score, leaves
        Score, and the artifacts that the combination leaves, as text.
    picture
        Stretched background as a data URI.
    sign
        "best"; "good" for a score that ties with the best score; or "bad".
    """

    title: str
    score: str
    leaves: str
    picture: str
    sign: str


def page_of(result: BisectionResult, pictures: Pictures) -> str:
    """Return the result as an HTML page."""
    comparison = result.comparison
    cards = [
        Card(
            f"{row.dark.key}, {row.flat.key}",
            f"{comparison.score(row):,.0f}",
            left_text(comparison, row),
            data_uri(pictures[row.dark, row.flat].background()),
            "best" if row is comparison.best else "good" if comparison.is_as_good(row) else "bad",
        )
        for row in comparison.rows
    ]
    page = (
        templates(_FOLDER)
        .get_template("page.html.jinja")
        .render(
            style=style() + Markup((_FOLDER / "page.css").read_text("utf-8")),  # noqa: S704 - our own file
            verdict=verdict(result),
            clean=result.is_clean,
            accused=any(comparison.culprits()),
            lights=len(result.bisected.read),
            name=result.name,
            masters=[(each.key, each.path.name, master_text(result, each)) for each in result.candidates.all],
            cards=cards,
            notes=result.notes,
            untested=not_compared(result),
            command=shoot_command(result),
        )
    )
    return CONTROLS.sub(" ", page)
