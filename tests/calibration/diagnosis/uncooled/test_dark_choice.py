"""The choice between darks of several temperatures, with lights whose temperature is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkChoice, choose_dark
from coldframe.calibration.diagnosis.uncooled.remarks import remarks_on
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer, Measured
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.frames.matching import darks_at_any_temperature
from coldframe.calibration.frames.overscan import Overscan
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
    measured = DarkThermometer().measure(lights, [dark])[dark]
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
        "judging by its hot pixels, it matches the temperature of the lights"
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
    assert "judging by the hot pixels, the temperatures of the lights differ by 3.0 C" in result.stdout


def test_cooled_darks_are_no_candidates(tmp_path: Path) -> None:
    light = setup_of(read_image_header(write_light(tmp_path, 10.0, stated_c=10.0)))
    uncooled = write_dark(tmp_path, 10.0)
    cooled = write_dark(tmp_path, 11.0, **{"SET-TEMP": 11.0})
    setups = {path: setup_of(read_image_header(path)) for path in (uncooled, cooled)}
    assert list(darks_at_any_temperature(light, setups)) == [uncooled]


def truncate(light: Path) -> None:
    content = light.read_bytes()
    light.write_bytes(content[: len(content) // 2])


def test_an_unreadable_light_does_not_refuse_the_others(library: Path, tmp_path: Path) -> None:
    lights = [write_light(tmp_path, 10.0, stated_c=10.0, number=number) for number in range(3)]
    truncate(lights[-1])
    result = run("calibrate", *lights, "--library", library, "--out", tmp_path / "out", *FORM)
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert "truncated" in result.stderr
    matched = run("library", "match", *lights, "--library", library)
    assert "light_10C_0.fits and 2 others" in matched.stdout
    assert "MasterDark_10C" in matched.stdout


def test_the_chosen_extension_is_measured(library: Path, tmp_path: Path) -> None:
    light = write_light(tmp_path, 16.0, stated_c=10.0)
    with fits.open(light) as whole:
        pixels, header = whole[0].data, whole[0].header
    first, second = fits.ImageHDU(np.zeros_like(pixels), header), fits.ImageHDU(pixels, header)
    fits.HDUList([fits.PrimaryHDU(), first, second]).writeto(light, overwrite=True)
    result = run("calibrate", light, "--extension", 2, "--library", library, "--out", tmp_path / "out", *FORM)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "replaces MasterDark_10C" in result.stderr


def test_darks_without_a_temperature_are_all_measured(tmp_path: Path) -> None:
    """Cameras without a thermometer: the headers propose any of the darks."""
    darks = [write_dark(tmp_path, sensor_c) for sensor_c in (1.0, 10.0, 16.0)]
    setups = {dark: replace(setup_of(read_image_header(dark)), temperature_c=None) for dark in darks}
    light = write_light(tmp_path, 10.0, stated_c=None)
    lights = {light: setup_of(read_image_header(light))}
    for proposed in darks:
        choice = choose_dark(DarkThermometer(), lights, proposed, setups)
        assert choice.dark == darks[1]
        assert not choice.is_refused


@pytest.mark.parametrize(("stated_c", "largest_c"), [(4.8, 6.5), (None, 5.0), (9.0, 5.0)])
def test_headers_that_agree_allow_for_the_doubling_of_the_dark_current(
    stated_c: float | None, largest_c: float
) -> None:
    dark = Path("dark.fits")
    for measured_c, is_refused in ((largest_c - 0.2, False), (largest_c + 0.2, True)):
        measured = Measured(measured_c, 0.01, 500)
        assert DarkChoice(dark, dark, measured, measured, stated_c=stated_c).is_refused == is_refused


def test_the_refused_dark_is_no_way_out(library: Path, tmp_path: Path) -> None:
    light = write_light(tmp_path, 25.0, stated_c=16.0)
    result = run("calibrate", light, "--library", library, "--out", tmp_path / "out", *FORM)
    assert "shoot darks at about 25 C" in result.stderr
    assert "scaled-dark" not in result.stderr
    assert result.stderr.count("25 C") == 1


def test_lights_without_temperature_share_their_lines(library: Path, tmp_path: Path) -> None:
    lights = [
        write_light(tmp_path, light_c, stated_c=None, number=number) for number, light_c in enumerate((5.5, 6.0, 6.5))
    ]
    result = run("calibrate", *lights, "--library", library, "--out", tmp_path / "out", *FORM)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert result.stderr.count("by the hot pixels") == 2  # that the dark replaces another one, and how it differs
    assert "assumed to be equal" not in result.stderr
    assert "+- 0.0" not in result.stderr
    matched = run("library", "match", *lights, "--library", library)
    assert matched.stdout.count("no master flat") == 1  # one block for all lights
    assert "assumed to be equal" not in matched.stdout


def test_further_lights_do_not_change_the_dark_of_earlier_ones(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 7 C, noise decides between the darks of 4 and 10 C."""
    first = write_light(tmp_path, 7.0, stated_c=7.0)
    arguments = ("--library", library, "--out", tmp_path / "out", *FORM)
    assert run("calibrate", first, *arguments).exit_code == ExitCode.DONE
    used = fits.getheader(tmp_path / "out" / "light_7C_0_calibrated.fits")["CFDARK"]
    measured: list[list[Path]] = []
    measure = DarkThermometer.measure

    def recorded(self: DarkThermometer, lights: list[Path], *more: Any) -> dict[Path, Measured | None]:
        measured.append(list(lights))
        return measure(self, lights, *more)

    monkeypatch.setattr(DarkThermometer, "measure", recorded)
    more = [write_light(tmp_path, light_c, stated_c=7.0, number=1) for light_c in (4.5, 9.5)]
    result = run("calibrate", first, *more, *arguments)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert all(first not in lights for lights in measured)
    assert fits.getheader(tmp_path / "out" / "light_7C_0_calibrated.fits")["CFDARK"] == used
    measured.clear()
    assert run("calibrate", first, *more, *arguments).exit_code == ExitCode.DONE
    assert measured == []


def test_the_overscan_is_subtracted_before_the_measurement(tmp_path: Path) -> None:
    dark = write_dark(tmp_path, 10.0)
    light = write_light(tmp_path, 13.0, stated_c=None)
    pixels, header = fits.getdata(light), fits.getheader(light)
    height, width = pixels.shape
    strip = np.random.default_rng(1).normal(1000, 5, (height, 20)).round().astype(np.uint16)
    whole = np.hstack([pixels, strip])
    header["BIASSEC"], header["TRIMSEC"] = f"[{width + 1}:{width + 20},1:{height}]", f"[1:{width},1:{height}]"
    fits.PrimaryHDU(whole, header).writeto(light, overwrite=True)
    sections = setup_of(read_image_header(light)).sections
    assert sections is not None
    measured = DarkThermometer().measure([light], [dark], Overscan(sections, "row"))[dark]
    assert measured is not None
    assert measured.warmer_c == pytest.approx(3.0, abs=0.4)
    assert DarkThermometer().measure([light], [dark]) == {}
    alone = choose_dark(DarkThermometer(), {light: setup_of(read_image_header(light))}, dark, {})
    assert remarks_on([alone]) == []
