"""Tests for the sentences about lights."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.progress.verification_words import command_for, line_of, night_sentences

AT = datetime(2026, 11, 23, 5, tzinfo=UTC)
CLEAN = LightsVerified(AT, Verified.LIGHTS, "Ha", 300.0, 12, Cleanness.CLEAN)
CAUSE = "the donuts are displaced by 9 px (3 o'clock)"
DUST = Artifact(Kind.DUST, CAUSE, 9.0, "px", 0.3, 30.0, "evidence", "fix", Remedy.NEW_FLATS)
FAULTY = replace(CLEAN, cleanness=Cleanness.FAULTY, artifacts=(DUST,))


def by(remedy: Remedy) -> LightsVerified:
    return replace(FAULTY, artifacts=(replace(DUST, remedy=remedy),))


def test_clean_lights() -> None:
    assert line_of(CLEAN) == "Ha: 12 lights calibrate cleanly"
    assert line_of(replace(CLEAN, count=1, filter=None)) == "300 s: 1 light calibrates cleanly"
    assert night_sentences([CLEAN]) == "Your lights calibrate cleanly."
    assert night_sentences([]) == ""


def test_faulty_lights_name_the_cause_and_the_command() -> None:
    assert night_sentences([CLEAN, FAULTY]) == (
        f"Ha: {CAUSE}. Do not dismantle the rig: restore the focus and rotation of the lights, then run "
        "`coldframe run --only flats:Ha --redo`."
    )
    assert "and 1 more finding" in line_of(replace(FAULTY, artifacts=(DUST, DUST)))


def test_the_latest_result_counts() -> None:
    assert night_sentences([FAULTY, CLEAN]) == "Your lights calibrate cleanly."
    flats = replace(FAULTY, frames=Verified.FLATS, exposure_s=None)
    assert night_sentences([CLEAN, flats]).startswith("Ha flats: the donuts")


def test_only_two_faults_are_in_the_sentence() -> None:
    faults = [replace(FAULTY, filter=name) for name in ("L", "R", "G", "B")]
    assert night_sentences(faults).endswith("2 more sets have artifacts.")


def test_few_tests_are_not_clean() -> None:
    unknown = replace(CLEAN, cleanness=Cleanness.UNKNOWN)
    assert "allow few tests" in line_of(unknown)
    assert night_sentences([CLEAN, replace(unknown, filter="OIII")]).endswith("some allow few tests (OIII).")


@pytest.mark.parametrize(
    ("remedy", "command"),
    [
        (Remedy.DARK_FLATS, "coldframe run --only flats:Ha --redo"),
        (Remedy.LONGER_FLATS, "coldframe run --only flats:Ha --redo"),
        (Remedy.MORE_DARKS, "coldframe run --only darks:300 --redo"),
        (Remedy.NEW_DARKS, "coldframe run --only darks:300 --redo"),
        (Remedy.NONE, ""),
    ],
)
def test_the_command_shoots_the_blamed_set(remedy: Remedy, command: str) -> None:
    event = by(remedy)
    assert command_for(event, event.artifacts) == command
    assert (command or "Fix") in line_of(event)


def test_what_the_night_does_is_stated() -> None:
    assert line_of(replace(by(Remedy.MORE_DARKS), reshoots=Remedy.MORE_DARKS)).endswith("more darks are shot")
    hindered = replace(by(Remedy.MORE_DARKS), hindrance="there is no time for it before the deadline")
    assert line_of(hindered).endswith("--redo` (there is no time for it before the deadline)")


def test_names_with_blanks_are_quoted() -> None:
    event = replace(FAULTY, filter="H alpha")
    assert command_for(event, event.artifacts) == 'coldframe run --only "flats:H alpha" --redo'
