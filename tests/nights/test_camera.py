"""Nights that measure their camera, and use the result to choose between dark flats and bias."""

import json
from pathlib import Path

import pytest

from coldframe.calibration.camera.from_folder import measure_night
from coldframe.calibration.camera.record import CAMERAS, CameraRecords
from coldframe.calibration.files.frame_file import read_header
from coldframe.calibration.masters.flat_pedestal import PROBES, Subtract
from coldframe.capture.events.kinds import (
    CameraMeasured,
    FlatTuned,
    FrameAccepted,
    MasterWritten,
    Notice,
    PedestalDecided,
)
from coldframe.capture.events.values import NightOutcome, Severity
from coldframe.capture.shooting.camera_ladder import FRAMES_PER_RUNG, LADDER
from coldframe.capture.storage.journal import encode_event
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.config.loading import load_settings
from coldframe.config.settings import Settings
from coldframe.config.simulated_rig import SimulatedRig, load_rig
from coldframe.simulators.sensor import Sensor
from tests.nights.nights import NightRun, run_night

pytestmark = pytest.mark.looptime

GAIN = 150.0


def rig(**figures: object) -> SimulatedRig:
    """Return a smaller small rig without the hot pixels that would make dark flats necessary."""
    small = load_rig("small")
    size = {"width": 256, "height": 192, "hot_fraction": 0.0, "glow_e_per_s": 0.0}
    return small.model_copy(update={"sensor": small.sensor.model_copy(update=size | figures)})


def night(count: int = 10, **flats: object) -> Settings:
    settings = load_settings(example_night("small"))
    sets = tuple(each.model_copy(update={"count": count}) for each in settings.sets)
    return settings.model_copy(update={"sets": sets, "flats": settings.flats.model_copy(update=flats)})


def counts(run: NightRun, kind: FrameKind) -> int:
    return len([frame for frame in run.of(FrameAccepted) if f"/{kind.value}" in frame.path])


def flat_headers(run: NightRun) -> list[dict[str, object]]:
    return [dict(read_header(Path(event.path))) for event in run.of(MasterWritten) if "MasterFlat" in event.path]


async def test_a_night_measures_its_camera(tmp_path: Path) -> None:
    run = await run_night(night(20), rig(), tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    (measured,) = run.of(CameraMeasured)
    sensor = Sensor(rig().sensor, 1)
    assert measured.e_per_adu == pytest.approx(sensor.e_per_adu(GAIN), rel=0.02)
    assert measured.read_noise_e == pytest.approx(sensor.read_noise_e(GAIN), rel=0.02)
    assert measured.saturation_adu == 65535
    assert measured.full_well_e == pytest.approx((65535 - sensor.bias_adu(50)) * sensor.e_per_adu(GAIN), rel=0.02)
    assert measured.largest_deviation is not None
    assert measured.largest_deviation < 0.002
    for event in (measured, run.of(PedestalDecided)[0]):
        assert json.loads(encode_event(event))["at"] == event.at.isoformat()
    (record,), problems = CameraRecords(tmp_path / CAMERAS).load()
    assert problems == []
    assert record.e_per_adu is not None
    assert record.e_per_adu.value == measured.e_per_adu


async def test_the_ladder_is_shot_once_and_masters_carry_the_gain(tmp_path: Path) -> None:
    first = await run_night(night(), rig(), tmp_path)
    second = await run_night(night(), rig(), tmp_path)
    tuning = [sum(event.tests for event in run.of(FlatTuned)) for run in (first, second)]
    kept = [len(list((run.folder / "tuning").glob("*.fits"))) for run in (first, second)]
    assert kept == [tuning[0] + len(LADDER) * FRAMES_PER_RUNG, tuning[1]]
    (dark,) = (event.path for event in first.of(MasterWritten) if "MasterDark_" in event.path)
    assert read_header(Path(dark))["EGAIN"] == pytest.approx(Sensor(rig().sensor, 1).e_per_adu(GAIN), rel=0.02)
    assert all("EGAIN" not in header for header in flat_headers(first)), "flats are not in ADU"
    assert second.of(CameraMeasured)[0].saturation_adu == 65535, "known from the first night"


async def test_the_record_is_recreated_from_the_frames(tmp_path: Path) -> None:
    run = await run_night(night(20), rig(), tmp_path)
    (kept,), _ = CameraRecords(tmp_path / CAMERAS).load()
    (run.folder / "darks" / "broken.fits").write_bytes(b"SIMPLE")
    (made,), problems = measure_night(run.folder)
    assert len(problems) == 1
    assert "broken.fits" in problems[0]
    assert made.readout == kept.readout
    for figure in ("e_per_adu", "read_noise_e", "saturation_adu", "full_well_e"):
        assert getattr(made, figure).value == pytest.approx(getattr(kept, figure).value, rel=1e-6)
    assert made.dark_current[0].e_per_s == pytest.approx(kept.dark_current[0].e_per_s, rel=0.02)


async def test_few_dark_flats_are_shot_if_the_bias_is_good_enough(tmp_path: Path) -> None:
    run = await run_night(night(), rig(), tmp_path)
    assert [event.verdict.subtract for event in run.of(PedestalDecided)] == [Subtract.BIAS] * 2
    assert counts(run, FrameKind.DARK_FLAT) == 2 * PROBES
    assert counts(run, FrameKind.FLAT) == 20
    for header in flat_headers(run):
        assert str(header["CFSUBTR"]).startswith("MasterBias")
        assert header["CFPEDEST"] == "bias"


async def test_all_dark_flats_are_shot_if_the_bias_differs(tmp_path: Path) -> None:
    run = await run_night(night(), rig(short_exposure_adu=300.0), tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    assert [event.verdict.subtract for event in run.of(PedestalDecided)] == [Subtract.DARK_FLAT] * 2
    assert counts(run, FrameKind.DARK_FLAT) == 20
    for header in flat_headers(run):
        assert str(header["CFSUBTR"]).startswith("MasterDarkFlat")
        assert float(str(header["CFPEDLVL"])) == pytest.approx(-150, abs=5)


@pytest.mark.parametrize(("pedestal", "master"), [("bias", "MasterBias"), ("dark-flat", "MasterDarkFlat")])
async def test_a_configured_pedestal_is_not_tested(tmp_path: Path, pedestal: str, master: str) -> None:
    run = await run_night(night(6, pedestal=pedestal), rig(), tmp_path)
    assert run.of(PedestalDecided) == []
    assert counts(run, FrameKind.DARK_FLAT) == 12
    assert all(str(header["CFSUBTR"]).startswith(master) for header in flat_headers(run))


async def test_records_that_cannot_be_saved_are_reported_and_the_night_is_complete(tmp_path: Path) -> None:
    (tmp_path / CAMERAS).write_text("a file where the folder should be")
    run = await run_night(night(6), rig(), tmp_path)
    assert run.outcome is NightOutcome.COMPLETE
    warnings = [notice.text for notice in run.of(Notice) if notice.severity is Severity.WARNING]
    assert [text for text in warnings if "the measurements of the camera were not saved" in text]
