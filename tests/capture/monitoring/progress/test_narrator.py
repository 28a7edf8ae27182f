"""One line per event, well worded; JSON lines for programs."""

import io
import json
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
    FrameShown,
    MasterGrew,
    MasterWritten,
    NightEnded,
    NightOutcome,
    NightStarted,
    Notice,
    PanelChanged,
    PlannedStep,
    Severity,
    StepEnded,
    StepOutcome,
    StepStarted,
    StepType,
    TemperatureRead,
)
from coldframe.capture.monitoring.progress.line_logs import JsonLog, LineLog
from coldframe.capture.monitoring.progress.narrator import Narrator
from coldframe.capture.monitoring.progress.quantities import duration_text, exposure_text, printable
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
            "flat Ha test 1.5 s at 120 level 15,920 ADU: longer",
        ),
        (FlatTuned(AT, 3, "Ha", 2.31, None, 1, 65535), "flat Ha tuned to 2.31 s in 1 test"),
        (MasterWritten(AT, 3, "/m/M.fits", 20, 1, 0.1, 0), "master of flat Ha from 20 frames written: M.fits"),
        (Notice(AT, Severity.INFO, "hello"), "hello"),
        (Notice(AT, Severity.ERROR, "the cover\nis stuck"), "error: the cover is stuck"),
        (NightEnded(AT, NightOutcome.INCOMPLETE, "1 missing"), "night incomplete: 1 missing"),
    ],
)  # fmt: skip
def test_each_event_has_its_line_with_local_time(event: Event, words: str) -> None:
    assert lines_of(event) == [f"04:12:33 {words}"]


def test_first_line_tells_the_plan() -> None:
    stream = io.StringIO()
    LineLog(stream, zone=UTC)(STARTED)
    assert stream.getvalue() == (
        "03:12:33 night begins: ASI2600 (6248 x 4176), panel Flip Flat; 1 steps, about 80 s, into /nights/1\n"
    )


def test_step_tells_how_long_it_took() -> None:
    ended = StepEnded(AT + timedelta(seconds=90), 3, StepOutcome.DONE)
    assert lines_of(StepStarted(AT, 3), ended)[-1] == "04:14:03 flat Ha done after 90 s"


def test_temperature_comes_once_a_minute_at_most() -> None:
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


def test_unknown_step_is_named_by_its_number() -> None:
    told = Narrator().tell(StepStarted(AT, 9))
    assert told is not None
    assert told.text == "step 9 begins"


def test_log_to_a_closed_pipe_is_let_go() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    LineLog(Closed())(STARTED)
    JsonLog(Closed())(STARTED)


def test_stream_of_another_encoding_gets_what_it_can_hold() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    LineLog(stream, zone=UTC)(FilterChanged(AT, "Hé"))
    assert raw.getvalue() == b"03:12:33 filter H?\n"


def test_json_log_writes_an_object_per_line_and_no_pictures() -> None:
    stream = io.StringIO()
    log = JsonLog(stream)
    log(STARTED)
    log(FrameShown(AT, "x", np.zeros((2, 2), np.uint8), np.zeros(128, np.int64)))
    log(FilterChanged(AT, "Ha"))
    objects = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [item["event"] for item in objects] == ["night-started", "filter-changed"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3599, "1 h 00 min"),
        (3840, "1 h 04 min"),
        (90_000, "25 h 00 min"),
        (float("inf"), "-"),
        (float("nan"), "-"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words


@pytest.mark.parametrize(
    ("exposure_s", "words"), [(300, "300 s"), (0.842, "0.842 s"), (3.2e-5, "0.032 ms"), (0, "0 s")]
)
def test_exposures(exposure_s: float, words: str) -> None:
    assert exposure_text(exposure_s) == words


def test_printable_keeps_letters_and_drops_controls() -> None:
    assert printable("Hé\x1b[2J\n\tok\x00") == "Hé [2J ok"
