"""Nights in which a diagnosis asks for a set to be shot again, or fails. The results of the diagnoses are scripted."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.events.kinds import Event, FlatTuned, FrameAccepted, MasterWritten, Notice, StepEnded
from coldframe.capture.events.values import NightOutcome, Severity, StepOutcome
from coldframe.capture.events.verification import Artifact, Cleanness, LightsVerified, Verified
from coldframe.capture.monitoring.report.gathering import gather
from coldframe.capture.storage.journal_reader import read_journal
from coldframe.capture.verifying import diagnosis_process
from coldframe.capture.verifying.diagnosis_process import DiagnosisError, DiagnosisProcess, Judgement
from coldframe.capture.verifying.verification import LightsVerification
from coldframe.config.settings import Settings
from coldframe.simulators.sensor import Sensor
from tests.nights.nights import START, NightRun, files_in, run_night
from tests.nights.test_troubled_nights import SMALL, Rigged, short
from tests.nights.test_verified_lights import lights_of

pytestmark = pytest.mark.looptime

Lights = Mapping[Path, FrameSetup]
CLEAN = Judgement(12, Cleanness.CLEAN, ())


def faulty(remedy: Remedy, frames: int | None = None, kind: Kind = Kind.BANDING) -> Judgement:
    artifact = Artifact(kind, "a fault was found", 3.0, "ADU", 0.1, 30.0, "evidence", "a fix", remedy, frames)
    return Judgement(12, Cleanness.FAULTY, (artifact,))


class Script:
    """Answers each diagnosis of lights by the next judgement, and the last one from then on; flats are clean."""

    def __init__(self, *judgements: Judgement | Exception) -> None:
        self.judgements = list(judgements)
        self.asked: list[Mapping[str, Path]] = []

    def run(self, _frames: tuple[Path, ...], masters: Mapping[str, Path], *, are_flats: bool) -> Judgement:
        if are_flats:
            return CLEAN
        self.asked.append(masters)
        found = self.judgements.pop(0) if len(self.judgements) > 1 else self.judgements[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def lights(tmp_path: Path) -> Lights:
    return lights_of(Sensor(SMALL.sensor, SMALL.seed), SMALL, tmp_path / "lights", 2)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Script]:
    def script(*judgements: Judgement | Exception) -> Script:
        made = Script(*judgements)
        monkeypatch.setattr(DiagnosisProcess, "run", made.run)
        return made

    return script


async def shot(tmp_path: Path, lights: Lights, settings: Settings | None = None, **options: Any) -> NightRun:
    return await run_night(settings or short(), SMALL, tmp_path / "nights", lights=lights, **options)


def results(run: NightRun) -> list[tuple[Cleanness, Remedy | None]]:
    """Return the results about lights, and the remedies that the night carried out."""
    return [(event.cleanness, event.reshoots) for event in run.of(LightsVerified) if event.frames is Verified.LIGHTS]


def warnings(run: NightRun) -> list[str]:
    return [notice.text for notice in run.of(Notice) if notice.severity is not Severity.INFO]


def assert_whole(run: NightRun) -> None:
    assert run.outcome is NightOutcome.COMPLETE
    assert {ended.outcome for ended in run.of(StepEnded)} == {StepOutcome.DONE}


def masters(run: NightRun, kind: str) -> list[int]:
    """Return the frame counts of the masters of a kind."""
    return [event.frames for event in run.of(MasterWritten) if Path(event.path).name.startswith(f"{kind}_")]


async def test_more_darks_are_added_to_those_on_the_disk(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    script = scripted(faulty(Remedy.MORE_DARKS, 10), CLEAN)
    run = await shot(tmp_path, lights)
    assert_whole(run)
    assert results(run) == [
        (Cleanness.FAULTY, None),
        (Cleanness.FAULTY, Remedy.MORE_DARKS),
        (Cleanness.CLEAN, None),
    ]
    assert masters(run, "MasterDark") == [6, 10]
    assert len(files_in(run.folder, "darks/*/*.fits")) == 10
    assert script.asked[0]["dark"] != script.asked[1]["dark"]
    assert len(files_in(tmp_path / "nights" / "library", "*/darks/*.fits")) == 1, "the first master is superseded"
    sentence = gather(read_journal(run.folder / "journal.jsonl")).verdict.sentence
    assert sentence.startswith("Your lights calibrate cleanly")


async def test_more_flats_are_added_at_most_once(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    scripted(faulty(Remedy.MORE_FLATS, 1000))
    run = await shot(tmp_path, lights)
    assert_whole(run)
    assert masters(run, "MasterFlat")[-1] == 18, "three times the planned number at most"
    assert [reshoots for _, reshoots in results(run)].count(Remedy.MORE_FLATS) == 1
    verdict = gather(read_journal(run.folder / "journal.jsonl")).verdict.sentence
    assert verdict.startswith("L: a fault was found. Do not dismantle the rig: `coldframe run --only flats:L --redo`.")


async def test_flats_that_flicker_are_exposed_longer_with_a_dimmer_panel(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    scripted(faulty(Remedy.LONGER_FLATS), CLEAN)
    run = await shot(tmp_path, lights)
    assert_whole(run)
    tuned = [event for event in run.of(FlatTuned) if event.filter == "L"]
    assert tuned[1].exposure_s >= 2 * tuned[0].exposure_s
    assert (tuned[1].brightness or 0) < (tuned[0].brightness or 0)
    flats = [read_header(Path(event.path)) for event in run.of(MasterWritten) if "MasterFlat_" in event.path]
    assert flats[-1]["EXPTIME"] == tuned[1].exposure_s
    assert results(run)[-1] == (Cleanness.CLEAN, None)


@pytest.mark.parametrize("remedy", [Remedy.NEW_FLATS, Remedy.NEW_DARKS, Remedy.NONE])
async def test_a_set_that_would_be_the_same_again_is_not_shot(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script], remedy: Remedy
) -> None:
    scripted(faulty(remedy))
    run = await shot(tmp_path, lights)
    assert_whole(run)
    assert results(run) == [(Cleanness.FAULTY, None)]
    assert len(run.of(MasterWritten)) == len(short().sets)


async def test_without_time_nothing_is_shot_again(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    script = scripted(faulty(Remedy.MORE_DARKS, 18))
    ended = (await shot(tmp_path, lights)).of(MasterWritten)[-2].at
    script.asked.clear()
    settings = short()
    run = await run_night(settings, SMALL, tmp_path / "short", lights=lights, deadline=ended + timedelta(seconds=5))
    (event,) = [each for each in run.of(LightsVerified) if each.hindrance]
    assert event.hindrance == "there is no time for it before the deadline"
    assert len(run.of(MasterWritten)) == len(settings.sets)
    assert_whole(run)


@pytest.mark.parametrize("error", [DiagnosisError("it failed"), OSError("no such file"), ZeroDivisionError("bug")])
async def test_a_diagnosis_that_fails_is_a_notice(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script], error: Exception
) -> None:
    scripted(error)
    rigged = Rigged()
    run = await shot(tmp_path, lights, meddle=rigged)
    assert_whole(run)
    assert results(run) == []
    (text,) = set(warnings(run))
    assert "lights are not verified" in text
    rigged.assert_safe()


async def test_a_process_that_dies_or_hangs_is_a_notice(
    tmp_path: Path, lights: Lights, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, complaint in (("import time; time.sleep(60)", "longer than 0 s"), ("raise SystemExit(3)", "failed")):
        command = sys.executable, "-c", program
        monkeypatch.setattr(diagnosis_process.DiagnosisProcess.__init__, "__defaults__", (command, 0.4))
        run = await run_night(short(), SMALL, tmp_path / complaint, lights=lights)
        assert_whole(run)
        assert any("lights are not verified" in text and complaint in text for text in warnings(run))


async def test_a_diagnosis_that_takes_too_long_does_not_delay_the_warm_up(
    tmp_path: Path, lights: Lights, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = await shot(tmp_path, {})

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LightsVerification, "verify_lights", never)
    rigged = Rigged()
    run = await run_night(short(), SMALL, tmp_path / "hanging", rigged, lights=lights)
    assert_whole(run)
    assert any("was not finished" in text for text in warnings(run))
    rigged.assert_safe()
    took, usual = (run.events[-1].at - START, clean.events[-1].at - START)
    assert took < 1.03 * usual


async def test_a_failure_of_the_second_set_keeps_the_first_master(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(faulty(Remedy.MORE_DARKS, 10))
    monkeypatch.setattr("coldframe.capture.night.reshooting.SetShooting", None)
    run = await shot(tmp_path, lights)
    assert_whole(run)
    assert masters(run, "MasterDark") == [6]
    assert any("its first master stays in use" in text for text in warnings(run))


async def test_a_resumed_night_verifies_its_lights(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    scripted(faulty(Remedy.LONGER_FLATS))
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        began = isinstance(event, LightsVerified) and event.reshoots is not None
        if began and sum(isinstance(each, LightsVerified) and each.reshoots is not None for each in seen) == 1:
            running.cancel()

    running = asyncio.create_task(shot(tmp_path, lights, hear=stop))
    with pytest.raises(asyncio.CancelledError):
        await running
    script = scripted(faulty(Remedy.LONGER_FLATS))
    run = await shot(tmp_path, lights)
    assert_whole(run)
    assert len(script.asked) == 1, "the set was exposed again before"
    (event,) = [each for each in run.of(LightsVerified) if each.hindrance]
    assert event.hindrance == "its flats were already exposed longer"
    assert not [each for each in run.of(FrameAccepted) if not each.is_taken_over]


async def test_the_setting_switches_the_verification_off(
    tmp_path: Path, lights: Lights, scripted: Callable[..., Script]
) -> None:
    script = scripted(CLEAN)
    verify = short().verify.model_copy(update={"lights": False})
    run = await shot(tmp_path, lights, short().model_copy(update={"verify": verify}))
    assert_whole(run)
    assert script.asked == []
    assert run.of(LightsVerified) == []


async def test_results_survive_the_journal(tmp_path: Path, lights: Lights, scripted: Callable[..., Script]) -> None:
    artifact = faulty(Remedy.NEW_FLATS).artifacts[0]
    scripted(Judgement(5, Cleanness.FAULTY, (replace(artifact, frames=7), artifact)))
    run = await shot(tmp_path, lights)
    read = [each for each in read_journal(run.folder / "journal.jsonl") if isinstance(each, LightsVerified)]
    assert read == run.of(LightsVerified)
