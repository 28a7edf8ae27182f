"""A DSLR's night from the first light to the calibrated ones, XISF on the way, and what happens without the extras."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from coldframe.calibration.masters.reading import read_master
from coldframe.capture.planning.read_lights import NoLightsError, read_lights
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.camera_raws import write_dng
from tests.xisf_files import keywords, write_xisf

pytest.importorskip("rawpy", reason="rawpy is not installed: pip install rawpy")

HEIGHT, WIDTH = 192, 256
ISOS = (800, 1600)
EXPOSURES = {"bias": (1, 4000), "dark": (120, 1), "flat": (1, 50), "lights": (120, 1)}
Y, X = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
VIGNETTE = (1 - 0.3 * (X**2 + Y**2) / 2) * np.random.default_rng(3).normal(1, 0.01, (HEIGHT, WIDTH))
"""The optics, and the response of the single pixels."""

CONFIG = """
[camera]
device = "Coldframe D1"
[panel]
device = "P"
[server]
port = 1
unix_socket = ""
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def frame(kind: str, iso: int, number: int) -> NDArray[np.uint16]:
    chance = np.random.default_rng([iso, number, len(kind)])
    amp_glow = 40 * (iso / 800) * (1 + X) if kind in {"dark", "lights"} else 0
    light = {"flat": 20000 + 100 * number, "lights": 3000}.get(kind, 0) * VIGNETTE
    photons = chance.normal(0, 1, (HEIGHT, WIDTH)) * np.sqrt(light)
    values: NDArray[np.uint16] = np.rint(
        1024 + amp_glow + light + chance.normal(0, 8, (HEIGHT, WIDTH)) + photons
    ).astype(np.uint16)
    return values


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of raws at two ISO values, with a JPEG beside each light."""
    folder = tmp_path_factory.mktemp("dslr")
    for iso in ISOS:
        for kind, exposure in EXPOSURES.items():
            place = folder / kind if kind == "lights" else folder / f"{kind}{iso}"
            place.mkdir(exist_ok=True)
            for number in range(3 if kind == "lights" else 6):
                taken = f"2026:11:20 22:{number:02d}:{iso // 100:02d}"
                path = place / f"{kind}{iso}_{number}.dng"
                write_dng(path, frame(kind, iso, number), iso=iso, exposure=exposure, taken=taken)
                path.with_suffix(".jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module")
def library(night: Path) -> Path:
    """The library with the masters that `combine` makes of the night."""
    made = []
    for iso in ISOS:
        for kind in ("bias", "dark", "flat"):
            master = night / f"master-{kind}{iso}.fits"
            subtracted = ["--dark", night / f"master-bias{iso}.fits"] if kind == "flat" else []
            given = ("--kind", kind, "--method", "mean", "-o", master, *subtracted)
            result = run("combine", night / f"{kind}{iso}", *given)
            assert (result.exit_code, result.stderr) == (ExitCode.DONE, ""), result.stderr
            made.append(master)
    result = run("library", "add", *made, "--library", night / "library")
    assert result.exit_code == ExitCode.DONE, result.stderr
    return night / "library"


def test_a_night_of_raws_is_planned(night: Path, tmp_path: Path) -> None:
    config = tmp_path / "coldframe.toml"
    config.write_text(f'{CONFIG}\n[storage]\nfolder = "{tmp_path / "storage"}"\n', "utf-8")

    result = run("plan", "--config", config, "--lights", night / "lights", "--json")

    assert result.exit_code == ExitCode.DONE, result.stderr
    plan = json.loads(result.stdout)
    assert plan["lights"] == 6
    darks = [step for step in plan["steps"] if step.get("kind") == "dark"]
    assert sorted((step["gain"], step["exposure_s"], step["lights"]) for step in darks) == [
        (800, 120, 3),
        (1600, 120, 3),
    ]


def test_masters_of_raws_are_the_means_of_the_sensor_values(night: Path, library: Path) -> None:
    assert library.is_dir()
    for iso in ISOS:
        dark = read_master(night / f"master-dark{iso}.fits")
        expected = np.mean([frame("dark", iso, number) for number in range(6)], axis=0)
        np.testing.assert_allclose(dark.mean, expected, rtol=1e-6)
        assert (dark.header["ISOSPEED" if "ISOSPEED" in dark.header else "GAIN"], dark.header["EXPTIME"]) == (iso, 120)


def test_the_calibrated_pixels_are_those_of_numpy(night: Path, library: Path, tmp_path: Path) -> None:
    result = run(
        "calibrate",
        night / "lights",
        "--library",
        library,
        "--out",
        tmp_path,
        "--float",
        "--no-mend",
        "--pedestal",
        "0",
    )

    assert result.exit_code == ExitCode.DONE, result.stderr
    for iso in ISOS:
        dark = np.mean([frame("dark", iso, number) for number in range(6)], axis=0)
        flat = read_master(night / f"master-flat{iso}.fits").mean
        for number in range(3):
            calibrated = fits.getdata(tmp_path / f"lights{iso}_{number}_calibrated.fits")
            expected = (frame("lights", iso, number) - dark) / flat
            np.testing.assert_allclose(calibrated, expected, rtol=2e-5, atol=2e-2)
            assert np.std(calibrated.mean(axis=0)) < 20  # without vignetting
        header = fits.getheader(tmp_path / f"lights{iso}_0_calibrated.fits")
        assert (header["ISOSPEED"], header["BAYERPAT"], header["INSTRUME"]) == (iso, "RGGB", "Coldframe D1")


def test_a_raw_is_inspected(night: Path) -> None:
    shown = run("inspect", night / "lights" / "lights800_0.dng")

    assert shown.exit_code == ExitCode.DONE, shown.stderr
    assert "Coldframe D1, gain 800" in shown.stdout
    assert f"{WIDTH} x {HEIGHT}, 16-bit integers, RGGB" in shown.stdout


def test_the_lights_are_diagnosed(night: Path, library: Path) -> None:
    result = run("diagnose", night / "lights", "--library", library, "--json")

    assert result.exit_code in {ExitCode.DONE, ExitCode.INCOMPLETE}, result.stderr
    json.loads(result.stdout)


def test_the_camera_is_measured(night: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raws"
    for kind in ("bias800", "flat800"):
        shutil.copytree(night / kind, folder / kind)

    result = run("camera", "--measure", folder, "--bias", "bias800", "--flat", "flat800", "--folder", tmp_path)

    assert result.exit_code == ExitCode.DONE, result.stderr


def test_masters_in_xisf_are_filed_and_used(night: Path, library: Path, tmp_path: Path) -> None:
    for kind in ("dark", "flat"):
        master = read_master(night / f"master-{kind}800.fits")
        fractions = (master.mean / (65535 if kind == "dark" else 2)).astype(np.float32)
        inside = keywords(
            IMAGETYP=f"'Master {kind.title()}'", EXPTIME="120", ISOSPEED="800", INSTRUME="'Coldframe D1'", NCOMBINE="6"
        )
        pattern = '<ColorFilterArray pattern="RGGB" width="2" height="2"/>'
        write_xisf(tmp_path / f"{kind}.xisf", fractions, attributes={"bounds": "0:1"}, inside=inside + pattern)
    own = tmp_path / "library"

    added = run("library", "add", tmp_path / "dark.xisf", tmp_path / "flat.xisf", "--library", own)
    assert added.exit_code == ExitCode.DONE, added.stderr
    checked = run("library", "verify", "--library", own)
    light = night / "lights" / "lights800_0.dng"
    form = ("--float", "--no-mend", "--pedestal", "0")
    with_xisf = run("calibrate", light, "--library", own, "--out", tmp_path / "xisf", *form)
    with_fits = run("calibrate", light, "--library", library, "--out", tmp_path / "fits", *form)

    assert checked.exit_code == ExitCode.DONE, checked.stderr
    assert sorted(path.suffix for path in own.rglob("*") if path.is_file()) == [".fits", ".fits", ".sqlite"]
    assert (with_xisf.exit_code, with_fits.exit_code) == (ExitCode.DONE, ExitCode.DONE), with_xisf.stderr
    name = "lights800_0_calibrated.fits"
    np.testing.assert_allclose(
        fits.getdata(tmp_path / "xisf" / name), fits.getdata(tmp_path / "fits" / name), rtol=1e-3, atol=0.5
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "lights/lights800_0.dng"],
        ["combine", "dark800", "--kind", "dark", "-o", "m.fits"],
        ["combine", "dark800", "--kind", "dark", "--all", "-o", "m"],
        ["calibrate", "lights", "--library", "library"],
        ["diagnose", "lights", "--library", "library"],
        ["camera", "--measure", "bias800", "--bias", "*", "--folder", "."],
        ["plan", "--config", "coldframe.toml", "--lights", "lights"],
    ],
)
def test_without_the_extra_one_line_says_what_to_install(
    night: Path, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    assert library.is_dir()
    shutil.copytree(night, tmp_path / "night")
    config = f'{CONFIG}[storage]\nfolder = "{tmp_path}"\n'
    (tmp_path / "night" / "coldframe.toml").write_text(config, "utf-8")
    # A module that cannot be imported, in front of the installed one.
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "rawpy.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'without'}:{':'.join(filter(None, sys.path))}")

    ended = subprocess.run(
        [sys.executable, "-m", "coldframe", *arguments],
        cwd=tmp_path / "night",
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == ExitCode.BAD_INPUT, ended
    assert [line for line in ended.stderr.splitlines() if "pip install rawpy" in line], ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_help_and_frames_in_fits_import_none_of_it() -> None:
    code = (
        "import sys; sys.argv = ['coldframe', '--help']\n"
        "from coldframe.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "import coldframe.calibration.files.image_file\n"
        "loaded = {'rawpy', 'lz4', 'zstandard', 'xisf'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    alone = "import sys; import coldframe.cli; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", alone], check=True)


def test_a_night_goes_on_with_the_lights_that_need_no_extra(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(night / "lights" / "lights800_0.dng", tmp_path)
    header = fits.Header({"INSTRUME": "Coldframe D1", "EXPTIME": 120.0, "ISOSPEED": 800}.items())
    fits.PrimaryHDU(frame("lights", 800, 1), header).writeto(tmp_path / "light.fits")
    monkeypatch.setattr("coldframe.calibration.files.unpacking.find_spec", lambda _: None)

    lights = read_lights(tmp_path, ["Coldframe D1"])

    assert [path.name for path in lights.setups] == ["light.fits"]
    assert sum(lights.set_aside.values()) == 1
    assert not lights.faults
    (tmp_path / "light.fits").unlink()
    with pytest.raises(NoLightsError, match=r"pip install rawpy"):
        read_lights(tmp_path, ["Coldframe D1"])
