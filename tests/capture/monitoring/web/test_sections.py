"""The page at the moments of a recorded night, with foreign text and with invalid numbers."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser

import pytest

from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    CoolingProgress,
    Event,
    ExposureStarted,
    FilterChanged,
    FlatTested,
    FlatTuned,
    FrameAccepted,
    MasterWritten,
    NightEnded,
    NightPaused,
    NightStarted,
    Notice,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.values import NightOutcome, PlannedStep, Severity, StepType
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.web.sections import Sight, Theme, page, report_page, sections
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState
from tests.capture.monitoring.dashboard.test_dashboard import DUSK, STARTED, RecordedNight

NAMES = {"headline", "controls", "problems", "rig", "plan", "picture", "charts", "log"}
HOSTILE = "<img src=x onerror=alert(1)>\"'&\x1b[31m</script>"


def played_until(stop: Callable[[Event], bool] = lambda _: False) -> Sight:
    state, now = DashboardState(), DUSK
    for event in RecordedNight().events():
        state.apply(event)
        now = event.at
        if stop(event):
            break
    return Sight(state, now)


def played(events: Iterable[Event], now: datetime = DUSK) -> Sight:
    state = DashboardState()
    for event in events:
        state.apply(event)
    return Sight(state, now)


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def test_the_page_contains_each_section_once() -> None:
    sight = played_until(lambda event: isinstance(event, FrameAccepted))
    whole, parts = page(sight, Theme.DARK), sections(sight)
    assert set(parts) == NAMES
    for name, part in parts.items():
        assert whole.count(part) == 1 or not part.strip()
        assert f'id="{name}"' in whole


def test_a_running_night_shows_verdict_end_and_activity() -> None:
    sight = played_until(lambda event: isinstance(event, ExposureStarted) and event.step == 7)
    head = sections(sight)["headline"]
    for words in ("✔", "All well", "done about ", "dark 300 s  0/20", "step 7 of 8", "exposing 0 of 300 s"):
        assert words in head


def test_rig_plan_charts_and_log_show_the_night() -> None:
    parts = sections(played_until(lambda event: isinstance(event, FrameAccepted) and event.step == 3))
    assert "°C" in parts["rig"]
    assert "filter Ha" in parts["rig"]
    assert "20/20" in parts["plan"]
    assert parts["charts"].count("<svg") >= 3
    assert "Levels: flat L" in parts["charts"]
    assert "flat L 20/20" in parts["log"]


def test_a_problem_is_shown_before_the_log() -> None:
    sight = played_until(lambda event: isinstance(event, FrameAccepted))
    assert not sections(sight)["problems"].strip()
    sight.state.apply(Notice(sight.now, Severity.ERROR, "the panel gave no light"))
    sight.state.apply(Notice(sight.now, Severity.WARNING, "the disk is nearly full"))
    problems = sections(sight)["problems"]
    assert problems.index("the panel gave no light") < problems.index("the disk is nearly full")
    assert "✘" in sections(sight)["headline"]


def test_the_end_shows_the_result_and_the_report() -> None:
    sight = replace(played_until(), report_at=DUSK, note="no run found; showing the last night, 2026-11-21")
    head = sections(sight)["headline"]
    for words in ("Complete", "all masters made", 'href="report"', "showing the last night"):
        assert words in head


def test_a_night_of_an_earlier_day_shows_its_date() -> None:
    sight = played_until()
    parts = sections(replace(sight, now=sight.now + timedelta(days=3)))
    day = f"on {sight.now:%-d %B}"
    assert day in parts["headline"]
    assert "Sensor temperature, 30 minutes until " in parts["charts"]
    assert "last 30 minutes" not in parts["charts"]
    assert day in parts["charts"]
    assert day in parts["rig"]
    assert day not in sections(sight)["headline"]


def test_all_problems_are_counted() -> None:
    sight = played([STARTED, *(Notice(DUSK, Severity.WARNING, f"{number}") for number in range(60))])
    assert "and 54 more, in coldframe.log" in sections(sight)["problems"]


def test_times_that_no_clock_shows_never_break_the_page() -> None:
    sight = played([replace(event, at=datetime(1, 1, 1, tzinfo=UTC)) for event in hostile_night()])
    west = DUSK.astimezone(timezone(timedelta(hours=-5)))
    for now in (DUSK, west):
        assert set(sections(replace(sight, now=now))) == NAMES


def test_no_night_yet_is_said() -> None:
    parts = sections(Sight(DashboardState(), DUSK, note="no run found; no night yet"))
    assert "Waiting for the night to begin" in parts["headline"]
    assert "no night yet" in parts["headline"]
    assert not parts["plan"].strip()


def test_commands_are_offered_only_when_they_are_possible() -> None:
    sight = replace(played_until(lambda event: isinstance(event, FrameAccepted)), night_id="tonight")
    assert "<button" not in sections(replace(sight, refusal="read-only"))["controls"]
    controls = sections(sight)["controls"]
    assert controls.count("<button") == 3
    assert controls.count('data-night="tonight"') == 3
    assert 'data-do="pause"' in controls
    assert 'data-do="skip" data-step="2"' in controls
    sight.state.apply(NightPaused(sight.now))
    assert 'data-do="resume"' in sections(sight)["controls"]


@pytest.mark.parametrize("theme", list(Theme))
def test_each_theme_marks_the_pages(theme: Theme) -> None:
    assert f'<html lang="en" class="{theme}">' in page(played_until(), theme)
    assert f'<html lang="en" class="{theme}">' in report_page(theme)


def hostile_night() -> Iterable[Event]:
    step = PlannedStep(1, HOSTILE, FrameKind.FLAT, HOSTILE, 5, 1.0, 60.0, StepType.SHOOT)
    yield NightStarted(DUSK, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 10, 10, (step,))
    yield StepStarted(DUSK, 1)
    yield CoolingProgress(DUSK, HOSTILE)
    yield FilterChanged(DUSK, HOSTILE)
    yield FlatTested(DUSK, 1, HOSTILE, 1.0, 3, 1.0, 1.0, 2.0, 1.0, 3.0, 0.0, HOSTILE)
    yield FrameAccepted(DUSK, 1, 1, HOSTILE, 1.0, -10.0, FrameStatistics(5.0, 5.0, 5.0, 1.0, 4, 6, 0.0))
    yield MasterWritten(DUSK, 1, HOSTILE, 5, 1.0, 0.1, 0.0)
    yield Notice(DUSK, Severity.ERROR, HOSTILE)


@pytest.mark.parametrize("ending", [[], [NightEnded(DUSK, NightOutcome.ABORTED, HOSTILE)]])
def test_foreign_text_is_escaped_everywhere(ending: list[Event]) -> None:
    sight = replace(
        played([*hostile_night(), *ending]),
        note=HOSTILE, refusal=HOSTILE if ending else None, picture=1, picture_title=HOSTILE,
    )  # fmt: skip
    own = Elements(page(played_until(lambda event: isinstance(event, MasterWritten)), Theme.DARK))
    text = page(sight, Theme.DARK)
    found = Elements(text)
    assert set(found.tags) <= {*own.tags, "img", "button", "ul", "li"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert found.tags.count("img") == 1
    assert found.tags.count("script") == 1
    assert "\x1b" not in text
    assert "&lt;img src=x onerror" in text


def invalid_numbers() -> Iterable[Event]:
    nan, huge = math.nan, 1e308
    step = PlannedStep(1, "flat", FrameKind.FLAT, None, 0, nan, nan, StepType.SHOOT)
    yield NightStarted(DUSK, "/n", "Camera", None, None, 0, 0, (step,))
    yield StepStarted(DUSK, 1)
    for value in (nan, math.inf, -math.inf, huge, -huge):
        yield TemperatureRead(DUSK, value, value, value)
        yield FlatTested(DUSK, 1, None, value, None, value, value, value, value, value, value, "")
        yield FlatTuned(DUSK, 1, None, value, None, 1, value)
        yield ExposureStarted(DUSK, 1, FrameKind.FLAT, value)
        yield FrameAccepted(DUSK, 1, 1, "/n/1", value, value, FrameStatistics(value, value, value, value, 0, 0, value))


def test_invalid_numbers_never_break_the_page() -> None:
    events = list(invalid_numbers())
    for count in range(len(events) + 1):
        sight = played(events[:count])
        assert set(sections(sight)) == NAMES


def test_whole_night_can_be_written_at_every_moment() -> None:
    state = DashboardState()
    for number, event in enumerate(RecordedNight(failing=frozenset({3})).events()):
        state.apply(event)
        if number % 25 == 0:
            assert "<h1>" in sections(Sight(state, event.at))["headline"]


def test_cover_and_panel_are_named() -> None:
    parts = sections(played_until(lambda event: isinstance(event, FlatTuned)))
    assert f"cover {CoverState.CLOSED}" in parts["rig"] or f"cover {CoverState.OPEN}" in parts["rig"]
