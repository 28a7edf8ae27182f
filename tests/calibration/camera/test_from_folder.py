"""Measuring the camera from the frames in a night folder."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.camera.from_folder import measure_night
from coldframe.config.frames import FrameKind

E_PER_ADU, READ_NOISE_ADU, BIAS_ADU = 0.5, 8.0, 500.0
SHADE = np.linspace(0.7, 1.0, 256)


def write(folder: Path, index: int, kind: str, exposure_s: float, signal_adu: float, **cards: object) -> Path:
    """Write a frame of an ideal camera."""
    random = np.random.default_rng([index, round(signal_adu)])
    electrons = random.poisson(np.broadcast_to(signal_adu * SHADE * E_PER_ADU, (256, 256)))
    adu = BIAS_ADU + electrons / E_PER_ADU + random.normal(0, READ_NOISE_ADU, (256, 256))
    header = fits.Header(
        {"INSTRUME": "Camera", "IMAGETYP": kind, "EXPTIME": exposure_s, "GAIN": 100, "XBINNING": 1, "YBINNING": 1}
        | {"DATE-OBS": f"2026-11-22T04:{index:02d}:00"}
        | cards
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}_{exposure_s}_{index}.fits"
    fits.PrimaryHDU(np.clip(np.rint(adu), 0, 65535).astype(np.uint16), header).writeto(path)
    return path


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    for index in range(6):
        write(folder / "bias", index, "Bias", 0.001, 0)
        write(folder / "flats" / "L", index, "Flat", 1.0, 20000, FILTER="L")
    return folder


def test_gain_and_read_noise_are_measured(night: Path) -> None:
    (record,), problems = measure_night(night)
    assert problems == []
    assert (record.camera, record.gain, record.binning) == ("Camera", 100, 1)
    assert record.e_per_adu is not None
    assert record.e_per_adu.value == pytest.approx(E_PER_ADU, rel=0.02)
    assert record.read_noise_e is not None
    assert record.read_noise_e.value == pytest.approx(READ_NOISE_ADU * E_PER_ADU, rel=0.02)
    assert record.bias_adu == pytest.approx(BIAS_ADU, abs=1)
    assert record.measured_at.minute == 5, "the time of the last frame"


def test_masters_quarantined_frames_and_single_test_frames_are_skipped(tmp_path: Path) -> None:
    for folder in ("masters", "quarantine/flats", "checks", "tuning"):
        write(tmp_path / folder, 1, "Flat", 1.0, 20000, FILTER="L")
    assert measure_night(tmp_path) == ([], [])


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bias").mkdir()
    (tmp_path / "bias" / "broken.fits").write_bytes(b"SIMPLE")
    records, problems = measure_night(tmp_path)
    assert records == []
    assert len(problems) == 1
    assert "broken.fits" in problems[0]


def test_lights_are_not_studied(tmp_path: Path) -> None:
    write(tmp_path, 1, "Light", 60.0, 300)
    assert measure_night(tmp_path) == ([], [])


@pytest.mark.parametrize("form", [".fit", ".fts", ".fits.gz", ".fits.fz"])
def test_files_of_every_suffix_are_measured(night: Path, tmp_path: Path, form: str) -> None:
    for path in night.rglob("*.fits"):
        folder = tmp_path / path.parent.relative_to(night)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{path.stem}{form}"
        match form:
            case ".fits.gz":
                target.write_bytes(gzip.compress(path.read_bytes()))
            case ".fits.fz":
                with fits.open(path) as units:
                    packed = fits.CompImageHDU(units[0].data, units[0].header, compression_type="RICE_1")
                fits.HDUList([fits.PrimaryHDU(), packed]).writeto(target)
            case _:
                target.write_bytes(path.read_bytes())
    assert measure_night(tmp_path) == measure_night(night)


def test_patterns_name_the_kind_of_frames_whose_headers_lack_it(night: Path, tmp_path: Path) -> None:
    for path in night.rglob("*.fits"):
        target = tmp_path / ("zero" if "bias" in path.parts else "panel/L") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with fits.open(path) as units:
            header = units[0].header.copy()
            del header["IMAGETYP"]
            if "bias" in path.parts:
                del header["EXPTIME"]
            fits.PrimaryHDU(units[0].data, header).writeto(target)
    (unknown,) = measure_night(tmp_path)[1]
    assert unknown.startswith(f"{tmp_path / 'panel/L/Flat_1.0_0.fits'} and 11 others are left out: their headers do")
    assert unknown.endswith(" not state the kind of frame. Specify the kind with --bias, --dark or --flat")
    (record,), problems = measure_night(tmp_path, kinds={FrameKind.BIAS: "zero", FrameKind.FLAT: "panel/*/Flat*"})
    assert problems == []
    assert record.e_per_adu is not None
    assert record.e_per_adu.value == pytest.approx(E_PER_ADU, rel=0.02)


def test_flats_without_an_exposure_are_reported(tmp_path: Path) -> None:
    fits.setval(write(tmp_path, 1, "Flat", 1.0, 20000), "EXPTIME", value=-1.0)
    assert measure_night(tmp_path)[1] == [
        f"{tmp_path / 'Flat_1.0_1.fits'} is left out: its header does not state the exposure"
    ]


def test_masters_outside_their_folder_are_not_studied(tmp_path: Path) -> None:
    write(tmp_path, 1, "Master Flat", 1.0, 20000)
    write(tmp_path, 2, "Bias", 0.001, 0, STACKCNT=20)
    assert measure_night(tmp_path) == ([], [])
