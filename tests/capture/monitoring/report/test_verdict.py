"""The verdict on a night, in one sentence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coldframe.capture.events.kinds import NightEnded, NightStarted, Notice, StepStarted
from coldframe.capture.events.values import NightOutcome, Severity, Topic
from coldframe.capture.monitoring.report.contents import NightState, SetReport, SetState, Verdict
from coldframe.capture.monitoring.report.runs import Run
from coldframe.capture.monitoring.report.verdict import verdict_of
from coldframe.config.frames import FrameKind
from tests.capture.monitoring.report.stories import PLAN

AT = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
STARTED = NightStarted(AT, "/night", "Camera", None, None, 40, 30, PLAN)
ENDED = NightEnded(AT, NightOutcome.COMPLETE, "", rig_is_safe=True)
MADE = SetReport("bias", FrameKind.BIAS, None, 0.0, 3, 3, 0, SetState.MADE, "", (), (), ())


def missing(title: str, reason: str, *, is_reached: bool = True) -> SetReport:
    return replace(MADE, title=title, state=SetState.MISSING, reason=reason, is_reached=is_reached)


def verdict(*sets: SetReport, ended: NightEnded | None = ENDED, is_running: bool = False) -> Verdict:
    events = (STARTED, StepStarted(AT, 5), *([ended] if ended else []))
    return verdict_of(Run(STARTED, events), sets, zone=UTC, is_running=is_running)


@pytest.mark.parametrize(
    ("rig_is_safe", "not_safe", "sentence"),
    [
        (True, (), "The rig is safe."),
        (False, ("The lamp is on.", "The cover is open."), "The rig is NOT safe: The lamp is on. The cover is open."),
        (False, (), "The rig is NOT safe."),
        (None, (), "It is unknown whether the rig is safe: run “coldframe safe”."),
    ],
)
def test_the_last_sentence_is_about_the_rig(
    rig_is_safe: bool | None,  # noqa: FBT001
    not_safe: tuple[str, ...],
    sentence: str,
) -> None:
    found = verdict(MADE, ended=replace(ENDED, rig_is_safe=rig_is_safe, not_safe=not_safe))
    assert found.safe is rig_is_safe
    assert found.sentence == f"The one planned master was made. {sentence}"


def test_a_sensor_that_is_still_cold_is_stated() -> None:
    found = verdict(MADE, ended=replace(ENDED, rig_is_safe=True, still_cold_c=-3.2))
    assert found.safe
    assert found.sentence.endswith("sensor at -3 C and warming up to the air temperature.")


def test_missing_sets_with_the_same_reason_are_listed_together() -> None:
    sets = (MADE, missing("flat L", "no light"), missing("flat R", "no light"), missing("dark", "by request"))
    assert verdict(*sets).sentence == (
        "1 of 4 masters was made. Missing: flat L and flat R (no light), dark (by request). The rig is safe."
    )


def test_a_setpoint_that_was_out_of_reach_is_stated_once_with_the_advice() -> None:
    advice = "-10 C was not reached: its sets are shot at 5 C; choose 5 or warmer"
    notice = Notice(AT, Severity.WARNING, advice, topic=Topic.SETPOINT)
    run = Run(STARTED, (STARTED, notice, Notice(AT, Severity.INFO, "hot"), notice, ENDED))
    sentence = verdict_of(run, [MADE], zone=UTC, is_running=False).sentence
    assert sentence == f"The one planned master was made. {advice}. The rig is safe."


def test_only_the_first_reasons_are_listed() -> None:
    sets = [missing(f"set {number}", f"reason {number}") for number in range(5)]
    assert "set 0 (reason 0), set 1 (reason 1), and 3 more." in verdict(*sets).sentence


def test_sets_that_the_night_did_not_reach_need_no_reason() -> None:
    interrupted = replace(ENDED, outcome=NightOutcome.INTERRUPTED)
    found = verdict(MADE, missing("dark", "not reached", is_reached=False), ended=interrupted)
    assert found.sentence == "The night was ended by request. 1 of 2 masters was made. The rig is safe."


def test_the_cause_of_an_aborted_night_is_abbreviated() -> None:
    aborted = replace(
        ENDED, outcome=NightOutcome.ABORTED, result=f"another program changes the rig: {'x' * 200}. End it"
    )
    assert verdict(MADE, ended=aborted).sentence.startswith("The night was aborted: another program changes the rig. ")


def test_a_night_without_an_ending_broke_off_or_is_running() -> None:
    broken, running = verdict(MADE, ended=None), verdict(MADE, ended=None, is_running=True)
    assert (broken.state, running.state) == (NightState.BROKEN_OFF, NightState.RUNNING)
    assert broken.sentence.startswith(
        "The night stopped unexpectedly at 05:30, during dark 10 s; the one planned master was made."
    )
    assert running.sentence == "The night is still running: 1 of 1 masters were made by 05:30."
