"""`coldframe combine --all`, and the options of `combine` that concern the pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.cli.command_line import app
from coldframe.cli.exit_codes import ExitCode

SHAPE = (64, 96)
BIAS_ADU = 500


def shoot(folder: Path, kind: str, count: int, level_adu: float, exposure_s: float, **cards: object) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(len(list(folder.iterdir())))
        pixels = rng.normal(level_adu, 9, SHAPE).round().astype(np.uint16)
        header = {"IMAGETYP": kind, "EXPTIME": exposure_s, "GAIN": 100, "INSTRUME": "Cam", "CCD-TEMP": -10.0}
        words = fits.Header([*header.items(), *cards.items()])
        fits.PrimaryHDU(pixels, words).writeto(folder / f"{kind}-{level_adu:g}-{number}.fits")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["combine", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with bias frames, darks, dark flats, flats of two filters and lights."""
    folder = tmp_path / "mixed"
    shoot(folder, "Flat", 8, 25_000, 2.0, FILTER="R")
    shoot(folder, "Flat", 8, 26_000, 9.0, FILTER="Ha")
    shoot(folder, "Bias", 9, BIAS_ADU, 0.0)
    shoot(folder, "DarkFlat", 8, 510, 2.0, FILTER="R")
    shoot(folder, "Dark", 8, 700, 300.0)
    shoot(folder, "Light", 3, 900, 300.0)
    return folder


def test_every_set_becomes_a_master(mixed: Path, tmp_path: Path) -> None:
    ended = run(mixed, "--all", "-o", tmp_path / "masters")
    assert ended.exit_code == ExitCode.DONE, ended.output
    made = {path.name for path in (tmp_path / "masters").iterdir()}
    assert made == {
        "MasterBias_Cam_G100_-10C_1x1.fits",
        "MasterDark_Cam_G100_-10C_300s_1x1.fits",
        "MasterDarkFlat_Cam_G100_-10C_2s_1x1_R.fits",
        "MasterFlat_Cam_G100_-10C_1x1_R.fits",
        "MasterFlat_Cam_G100_-10C_1x1_Ha.fits",
    }
    assert "skipped: 3 lights" in ended.stdout
    assert (
        "no dark flat from this run matches the flats: MasterBias_Cam_G100_-10C_1x1.fits is subtracted instead"
        in ended.stderr
    )
    red, narrow = (tmp_path / "masters" / f"MasterFlat_Cam_G100_-10C_1x1_{name}.fits" for name in ("R", "Ha"))
    assert fits.getheader(red)["CFSUBTR"] == "MasterDarkFlat_Cam_G100_-10C_2s_1x1_R.fits"
    assert fits.getheader(narrow)["CFSUBTR"] == "MasterBias_Cam_G100_-10C_1x1.fits"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["masters", "mixed"]


def test_nothing_is_overwritten_and_earlier_masters_serve_new_flats(mixed: Path, tmp_path: Path) -> None:
    masters = tmp_path / "masters"
    run(mixed, "--all", "-o", masters)
    flat = masters / "MasterFlat_Cam_G100_-10C_1x1_R.fits"
    before = {path: path.read_bytes() for path in masters.iterdir()}
    again = run(mixed, "--all", "-o", masters)
    assert again.exit_code == ExitCode.BAD_INPUT
    assert again.stderr.count("exists, and files are never overwritten") == 5
    assert "no master was made" in again.stderr
    flat.unlink()
    assert run(mixed, "--all", "-o", masters).exit_code == ExitCode.INCOMPLETE
    assert {path: path.read_bytes() for path in masters.iterdir()} == before


def test_what_is_left_out_is_named_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shoot(folder, "Flat", 8, 25_000, 2.0)
    shoot(folder, "Bias", 1, BIAS_ADU, 0.0)
    shoot(folder, "Focus", 4, 800, 1.0)
    for number in range(5):
        (folder / f"broken-{number}.fits").write_bytes(b"SIMPLE")
    ended = run(folder, "--all", "-o", tmp_path / "masters")
    assert ended.exit_code == ExitCode.INCOMPLETE
    assert "a single frame is not enough for a master" in ended.stderr
    assert "skipped: 4 frames of unknown kind" in ended.stderr
    assert ended.stderr.count("broken-") == 3
    assert "broken-2.fits and 2 more: " in ended.stderr
    assert "no dark flat and no bias from this run matches the flats" in ended.stderr
    assert [path.name for path in (tmp_path / "masters").iterdir()] == ["MasterFlat_Cam_G100_-10C_1x1.fits"]


def test_sets_of_the_same_name_get_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shoot(folder, "Bias", 8, BIAS_ADU, 0.0, ROWORDER="TOP-DOWN")
    shoot(folder, "Bias", 9, BIAS_ADU + 1, 0.0, ROWORDER="BOTTOM-UP")
    assert run(folder, "--all", "-o", tmp_path / "masters").exit_code == ExitCode.DONE
    assert {path.name: fits.getheader(path)["STACKCNT"] for path in (tmp_path / "masters").iterdir()} == {
        "MasterBias_Cam_G100_-10C_1x1.fits": 9,
        "MasterBias_Cam_G100_-10C_1x1-2.fits": 8,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all", "-o", "file.fits"), "several masters"),
        (("--all", "-o", "nowhere/masters"), "does not exist"),
        (("--all", "-o", "masters", "--dark", "file.fits"), "leave out --dark"),
        (("-o", "m.fits", "--biassec", "[41:48"), "BIASSEC '[41:48' is not of the form [x1:x2,y1:y2]"),
        (("-o", "m.fits", "--biassec", "[90:97,1:64]", "--trimsec", "[1:89,1:64]"), "is not within the frame"),
        (("-o", "m.fits", "--biassec", "[90:96,1:64]"), "but no TRIMSEC or DATASEC"),
        (("-o", "m.fits", "--trimsec", "[1:89,1:64]"), "specify its section with --biassec"),
    ],
)
def test_bad_options_are_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shoot(tmp_path / "raw", "Bias", 8, BIAS_ADU, 0.0)
    Path("file.fits").write_text("a file")
    ended = run("raw", *arguments)
    assert ended.exit_code == ExitCode.BAD_INPUT
    (line,) = ended.stderr.splitlines()
    assert message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.fits", "raw"]


def test_sections_that_the_headers_lack_are_given_by_hand(tmp_path: Path) -> None:
    shoot(tmp_path / "raw", "Bias", 8, BIAS_ADU, 0.0)
    sections = ("--biassec", "[ 89 : 96 , * ]", "--trimsec", "[1:88,1:64]")
    assert run(tmp_path / "raw", "-o", tmp_path / "m.fits", *sections).exit_code == ExitCode.DONE
    with fits.open(tmp_path / "m.fits") as units:
        assert units[0].data.shape == (64, 88)
        assert abs(units[0].data.mean()) < 0.5
        assert units[0].header["TRIM"] == "[1:88,1:64]"


def with_light(pixels: np.ndarray) -> np.ndarray:
    return pixels + 120


def spoilt(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with fits.open(folder / name, mode="update") as units:
        units[0].data = change(units[0].data)


def test_doubtful_frames_are_named_and_left_out_on_request(tmp_path: Path) -> None:
    shoot(tmp_path / "raw", "Dark", 12, BIAS_ADU, 60.0)
    spoilt(tmp_path / "raw", "Dark-500-7.fits", with_light)
    kept = run(tmp_path / "raw", "-o", tmp_path / "kept.fits")
    assert kept.exit_code == ExitCode.DONE
    assert "doubtful: " in kept.stderr
    assert "Dark-500-7.fits: the level of 620 ADU" in kept.stderr
    assert fits.getheader(tmp_path / "kept.fits")["STACKCNT"] == 12
    left_out = run(tmp_path / "raw", "-o", tmp_path / "left.fits", "--reject-doubtful")
    assert left_out.exit_code == ExitCode.INCOMPLETE
    assert "left out: " in left_out.stderr
    assert fits.getheader(tmp_path / "left.fits")["STACKCNT"] == 11


def saturated(pixels: np.ndarray) -> np.ndarray:
    return np.where(np.arange(SHAPE[1]) < 60, 65535, pixels).astype(np.uint16)


def test_saturated_flats_are_refused_unless_forced(tmp_path: Path) -> None:
    shoot(tmp_path / "raw", "Flat", 8, 50_000, 2.0)
    for number in range(8):
        spoilt(tmp_path / "raw", f"Flat-50000-{number}.fits", saturated)
    ended = run(tmp_path / "raw", "-o", tmp_path / "m.fits")
    assert ended.exit_code == ExitCode.BAD_INPUT
    assert "75.00 % of the central pixels are saturated" in ended.stderr
    assert "--force combines them anyway" in ended.stderr
    assert run(tmp_path / "raw", "-o", tmp_path / "m.fits", "--force").exit_code == ExitCode.DONE


def test_the_outlier_of_one_of_four_flats_is_gone(tmp_path: Path) -> None:
    shoot(tmp_path / "raw", "Flat", 4, 20_000, 2.0)
    spoilt(tmp_path / "raw", "Flat-20000-2.fits", lambda pixels: np.where(np.arange(SHAPE[1]) == 7, 45_000, pixels))
    ended = run(tmp_path / "raw", "-o", tmp_path / "m.fits")
    assert ended.exit_code == ExitCode.DONE
    assert "the median is used" in ended.stderr
    assert fits.getdata(tmp_path / "m.fits")[:, 7] == pytest.approx(1, abs=0.003)
    clipped = run(tmp_path / "raw", "-o", tmp_path / "c.fits", "--method", "sigma-clip")
    assert "rejects nothing from 4 frames" in clipped.stderr
    assert fits.getdata(tmp_path / "c.fits")[:, 7].min() > 1.2


def test_a_refused_dark_and_a_mixture_name_the_way_out(mixed: Path, tmp_path: Path) -> None:
    assert "use --all -o FOLDER to make a master of each" in run(mixed, "-o", tmp_path / "m.fits").stderr
    run(mixed, "--all", "-o", tmp_path / "masters")
    long = tmp_path / "masters" / "MasterDark_Cam_G100_-10C_300s_1x1.fits"
    refused = run(mixed / "Flat-25000-*.fits", "-o", tmp_path / "m.fits", "--dark", long)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "use --dark with a master dark flat of 2 s or with a master bias, or --force" in refused.stderr
