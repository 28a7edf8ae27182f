import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.library.library import Library
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.calibration.masters.reading import MasterPlanes, read_master
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind, ReadoutSettings
from tests.outside.observatory import Observatory

F32 = NDArray[np.float32]


@pytest.fixture(scope="module")
def observatory() -> Observatory:
    return Observatory(width=64, height=48)


@pytest.fixture(scope="module")
def masters(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return observatory.masters(tmp_path_factory.mktemp("masters"))


@pytest.fixture
def library(masters: list[Path], tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for master in masters:
        library.file(master)
    return library


def run(library: Library, *arguments: object) -> Result:
    given = ["library", *map(str, arguments), "--library", str(library.folder)]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_list(library: Library) -> None:
    result = run(library, "list")
    assert result.exit_code == ExitCode.DONE
    assert "\nColdframe Camera, gain 100, offset 50, 1x1\n" in result.stdout
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines() if "MasterDark" in line]
    assert [row[1:] for row in rows] == [["-10.0 C", exposure, "2026-11-22", "30"] for exposure in ("30 s", "60 s")]


def test_list_as_json(library: Library) -> None:
    result = run(library, "list", "--json")
    assert result.exit_code == ExitCode.DONE
    darks = [master for master in json.loads(result.stdout) if master["kind"] == "dark"]
    assert sorted(dark["exposure_s"] for dark in darks) == [30, 60]
    for dark in darks:
        assert Path(dark["path"]).is_file()
        shown = (dark["camera"], dark["temperature_c"], dark["gain"], dark["offset"], dark["frames"])
        assert shown == ("Coldframe Camera", -10, 100, 50, 30)


def test_list_names_files_that_are_not_masters(library: Library) -> None:
    (library.folder / "words.fits").write_text("words")
    result = run(library, "list")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert f"{library.folder / 'words.fits'}: " in result.stderr


def test_show(library: Library, masters: list[Path]) -> None:
    filed = next(path for path in library.catalogue().headers if "MasterFlat" in path.name)
    for name in (filed.name, filed.stem, filed, masters[-1]):
        result = run(library, "show", name)
        assert result.exit_code == ExitCode.DONE
        assert "  IMAGETYP  Master Flat\n" in result.stdout
    missing = run(library, "show", "nothing")
    assert missing.exit_code == ExitCode.BAD_INPUT
    assert missing.stderr.startswith(f"nothing: it is neither a file nor a master in {library.folder}: ")


def test_camera_names_of_the_configuration_hold_in_match_and_calibrate(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light = observatory.light(tmp_path / "light.fits")
    fits.setval(light, "INSTRUME", value="Main Imager")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    refused = run(library, "match", light)
    assert refused.exit_code == ExitCode.INCOMPLETE
    assert "camera is Coldframe Camera instead of Main Imager" in refused.stdout
    config = tmp_path / "coldframe" / "coldframe.toml"
    config.parent.mkdir()
    config.write_text('[camera]\ndevice = "Coldframe Camera"\n[lights]\ncamera_names = ["Main Imager"]\n', "utf-8")
    assert run(library, "match", light).exit_code == ExitCode.DONE
    calibrate = ["calibrate", str(light), "--library", str(library.folder)]
    assert CliRunner().invoke(app, calibrate, catch_exceptions=False).exit_code == ExitCode.DONE


@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_library_of_a_different_configuration(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nowhere"))
    config = tmp_path / "second rig.toml"
    config.write_text(f'[camera]\ndevice = "C"\n[storage]\nfolder = "{library.folder.parent}"\n', "utf-8")
    assert CliRunner().invoke(app, ["library", "list"]).exit_code == ExitCode.BAD_INPUT
    if way == "variable":
        monkeypatch.setenv("COLDFRAME_CONFIG", str(config))
    options = ["-c", str(config)] if way == "option" else []
    listed = CliRunner().invoke(app, ["library", "list", *options], catch_exceptions=False)
    assert listed.stdout.startswith(f"{len(library.catalogue().headers)} masters in {library.folder}\n")
    assert os.environ.get("COLDFRAME_CONFIG") == (str(config) if way == "variable" else None)


@pytest.mark.parametrize(
    "command", ["library list", "library match l.fits", "calibrate l.fits", "export out --for siril"]
)
@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_named_configuration_that_cannot_be_used_is_refused(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, way: str
) -> None:
    config = tmp_path / "typo.toml"
    if way == "variable":
        monkeypatch.setenv("COLDFRAME_CONFIG", str(config))
    options = ["-c", str(config)] if way == "option" else []
    result = CliRunner().invoke(app, [*command.split(), "--library", str(library.folder), *options])
    assert result.exit_code == ExitCode.BAD_INPUT
    assert str(config) in result.stderr
    assert os.environ.get("COLDFRAME_CONFIG") == (str(config) if way == "variable" else None)


def test_match(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "light.fits")
    result = run(library, "match", light)
    assert result.exit_code == ExitCode.DONE
    chosen = [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()[1:]]
    assert [Path(path).parent.name for path in chosen] == ["biases", "darks", "flats"]


def test_lights_with_the_same_masters_are_shown_together(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    same = [observatory.light(tmp_path / f"{number}.fits", number) for number in range(3)]
    other = observatory.light(tmp_path / "long.fits", exposure_s=180.0)
    result = run(library, "match", tmp_path)
    assert result.stdout.startswith(f"{same[0]} and 2 others\n")
    assert result.stdout.count("  dark ") == 2
    found = json.loads(run(library, "match", tmp_path, "--json").stdout)
    assert [group["lights"] for group in found] == [[str(light) for light in same], [str(other)]]
    good, bad = (group["masters"]["dark"] for group in found)
    assert Path(good["path"]).is_file()
    assert good["refusal"] is None
    assert bad["path"] is None
    assert "exposure differs by 120 s" in bad["refusal"]


def test_match_reports_tolerated_differences(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    flat = next(path for path in library.catalogue().headers if "Flat" in path.name)
    content = flat.read_bytes()
    flat.unlink()  # the other tests share this file
    flat.write_bytes(content)
    fits.delval(flat, "CFSUBTR")
    result = run(library, "match", observatory.light(tmp_path / "light.fits", sensor_c=-10.9))
    assert result.exit_code == ExitCode.DONE
    assert (
        "        its temperature differs from that of the light by +0.9 C, so it has up to 11 % more dark current"
        in result.stdout
    )
    assert "        according to its header, no dark or bias was subtracted" in result.stdout


def test_match_explains_refusals(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "light.fits", exposure_s=180.0)
    silent = observatory.light(tmp_path / "silent.fits", settings=ReadoutSettings(gain=100))
    result = run(library, "match", light, silent, tmp_path / "missing.fits")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "  dark  no dark fits: the nearest is MasterDark_" in result.stdout
    assert "(-10 C, 60 s): exposure differs by 120 s" in result.stdout
    assert "the header of the light has no offset, which is assumed to be equal" in result.stdout
    assert "missing.fits: No such file" in result.stderr
    assert run(library, "match", light).exit_code == ExitCode.INCOMPLETE


def test_add(masters: list[Path], observatory: Observatory, tmp_path: Path) -> None:
    library = Library(tmp_path / "new")
    assert run(library, "add", *masters).exit_code == ExitCode.DONE
    assert len(library.catalogue().headers) == len(masters)
    light = observatory.light(tmp_path / "light.fits")
    mixed = run(library, "add", light, masters[0])
    assert mixed.exit_code == ExitCode.INCOMPLETE
    assert "is a light frame" in mixed.stderr
    assert run(library, "add", light).exit_code == ExitCode.BAD_INPUT


def foreign(path: Path, pixels: F32, **cards: object) -> Path:
    header = fits.Header({"INSTRUME": "Cam", "STACKCNT": 20, "PROGRAM": "Siril 1.2.0", **cards})
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def added(tmp_path: Path, master: Path, *options: object) -> tuple[Result, MasterPlanes]:
    library = Library(tmp_path / "new")
    result = run(library, "add", master, *options)
    assert result.exit_code == ExitCode.DONE, result.stderr
    (filed,) = library.catalogue().headers
    planes = read_master(filed)
    if "CFROLE" in planes.header:
        assert integrity_fault(filed) is None
    return result, planes


def test_a_dark_in_fractions_of_the_range_is_converted(tmp_path: Path) -> None:
    dark = np.random.default_rng(1).normal(500, 1, (32, 48)).astype(np.float32)
    original = foreign(tmp_path / "dark_stacked.fit", dark / np.float32(65535), IMAGETYP="Dark Frame", EXPTIME=60.0)
    before = original.read_bytes()
    result, master = added(tmp_path, original)
    assert "1.0 is 65,535 ADU, because few values exceed 1" in result.stdout
    np.testing.assert_allclose(master.mean, dark, atol=1e-3)
    assert (master.header["EXPTIME"], master.header["BUNIT"]) == (60, "adu")
    assert original.read_bytes() == before
    again = run(Library(tmp_path / "new"), "add", original)
    assert again.stdout == result.stdout
    assert len(Library(tmp_path / "new").catalogue().headers) == 1


def test_a_master_that_combine_made_of_fractions_is_converted(tmp_path: Path) -> None:
    levels = np.random.default_rng(2).normal(500, 5, (5, 32, 48)).astype(np.float32)
    for number, frame in enumerate(levels):
        cards = {"IMAGETYP": "Dark Frame", "EXPTIME": 60.0, "INSTRUME": "Cam"}
        fits.writeto(tmp_path / f"{number}.fits", frame / np.float32(65535), fits.Header(cards))
    made = tmp_path / "master" / "MasterDark.fits"
    made.parent.mkdir()
    combined = CliRunner().invoke(app, ["combine", str(tmp_path), "-o", str(made)], catch_exceptions=False)
    assert combined.exit_code == ExitCode.DONE, combined.output
    library = Library(tmp_path / "new")
    result = run(library, "add", made)
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "1.0 is 65,535 ADU, because few values exceed 1" in result.stdout
    (filed,) = library.catalogue().headers
    assert read_master(filed).mean.mean() == pytest.approx(500, abs=1)


@pytest.mark.parametrize("level", [0.38, 0.55, 24_000.0])
def test_a_flat_becomes_relative(tmp_path: Path, level: float) -> None:
    shade = np.linspace(0.9, 1.1, 48, dtype=np.float32)[None].repeat(32, 0)
    result, master = added(tmp_path, foreign(tmp_path / "flat.fits", shade * np.float32(level), IMAGETYP="Flat"))
    assert "was scaled to 1" in result.stdout
    np.testing.assert_allclose(master.mean, shade / shade.mean(), rtol=1e-5)


def test_the_user_states_kind_and_range(tmp_path: Path) -> None:
    dark = np.full((20, 30), 0.5, np.float32)
    dark[3, 4] = 0.6
    result, master = added(tmp_path, foreign(tmp_path / "m.fits", dark), "--kind", "dark", "--range", 4095)
    assert "the user stated that it is a master dark" in result.stdout
    assert "the user stated that 1.0 is 4095 ADU" in result.stdout
    assert setup_of(master.header).kind is FrameKind.DARK
    assert master.mean[0, 0] == 2047.5


def test_a_dark_without_its_bias_is_marked(tmp_path: Path) -> None:
    dark = np.random.default_rng(1).normal(0, 1, (32, 48)).astype(np.float32)
    dark[5, 6] = 900
    result, master = added(tmp_path, foreign(tmp_path / "dark.fits", dark, IMAGETYP="Master Dark", EXPTIME=60.0))
    assert "its bias was subtracted" in result.stdout
    assert setup_of(master.header).bias_subtracted


@pytest.mark.parametrize(
    ("level", "cards", "said"),
    [
        (2e9, {"IMAGETYP": "Dark Frame"}, "exceed the 16-bit range: use --range to specify the level"),
        (500.0, {"IMAGETYP": "Dark Frame", "BUNIT": "electron"}, "its unit is electrons (BUNIT)"),
        (-3.0, {"IMAGETYP": "Flat Field"}, "it is not a flat"),
        (500.0, {"IMAGETYP": "Light Frame"}, "is a light frame"),
        (500.0, {}, "has no known frame type"),
        (9000.0, {"IMAGETYP": "Flat Frame", "STACKCNT": 1}, "is a single flat frame"),
    ],
)
def test_masters_that_cannot_be_used_are_refused(
    tmp_path: Path, level: float, cards: dict[str, object], said: str
) -> None:
    pixels = np.random.default_rng(1).normal(level, max(abs(level) / 1000, 1), (20, 30)).astype(np.float32)
    result = run(Library(tmp_path / "new"), "add", foreign(tmp_path / "m.fits", pixels, **cards))
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    (line,) = result.stderr.splitlines()
    assert said in line


def dark_of(level: float, sigma: float = 3.0) -> F32:
    return np.random.default_rng(1).normal(level, sigma, (80, 60)).astype(np.float32)


def test_a_dark_flat_stays_one(tmp_path: Path) -> None:
    master = foreign(tmp_path / "m.fits", dark_of(500), IMAGETYP="Master Dark", EXPTIME=2.0)
    _, filed = added(tmp_path, master, "--kind", "dark-flat")
    assert setup_of(filed.header).kind is FrameKind.DARK_FLAT


def test_black_rows_do_not_hide_the_bias(tmp_path: Path) -> None:
    dark = dark_of(655)
    dark[:2] = 0
    result, filed = added(tmp_path, foreign(tmp_path / "m.fits", dark, IMAGETYP="Master Dark", EXPTIME=60.0))
    assert not setup_of(filed.header).bias_subtracted
    assert "bias" not in result.stdout


@pytest.mark.parametrize(("option", "subtracted"), [("--with-bias", False), ("--bias-subtracted", True)])
def test_a_level_that_does_not_show_the_bias_is_stated(tmp_path: Path, option: str, *, subtracted: bool) -> None:
    dark = foreign(tmp_path / "m.fits", dark_of(90), IMAGETYP="Master Dark", EXPTIME=60.0)
    refused = run(Library(tmp_path / "new"), "add", dark)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "specify --with-bias or --bias-subtracted" in refused.stderr
    _, filed = added(tmp_path, dark, option)
    assert setup_of(filed.header).bias_subtracted is subtracted


@pytest.mark.parametrize("calibration", ["B", "BM", " "])
def test_a_dark_around_zero_has_no_bias(tmp_path: Path, calibration: str) -> None:
    dark = foreign(tmp_path / "m.fits", dark_of(0), IMAGETYP="Master Dark", EXPTIME=60.0, CALSTAT=calibration)
    _, filed = added(tmp_path, dark)
    assert setup_of(filed.header).bias_subtracted


def test_a_hot_pixel_does_not_hide_fractions(tmp_path: Path) -> None:
    dark = dark_of(0.01, 0.0001)
    dark[5, 6] = 1.2
    _, filed = added(tmp_path, foreign(tmp_path / "2026.01.02_dark.fit", dark, IMAGETYP="Master Dark", EXPTIME=60.0))
    assert np.median(filed.mean) == pytest.approx(655, abs=1)
    (path,) = Library(tmp_path / "new").catalogue().headers
    assert path.name == "2026.01.02_dark.fits"


def test_a_single_frame_is_no_master_whatever_the_user_states(tmp_path: Path) -> None:
    path = tmp_path / "m.fits"
    fits.PrimaryHDU(dark_of(500), fits.Header({"IMAGETYP": "Dark Frame", "EXPTIME": 60.0})).writeto(path)
    result = run(Library(tmp_path / "new"), "add", path, "--kind", "dark-flat")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "is a single dark frame" in result.stderr


@pytest.mark.parametrize(
    ("pixels", "kind", "said"),
    [
        (dark_of(500), "Dark", "most of its values exceed the 16-bit range"),
        (dark_of(1, 0.01), "Flat", "does not apply"),
        (np.zeros((80, 60), np.float32), "Dark", "the same value"),
    ],
)
def test_implausible_ranges_are_refused(tmp_path: Path, pixels: F32, kind: str, said: str) -> None:
    master = foreign(tmp_path / "d.fits", pixels, IMAGETYP=f"Master {kind}")
    result = run(Library(tmp_path / "new"), "add", master, "--range", 65535)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert said in result.stderr


def test_a_kind_that_contradicts_the_header_is_refused(tmp_path: Path) -> None:
    pixels = np.full((20, 30), 500, np.float32)
    flat = foreign(tmp_path / "m.fits", pixels, IMAGETYP="Flat Field")
    result = run(Library(tmp_path / "new"), "add", flat, "--kind", "dark")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "its header states that it is a flat, not a dark" in result.stderr


def test_verify(library: Library) -> None:
    sound = run(library, "verify")
    assert (sound.exit_code, sound.stdout) == (ExitCode.DONE, "4 of 4 masters are sound\n")
    path = next(iter(library.catalogue().headers))
    path.write_bytes(path.read_bytes().replace(b"Coldframe", b"coldframe", 1))
    damaged = run(library, "verify")
    assert (damaged.exit_code, damaged.stdout) == (ExitCode.INCOMPLETE, "3 of 4 masters are sound\n")
    assert f"{path}: image 1: CHECKSUM is wrong" in damaged.stderr


def test_rebuild(library: Library) -> None:
    (library.folder / "index.sqlite").write_bytes(b"rubbish")
    result = run(library, "rebuild")
    assert (result.exit_code, result.stdout) == (ExitCode.DONE, "the index contains 4 masters\n")


def test_prune(library: Library, masters: list[Path]) -> None:
    newer = library.folder / "newer.fits"
    newer.write_bytes(masters[0].read_bytes().replace(b"2026-11-22T", b"2027-03-01T"))
    dry = run(library, "prune", "--dry-run")
    assert len(library.catalogue().headers) == 5
    done = run(library, "prune")
    assert done.exit_code == dry.exit_code == ExitCode.DONE
    assert dry.stdout.count(" -> ") == done.stdout.count(" -> ") == 1
    assert len(library.catalogue().headers) == 4
    assert "nothing to move" in run(library, "prune").stderr
    assert next((library.folder / "superseded").rglob("*.fits")).name.startswith("MasterBias")


def test_the_earlier_export_still_works(library: Library, tmp_path: Path) -> None:
    result = run(library, "export", tmp_path / "out", "--for", "wbpp")
    assert result.exit_code == ExitCode.DONE
    assert len(result.stdout.splitlines()) >= 4
    assert result.stderr.splitlines() == ["`coldframe library export` is now `coldframe export FOLDER --for wbpp`"]


@pytest.mark.parametrize("command", ["list", "verify", "rebuild", "prune", "match x", "show x", "export x"])
def test_a_missing_library_is_one_clear_line(tmp_path: Path, command: str) -> None:
    result = run(Library(tmp_path / "nowhere"), *command.split())
    assert result.exit_code == ExitCode.BAD_INPUT
    assert result.stdout == ""
    assert result.stderr.startswith(f"{tmp_path / 'nowhere'}: there is no library here yet; coldframe files masters")
    assert result.stderr.count("\n") == (2 if command == "export x" else 1)
