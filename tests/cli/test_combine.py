"""`coldframe combine`, run as a process and in memory."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from coldframe.calibration.combining.frame_sets import open_frames
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.stacking.clipping import MOST_FRAMES, Clipping
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.cli import app
from coldframe.cli.combine import combine_files
from coldframe.cli.exit_codes import ExitCode
from coldframe.operations.combining import Choice, Request, chosen_method, option_without_effect
from coldframe.operations.master_findings import findings_of_new
from coldframe.operations.set_master import RefusedError, Treatment, require_possible_count
from tests.patience import PATIENCE_S
from tests.permissions import permissions_apply

SHAPE = (40, 60)


def shoot(folder: Path, count: int, kind: str = "Dark", level: float = 500, **cards: object) -> list[str]:
    paths = []
    for number in range(count):
        pixels = np.random.default_rng(number).normal(level, 9, SHAPE).round().astype(np.uint16)
        header = fits.Header([("IMAGETYP", kind), ("EXPTIME", 60.0), ("GAIN", 100), *cards.items()])
        path = folder / f"{kind}-{level:g}-{number:02d}.fits"
        fits.PrimaryHDU(pixels, header).writeto(path)
        paths.append(str(path))
    return paths


def combine(names: Sequence[str], output: Path, *, force: bool = False, dark: Path | None = None) -> ExitCode:
    return combine_files(names, output, Request(Treatment(Clipping(), force=force), dark=dark))


def test_a_folder_becomes_a_master(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    shoot(tmp_path / "raw", 12)
    command = [sys.executable, "-m", "coldframe", "combine", "raw", "-o", "master.fits", "--center", "median"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "12 dark frames: unknown camera, 60 x 40, 60 s, gain 100, 1x1" in ended.stdout
    with fits.open(tmp_path / "master.fits", checksum=True) as units:
        assert [unit.name for unit in units[1:]] == ["UNCERT", "COUNTS"]
        header = units[0].header
        assert (header["IMAGETYP"], header["STACKCNT"], header["CFCENTRE"]) == ("Master Dark", 12, "median")
        assert abs(units[0].data.mean() - 500) < 0.5
        assert units["UNCERT"].data.mean() == pytest.approx(9 / np.sqrt(12), rel=0.1)
        assert units["COUNTS"].data.max() == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["master.fits", "raw"]


@pytest.mark.parametrize(
    ("choice", "method"),
    [
        (Choice(), None),
        (Choice("sigma-clip"), Clipping()),
        (Choice(sigma=4.0), Clipping(kappa=4.0)),
        (Choice("sigma-clip", "mean", "all", 2.5), Clipping(kappa=2.5, start="all")),
        (Choice("sigma-clip", "median", "all", 4.0), MedianClipping(4.0)),
        (Choice("winsorized", "mean", "all", 3.0), Winsorizing(3.0)),
        (Choice("mean", "mean", "all", 3.0), Mean()),
        (Choice("median", "mean", "all", 3.0), Median()),
    ],
)
def test_options_select_a_method(choice: Choice, method: Method | None) -> None:
    assert chosen_method(choice) == method


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--method", "mean", "--sigma", "3"],
            "--sigma has no effect with --method mean: leave it out, or choose --method winsorized or sigma-clip",
        ),
        (
            ["--method", "median", "--center", "median"],
            "--center has no effect with --method median: leave it out, or choose --method sigma-clip",
        ),
        (
            ["--method", "winsorized", "--start", "all"],
            "--start has no effect with --method winsorized: leave it out, or choose --method sigma-clip",
        ),
        (
            ["--center", "median", "--start", "all"],
            "--start has no effect with --center median: leave out one of them",
        ),
    ],
)
def test_an_option_that_the_method_ignores_is_refused(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["combine", *shoot(tmp_path, 5), "-o", str(tmp_path / "master.fits"), *options])
    assert (result.exit_code, result.output) == (ExitCode.BAD_INPUT, message + "\n")
    assert not (tmp_path / "master.fits").exists()


@pytest.mark.parametrize(
    "choice",
    [Choice(), Choice(sigma=4), Choice("sigma-clip", "mean", "all", 3), Choice("winsorized", sigma=3), Choice("mean")],
)
def test_options_with_an_effect_are_accepted(choice: Choice) -> None:
    assert option_without_effect(choice) is None


def test_a_mixture_is_shown_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [*shoot(tmp_path, 3), *shoot(tmp_path, 2, "Bias")]
    assert combine(names, tmp_path / "master.fits") == ExitCode.BAD_INPUT
    printed = capsys.readouterr()
    assert "3 dark frames" in printed.out
    assert "2 bias frames" in printed.out
    assert "2 sets" in printed.err
    assert not (tmp_path / "master.fits").exists()
    assert combine(names, tmp_path / "master.fits", force=True) == ExitCode.DONE
    assert fits.getheader(tmp_path / "master.fits")["STACKCNT"] == 5


def test_bad_files_are_named_and_the_others_are_combined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = shoot(tmp_path, 12)
    Path(names[1]).write_bytes(Path(names[1]).read_bytes()[:4000])
    Path(names[4]).write_bytes(b"")
    assert combine(names, tmp_path / "master.fits") == ExitCode.INCOMPLETE
    message = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in message] == [names[1], names[4]]
    assert fits.getheader(tmp_path / "master.fits")["STACKCNT"] == 10


def test_the_dark_is_subtracted_from_flats_and_black_ones_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert combine(shoot(tmp_path, 8, "Bias", 500), tmp_path / "bias.fits") == ExitCode.DONE
    flats = [*shoot(tmp_path, 6, "Flat", 20500), *shoot(tmp_path, 1, "Flat", 400)]
    assert combine(flats, tmp_path / "flat.fits", dark=tmp_path / "bias.fits") == ExitCode.INCOMPLETE
    assert "no light" in capsys.readouterr().err
    with fits.open(tmp_path / "flat.fits") as units:
        assert units[0].header["CFSUBTR"] == "bias.fits"
        assert units[0].header["STACKCNT"] == 6
        assert units[0].data.mean() == pytest.approx(1, abs=1e-5)
    assert combine(flats[:6], tmp_path / "plain.fits") == ExitCode.DONE
    assert "no --dark" in capsys.readouterr().err
    single = next(tmp_path.rglob("Bias*.fits"))
    assert combine(flats[:6], tmp_path / "noisy.fits", dark=single) == ExitCode.BAD_INPUT
    assert "a single frame, not a master" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("one", "a single frame is not enough for a master"),
        ("sizes", "sets"),
        ("lights", "cannot be combined into a master"),
        ("nothing", "nothing is left"),
        ("output", "exists"),
        ("folder", "does not exist"),
        ("dark", "from flats only"),
    ],
)
def test_bad_input_is_one_clear_line(
    change: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = shoot(tmp_path, 3)
    output, dark = tmp_path / "master.fits", None
    match change:
        case "one":
            names = names[:1]
        case "sizes":
            fits.PrimaryHDU(np.zeros((5, 5), np.uint16), fits.Header([("IMAGETYP", "Dark")])).writeto(
                names[0], overwrite=True
            )
        case "lights":
            names = shoot(tmp_path, 2, "Light")
        case "nothing":
            names = [str(tmp_path / "missing.fits")]
        case "output":
            output.write_text("precious")
        case "folder":
            output = tmp_path / "nowhere" / "master.fits"
        case "dark":
            dark = Path(names[0])
    before = sorted(tmp_path.iterdir())
    assert combine(names, output, dark=dark) == ExitCode.BAD_INPUT
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = shoot(tmp_path, 4)
    (folder := tmp_path / "locked").mkdir(mode=0o500)
    with permissions_apply():
        assert combine(names, folder / "master.fits") == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == f"{folder}: files cannot be created in this folder: choose a different folder\n"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = shoot(tmp_path, 4)
    Path(names[2]).chmod(0)
    assert combine(names, tmp_path / "master.fits") == ExitCode.INCOMPLETE
    assert "Permission denied" in capsys.readouterr().err


def test_an_absurd_size_takes_no_memory(tmp_path: Path) -> None:
    names = shoot(tmp_path, 3)
    cards = ["SIMPLE  = T", "BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 100000", "NAXIS2  = 100000", "END"]
    Path(names[0]).write_bytes("".join(card.ljust(80) for card in cards).ljust(2880).encode())
    assert combine(names[1:], tmp_path / "first.fits") == ExitCode.DONE  # compiling the kernels takes 100 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert combine(names, tmp_path / "master.fits") == ExitCode.INCOMPLETE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coldframe", "combine", "x.fits", "-o", "m.fits", "--method", "magic"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=tmp_path)
    assert ended.returncode == 2
    assert "magic" in ended.stderr


def test_a_missing_dask_is_reported_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "coldframe.calibration.combining.dask", raising=False)
    names = shoot(tmp_path, 3)
    ended = combine_files(names, tmp_path / "m.fits", Request(scheduler="tcp://127.0.0.1:1"))
    assert ended == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install distributed" in line


def test_a_fault_without_a_frame_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = shoot(tmp_path, 3)
    fault = Mock(side_effect=[FrameFileError("elsewhere.fits", "gone"), AssertionError("asked again")])
    monkeypatch.setattr("coldframe.operations.set_master.combine_frames", fault)
    assert combine(names, tmp_path / "master.fits") == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == "elsewhere.fits: gone\n"


def test_a_disk_that_is_full_leaves_no_master_and_ends_the_judgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill_disk(path: Path, _: object) -> None:
        path.write_bytes(b"SIMPLE")
        raise OSError(errno.ENOSPC, "full")

    (tmp_path / "raw").mkdir()
    names = shoot(tmp_path / "raw", 5)
    monkeypatch.setattr("coldframe.calibration.files.durable.write_flushed", fill_disk)
    judge = Mock(side_effect=findings_of_new)
    monkeypatch.setattr("coldframe.operations.combining.findings_of_new", judge)
    assert combine(names, tmp_path / "master.fits") == ExitCode.BAD_INPUT
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.splitlines() if "not saved" in line]
    assert line.endswith("the disk is full: free some space")
    assert "master.fits: 5 frames" not in printed.out
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    judge.assert_called_once()


def test_a_set_that_is_too_large_is_refused_before_its_pixels_are_read(tmp_path: Path) -> None:
    (frame,) = open_frames([Path(shoot(tmp_path, 1)[0])], tmp_path)[0]
    require_possible_count([frame] * MOST_FRAMES, force=False)
    with pytest.raises(RefusedError, match="has 32,768 frames, but a master can contain at most 32,767"):
        require_possible_count([frame] * (MOST_FRAMES + 1), force=True)
