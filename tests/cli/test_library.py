import re
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.library.library import Library
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import ReadoutSettings
from tests.outside.observatory import Observatory


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
    assert missing.stderr.startswith(f"nothing: neither a file nor a master in {library.folder}: ")


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


def test_match(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "light.fits")
    result = run(library, "match", light)
    assert result.exit_code == ExitCode.DONE
    chosen = [line.split(maxsplit=1)[1] for line in result.stdout.splitlines()[1:]]
    assert [Path(path).parent.name for path in chosen] == ["biases", "darks", "flats"]


def test_match_reports_tolerated_differences(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    flat = next(path for path in library.catalogue().headers if "Flat" in path.name)
    content = flat.read_bytes()
    flat.unlink()  # the other tests share this file
    flat.write_bytes(content)
    fits.delval(flat, "CFSUBTR")
    result = run(library, "match", observatory.light(tmp_path / "light.fits", sensor_c=-10.9))
    assert result.exit_code == ExitCode.DONE
    assert "        its temperature differs by +0.9 C: it has up to 11 % more dark current" in result.stdout
    assert "        its header names no dark or bias that was subtracted" in result.stdout


def test_match_explains_refusals(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "light.fits", exposure_s=180.0)
    silent = observatory.light(tmp_path / "silent.fits", settings=ReadoutSettings(gain=100))
    result = run(library, "match", light, silent, tmp_path / "missing.fits")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "  dark  no dark fits: the nearest is MasterDark_" in result.stdout
    assert "(-10 C, 60 s): exposure differs by 120 s" in result.stdout
    assert "the header of the light has no offset: assumed to be equal" in result.stdout
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


@pytest.mark.parametrize(
    ("kind", "said"),
    [("Dark", "its values are below 1: not in ADU"), ("Flat", "mean is 0.38: it must be relative to 1")],
)
def test_masters_in_fractions_of_the_range_are_added_for_other_programs_only(
    tmp_path: Path, kind: str, said: str
) -> None:
    pixels = np.full((20, 30), 0.38, np.float32)
    fits.PrimaryHDU(pixels, fits.Header({"IMAGETYP": kind, "STACKCNT": 20})).writeto(tmp_path / "master.fits")
    result = run(Library(tmp_path / "new"), "add", tmp_path / "master.fits")
    assert result.exit_code == ExitCode.DONE
    assert len(Library(tmp_path / "new").catalogue().headers) == 1
    assert result.stderr.startswith(f"{tmp_path / 'master.fits'}: calibrate cannot use it: ")
    assert said in result.stderr


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
    assert (result.exit_code, result.stdout) == (ExitCode.DONE, "4 masters are in the index\n")


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
