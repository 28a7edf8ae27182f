import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

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
from coldframe.calibration.files.durable import NotDurableError
from coldframe.config.frames import ReadoutSettings

NOW = datetime(2026, 11, 22, 4, 12, 33, tzinfo=UTC)
GAIN = Figure(value=0.25, error=0.001)


def record(days: float = 0, **figures: object) -> CameraRecord:
    content: dict[str, object] = {
        "camera": "ZWO ASI/2600",
        "gain": 100,
        "offset": 50,
        "binning": 1,
        "readout_mode": None,
    }
    return CameraRecord.model_validate(content | {"measured_at": NOW + timedelta(days=days)} | figures)


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
        lambda content: content | {"format": "coldframe-camera-9"},
        lambda content: content | {"e_per_adu": {"value": -1, "error": 0.1}},
        lambda content: content | {"colour": "red"},
        lambda content: content | {"measured_at": "2026-11-22T04:12:33"},
        lambda content: [content],
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


def test_the_newest_of_read_noise_and_its_limit_is_used() -> None:
    figure = record(0, read_noise_e=Figure(value=2, error=0.1))
    limit, empty = record(1, read_noise_below_e=1.5), record(2)
    for records, expected in (([figure, limit, empty], (None, 1.5)), ([limit, figure], (figure.read_noise_e, None))):
        both = merged(records)
        assert (both.read_noise_e, both.read_noise_below_e) == expected


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
