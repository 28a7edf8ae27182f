"""The shipped DSLR as a new user tries it: its devices, a night without hardware, and the lights of this night."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from coldframe.cli.exit_codes import ExitCode
from coldframe.config.examples import example_night
from tests.indi.dslr_rig import CAMERA, coldframe
from tests.patience import PATIENCE_S
from tests.ports import free_port

FRAMES = 5
"""Frames per set, instead of the 20 to 50 of the example night."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shoot lights and the shortened example night, and return the folder."""
    folder = tmp_path_factory.mktemp("shipped-dslr")
    lights = coldframe("simulate", "dslr", "--lights", folder / "lights")
    assert lights.returncode == ExitCode.DONE, lights.stderr
    config = folder / "night.toml"
    config.write_text(re.sub(r"count = \d+", f"count = {FRAMES}", example_night("dslr").read_text("utf-8")), "utf-8")
    night = coldframe("run", "--simulate", "dslr", "--config", config, "--folder", folder / "nights")
    (folder / "night.log").write_text(night.stdout + night.stderr, "utf-8")
    assert night.returncode == ExitCode.DONE, night.stdout + night.stderr
    return folder


def night_of(folder: Path) -> Path:
    (night,) = (folder / "nights").glob("20*")
    return night


def test_the_night_is_complete_and_its_first_frame_is_no_warning(folder: Path) -> None:
    log = (folder / "night.log").read_text("utf-8")
    assert "all planned masters were made; the rig is safe" in log
    (learned,) = [line for line in log.splitlines() if "to learn the size of the sensor" in line]
    assert "warning" not in learned
    started = [log.index(f" {kind} begins") for kind in ("dark 2 s", "bias", "tune flat", "dark flat")]
    assert started == sorted(started)


def test_the_masters_have_the_iso_value_and_the_temperature_and_are_verified(folder: Path) -> None:
    night = night_of(folder)
    names = sorted(path.name for path in (night / "masters").iterdir())
    kinds = [name.partition("_")[0] for name in names]
    assert kinds == ["MasterBias", "MasterDarkFlat", "MasterDark", "MasterFlat"]
    assert all(name.startswith(f"{kind}_Coldframe-Camera_ISO800_14C_") for kind, name in zip(kinds, names, strict=True))
    result = coldframe("verify", night)
    assert result.returncode == ExitCode.DONE, result.stdout + result.stderr
    assert result.stdout.count("bit for bit equal") == len(names)


def test_the_flats_have_a_listed_shutter_time(folder: Path) -> None:
    headers = [fits.getheader(path) for path in night_of(folder).glob("flats/*/*.fits")]
    assert len(headers) == FRAMES
    for header in headers:
        assert (header["INSTRUME"], header["ISOSPEED"], header["GAIN"]) == (CAMERA, 800, 800)
        assert header["EXPTIME"] in {0.4, 0.5, 0.6, 0.8, 1.0, 1.3}


def test_the_lights_are_calibrated_with_the_masters_of_the_night(folder: Path) -> None:
    lights = sorted((folder / "lights").glob("*.fits"))
    assert all("GAIN" not in fits.getheader(path) for path in lights)
    out = folder / "calibrated"
    result = coldframe("calibrate", *lights, "--library", folder / "nights" / "library", "--out", out)
    assert result.returncode == ExitCode.DONE, result.stdout + result.stderr
    assert len(list(out.glob("*_calibrated.fits"))) == len(lights) > 0


def test_devices_lists_the_iso_values_and_the_shutter() -> None:
    port = free_port()
    command = [sys.executable, "-m", "coldframe", "simulate", "dslr", "--port", str(port), "--until-stdin-closes"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "serving dslr" in server.stdout.readline()
        result = coldframe("devices", "--port", port, "--json")
        server.communicate(timeout=PATIENCE_S)  # closes its standard input
    assert result.returncode == ExitCode.DONE, result.stderr
    for expected in ("size known after its first frame", "ISO 100 to 25600", "shutter times", "CFA RGGB"):
        assert expected in result.stdout
    assert server.returncode == 0
