"""The page of the report escapes hostile names, loads no other files, and fits on a phone."""

import html
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.kinds import (
    EVENT_KINDS,
    CameraMeasured,
    Event,
    FlatTested,
    NightStarted,
)
from coldframe.capture.events.values import NightOutcome, PlannedStep, StepType
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.report.contents import FORMAT
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.monitoring.report.making import make_report
from coldframe.capture.monitoring.report.page import link, render
from coldframe.capture.monitoring.report.writing import json_twin
from coldframe.capture.storage.journal import encode_event
from coldframe.capture.storage.journal_reader import decode_event
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.report.browser import browse, needs_chromium
from tests.capture.monitoring.report.stories import Story, whole_night
from tests.capture.storage.test_journal_reader import whole

EVIL = """"'><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror=alert(1)></style>"""
EVIL += "<svg onload=alert(1)>\x1b[31m\x9b"
NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def hostile_night() -> Story:
    """Return a night with markup in the names of devices, in titles, reasons and paths."""
    plan = (
        PlannedStep(1, EVIL, FrameKind.DARK, EVIL, 2, 10.0, 5.0, StepType.SHOOT),
        PlannedStep(2, f"tune {EVIL}", None, EVIL, 0, None, 5.0, StepType.TUNE),
    )
    story = Story().start(plan, camera=EVIL, folder=EVIL).step(1).expose(1, 10).wait(11)
    story.accept(1, 1, f"{EVIL}.fits").reject(1, f"{EVIL}.fits", EVIL).grow(1, 2, 5.0).grow(1, 3, 4.0).warn(EVIL)
    story.master(1, f"javascript:{EVIL}", 2).done(1).step(2)
    story.add(FlatTested, 2, EVIL, 1.0, 120, 510.0, 500.0, 26000.0, 20000.0, 32000.0, 0.0, EVIL)
    story.add(CameraMeasured, EVIL, EVIL, 1.0, 0.2, 1.5, 65535.0, None, 0.001, ((100.0, 20.0),), ((-10.0, 0.1),))
    artifact = Artifact(Kind.DUST, EVIL, 9.0, EVIL, 0.3, 30.0, EVIL, EVIL, Remedy.NEW_FLATS)
    faulty = Cleanness.FAULTY
    story.add(LightsVerified, Verified.LIGHTS, f"`{EVIL}`", 300.0, 12, faulty, (artifact,), (EVIL,), None, EVIL)
    return story.temperature(-9).wait(1).temperature(-10).end(NightOutcome.INCOMPLETE, EVIL)


def page_of(story: Story, folder: Path) -> str:
    return make_report(story.write(folder), zone=UTC, now=NOW).page.read_text("utf-8")


class Tags(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names = set[str]()
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    page = page_of(hostile_night(), tmp_path)
    tags = Tags(page)
    assert "&lt;script&gt;document.title=" in page
    assert not tags.names & {"script", "iframe", "object", "embed", "form", "base", "image", "use", "foreignobject"}
    links = [value for name, value in tags.attributes if name in {"href", "src", "xlink:href", "srcset", "action"}]
    assert len(links) >= 3
    assert all(value.startswith(("./", "data:")) for value in links)
    assert not [name for name, _ in tags.attributes if name.startswith("on") or name == "style"]
    assert page.count("</style>") == 1
    assert not [character for character in page if not character.isprintable() and character != "\n"]


@needs_chromium
def test_a_browser_runs_and_loads_nothing_from_a_hostile_night(tmp_path: Path) -> None:
    make_report(hostile_night().write(tmp_path), zone=UTC, now=NOW)
    document, console = browse(tmp_path / "report.html")
    assert console == []
    assert "<script" not in document
    assert "owned" not in re.findall(r"<title>(.*?)</title>", document)[0]


@needs_chromium
def test_violations_of_the_policy_are_detected(tmp_path: Path) -> None:
    """Show that the check above can fail: a page with a request and a script causes messages."""
    page = page_of(whole_night(), tmp_path).replace(
        "</main>", "<img src='http://127.0.0.1:9/x'><script>1</script></main>"
    )
    (tmp_path / "bad.html").write_text(page, "utf-8")
    _, console = browse(tmp_path / "bad.html")
    assert len(console) == 2


@needs_chromium
@pytest.mark.parametrize(
    ("scheme", "number", "paper"), [("dark", 0, "rgb(16, 20, 23)"), ("light", 1, "rgb(246, 247, 248)")]
)
def test_the_page_fits_phone_and_desktop_and_follows_the_colour_scheme(
    tmp_path: Path, scheme: str, number: int, paper: str
) -> None:
    # The page is measured in frames as wide as the screens, without its policy, which forbids the script.
    story = whole_night()
    story.warn("a/very/long/path/without/a/single/blank/" * 5)
    page = html.escape(re.sub(r"<meta http-equiv[^>]*>", "", page_of(story, tmp_path)), quote=True)
    measure = (
        "<script>window.onload = () => { document.title = [...document.querySelectorAll('iframe')].map(each => {"
        " const d = each.contentDocument; return d.documentElement.scrollWidth + ' '"
        " + getComputedStyle(d.body).backgroundColor; }).join('; '); }</script>"
    )
    widths = 390, 1280
    frames = "".join(
        f"<iframe style='border:0;width:{width}px;height:900px' srcdoc='{page}'></iframe>" for width in widths
    )
    outer = tmp_path / f"{scheme}.html"
    outer.write_text(f"<!DOCTYPE html><meta charset=utf-8><title></title>{measure}{frames}", "utf-8")
    document, _ = browse(outer, f"--blink-settings=preferredColorScheme={number}", "--window-size=1300,1900")
    assert re.findall(r"<title>(.*?)</title>", document)[0] == "; ".join(f"{width} {paper}" for width in widths)


def test_the_page_begins_with_the_lights_and_marks_commands(tmp_path: Path) -> None:
    artifact = Artifact(Kind.DUST, "dust moved", 9.0, "px", 0.3, 30.0, "23 shadows", "fix", Remedy.NEW_FLATS)
    story = whole_night()
    ending = story.events.pop()
    story.add(LightsVerified, Verified.LIGHTS, "Ha", 300.0, 12, Cleanness.FAULTY, (artifact,))
    story.events.append(ending)
    page = page_of(story, tmp_path)
    heading = page.split("<h1>")[1].split("</h1>")[0]
    assert "▲" in heading
    assert "Ha: dust moved. Do not dismantle the rig" in heading
    assert "<code>coldframe run --only flats:Ha --redo</code>" in heading
    assert "dust: 9 ± 0.3 px; 23 shadows" in page
    assert "Warnings and errors" not in page
    assert "coldframe diagnose LIGHTS" in page


def test_a_running_night_has_sets_that_are_not_shot_yet(tmp_path: Path) -> None:
    story = Story().start().step(1).done(1).set_of(2, FrameKind.BIAS, "bias", 0.0)
    story.write(tmp_path)
    page = make_report(tmp_path, zone=UTC, now=story.now).page.read_text("utf-8")
    assert "not shot yet" in page
    assert "missing" not in page.split("</style>")[1].split('id="next"')[0]


def test_links_stay_in_the_folder() -> None:
    assert link("masters/a b#1?.fits") == "./masters/a%20b%231%3F.fits"
    assert link("javascript:alert(1)") == "./javascript%3Aalert%281%29"
    assert link("/etc/passwd") is None
    assert link("../other/a.fits") is None


def test_unreadable_masters_are_reported_and_the_page_is_made(tmp_path: Path) -> None:
    made = make_report(whole_night().write(tmp_path), zone=UTC, now=NOW)
    assert len(made.faults) == 3
    assert all("No such file" in fault for fault in made.faults)
    assert made.page.read_text("utf-8").count("No picture:") == 3


def test_a_new_report_replaces_the_old_one(tmp_path: Path) -> None:
    first = page_of(whole_night(), tmp_path)
    story = hostile_night()
    story.write(tmp_path)
    make_report(tmp_path, zone=UTC, now=NOW)
    assert (tmp_path / "report.html").read_text("utf-8") != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.jsonl", "report.html", "report.json"]


def test_what_is_not_a_number_is_null_in_json_and_a_dash_on_the_page(tmp_path: Path) -> None:
    story = Story().start().step(5).expose(5, 10).wait(11).accept(5, 1, "a", level_adu=float("nan"))
    story.add(CameraMeasured, "C", "r", None, float("nan"), None, None, None, None, (), ()).done(5)
    make_report(story.write(tmp_path), zone=UTC, now=NOW)
    twin = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert twin["sets"][-1]["frames"][0]["level_adu"] is None
    assert twin["cameras"][0]["e_per_adu"] is None
    assert "nan" not in (tmp_path / "report.html").read_text("utf-8").lower().replace("finance", "")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(whole(NightStarted), st.lists(st.one_of(*map(whole, EVENT_KINDS.values())), max_size=30))
def test_any_journal_gives_a_page(start: NightStarted, events: list[Event]) -> None:
    journal = [start, *(decode_event(encode_event(event)) for event in events)]
    report = gather(journal, zone=UTC)
    assert json.loads(json_twin(report))["format"] == FORMAT
    assert "</html>" in render(report, {}, Path("/nowhere"), made_at=NOW, zone=UTC)
