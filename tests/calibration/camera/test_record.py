import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.camera.photon_transfer import Measured, TileNoise
from coldframe.calibration.camera.record import (
    CameraRecord,
    CameraRecords,
    CurvePoint,
    DarkCurrent,
    Figure,
    LinearityPoint,
    by_setting,
    merged,
)
from coldframe.calibration.camera.study import StudiedSet, study
from coldframe.calibration.files.durable import NotDurableError
from coldframe.config.frames import FrameKind, ReadoutSettings

NOW = datetime(2026, 11, 22, 4, 12, 33, tzinfo=UTC)
GAIN = Figure(value=0.25, error=0.001)


def record(days: float = 0, **figures: object) -> CameraRecord:
    told: dict[str, object] = {"camera": "ZWO ASI/2600", "gain": 100, "offset": 50, "binning": 1, "readout_mode": None}
    return CameraRecord.model_validate(told | {"measured_at": NOW + timedelta(days=days)} | figures)


def current(sensor_c: float, e_per_s: float) -> DarkCurrent:
    return DarkCurrent(sensor_c=sensor_c, exposure_s=300, e_per_s=e_per_s, error=0.0001)


def test_saved_records_are_loaded_from_the_oldest_to_the_newest(tmp_path: Path) -> None:
    records = CameraRecords(tmp_path / "cameras")
    newer, older = record(1, e_per_adu=GAIN, curve=(CurvePoint(signal_adu=100, noise_adu=20),)), record(0)
    paths = [records.save(each) for each in (newer, older)]
    assert paths[0].name == "G100_O50_1x1_20261123T041233.json"
    assert records.load() == ([older, newer], [])
    assert records.known("ZWO ASI/2600", ReadoutSettings(100, 50, 1, None)) == newer


def test_records_are_never_overwritten(tmp_path: Path) -> None:
    records = CameraRecords(tmp_path)
    records.save(record())
    with pytest.raises(NotDurableError):
        records.save(record(e_per_adu=GAIN))
    assert records.load()[0] == [record()]


def test_without_a_folder_there_are_no_records(tmp_path: Path) -> None:
    records = CameraRecords(tmp_path / "none")
    assert records.load() == ([], [])
    assert records.known("Camera", ReadoutSettings()) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told | {"format": "coldframe-camera-9"},
        lambda told: told | {"e_per_adu": {"value": -1, "error": 0.1}},
        lambda told: told | {"colour": "red"},
        lambda told: told | {"measured_at": "2026-11-22T04:12:33"},
        lambda told: [told],
    ],
)
def test_a_file_that_is_not_a_record_is_reported_and_kept(tmp_path: Path, spoil: object) -> None:
    records = CameraRecords(tmp_path)
    good = records.save(record())
    bad = good.with_name("bad.json")
    bad.write_text(json.dumps(spoil(json.loads(good.read_text("utf-8")))))  # type: ignore[operator]
    (good.parent / "empty.json").touch()
    loaded, problems = records.load()
    assert loaded == [record()]
    assert [str(bad) in problems[0], "empty.json" in problems[1]] == [True, True]
    assert bad.exists()


def test_the_newest_value_of_each_figure_and_all_dark_currents_are_used() -> None:
    first = record(0, e_per_adu=GAIN, read_noise_e=Figure(value=2, error=0.1), dark_current=(current(-10, 0.01),))
    second = record(
        1, e_per_adu=Figure(value=0.26, error=0.001), dark_current=(current(-10.2, 0.011), current(0, 0.04))
    )
    both = merged([first, second])
    assert both.e_per_adu == second.e_per_adu
    assert both.read_noise_e == first.read_noise_e
    assert both.measured_at == second.measured_at
    assert [each.e_per_s for each in both.dark_current] == [0.011, 0.04]
    assert both.doubling_c == pytest.approx(10.2 / np.log2(0.04 / 0.011))


def test_each_setting_has_its_own_figures() -> None:
    groups = by_setting([record(0), record(1, gain=0), record(2)])
    assert [len(group) for group in groups] == [2, 1]


def test_the_full_well_follows_from_saturation_bias_and_gain() -> None:
    full = record(e_per_adu=GAIN, bias_adu=535, saturation_adu=Figure(value=65535, error=0.5)).full_well_e
    assert full is not None
    assert full.value == pytest.approx(65000 * 0.25)
    assert full.error == pytest.approx(65, rel=0.01)
    assert record(e_per_adu=GAIN).full_well_e is None
    assert record(linearity=(LinearityPoint(signal_adu=9, deviation=-0.02),)).largest_deviation == 0.02


E_PER_ADU, READ_NOISE_ADU, BIAS_ADU = 0.5, 8.0, 500.0


def seen(
    kind: FrameKind, exposure_s: float, signal_adu: float, sensor_c: float = -10.0, frames: int = 10
) -> StudiedSet:
    """Return a measured set of an ideal camera."""
    shade = np.broadcast_to(np.linspace(0.8, 1.0, 16), (4, 16, 16))
    signal = signal_adu * (shade if kind is FrameKind.FLAT else np.ones_like(shade))
    level = np.minimum(BIAS_ADU + signal, 65535)
    variance = np.where(level < 65535, READ_NOISE_ADU**2 + signal / E_PER_ADU, 0)
    light = ("L", 20) if kind is FrameKind.FLAT else None
    noise = TileNoise(level, variance, 0.05, frames, 1)
    return StudiedSet("Camera", ReadoutSettings(gain=100), kind, exposure_s, sensor_c, light, noise)


NIGHT = [
    seen(FrameKind.BIAS, 0.001, 0),
    seen(FrameKind.FLAT, 1.0, 26000),
    *(seen(FrameKind.FLAT, exposure_s, 26000 * exposure_s, frames=2) for exposure_s in (0.15, 0.5, 1.6, 2.1, 3.4)),
    seen(FrameKind.DARK, 100.0, 10),
    seen(FrameKind.DARK, 300.0, 30),
    seen(FrameKind.DARK, 300.0, 120, sensor_c=0.0),
]


def test_a_full_night_gives_every_figure() -> None:
    told = study(NIGHT, NOW)
    assert told is not None
    assert told.e_per_adu is not None
    assert told.e_per_adu.value == pytest.approx(E_PER_ADU, rel=1e-6)
    assert told.read_noise_e is not None
    assert told.read_noise_e.value == pytest.approx(np.sqrt(READ_NOISE_ADU**2 - 1 / 12) * E_PER_ADU)
    assert told.saturation_adu is not None
    assert told.saturation_adu.value == 65535
    assert told.bias_adu == BIAS_ADU
    assert told.largest_deviation == pytest.approx(0, abs=1e-9)
    assert len(told.linearity) == 5, "all except the saturated one"
    # The 300 s dark is measured against the 100 s dark, so offsets of long against short exposures cancel.
    assert [each.e_per_s for each in told.dark_current] == [pytest.approx(0.05, rel=1e-3)] * 2
    assert all(point.noise_adu > 0 for point in told.curve)


def test_a_dark_of_another_temperature_is_no_reference() -> None:
    told = study([*NIGHT, seen(FrameKind.BIAS, 0.001, 0, sensor_c=0.2)], NOW)
    assert told is not None
    assert sorted(round(each.e_per_s, 4) for each in told.dark_current) == [0.05, 0.05, 0.2]


def test_frames_without_light_need_a_gain_from_another_night() -> None:
    darks = [each for each in NIGHT if each.light is None]
    assert study(darks, NOW) is None
    told = study(darks, NOW, Measured(E_PER_ADU, 0.001))
    assert told is not None
    assert told.e_per_adu is None
    assert told.read_noise_e is not None
    assert told.dark_current


def test_flats_alone_give_no_record() -> None:
    assert study([each for each in NIGHT if each.light], NOW) is None


def test_flats_far_from_saturation_give_no_saturation() -> None:
    told = study(NIGHT[:4], NOW)
    assert told is not None
    assert told.e_per_adu is not None
    assert told.saturation_adu is None
    assert told.linearity == ()
