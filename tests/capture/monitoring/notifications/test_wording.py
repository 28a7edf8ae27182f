"""The few notifications of a night, which report its start, each kind of problem once, and its end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.measuring.statistics import FrameStatistics
from coldframe.capture.events.kinds import (
    Event,
    FrameAccepted,
    FrameRejected,
    MasterWritten,
    NightEnded,
    NightStarted,
    Notice,
    StepEnded,
    TemperatureRead,
)
from coldframe.capture.events.values import (
    NightOutcome,
    PlannedStep,
    Severity,
    StepOutcome,
    StepType,
)
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.notifications.wording import (
    LONGEST_TEXT,
    MOST_PROBLEMS,
    Notification,
    NotificationWriter,
)
from coldframe.config.frames import FrameKind
from coldframe.config.tables.notify import NotifySettings

START = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
STEPS = (PlannedStep(1, "bias", FrameKind.BIAS, None, 5, 0.001, 10.0, StepType.SHOOT),)
BEGUN = NightStarted(START, "/frames", "Camera", None, None, 160, 120, STEPS)
ENDED = NightEnded(START + timedelta(minutes=90), NightOutcome.INCOMPLETE, "missing: bias (no light)")


STATISTICS = FrameStatistics(5.0, 5.0, 5.0, 1.0, 4, 6, 0.0)
WANTED = NotifySettings(urls_from=("X",))


def notifications(*events: Event, settings: NotifySettings = WANTED) -> list[Notification]:
    writer = NotificationWriter(settings, "Rig")
    return [notification for event in events if (notification := writer.write(event)) is not None]


def rejected(reason: str) -> FrameRejected:
    return FrameRejected(START, 1, "/frames/x.fits", reason)


def test_start_and_end_are_reported_with_the_results_of_the_night() -> None:
    begun, ended = notifications(BEGUN, TemperatureRead(START, -10, -10, 40), ENDED)
    assert (begun.title, begun.severity) == ("Rig: night begins", Severity.INFO)
    (resumed,) = notifications(replace(BEGUN, is_resumed=True))
    assert resumed.title == "Rig: night resumed"
    assert "Camera (160 x 120)" in begun.text
    assert (ended.title, ended.severity) == ("Rig: night incomplete", Severity.WARNING)
    assert ended.text == "missing: bias (no light); 0 frames, 0 masters in 1 h 30 min"


def test_frames_and_masters_that_two_sets_share_are_counted_once() -> None:
    events = list[Event]()
    for step in (1, 2):
        events += [FrameAccepted(START, step, index, f"/n/{index}.fits", 1.0, -10.0, STATISTICS) for index in (1, 2, 3)]
        events.append(MasterWritten(START, step, "/n/masters/shared.fits", 3, 500.0, 2.0, 0.0))
    *_, ended = notifications(BEGUN, *events, ENDED)
    assert "; 3 frames, 1 master in" in ended.text


def test_the_end_states_first_whether_the_lights_calibrate_clean() -> None:
    clean = LightsVerified(START, Verified.LIGHTS, "Ha", 300.0, 12, Cleanness.CLEAN)
    complete = replace(ENDED, outcome=NightOutcome.COMPLETE, summary="all planned masters were made")
    _, ended = notifications(BEGUN, clean, complete)
    assert ended.text.startswith("Your lights calibrate cleanly. all planned masters were made")
    assert ended.severity is Severity.INFO
    artifact = Artifact(Kind.DUST, "dust moved", 9.0, "px", 0.3, 30.0, "e", "f", Remedy.NEW_FLATS)
    faulty = replace(clean, cleanness=Cleanness.FAULTY, artifacts=(artifact,))
    _, problem, ended = notifications(BEGUN, faulty, faulty, complete)
    assert (problem.title, problem.severity) == ("Rig: problem", Severity.WARNING)
    assert ended.text.startswith("Ha: dust moved. Do not dismantle the rig")
    assert ended.severity is Severity.WARNING


def test_each_kind_of_problem_is_reported_once() -> None:
    sent = notifications(
        BEGUN,
        rejected("level 31,200 ADU above 30,100"),
        rejected("level 32,900.5 ADU above 30,100"),
        rejected("0.2 % saturated"),
        Notice(START, Severity.WARNING, "the cooler is at 100 %"),
        Notice(START, Severity.WARNING, "the cooler is at 99 %"),
        StepEnded(START, 1, StepOutcome.FAILED, "no light"),
        Notice(START, Severity.INFO, "all is well"),
        ENDED,
    )
    assert [each.title for each in sent[1:-1]] == ["Rig: problem"] * 4
    assert [each.severity for each in sent[1:-1]] == [Severity.WARNING] * 3 + [Severity.ERROR]
    assert "3 rejected, 6 problems" in sent[-1].text


def test_number_of_problems_reported_is_limited() -> None:
    notices = [Notice(START, Severity.ERROR, "trouble " + "abcdefgh"[number % 8] * number) for number in range(1, 200)]
    assert len(notifications(BEGUN, *notices, ENDED)) == MOST_PROBLEMS + 2


def test_notifications_can_be_switched_off_by_kind() -> None:
    events = (BEGUN, rejected("x"), ENDED)
    problems_only = WANTED.model_copy(update={"start": False, "done": False})
    assert [each.title for each in notifications(*events, settings=problems_only)] == ["Rig: problem"]
    assert notifications(*events, settings=problems_only.model_copy(update={"problems": False})) == []


def test_long_text_of_a_driver_is_cut() -> None:
    (notification,) = notifications(Notice(START, Severity.ERROR, "x\x1b[2J" * 5000))
    assert len(notification.text) == LONGEST_TEXT
    assert notification.text.isprintable()
