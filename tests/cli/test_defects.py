"""`coldframe defects`, and how `coldframe calibrate` uses its map."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from coldframe.calibration.defects.finding import Defect
from coldframe.calibration.library.library import Library
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.outside.observatory import Observatory

COLUMN = (slice(10, 50), 30)


@pytest.fixture(scope="module", params=["small", "cooled-osc"])
def observatory(request: pytest.FixtureRequest) -> Observatory:
    return Observatory(request.param, width=192, height=128)


@pytest.fixture(scope="module")
def masters(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Masters of a night; the flat has a dead column."""
    folder = tmp_path_factory.mktemp("masters")
    made = observatory.masters(folder)
    masters = {kind: next(path for path in made if kind in path.name) for kind in ("Bias", "60s", "Flat")}
    with fits.open(masters["Flat"], mode="update") as units:
        units[0].data[COLUMN] = 0.3
    return {"bias": masters["Bias"], "dark": masters["60s"], "flat": masters["Flat"]}


@pytest.fixture(scope="module")
def library(masters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = Library(tmp_path_factory.mktemp("filed") / "library")
    for master in masters.values():
        library.file(master)
    return library


@pytest.fixture(scope="module")
def found(masters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "map.fits"
    result = run("defects", *options(masters), "-o", path, "--list", path.with_suffix(".lst"))
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert f"{path}: {np.count_nonzero(fits.getdata(path))} of 24576 pixels are bad" in result.stdout
    assert "within a bad column (1)" in result.stdout
    return path


def options(masters: dict[str, Path]) -> list[object]:
    return [each for kind, path in masters.items() for each in (f"--{kind}", path)]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def test_a_map_is_written(found: Path, masters: dict[str, Path], observatory: Observatory) -> None:
    with fits.open(found, checksum=True) as units:
        header, bits = units[0].header, units[0].data
    assert (bits[COLUMN] & Defect.COLUMN).all()
    assert header["CFFLAT"] == masters["flat"].name
    assert header["INSTRUME"] == "Coldframe Camera"
    assert header.get("BAYERPAT") == observatory.cfa
    assert len(found.with_suffix(".lst").read_text().splitlines()) == header["CFBAD"] == np.count_nonzero(bits)


def test_kinds_that_no_master_shows_are_listed(masters: dict[str, Path], tmp_path: Path) -> None:
    result = run("defects", "--flat", masters["flat"], "-o", tmp_path / "map.fits")
    assert result.exit_code == ExitCode.DONE
    assert "not examined, because a different master is needed: hot, unstable, bias" in result.stdout


def calibrated(library: Library, light: Path, *arguments: object) -> tuple[fits.Header, dict[str, NDArray[np.float64]]]:
    result = run("calibrate", light, "--library", library.folder, "--uncertainty", *arguments)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    with fits.open(light.parent / "calibrated" / f"{light.stem}_calibrated.fits", checksum=True) as units:
        return units[0].header, {unit.name: unit.data.astype(np.float64) for unit in units}


@pytest.mark.parametrize("kind", [[], ["--float"]])
def test_defects_are_replaced(
    found: Path, library: Library, observatory: Observatory, tmp_path: Path, kind: list[str]
) -> None:
    light = observatory.light(tmp_path / "l.fits")
    header, planes = calibrated(library, light, "--defects", found, *kind)
    bad = fits.getdata(found) != 0
    error = planes["PRIMARY"] - header["PEDESTAL"] - observatory.sky_adu
    assert np.abs(error[bad]).max() < 8 * np.median(planes["UNCERT"])
    assert np.mean((error / planes["UNCERT"])[bad] ** 2) == pytest.approx(0.7, abs=0.3)
    assert (header["CFDEFMAP"], header["CFDEFNUM"], header["CFDEFLFT"]) == (found.name, bad.sum(), 0)
    np.testing.assert_array_equal((planes["MASK"].astype(int) & 2) != 0, bad)
    plain, untouched = calibrated(library, observatory.light(tmp_path / "plain" / "l.fits"), "--no-mend", *kind)
    np.testing.assert_array_equal(
        (planes["PRIMARY"] - header["PEDESTAL"])[~bad], (untouched["PRIMARY"] - plain["PEDESTAL"])[~bad]
    )


def test_the_values_of_defects_make_no_difference(
    found: Path, library: Library, observatory: Observatory, tmp_path: Path
) -> None:
    light, spoilt = observatory.light(tmp_path / "a" / "l.fits"), observatory.light(tmp_path / "b" / "l.fits")
    bad = fits.getdata(found) != 0
    with fits.open(spoilt, mode="update") as units:
        units[0].data[bad] = np.arange(bad.sum()) % 2 * 65535  # far below zero after the dark is subtracted, or clipped
    (header, planes), (other_header, other) = (
        calibrated(library, path, "--defects", found) for path in (light, spoilt)
    )
    assert header["PEDESTAL"] == other_header["PEDESTAL"] == 100
    assert other_header["CFCLIPLO"] == other_header["CFCLIPHI"] == 0
    for name, plane in planes.items():
        np.testing.assert_array_equal(plane, other[name])


def test_defects_are_blanked(found: Path, library: Library, observatory: Observatory, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    header, planes = calibrated(library, light, "--defects", found, "--float", "--blank")
    bad = fits.getdata(found) != 0
    np.testing.assert_array_equal(np.isnan(planes["PRIMARY"]), bad)
    np.testing.assert_array_equal(np.isnan(planes["UNCERT"]), bad)
    assert header["CFDEFHOW"] == "NaN"
    refused = run("calibrate", light, "--defects", found, "--blank")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "--float" in refused.stderr


OTHER_MAPS = {
    "size": "the defect map has the shape (40, 50)",
    "camera": "does not belong to these pixels: camera is Other instead of Coldframe Camera",
    "dark": "not a defect map",
    "missing": "No such file",
}


@pytest.mark.parametrize("change", OTHER_MAPS)
def test_a_map_of_other_pixels_is_refused(
    found: Path, library: Library, observatory: Observatory, tmp_path: Path, change: str
) -> None:
    light, other = observatory.light(tmp_path / "l.fits"), tmp_path / "other.fits"
    match change:
        case "size":
            fits.PrimaryHDU(np.eye(40, 50, dtype=np.uint8)).writeto(other)
        case "camera":
            fits.PrimaryHDU(fits.getdata(found), fits.Header({"INSTRUME": "Other"})).writeto(other)
        case "dark":
            fits.PrimaryHDU(np.full((128, 192), 500, np.uint16)).writeto(other)
    result = run("calibrate", light, "--library", library.folder, "--defects", other)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert OTHER_MAPS[change] in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("**/*_calibrated.fits"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("nothing", "specify at least one master"),
        ("kind", "is a flat frame, not a dark"),
        ("exists", "never overwritten"),
        ("folder", "does not exist"),
        ("size", "192 x 128 pixels"),
        ("camera", "does not match the other masters: camera is Other instead of Coldframe Camera"),
        ("light", "would be defects"),
        ("egain", "EGAIN"),
    ],
)
def test_bad_input_gives_one_clear_line(masters: dict[str, Path], tmp_path: Path, change: str, said: str) -> None:
    output, given, other = tmp_path / "map.fits", options(masters), tmp_path / "other.fits"
    with fits.open(masters["flat"]) as units:
        pixels, header = units[0].data, units[0].header
    match change:
        case "nothing":
            given = []
        case "kind":
            given = ["--dark", masters["flat"]]
        case "exists":
            output.write_text("precious")
        case "folder":
            output = tmp_path / "nowhere" / "map.fits"
        case "size":
            fits.PrimaryHDU(pixels[:40], header).writeto(other)
            given = ["--dark", masters["dark"], "--flat", other]
        case "camera":
            fits.PrimaryHDU(pixels, header).writeto(other)
            fits.setval(other, "INSTRUME", value="Other")
            given = ["--dark", masters["dark"], "--flat", other]
        case "light":
            spotted = np.where(np.random.default_rng(1).random(pixels.shape) < 0.3, pixels / 2, pixels)
            fits.PrimaryHDU(spotted.astype(np.float32), header).writeto(other)
            given = ["--flat", other]
        case "egain":
            fits.PrimaryHDU(pixels, fits.Header({"EXPTIME": 60.0})).writeto(other)
            given = ["--dark", other, "--hot", "2"]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = run("defects", *given, "-o", output)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert said in result.stderr
    if change != "nothing":  # that message comes with the usage
        assert result.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
