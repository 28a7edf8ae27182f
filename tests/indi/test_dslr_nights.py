"""Whole nights with a DSLR behind a driver that behaves like that for gphoto, through the command line."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.raws.frames import read_night_header
from coldframe.calibration.files.raws.sidecar import sidecar_of
from coldframe.calibration.masters.reading import read_master
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import load_rig
from coldframe.simulators.optics import Telescope
from tests.camera_raws import write_dng
from tests.indi.dslr_rig import CAMERA, coldframe, configured, kill, served
from tests.patience import block_until

pytest.importorskip("rawpy", reason="rawpy is not installed: pip install rawpy")

BORDER = 8
ISO_800 = 180.6
"""The gain of the simulated sensor at ISO 800, in steps of 0.1 dB above ISO 100."""


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a night that was killed during its darks and resumed."""
    folder = tmp_path_factory.mktemp("dslr")
    with served(folder) as port:
        config = configured(folder, port, "raw")
        command = [sys.executable, "-m", "coldframe", "run", "--config", str(config)]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        block_until(lambda: len(list((folder / "storage").glob("20*/darks/*/*.dng"))) >= 2 or first.poll() is not None)
        assert first.poll() is None, first.communicate()[0]
        kill(first)
        second = coldframe("run", "--config", config)
    (folder / "second.log").write_text(second.stdout + second.stderr, "utf-8")
    assert second.returncode == ExitCode.DONE, second.stdout + second.stderr
    (found,) = (folder / "storage").glob("20*")
    return found


def test_the_night_is_resumed_and_complete(night: Path) -> None:
    log = (night.parent.parent / "second.log").read_text("utf-8")
    assert "an earlier run of this night left" in log
    assert "all planned masters were made" in log
    assert "kept as the camera's own raws" in log
    assert len(list(night.glob("darks/*/*.dng"))) == 6
    assert sorted(path.name for path in (night / "masters").iterdir()) == [
        "MasterBias_Coldframe-Camera_ISO800_14C_1x1.fits",
        next(path.name for path in night.glob("masters/MasterDarkFlat_Coldframe-Camera_ISO800_14C_*s_1x1.fits")),
        "MasterDark_Coldframe-Camera_ISO800_14C_1.5s_1x1.fits",
        next(path.name for path in night.glob("masters/MasterFlat_Coldframe-Camera_ISO800_*1x1.fits")),
    ]


def test_each_raw_is_kept_as_delivered_and_described(night: Path) -> None:
    shutter_s = {0.125, 1 / 13, 0.1, 1 / 6, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.6, 2.0}
    frames = [path for kind in ("biases", "darks", "flats", "dark-flats") for path in night.glob(f"{kind}/*/*.dng")]
    assert len(frames) == 21
    for frame in frames:
        description = json.loads(sidecar_of(frame).read_text("utf-8"))
        assert description["sha256"] == sha256(frame.read_bytes()).hexdigest()
        header = read_night_header(frame)
        assert (header["INSTRUME"], header["CFCAMERA"]) == ("Coldframe D1", CAMERA)
        assert (header["ISOSPEED"], header["GAIN"], header["BAYERPAT"]) == (800, 800, "RGGB")
        assert (header["NAXIS1"], header["NAXIS2"]) == (256, 192)
        if header["CFROLE"] in {"FLAT", "DARKFLAT"}:
            assert any(header["EXPTIME"] == pytest.approx(each) for each in shutter_s)
    roles = {str(read_night_header(frame)["CFROLE"]) for frame in frames}
    assert roles == {"BIAS", "DARK", "FLAT", "DARKFLAT"}
    bias = next(night.glob("biases/*/*.dng"))
    assert read_night_header(bias)["EXPTIME"] == 1 / 4000


def test_the_first_frame_that_showed_the_size_is_kept(night: Path) -> None:
    reasons = [json.loads(path.read_text("utf-8")) for path in night.glob("quarantine/stray_*.json")]
    assert any("to learn the size of the sensor" in each["reason"] for each in reasons)


def test_the_masters_are_verified_bit_by_bit(night: Path) -> None:
    result = coldframe("verify", night)
    assert result.returncode == ExitCode.DONE, result.stdout + result.stderr
    assert result.stdout.count("bit for bit equal") == 4


def test_the_report_has_the_raws(night: Path) -> None:
    report = json.loads((night / "report.json").read_text("utf-8"))
    assert "_0001.dng" in json.dumps(report)
    again = coldframe("report", night)
    assert again.returncode == ExitCode.DONE, again.stderr


def test_a_light_of_the_camera_is_calibrated(night: Path, tmp_path: Path) -> None:
    library = night.parent / "library"
    light = tmp_path / "light.dng"
    pixels = light_pixels(night.parent.parent / "dslr.toml")
    border = np.pad(pixels, ((BORDER, 0), (BORDER, 0)), constant_values=2048)
    area = (BORDER, BORDER, BORDER + pixels.shape[0], BORDER + pixels.shape[1])
    taken = f"{datetime.now(UTC):%Y:%m:%d %H:%M:%S}"
    write_dng(light, border, iso=800, exposure=(15, 10), taken=taken, active=area)
    form = ("--float", "--no-mend", "--pedestal", "0")

    result = coldframe("calibrate", light, "--library", library, "--out", tmp_path, *form)

    assert result.returncode == ExitCode.DONE, result.stdout + result.stderr
    calibrated = fits.getdata(tmp_path / "light_calibrated.fits")
    dark = read_master(next(night.glob("masters/MasterDark_*.fits"))).mean
    flat = read_master(next(night.glob("masters/MasterFlat_*.fits"))).mean
    np.testing.assert_allclose(calibrated, (pixels - dark) / flat, rtol=2e-5, atol=2e-2)
    corners = np.mean([calibrated[:16, :16].mean(), calibrated[-16:, -16:].mean()])
    assert corners == pytest.approx(calibrated[88:104, 120:136].mean(), rel=0.02)


def test_a_whole_night_in_fits(tmp_path: Path) -> None:
    """The times of this shutter are whole stops apart, so only the brightness of the panel can fit the light."""
    listed = ["bulb", "30", "2", "1", "1/2", "1/4", "1/8", "1/15", "1/60", "1/4000"]
    with served(tmp_path, shutter=listed) as port:
        config = configured(tmp_path, port, "fits")
        result = coldframe("run", "--config", config)
    assert result.returncode == ExitCode.DONE, result.stdout + result.stderr
    assert "all planned masters were made" in result.stdout
    (night,) = (tmp_path / "storage").glob("20*")
    assert len(list(night.glob("masters/*.fits"))) == 4
    frames = [fits.getheader(path) for path in night.glob("flats/*/*.fits")]
    assert len(frames) == 5
    for header in frames:
        assert (header["INSTRUME"], header["ISOSPEED"], header["GAIN"]) == (CAMERA, 800, 800)
        assert header["CCD-TEMP"] == pytest.approx(14.0, abs=0.1)
        assert header["EXPTIME"] in {0.125, 0.25, 0.5, 1.0, 2.0}
    assert not list(night.glob("*/*/*.json"))


def light_pixels(rig_file: Path) -> "np.ndarray[tuple[int, int], np.dtype[np.uint16]]":
    """Return a light of the same sensor, under an even sky."""
    rig = load_rig(str(rig_file)).model_copy(update={"sky_e_per_s": 2_000.0, "frames_before": 10**6})
    rig = rig.model_copy(update={"panel": rig.panel.model_copy(update={"cover_travel_s": 0.1})})
    telescope = Telescope(rig, 0.0)
    telescope.panel.move_cover(0.0, closed=False)
    shot = telescope.begin(FrameKind.LIGHT, 1.5, 10.0, gain=ISO_800, offset=0, binning=1, readout_mode=0)
    return telescope.render(shot)


def test_a_raw_that_changed_on_the_disk_does_not_count(night: Path, tmp_path: Path) -> None:
    frame = next(night.glob("darks/*/*.dng"))
    copy = tmp_path / frame.name
    content = bytearray(frame.read_bytes())
    content[-5] ^= 1
    copy.write_bytes(content)
    sidecar_of(copy).write_bytes(sidecar_of(frame).read_bytes())
    from coldframe.calibration.files.raws.sidecar import digest_fault  # noqa: PLC0415

    assert digest_fault(frame) is None
    assert "SHA-256" in str(digest_fault(copy))
    copy.write_bytes(content[:-1])
    assert "describes a file of" in str(digest_fault(copy))


def test_without_rawpy_one_line_says_what_to_install_and_nothing_is_shot(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'rawpy' else find(name, *more)\n"
    )
    with served(tmp_path) as port:
        config = configured(tmp_path, port, "raw")
        path = ":".join(filter(None, [str(tmp_path), *sys.path]))
        result = coldframe("run", "--config", config, PYTHONPATH=path)
    assert result.returncode == ExitCode.BAD_INPUT
    (line,) = result.stderr.splitlines()
    assert "pip install rawpy" in line
    assert 'camera.file_format = "fits"' in line
    assert not list(tmp_path.glob("storage/20*"))
