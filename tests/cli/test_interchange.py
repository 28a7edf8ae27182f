import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from tests.calibration.interchange.builders import raw, tree, write


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    write(folder, FrameKind.BIAS, exposure_s=0)
    write(folder, FrameKind.DARK)
    write(folder, FrameKind.FLAT, level=1, filter_name="Ha")
    return folder


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "2026-11-22"
    for number in (1, 2):
        raw(folder / "darks" / f"d{number}.fits", "dark")
        raw(folder / "flats" / f"f{number}.fits", "flat", EXPTIME=2.0, FILTER="Ha")
        raw(folder / "biases" / f"b{number}.fits", "bias", EXPTIME=0.0)
    raw(folder / "quarantine" / "bad.fits", "dark")
    write(folder / "masters")
    return folder


@pytest.mark.parametrize("program", ["siril", "wbpp", "dss", "app", "asiair"])
def test_export(program: str, library: Path, night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", out, "--for", program, "--library", library, "--raw", night)
    left_out = result.stderr.splitlines()
    assert result.exit_code == ExitCode.DONE
    assert [line.partition(": left out: ")[0] for line in left_out] == (
        [str(next(library.glob("MasterBias*")))] if program == "dss" else []
    )
    assert {Path(line) for line in result.stdout.splitlines()} == {out / name for name in tree(out) - {"README.txt"}}
    assert len(result.stdout.splitlines()) == 9 - len(left_out)
    again = run("export", out, "--for", program, "--library", library, "--raw", night)
    assert (again.exit_code, again.stdout) == (ExitCode.DONE, "")
    assert again.stderr.splitlines() == [*left_out, f"{out}: nothing new to export"]


def test_the_nights_of_an_export_keep_their_frames_apart(library: Path, night: Path, tmp_path: Path) -> None:
    later = tmp_path / "2026-11-23"
    for number in (1, 2):
        raw(later / "flats" / f"f{number}.fits", "flat", EXPTIME=2.0, FILTER="Ha")
    for each in (night, later):
        result = run("export", tmp_path / "out", "--for", "app", "--library", library, "--raw", each)
        assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    flats = {path.name for path in (tmp_path / "out").rglob("f?_*.fits")}
    assert flats == {f"f{number}_{each.name}.fits" for number in (1, 2) for each in (night, later)}


def test_an_outdated_master_is_named(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", out, "--for", "siril", "--library", library).exit_code == ExitCode.DONE
    new = write(library / "new", FrameKind.DARK, level=520, days=40)
    result = run("export", out, "--for", "siril", "--library", library)
    assert (result.exit_code, result.stdout) == (ExitCode.INCOMPLETE, "")
    assert f"dark_stacked.fit exists and differs from {new}: move it away to export the newer file" in result.stderr
    assert "nothing new" not in result.stderr


@pytest.mark.parametrize("kept", [4000, 100])
@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_master_that_cannot_be_read_is_named(
    arguments: tuple[str, ...], kept: int, library: Path, tmp_path: Path
) -> None:
    dark = next(library.glob("MasterDark*"))
    dark.write_bytes(dark.read_bytes()[:kept])
    result = run("export", tmp_path / "out", "--for", "wbpp", "--library", library, *arguments)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert f"{dark}: left out: " in result.stderr
    assert "FILTER_Ha" in result.stdout
    assert (tmp_path / "out" / "README.txt").exists() == (not arguments)


def test_the_check_of_an_empty_export_says_so(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    write(tmp_path / "library", FrameKind.BIAS, exposure_s=0)
    result = run("export", tmp_path / "out", "--for", "dss", "--library", tmp_path / "library", "--check")
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    assert "there is nothing to export" in result.stderr


def test_many_frames_that_are_left_out_take_one_line(library: Path, tmp_path: Path) -> None:
    flats = tmp_path / "2026-11-23" / "flats"
    for number in range(5):
        raw(flats / f"f{number}.fits", "flat", EXPTIME=2.0, FILTER="Ha")
    result = run("export", tmp_path / "out", "--for", "siril", "--library", library, "--raw", flats.parent)
    assert result.stderr.startswith(f"{flats}: 5 files left out: no raw darks")


@pytest.mark.parametrize("program", ["siril", "wbpp", "dss", "app"])
def test_the_check_of_an_export_writes_nothing(program: str, library: Path, night: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("export", out, "--for", program, "--library", library, "--raw", night, "--check", "--json")
    assert result.exit_code == ExitCode.DONE, result.stdout
    judged = json.loads(result.stdout)["judged"]
    assert len(judged) == 2
    assert sum(len(group["files"]) for each in judged for group in each["groups"]) >= 4
    assert not out.exists()


def test_an_export_that_was_written_is_judged_as_planned(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("export", out, "--for", "wbpp", "--library", library).exit_code == ExitCode.DONE
    result = run("lint", out, "--for", "wbpp", "--keyword", "GAIN", "--tolerance", "0")
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert "no problems" in result.stdout


def test_lint_shows_groups_and_traps_in_80_columns(night: Path) -> None:
    raw(night / "darks" / "a-name-that-is-longer-than-usual.fits", "dark", EXPTIME=305.0, GAIN=200)
    result = run("lint", night, "--for", "wbpp")
    assert result.exit_code == ExitCode.INCOMPLETE
    lines = result.stdout.splitlines()
    assert lines[0] == "PixInsight WBPP 2.7 and later (according to the rules of 3.0.1)"
    assert max(map(len, lines)) <= 80
    assert "although they differ in gain: 200, 100" in " ".join(result.stdout.split())
    assert "sameParameters" in result.stdout
    assert "set the exposure tolerance to 0" in result.stdout


def test_lint_as_json(night: Path) -> None:
    result = run("lint", night, "--for", "dss", "--json")
    assert result.exit_code == ExitCode.INCOMPLETE
    (judged,) = json.loads(result.stdout)["judged"]
    assert judged["program"] == "dss"
    assert {group["kind"] for group in judged["groups"]} == {"bias", "dark", "flat"}
    assert judged["ignored"] == ["masters/MasterDark_ASI2600MM_G100_O50_-10C_300s_1x1.fits", "quarantine/bad.fits"]
    trap = next(each for each in judged["traps"] if each["trap"] == "ignored")
    assert "deepskystacker/DSS" in trap["source"]


def test_unreadable_files_are_named(night: Path) -> None:
    (night / "darks" / "words.fits").write_text("words")
    (night / "darks" / "words.xisf").write_text("words")
    result = run("lint", night / "darks", "--for", "app")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lint", "nowhere", "--for", "siril"], "nowhere is not a folder"),
        (["lint", ".", "--for", "siril"], ".: no FITS or XISF files"),
        (["lint", ".", "--for", "wbpp", "--for-version", "1.4"], "1.4 is unknown; the rules of PixInsight WBPP are"),
        (["lint", ".", "--for", "siril", "--keyword", "GAIN"], "settings of WBPP"),
        (["lint", "."], "--for"),
        (["export", "x", "--for", "asiair", "--check"], "no rules are known for ASIAIR"),
        (["export", "x", "--for", "siril", "--json"], "needs --check"),
        (["export", "x", "--for", "siril", "--library", "nowhere"], "nowhere: there is no library here yet"),
    ],
)
def test_invalid_input(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_night_without_frames_is_refused(library: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("export", tmp_path / "out", "--for", "siril", "--library", library, "--raw", tmp_path / "empty")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "there are no raw frames here" in result.stderr
