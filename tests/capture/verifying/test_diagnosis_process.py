"""Tests for the process that diagnoses frames."""

import json
import math
import sys
import threading
import time
from pathlib import Path

import pytest

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.verification import Cleanness
from coldframe.capture.verifying.diagnosis_process import DiagnosisError, DiagnosisProcess, judgement_of

ARTIFACT = {
    "kind": "dust",
    "cause": "moved",
    "size": 9.0,
    "unit": "px",
    "error": None,
    "significance": 30.0,
    "evidence": "e",
    "fix": "f",
    "remedy": "new-flats",
    "frames": None,
}


def process(program: str, deadline_s: float = 20.0) -> DiagnosisProcess:
    return DiagnosisProcess((sys.executable, "-c", program), deadline_s)


def run(each: DiagnosisProcess) -> None:
    each.run((Path("a.fits"),), {"dark": Path("d"), "flat": Path("f")}, are_flats=False)


def test_a_result_is_read() -> None:
    found = judgement_of(json.dumps({"count": 3, "cleanness": "faulty", "artifacts": [ARTIFACT]}))
    (artifact,) = found.artifacts
    assert (found.count, found.cleanness) == (3, Cleanness.FAULTY)
    assert (artifact.kind, artifact.remedy, artifact.frames) == (Kind.DUST, Remedy.NEW_FLATS, None)
    assert math.isnan(artifact.error)


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"count": 1, "cleanness": "dirty", "artifacts": []}'])
def test_what_is_no_result_is_refused(answer: str) -> None:
    with pytest.raises(DiagnosisError, match="not valid"):
        judgement_of(answer)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit('no light')", "no light"),
        ("import os; os.abort()", "failed"),
        ("print('what')", "not valid"),
    ],
)
def test_a_process_that_fails_states_the_reason(program: str, reason: str) -> None:
    with pytest.raises(DiagnosisError, match=reason):
        run(process(program))


def test_a_program_that_is_missing_is_an_error() -> None:
    with pytest.raises(DiagnosisError, match="could not be started"):
        run(DiagnosisProcess(("/no/such/program",)))


def test_a_process_that_hangs_is_ended_at_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(DiagnosisError, match="longer than"):
        run(process("import time; time.sleep(60)", 0.3))
    assert time.monotonic() - began < 20


def test_a_running_process_can_be_ended() -> None:
    sleeping = process("import time; time.sleep(60)")
    timer = threading.Timer(0.5, sleeping.end)
    timer.start()
    with pytest.raises(DiagnosisError, match="was ended"):
        run(sleeping)
    timer.join()


def test_frames_that_are_missing_are_an_error_of_the_real_process() -> None:
    with pytest.raises(DiagnosisError, match="No such file"):
        run(DiagnosisProcess())
