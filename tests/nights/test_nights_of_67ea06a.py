"""Reporting and resuming nights of an earlier version, whose journals lack the fields that events have today.

`of_67ea06a` contains two nights of the small rig with a sensor of 64 x 48 pixels, written by commit 67ea06a. Only the
path of the folder in their journals was changed. One night is complete, but its files are missing. The user ended
the other night in the first flats of Ha, after a retried bias frame and a skipped tuning of L.
"""

import io
import shutil
from datetime import UTC
from pathlib import Path

import pytest
from rich.console import Console

from coldframe.capture.events.kinds import (
    Event,
    ExposureStarted,
    FrameAccepted,
    NightEnded,
    NightStarted,
    Notice,
    StepEnded,
)
from coldframe.capture.events.values import (
    NightOutcome,
    SkippedBy,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.dashboard.layout import render
from coldframe.capture.monitoring.progress.state import DashboardState
from coldframe.capture.monitoring.report.contents import NightState, SetState
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.monitoring.watching.messages import decode_message
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from tests.nights.nights import run_night

NIGHTS = Path(__file__).parent / "of_67ea06a"
COMPLETE, INTERRUPTED = NIGHTS / "complete", NIGHTS / "interrupted"


def settings_of_old() -> Settings:
    settings = load_settings(example_night("small"))
    return settings.model_copy(update={"sets": tuple(each.model_copy(update={"count": 3}) for each in settings.sets)})


def rig_of_old() -> SimulatedRig:
    rig = load_rig("small")
    return rig.model_copy(update={"sensor": rig.sensor.model_copy(update={"width": 64, "height": 48})})


def events_of(night: Path) -> list[Event]:
    return list(read_journal(night / "journal.jsonl"))


@pytest.mark.parametrize(("night", "lines"), [(COMPLETE, 214), (INTERRUPTED, 131)])
def test_no_line_is_passed_over(night: Path, lines: int) -> None:
    assert len(events_of(night)) == len((night / "journal.jsonl").read_text("ascii").splitlines()) == lines


def test_fields_are_derived_from_the_old_sentences() -> None:
    events = events_of(INTERRUPTED)
    (started,) = [each for each in events if isinstance(each, NightStarted)]
    shoot = StepType.SHOOT
    assert [(step.step_type, step.filter) for step in started.steps] == [
        (StepType.COOL, None),
        (shoot, None),
        (StepType.TUNE, "L"),
        (shoot, "L"),
        (shoot, "L"),
        (StepType.TUNE, "Ha"),
        (shoot, "Ha"),
        (shoot, "Ha"),
        (shoot, None),
        (StepType.WARM, None),
    ]
    assert started.steps[0].setpoint_c == -10.0
    assert [(each.step, each.skipped_by) for each in events if isinstance(each, StepEnded) and each.skipped_by] == [
        (3, SkippedBy.USER),
        (4, SkippedBy.MISSING_PREREQUISITE),
        (5, SkippedBy.MISSING_PREREQUISITE),
        (8, SkippedBy.NIGHT_ENDED),
    ]
    assert [each.will_retry for each in events if isinstance(each, Notice)] == [True, False]
    ended = events[-1]
    assert isinstance(ended, NightEnded)
    assert (ended.rig_is_safe, ended.not_safe) == (True, ())
    assert ended.result == "ended by request; the same command goes on with it tonight"


def test_the_complete_night_is_reported_as_it_was() -> None:
    report = gather(events_of(COMPLETE), zone=UTC)
    assert (report.verdict.state, report.verdict.safe) == (NightState.COMPLETE, True)
    assert [(made.state, made.accepted) for made in report.sets] == [(SetState.MADE, 3)] * 6
    assert [(tuning.title, tuning.exposure_s) for tuning in report.tunings] == [("flat L", 0.579), ("flat Ha", 1.032)]
    spent = report.time.spent
    assert (spent.exposing_s, spent.reading_s, spent.waiting_s, spent.moving_s, spent.lost_s) == pytest.approx(
        (31.503624, 4.351999, 21.157768, 3.46, 0.0)
    )


def test_the_interrupted_night_is_reported_as_it_was() -> None:
    report = gather(events_of(INTERRUPTED), zone=UTC)
    assert (report.verdict.state, report.verdict.safe) == (NightState.INTERRUPTED, True)
    assert [(made.title, made.state, made.accepted, made.reason) for made in report.sets] == [
        ("bias", SetState.MADE, 3, ""),
        ("dark flat L", SetState.MISSING, 0, "by request"),  # the reason of its tuning
        ("flat L", SetState.MISSING, 0, "by request"),
        ("dark flat Ha", SetState.MADE, 3, ""),
        ("flat Ha", SetState.MISSING, 1, "the night was ended"),
        ("dark 2 s", SetState.MISSING, 0, report.sets[-1].reason),
    ]
    assert [made.is_reached for made in report.sets] == [True] * 5 + [False]
    spent = report.time.spent
    assert (spent.exposing_s, spent.reading_s, spent.waiting_s, spent.moving_s, spent.lost_s) == pytest.approx(
        (10.826224, 1.852, 21.10544, 1.605, 1.0)
    )


def test_a_watcher_shows_it() -> None:
    state = DashboardState()
    for line in (INTERRUPTED / "journal.jsonl").read_bytes().splitlines():
        event = decode_message(line)
        assert isinstance(event, Event)
        state.apply(event)
    assert state.ended is not None
    assert state.is_stopping
    assert [step.planned.title for step in state.missing if step.skipped_by is not SkippedBy.USER] == [
        "dark flat L",
        "flat L",
        "flat Ha",
    ]
    console = Console(file=io.StringIO(), width=120, height=40, record=True)
    console.print(render(state, 120, 40, state.ended.at))
    shown = console.export_text()
    assert "Interrupted" in shown
    assert "flat Ha" in shown


@pytest.mark.looptime
@pytest.mark.parametrize("is_cut", [False, True], ids=["ended", "power cut"])
async def test_it_is_resumed(tmp_path: Path, *, is_cut: bool) -> None:
    folder = tmp_path / "2026-11-21"
    shutil.copytree(INTERRUPTED, folder)
    journal = folder / "journal.jsonl"
    lines = journal.read_text("ascii").replace("/nights/", f"{tmp_path}/").splitlines(keepends=True)
    if is_cut:
        begun = next(n for n, line in enumerate(lines) if '"step-started"' in line and '"step": 8' in line)
        lines = [*lines[: begun + 6], lines[begun + 6][:20]]
    journal.write_text("".join(lines), "ascii")
    before = {path: path.read_bytes() for path in folder.glob("*/*/*.fits")}
    night = await run_night(settings_of_old(), rig_of_old(), tmp_path)
    assert night.folder == folder
    assert night.outcome is NightOutcome.COMPLETE
    (started,) = night.of(NightStarted)
    assert started.is_resumed
    # What was done is known from the old journal, although its steps have no types there.
    assert [step.number for step in started.steps if step.kind is not None and step.estimate_s == 0] == [2, 7]
    assert {path: path.read_bytes() for path in before} == before
    taken_over = [event for event in night.of(FrameAccepted) if event.is_taken_over]
    assert len(taken_over) == len(before) == 7
    exposed = [event.kind for event in night.of(ExposureStarted) if event.step == 7]
    assert FrameKind.DARK_FLAT not in exposed
    assert all(ended.outcome is StepOutcome.DONE for ended in night.of(StepEnded))
    # The journal holds the lines of both versions now.
    report = gather(events_of(folder), zone=UTC)
    assert [(made.state, made.accepted) for made in report.sets] == [(SetState.MADE, 3)] * 6
    assert len(report.runs) == 2
