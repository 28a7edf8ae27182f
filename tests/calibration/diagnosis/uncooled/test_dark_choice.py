"""The choice between darks of several temperatures, with lights whose temperature is known."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkThermometer
from coldframe.calibration.files.image_file import read_image_header
from coldframe.calibration.frames.matching import darks_at_any_temperature
from coldframe.calibration.frames.setup import setup_of
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.calibration.diagnosis.uncooled.nights import write_dark, write_light

FORM = ("--no-flat", "--float", "--pedestal", "0", "--no-mend")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library with darks of three nights, at 4, 10 and 16 C."""
    masters = tmp_path / "masters"
    masters.mkdir()
    made = [write_dark(masters, sensor_c) for sensor_c in (4.0, 10.0, 16.0)]
    result = run("library", "add", *made, "--library", tmp_path / "library")
    assert result.exit_code == ExitCode.DONE, result.stderr
    return tmp_path / "library"


@pytest.mark.parametrize("light_c", [7.0, 10.0, 13.5])
def test_the_hot_pixels_show_the_temperature(tmp_path: Path, light_c: float) -> None:
    dark = write_dark(tmp_path, 10.0)
    lights = [write_light(tmp_path, light_c, stated_c=None, number=number) for number in range(3)]
    measured = DarkThermometer().measure(lights, dark)
    assert measured is not None
    assert measured.warmer_c == pytest.approx(light_c - 10, abs=0.3)
    assert measured.is_noticeable == (light_c != 10.0)


def test_a_light_without_a_temperature_gets_the_nearest_dark(library: Path, tmp_path: Path) -> None:
    for light_c, expected in ((5.0, "4C"), (9.0, "10C"), (15.5, "16C")):
        light = write_light(tmp_path, light_c, stated_c=None)
        result = run("calibrate", light, "--library", library, "--out", tmp_path / "out", *FORM)
        assert result.exit_code == ExitCode.DONE, result.stderr
        used = fits.getheader(tmp_path / "out" / f"light_{light_c:g}C_0_calibrated.fits")["CFDARK"]
        assert f"_{expected}" in used, result.stderr


def test_hot_pixels_leave_less_than_the_dark_of_the_headers(library: Path, tmp_path: Path) -> None:
    """The thermometer of the camera's body was 6 C too low."""
    light = write_light(tmp_path, 16.0, stated_c=10.0)
    result = run("calibrate", light, "--library", library, "--out", tmp_path / "out", *FORM)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "MasterDark_16C" in result.stderr
    assert "replaces MasterDark_10C" in result.stderr
    assert "may be wrong" in result.stderr
    calibrated = fits.getdata(tmp_path / "out" / "light_16C_0_calibrated.fits")
    wrong = fits.getdata(light).astype(float) - fits.getdata(tmp_path / "masters" / "MasterDark_10C.fits")
    assert np.std(calibrated) < 0.5 * np.std(wrong)


def test_a_difference_within_the_tolerance_is_stated_with_its_cost(library: Path, tmp_path: Path) -> None:
    light = write_light(tmp_path, 12.5, stated_c=12.5)
    result = run("calibrate", light, "--library", library, "--out", tmp_path / "out", *FORM)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "C warmer" in result.stderr
    assert "this may leave" in result.stderr
    assert "may be wrong" not in result.stderr


def test_a_light_far_from_all_darks_is_refused(library: Path, tmp_path: Path) -> None:
    light = write_light(tmp_path, 25.0, stated_c=16.0)
    result = run("calibrate", light, "--library", library, "--out", tmp_path / "out", *FORM)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "shoot darks at about 25 C" in result.stderr


def test_match_names_what_the_hot_pixels_show(library: Path, tmp_path: Path) -> None:
    near = write_light(tmp_path, 10.0, stated_c=10.0)
    assert (
        "its hot pixels show the temperature of the lights"
        in run("library", "match", near, "--library", library).stdout
    )
    wrong = write_light(tmp_path, 16.0, stated_c=10.0)
    result = run("library", "match", wrong, "--library", library)
    assert "replaces MasterDark_10C" in result.stdout
    far = write_light(tmp_path, 25.0, stated_c=16.0)
    result = run("library", "match", far, "--library", library)
    assert "no dark fits" in result.stdout
    assert "shoot darks at about 25 C" in result.stdout


def test_lights_that_differ_although_their_headers_agree_are_named(library: Path, tmp_path: Path) -> None:
    lights = [write_light(tmp_path, sensor_c, stated_c=10.0) for sensor_c in (10.0, 13.0)]
    result = run("library", "match", *lights, "--library", library)
    assert "differ by 3.0 C from each other by their hot pixels" in result.stdout


def test_cooled_darks_are_no_candidates(tmp_path: Path) -> None:
    light = setup_of(read_image_header(write_light(tmp_path, 10.0, stated_c=10.0)))
    uncooled = write_dark(tmp_path, 10.0)
    cooled = write_dark(tmp_path, 11.0, **{"SET-TEMP": 11.0})
    setups = {path: setup_of(read_image_header(path)) for path in (uncooled, cooled)}
    assert list(darks_at_any_temperature(light, setups)) == [uncooled]
