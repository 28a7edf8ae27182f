"""The individual sections of the dashboard at a few moments of a recorded night."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from rich.text import Text

from coldframe.capture.events.kinds import (
    ExposureStarted,
    FlatTuned,
    FrameAccepted,
    MasterWritten,
    NightEnded,
    NightPaused,
    Notice,
)
from coldframe.capture.events.values import ExposurePurpose, Severity
from coldframe.capture.events.verification import Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.dashboard.controls import Controls
from coldframe.capture.monitoring.dashboard.drawing import ASCII, UNICODE
from coldframe.capture.monitoring.dashboard.footer import draw_help, footer_height, footer_section
from coldframe.capture.monitoring.dashboard.sections.frame import draw_frame_facts, draw_histogram
from coldframe.capture.monitoring.dashboard.sections.headline import draw_headline
from coldframe.capture.monitoring.dashboard.sections.latest import draw_latest
from coldframe.capture.monitoring.dashboard.sections.master import draw_masters, draw_noise
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, Section, heading, labelled, spread
from coldframe.capture.monitoring.dashboard.sections.plan import draw_plan
from coldframe.capture.monitoring.dashboard.sections.rig import draw_rig
from coldframe.capture.monitoring.dashboard.sections.tuning import draw_tuning
from coldframe.capture.monitoring.progress.night_words import ending, frame_title, verdict_of
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.dashboard.test_dashboard import DUSK, RecordedNight

ALL: tuple[Section, ...] = (
    draw_frame_facts,
    draw_headline,
    draw_help,
    draw_histogram,
    draw_latest,
    draw_masters,
    draw_noise,
    draw_plan,
    draw_rig,
    draw_tuning,
)


def played_until(stop: Callable[[object], bool] = lambda _: False) -> tuple[DashboardState, datetime]:
    """Return the state right after the first event that `stop` accepts, or at the end of the night, and its time."""
    state, now = DashboardState(), DUSK
    for event in RecordedNight().events():
        state.apply(event)
        now = event.at
        if stop(event):
            break
    return state, now


def pane(state: DashboardState, now: datetime, width: int = 60, height: int = 12) -> Pane:
    return Pane(state, now, width, height, UNICODE)


def words(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def test_the_headline_gives_verdict_progress_and_activity() -> None:
    state, now = played_until(lambda event: isinstance(event, ExposureStarted) and event.step == 7)
    shown = pane(state, now + timedelta(seconds=100), 80)
    lines = [line.plain for line in draw_headline(shown)]
    assert len(lines) == 3
    assert "All well" in lines[0]
    assert "step 7 of 8" in lines[0]
    assert "dark 300 s  0/20" in lines[2]
    assert "exposing 100 of 300 s" in lines[2]
    assert ending(shown.state, shown.now).startswith("done about ")


@pytest.mark.parametrize(
    ("purpose", "expected"),
    [
        (ExposurePurpose.FRAME, "dark 300 s  0/20"),
        (ExposurePurpose.CAMERA, "dark 300 s: measuring the camera"),
        (ExposurePurpose.GAIN, "dark 300 s: checking the gain"),
        (ExposurePurpose.BIAS_LEVEL, "dark 300 s: measuring the bias level"),
    ],
)
def test_the_headline_states_the_purpose_of_an_exposure(purpose: ExposurePurpose, expected: str) -> None:
    state, now = played_until(lambda event: isinstance(event, ExposureStarted) and event.step == 7)
    state.apply(ExposureStarted(now, 7, FrameKind.FLAT, 2.0, purpose))
    assert expected in draw_headline(pane(state, now, 80))[2].plain


def test_the_verdict_names_pauses_problems_and_the_end() -> None:
    state, now = played_until(lambda event: isinstance(event, FrameAccepted))
    state.apply(Notice(now, Severity.WARNING, "the disk is nearly full"))
    assert "1 warning" in verdict_of(state, now).words
    state.apply(NightPaused(now))
    assert "Paus" in verdict_of(state, now).words
    ended, at = played_until(lambda event: isinstance(event, NightEnded))
    assert "Complete" in verdict_of(ended, at).words
    assert ending(ended, at).startswith("ended at ")


def test_the_end_shows_first_whether_the_lights_calibrate_clean() -> None:
    state, now = played_until(lambda event: isinstance(event, NightEnded))
    state.apply(LightsVerified(now, Verified.LIGHTS, "Ha", 300.0, 12, Cleanness.CLEAN))
    assert draw_headline(pane(state, now, 80))[2].plain.startswith(" Your lights calibrate cleanly.")
    assert "Ha: 12 lights calibrate cleanly" in words(draw_latest(pane(state, now)))


def test_the_plan_shows_the_steps_around_the_running_one() -> None:
    state, now = played_until(lambda event: isinstance(event, MasterWritten) and event.step == 3)
    whole = words(draw_plan(pane(state, now)))
    assert "flat L" in whole
    assert "20/20" in whole
    part = draw_plan(pane(state, now, height=4))
    assert len(part) == 4
    assert "more" in part[-1].plain


def test_the_rig_shows_sensor_filter_and_devices() -> None:
    state, now = played_until(lambda event: isinstance(event, FrameAccepted))
    shown = words(draw_rig(pane(state, now, 80, 20)))
    assert "-" in shown
    assert "L" in shown
    assert "120" in shown


def test_tuning_frame_noise_and_masters_show_the_latest_set() -> None:
    state, now = played_until(lambda event: isinstance(event, FlatTuned))
    assert "found: 0.842 s at brightness 120" in words(draw_tuning(pane(state, now)))
    state, now = played_until(lambda event: isinstance(event, MasterWritten) and event.step == 2)
    assert "flat L" in frame_title(state)
    assert "26,180" in words(draw_frame_facts(pane(state, now)))
    assert len(draw_histogram(pane(state, now))) > 1
    assert "ADU" in words(draw_noise(pane(state, now)))
    assert "Masterflat_L" in words(draw_masters(pane(state, now, 100)))


def test_an_error_stays_among_the_latest_events() -> None:
    state, now = played_until(lambda event: isinstance(event, ExposureStarted) and event.step == 2)
    state.apply(Notice(now, Severity.ERROR, "the panel gave no light"))
    for _ in range(30):
        now += timedelta(seconds=1)
        state.apply(Notice(now, Severity.INFO, "nothing to worry about"))
    lines = draw_latest(pane(state, now, height=5))
    assert "the panel gave no light" in lines[0].plain
    assert len(lines) == 5


@pytest.mark.parametrize("section", ALL, ids=lambda section: str(section.__name__))
@pytest.mark.parametrize(("width", "height"), [(24, 1), (40, 3), (200, 50)])
def test_a_section_fits_its_height_at_any_moment(section: Section, width: int, height: int) -> None:
    moments = [(DashboardState(), DUSK), played_until(lambda event: isinstance(event, FlatTuned)), played_until()]
    for state, now in moments:
        for glyphs in (ASCII, UNICODE):
            lines = section(Pane(state, now, width, height, glyphs))
            assert len(lines) <= max(height, 3)


def test_the_footer_has_a_line_for_keys_and_one_for_a_note() -> None:
    state, now = played_until(lambda event: isinstance(event, FrameAccepted))
    controls = Controls(lambda _request: None)
    assert footer_height(controls) == 1
    assert "? help" in words(footer_section(controls)(pane(state, now, 120)))


def test_titles_and_labels_fill_their_width() -> None:
    assert heading("plan", 20, ASCII).cell_len == 20
    assert spread(Text("left"), Text("right"), 12).plain == "left   right"
    assert spread(Text("left"), Text("right"), 8).plain == "left"
    assert [line.plain for line in labelled([Text("x"), Text("y")], "9", "0", 3)] == [" 9 x", " 0 y"]
