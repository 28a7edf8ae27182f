"""Events as sentences."""

import io
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
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
    FrameRejected,
    HookEnded,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    PanelChanged,
    SetResized,
    StepEnded,
    StepStarted,
    TemperatureRead,
)
from coldframe.capture.events.previews import FrameShown
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.monitoring.progress.line_logs import LineLog
from coldframe.capture.monitoring.progress.narrator import Narrator, severity_of
from coldframe.capture.storage.journal import encode_event
from coldframe.config.frames import FrameKind
from coldframe.devices.flat_panel import CoverState

AT = datetime(2026, 11, 22, 3, 12, 33, tzinfo=UTC)
STEPS = (PlannedStep(3, "flat Ha", FrameKind.FLAT, "Ha", 20, None, 80.0, StepType.SHOOT),)
STARTED = NightStarted(AT, "/nights/1", "ASI2600", "Flip Flat", None, 6248, 4176, STEPS)
FIGURES = FrameStatistics(26_180.2, 26_000, 26_000, 142.3, 9, 60_000, 0.0)


def lines_of(*events: Event) -> list[str]:
    stream = io.StringIO()
    log = LineLog(stream, zone=timezone(timedelta(hours=1)))
    for event in (STARTED, *events):
        log(event)
    return stream.getvalue().splitlines()[1:]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (FrameAccepted(AT, 3, 7, "/x", 0.842, -10.0, FIGURES), "flat Ha 7/20 0.842 s level 26,180 ADU noise 142"),
        (FrameRejected(AT, 3, "/q/f_7.fits", "too bright"), "flat Ha frame rejected: too bright, kept as f_7.fits"),
        (StepStarted(AT, 3), "flat Ha begins, about 80 s"),
        (StepEnded(AT, 3, StepOutcome.FAILED, "no light"), "flat Ha failed: no light"),
        (TemperatureRead(AT, -9.8, -10.0, 43.0), "sensor -9.8 C, setpoint -10.0 C, power 43 %"),
        (TemperatureRead(AT, None, None, None), "sensor no reading"),
        (CoolingProgress(AT, "-7.2 C, falling"), "cooling: -7.2 C, falling"),
        (PanelChanged(AT, lit=True, brightness=120, cover=CoverState.CLOSED), "panel lit at 120, cover closed"),
        (PanelChanged(AT, lit=False, brightness=None, cover=None), "panel dark"),
        (FilterChanged(AT, "Ha"), "filter Ha"),
        (ExposureStarted(AT, 3, FrameKind.DARK, 300.0), "flat Ha exposing 300 s"),
        (
            FlatTested(AT, 3, "Ha", 1.5, 120, 15_920.0, 500, 26_500, 20_000, 33_000, 0.0, "longer"),
            "flat Ha: tested 1.5 s at brightness 120, level 15,920 ADU: longer",
        ),
        (FlatTuned(AT, 3, "Ha", 2.31, None, 1, 65535), "flat Ha: chose 2.31 s after 1 test"),
        (MasterWritten(AT, 3, "/m/M.fits", 20, 1, 0.1, 0), "master of flat Ha written from 20 frames: M.fits"),
        (Notice(AT, Severity.INFO, "hello"), "hello"),
        (Notice(AT, Severity.ERROR, "the cover\nis stuck"), "error: the cover is stuck"),
        (NightEnded(AT, NightOutcome.INCOMPLETE, "1 missing"), "night incomplete: 1 missing"),
    ],
)  # fmt: skip
def test_each_event_has_its_line_in_local_time(event: Event, words: str) -> None:
    assert lines_of(event) == [f"04:12:33 {words}"]


def test_the_first_line_describes_the_plan() -> None:
    stream = io.StringIO()
    LineLog(stream, zone=UTC)(STARTED)
    assert stream.getvalue() == (
        "03:12:33 night begins: ASI2600 (6248 x 4176), panel Flip Flat; 1 step, about 80 s; in /nights/1\n"
    )


def test_the_line_of_a_step_has_its_duration() -> None:
    ended = StepEnded(AT + timedelta(seconds=90), 3, StepOutcome.DONE)
    assert lines_of(StepStarted(AT, 3), ended)[-1] == "04:14:03 flat Ha done after 90 s"


def test_temperatures_get_at_most_one_line_a_minute() -> None:
    readings = [TemperatureRead(AT + timedelta(seconds=second), -10.0, -10.0, 40.0) for second in range(0, 181, 2)]
    assert [line[:8] for line in lines_of(*readings)] == ["04:12:33", "04:13:33", "04:14:33", "04:15:33"]


@pytest.mark.parametrize(
    "event",
    [
        MasterGrew(AT, 3, 2, 1.0),
        ExposureStarted(AT, 3, FrameKind.FLAT, 0.8),
        FrameShown(AT, "x", np.zeros((2, 2), np.uint8), np.zeros(128, np.int64)),
    ],
)
def test_some_events_have_no_line(event: Event) -> None:
    assert lines_of(event) == []


def test_an_unknown_step_is_named_by_its_number() -> None:
    line = Narrator().narrate(StepStarted(AT, 9))
    assert line is not None
    assert line.text == "step 9 begins"


def test_a_resized_set_is_a_warning() -> None:
    narrator, reason = Narrator(), "as the last frame must be in by 06:30"
    fewer, none = SetResized(AT, 3, 14, 56.0, reason), SetResized(AT, 3, 0, 0.0, reason)
    narrator.narrate(STARTED)
    line = narrator.narrate(fewer)
    assert line is not None
    assert (line.severity, line.text) == (
        Severity.WARNING,
        "flat Ha: 14 frames, as the last frame must be in by 06:30",
    )
    skipped = narrator.narrate(none)
    assert skipped is not None
    assert skipped.text == f"flat Ha: skipped, {reason}"


def test_a_hook_is_reported_with_its_result() -> None:
    done, failed = HookEnded(AT, "park", "", "parked"), HookEnded(AT, "park", "failed with exit status 1", "")
    assert [severity_of(event) for event in (done, failed)] == [Severity.INFO, Severity.ERROR]
    narrator = Narrator()
    lines = [narrator.narrate(event) for event in (done, failed)]
    assert [each.text for each in lines if each] == ["park: done", "park: failed with exit status 1"]
    assert '"output": "parked"' in encode_event(done)
