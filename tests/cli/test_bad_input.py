"""Bad files for the commands that read masters and frames. Each file causes a one-line message."""

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.library.library import Library
from coldframe.cli import app, main
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from tests.outside.observatory import Observatory
from tests.patience import PATIENCE_S

MOST_MEMORY = 1_500_000_000

Spoil = Callable[[Path], object]


def changed(path: Path, **cards: object) -> None:
    """Write values into the header, even if they make the file invalid."""
    content = path.read_bytes()
    for keyword, value in cards.items():
        start = content.index(f"{keyword:<8}=".encode())
        content = content[:start] + f"{keyword:<8}= {value!s:>20}".encode().ljust(80) + content[start + 80 :]
    path.write_bytes(content)


def with_pixel(path: Path, value: float) -> None:
    with fits.open(path) as units:
        pixels, header = units[0].data.astype(np.float32), units[0].header
    pixels[3, 4] = value
    for keyword in ("BZERO", "BSCALE"):
        header.pop(keyword, None)
    fits.PrimaryHDU(pixels, header).writeto(path, overwrite=True)


def as_table(path: Path) -> None:
    column = fits.Column("x", "J", array=np.arange(9))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column])]).writeto(path, overwrite=True)


def as_cube(path: Path) -> None:
    fits.PrimaryHDU(np.zeros((3, 20, 30), np.uint16), fits.Header({"IMAGETYP": "Light"})).writeto(path, overwrite=True)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "0-byte": (lambda path: path.write_bytes(b""), "empty"),
    "missing": (Path.unlink, "No such file"),
    "words": (lambda path: path.write_text("SIMPLE words " * 999), "not a FITS file"),
    "zeros": (lambda path: path.write_bytes(bytes(9000)), "not a FITS file"),
    "cut header": (lambda path: path.write_bytes(path.read_bytes()[:800]), "header does not end"),
    "cut pixels": (lambda path: path.write_bytes(path.read_bytes()[:9000]), "truncated"),
    "NaN": (lambda path: with_pixel(path, np.nan), "not numbers"),
    "infinite": (lambda path: with_pixel(path, np.inf), "not numbers"),
    "table": (as_table, "image|NAXIS1 must be an integer, but is missing"),
    "cube": (as_cube, "not a valid two-dimensional image"),
    "10^10 pixels": (lambda path: changed(path, NAXIS1=100_000, NAXIS2=100_000), "truncated|instead of 100000"),
    "10^30 pixels": (lambda path: changed(path, NAXIS1=10**15, NAXIS2=10**15), "truncated|instead of 10000"),
    "no pixels": (lambda path: changed(path, NAXIS1=0), "two-dimensional image"),
    "negative": (lambda path: changed(path, NAXIS2=-5), "two-dimensional image"),
    "odd bits": (lambda path: changed(path, BITPIX=24), "BITPIX"),
    "text for a number": (lambda path: changed(path, NAXIS1="'wide'"), ""),
    "gzip of nothing": (lambda path: path.write_bytes(b"\x1f\x8b"), ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def observatory() -> Observatory:
    return Observatory(width=96, height=64)


@pytest.fixture(scope="module")
def good(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library, two masters, a light and raw frames."""
    folder = tmp_path_factory.mktemp("good")
    library = Library(folder / "library")
    for master in observatory.masters(folder / "masters"):
        library.file(master)
    dark = next((folder / "masters").glob("MasterDark*_60s*"))
    shutil.copy(dark, folder / "dark.fits")
    shutil.copy(next((folder / "masters").glob("MasterFlat*")), folder / "flat.fits")
    for number in range(4):
        observatory.light(folder / f"light{number}.fits", number)
    for number in range(10):
        observatory.light(folder / f"raw{number}.fits", number, kind=FrameKind.DARK)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "work")
    return tmp_path / "work"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def contents(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "sqlite" not in path.name}


def check(result: Result, path: Path, said: str) -> None:
    assert result.stderr.count("\n") == 1, result.stderr
    assert str(path) in result.stderr
    assert re.search(said, result.stderr)


@pytest.mark.parametrize("name", SPOILT)
class TestSpoilt:
    """One invalid file of each kind."""

    def test_raw_frame(self, folder: Path, name: str) -> None:
        spoil, said = SPOILT[name]
        spoil(folder / "raw1.fits")
        before = contents(folder)
        frames = [folder / f"raw{number}.fits" for number in range(10)]
        result = run("combine", *frames, "-o", folder / "master.fits")
        assert result.exit_code == ExitCode.INCOMPLETE
        check(result, folder / "raw1.fits", said)
        assert contents(folder) == before | {folder / "master.fits"}
        assert fits.getheader(folder / "master.fits")["NCOMBINE"] == 9
        alone = run("combine", folder / "raw1.fits", "-o", folder / "other.fits")
        assert alone.exit_code == ExitCode.BAD_INPUT
        assert "nothing is left to combine" in alone.stderr

    def test_light(self, folder: Path, name: str) -> None:
        spoil, said = SPOILT[name]
        spoil(folder / "light1.fits")
        before = contents(folder)
        lights = [folder / f"light{number}.fits" for number in (0, 1)]
        result = run("calibrate", *lights, "--library", folder / "library")
        assert result.exit_code == ExitCode.INCOMPLETE
        check(result, folder / "light1.fits", said)
        assert contents(folder) == before | {folder / "calibrated" / "light0_calibrated.fits"}

    def test_master_for_a_defect_map(self, folder: Path, name: str) -> None:
        spoil, said = SPOILT[name]
        spoil(folder / "flat.fits")
        before = contents(folder)
        given = ["--dark", folder / "dark.fits", "--flat", folder / "flat.fits"]
        result = run("defects", *given, "-o", folder / "map.fits", "--list", folder / "map.lst")
        assert result.exit_code == ExitCode.BAD_INPUT
        check(result, folder / "flat.fits", said)
        assert contents(folder) == before


@pytest.mark.parametrize("name", sorted(SPOILT.keys() - {"NaN", "infinite"}))
def test_defect_map(folder: Path, name: str) -> None:
    spoil, said = SPOILT[name]
    assert run("defects", "--dark", folder / "dark.fits", "-o", folder / "map.fits").exit_code == ExitCode.DONE
    spoil(folder / "map.fits")
    before = contents(folder)
    result = run("calibrate", folder / "light0.fits", "--library", folder / "library", "--defects", folder / "map.fits")
    assert result.exit_code == ExitCode.BAD_INPUT
    check(result, folder / "map.fits", said)
    assert contents(folder) == before


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))


@pytest.mark.parametrize("command", ["combine", "calibrate", "defects"])
def test_an_absurd_size_takes_no_memory(folder: Path, command: str) -> None:
    bad = folder / {"combine": "raw1.fits", "calibrate": "light1.fits", "defects": "flat.fits"}[command]
    changed(bad, NAXIS1=100_000, NAXIS2=100_000)
    with bad.open("r+b") as file:
        file.truncate(20_100_000_000)  # a sparse file with all pixels
    arguments = {
        "combine": ["combine", *(folder / f"raw{number}.fits" for number in range(3)), "-o", folder / "master.fits"],
        "calibrate": ["calibrate", folder / "light0.fits", bad, "--library", folder / "library"],
        "defects": ["defects", "--dark", folder / "dark.fits", "--flat", bad, "-o", folder / "map.fits"],
    }[command]
    ended = subprocess.run(
        [sys.executable, "-m", "coldframe", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=limited,
    )
    assert ended.returncode in {ExitCode.INCOMPLETE, ExitCode.BAD_INPUT}
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    # The frames then have two sizes, which are shown.
    assert str(bad) in ended.stderr or "100000 x 100000" in ended.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("command", ["combine", "calibrate", "defects"])
def test_files_without_permission_are_named(folder: Path, command: str) -> None:
    bad = folder / {"combine": "raw1.fits", "calibrate": "light1.fits", "defects": "flat.fits"}[command]
    bad.chmod(0)
    arguments: list[object] = {
        "combine": [*(folder / f"raw{number}.fits" for number in range(10)), "-o", folder / "master.fits"],
        "calibrate": [folder / "light0.fits", bad, "--library", folder / "library"],
        "defects": ["--flat", bad, "-o", folder / "map.fits"],
    }[command]
    result = run(command, *arguments)
    assert result.exit_code in {ExitCode.INCOMPLETE, ExitCode.BAD_INPUT}
    assert result.stderr == f"{'left out: ' if command == 'combine' else ''}{bad}: Permission denied\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["combine", "empty", "-o", "m.fits"], "no FITS, XISF or camera raw files in this folder"),
        (["combine", "none*", "-o", "m.fits"], "no file matches"),
        (["combine", ".", "-o", "m.fits"], "specify its subfolders"),
        (["combine", "empty", "-o", "m.xisf"], "ends in .fits"),
        (["combine", "empty", "-o", "empty"], "is a folder"),
        (["combine", "~/none*", "-o", "m.fits"], str(Path("~/none").expanduser())),
        (["combine", "-o", "m.fits"], "nothing to combine: specify raw FILES"),
        (["calibrate", "empty"], "no FITS, XISF or camera raw files in this folder"),
        (["calibrate", "none*"], "no file matches"),
        (["diagnose", "empty"], "no FITS, XISF or camera raw files in this folder"),
        (["diagnose", "none*"], "no file matches"),
        (["bisect", "none*"], "no file matches"),
        (["calibrate"], "Missing argument"),
        (["defects", "-o", "m.fits"], "specify at least one master"),
        (["defects", "--dark", "empty", "-o", "m.fits"], "directory"),
        (["defects", "--dark", "empty", "-o", "m.xisf"], "ends in .fits"),
        (["library", "match", "empty", "--library", "."], "no FITS, XISF or camera raw files in this folder"),
        (["library", "list", "--library=~/none"], str(Path("~/none").expanduser())),
        (["library", "list", "--library=~nobody-of-this-name/x"], "no user of this name"),
    ],
)
def test_nothing_to_work_with(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert said in result.stderr
    assert contents(tmp_path) == set()


LONG = "x" * 300 + ".fits"


@pytest.mark.parametrize(
    "arguments",
    [
        ["combine", LONG, "-o", "m.fits"],
        ["combine", "x", "-o", LONG],
        ["calibrate", LONG, "--library", "."],
        ["calibrate", "x", "--library", LONG],
        ["defects", "--dark", "x", "-o", LONG],
        ["library", "show", LONG, "--library", "."],
        ["export", LONG, "--for", "siril", "--library", "library"],
        ["camera", "--folder", LONG],
    ],
)
def test_errors_of_the_operating_system_give_one_line(
    folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["coldframe", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"{line.split(': ')[0]}: File name too long"


def test_too_little_memory_gives_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("coldframe.cli.library.list_masters", Mock(side_effect=MemoryError))
    monkeypatch.setattr(sys, "argv", ["coldframe", "library", "list"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (ExitCode.BAD_INPUT, "not enough memory for this command\n")
