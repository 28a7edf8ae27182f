import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.calibration.camera.record import (
    CAMERAS,
    CameraRecord,
    CameraRecords,
    CurvePoint,
    DarkCurrent,
    Figure,
    LinearityPoint,
)
from coldframe.cli.camera import measure_camera, show_cameras
from coldframe.cli.exit_codes import ExitCode


def record(camera: str = "ZWO ASI2600MM", gain: float = 100) -> CameraRecord:
    return CameraRecord(
        camera=camera,
        gain=gain,
        offset=50,
        binning=1,
        readout_mode="High gain",
        measured_at=datetime(2026, 11, 22, 4, 12, tzinfo=UTC),
        e_per_adu=Figure(value=0.24643, error=0.00031),
        read_noise_e=Figure(value=1.5212, error=0.002),
        bias_adu=535,
        saturation_adu=Figure(value=65535, error=0.5),
        curve=tuple(CurvePoint(signal_adu=at, noise_adu=(at / 0.246 + 38) ** 0.5) for at in (400.0, 4000.0, 40000.0)),
        linearity=(LinearityPoint(signal_adu=4000, deviation=-0.0031),),
        dark_current=(
            DarkCurrent(sensor_c=-10, exposure_s=300, e_per_s=0.0008, error=0.00001),
            DarkCurrent(sensor_c=0, exposure_s=300, e_per_s=0.00245, error=0.00002),
        ),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = CameraRecords(tmp_path / CAMERAS)
    records.save(record())
    records.save(record("QHY 268M", 30))
    return tmp_path


def test_each_camera_and_setting_is_shown_with_units_and_errors(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_cameras(None, folder, None) is ExitCode.DONE
    out = capsys.readouterr().out
    for text in ("ZWO ASI2600MM, gain 100, offset 50, 1x1, High gain", "QHY 268M, gain 30", "0.2464 ± 0.0003"):
        assert text in out
    for text in ("1.521 ± 0.002", "16,018 ± 20", "0.31", "dark current at -10 C", "0.00080 ± 0.00001", "6.2"):
        assert text in out


def test_hidden_read_noise_is_a_limit_and_linearity_has_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point = LinearityPoint(signal_adu=4000, deviation=-0.0031, error=0.0004)
    coarse = record().model_copy(update={"read_noise_e": None, "read_noise_below_e": 1.97, "linearity": (point,)})
    CameraRecords(tmp_path / CAMERAS).save(coarse)
    assert show_cameras(None, tmp_path, None) is ExitCode.DONE
    out = capsys.readouterr().out
    assert "below 2" in out
    assert "e- (half a step)" in out
    assert "0.31 ± 0.04" in out


def test_the_figures_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_cameras(None, folder, None, wants_json=True) == ExitCode.DONE
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(record["camera"] and record["e_per_adu"]["value"] > 0 for record in found)


def test_part_of_the_name_selects_cameras(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_cameras("qhy", folder, None) is ExitCode.DONE
    out = capsys.readouterr().out
    assert "QHY" in out
    assert "ZWO" not in out


def test_the_curve_rises_from_the_read_noise_as_a_square_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_cameras("zwo", folder, None)
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(next(line for line in lines if line.startswith("noise, ADU")))
    drawing = [line[9:] for line in lines[start + 1 : start + 15]]
    leftmost = [len(line) - len(line.lstrip()) for line in drawing if line.strip()]
    assert leftmost == sorted(leftmost, reverse=True)
    assert len(leftmost) >= 12


def test_the_picture_is_written_and_never_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = folder / "camera.svg"
    assert show_cameras(None, folder, picture) is ExitCode.DONE
    first = picture.read_text("utf-8")
    assert first.startswith("<svg")
    assert show_cameras(None, folder, picture) is ExitCode.BAD_INPUT
    assert picture.read_text("utf-8") == first
    assert "never overwritten" in capsys.readouterr().err


def test_other_picture_formats_are_refused_before_any_output(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_cameras(None, folder, folder / "camera.png") is ExitCode.BAD_INPUT
    printed = capsys.readouterr()
    assert ".svg" in printed.err
    assert printed.out == ""


def test_missing_records_give_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show_cameras("Atik", folder, None) is ExitCode.BAD_INPUT
    assert "known cameras: QHY 268M, ZWO ASI2600MM" in capsys.readouterr().err
    assert show_cameras(None, folder / "empty", None) is ExitCode.BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_broken_record_is_reported_and_the_others_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = next((folder / CAMERAS).glob("ZWO*/*.json"))
    broken.write_text("{", "utf-8")
    assert show_cameras(None, folder, None) is ExitCode.INCOMPLETE
    printed = capsys.readouterr()
    assert str(broken) in printed.err
    assert "QHY" in printed.out


def test_figures_not_measured_yet_are_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = record().model_copy(update={"saturation_adu": None, "linearity": (), "dark_current": (), "curve": ()})
    CameraRecords(tmp_path / CAMERAS).save(bare)
    assert show_cameras(None, tmp_path, None) is ExitCode.DONE
    assert capsys.readouterr().out.count("not measured yet") == 2


def test_a_folder_without_frames_gives_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure_camera(tmp_path, tmp_path) is ExitCode.BAD_INPUT
    assert "two or more bias frames and flats" in capsys.readouterr().err
    assert not (tmp_path / CAMERAS).exists()
