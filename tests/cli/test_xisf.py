"""Commands that read XISF, and what happens without the packages that decompress it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from coldframe.calibration.masters.reading import read_master
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.xisf_files import keywords, write_xisf

lz4_block = pytest.importorskip("lz4.block", reason="lz4 is not installed: pip install lz4")

CARDS = {"INSTRUME": "ZWO ASI2600MM Pro", "GAIN": 100, "EXPTIME": 60.0, "CCD-TEMP": -10.0, "SET-TEMP": -10.0}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def frame(number: int) -> NDArray[np.uint16]:
    return np.random.default_rng(number).integers(500, 700, (64, 80)).astype(np.uint16)


def save(folder: Path, suffix: str, kind: str = "Dark", count: int = 5) -> list[Path]:
    """Save frames as N.I.N.A. does, in XISF compressed with LZ4."""
    folder.mkdir()
    paths = [folder / f"{kind}{number}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        cards = {**CARDS, "IMAGETYP": kind, "DATE-OBS": f"2026-11-20T22:1{number}:00"}
        if suffix == ".fits":
            fits.PrimaryHDU(frame(number), fits.Header(cards.items())).writeto(path)
            continue
        quoted = {name: f"'{value}'" if isinstance(value, str) else str(value) for name, value in cards.items()}
        shuffled = np.ascontiguousarray(frame(number).view(np.uint8).reshape(-1, 2).T).tobytes()
        write_xisf(
            path,
            frame(number),
            data=lz4_block.compress(shuffled, store_size=False),
            attributes={"compression": f"lz4+sh:{frame(number).nbytes}:2"},
            inside=keywords(**{name.replace("-", "_"): value for name, value in quoted.items()}),
        )
    return paths


def test_frames_in_xisf_give_the_master_of_the_same_frames_in_fits(tmp_path: Path) -> None:
    for suffix in (".fits", ".xisf"):
        save(tmp_path / suffix[1:], suffix)
        result = run("combine", tmp_path / suffix[1:], "-o", tmp_path / f"master_{suffix[1:]}.fits")
        assert result.exit_code == ExitCode.DONE, result.stderr

    one, other = (read_master(tmp_path / f"master_{name}.fits") for name in ("fits", "xisf"))

    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.uncertainty, other.uncertainty)
    assert [one.header[name] for name in CARDS] == [other.header[name] for name in CARDS]


def test_a_light_in_xisf_is_planned_and_calibrated(tmp_path: Path) -> None:
    save(tmp_path / "darks", ".xisf")
    (light,) = save(tmp_path / "lights", ".xisf", "Light", 1)
    master, library = tmp_path / "master.fits", tmp_path / "library"
    assert run("combine", tmp_path / "darks", "--method", "mean", "-o", master).exit_code == ExitCode.DONE
    assert run("library", "add", master, "--library", library).exit_code == ExitCode.DONE
    config = tmp_path / "coldframe.toml"
    config.write_text(
        f'[camera]\ndevice = "ZWO CCD ASI2600MM Pro"\n[server]\nport = 1\n[storage]\nfolder = "{tmp_path}"\n'
        '[panel]\ndevice = "P"\n',
        "utf-8",
    )

    planned = run("plan", "--config", config, "--lights", tmp_path / "lights")
    calibrated = run("calibrate", light, "--library", library, "--no-flat", "--float", "--no-mend", "--pedestal", "0")

    assert "for 1 light" in planned.stdout, planned.stderr
    assert calibrated.exit_code == ExitCode.DONE, calibrated.stderr
    dark = np.mean([frame(number) for number in range(5)], axis=0)
    pixels = fits.getdata(tmp_path / "lights" / "calibrated" / "Light0_calibrated.fits")
    np.testing.assert_allclose(pixels, frame(0) - dark, atol=1e-3)


@pytest.mark.parametrize("arguments", [["inspect", "raws/Dark0.xisf"], ["combine", "raws", "-o", "m.fits"]])
def test_without_the_extra_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    save(tmp_path / "raws", ".xisf")
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "lz4.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'without'}:{':'.join(filter(None, sys.path))}")

    ended = subprocess.run(
        [sys.executable, "-m", "coldframe", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, len(ended.stderr.splitlines())) == (ExitCode.BAD_INPUT, 1), ended.stderr
    assert "pip install lz4" in ended.stderr
