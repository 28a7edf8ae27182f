"""A CCD with overscan, from raw frames to calibrated lights, with the commands combine, library and calibrate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode

HEIGHT, WIDTH, STRIP = 160, 200, 20
SHAPE = (HEIGHT, WIDTH + STRIP)
READ_NOISE, SKY, DARK_S = 6.0, 700.0, 60.0
CARDS = {
    "INSTRUME": "CCD",
    "CCD-TEMP": -20.0,
    "SET-TEMP": -20.0,
    "ROWORDER": "TOP-DOWN",
    "FILTER": "L",
    "BIASSEC": f"[{WIDTH + 1}:{WIDTH + STRIP},1:{HEIGHT}]",
    "TRIMSEC": f"[1:{WIDTH},1:{HEIGHT}]",
    "DATE-OBS": "2026-11-22T04:00:00",
}
_RANDOM = np.random.default_rng(1)
STRUCTURE = _RANDOM.normal(0, 2, (1, WIDTH))
CURRENT = _RANDOM.gamma(4, 10, (HEIGHT, WIDTH))
RESPONSE = np.linspace(0.85, 1.15, WIDTH)[None, :] * _RANDOM.normal(1, 0.01, (HEIGHT, WIDTH))
RESPONSE /= RESPONSE.mean()


def expose(path: Path, kind: str, number: int, exposure_s: float, light: float = 0, **cards: Any) -> Path:
    """Write a frame whose level drifts from frame to frame and along the rows, as electronics that warm up do."""
    random = np.random.default_rng([number, *kind.encode()])
    level = (
        1000 + 8 * np.sin(number + len(kind)) + 3 * (1 + np.sin(3 * number)) * np.exp(-np.arange(HEIGHT) / 60)[:, None]
    )
    frame = np.broadcast_to(level, SHAPE).copy()
    signal = CURRENT * exposure_s / DARK_S + light * RESPONSE
    frame[:, :WIDTH] += STRUCTURE + random.poisson(signal)
    pixels = np.rint(random.normal(frame, READ_NOISE)).clip(0, 65535).astype(np.uint16)
    header = fits.Header(list({"IMAGETYP": f"{kind} Frame", "EXPTIME": exposure_s, **CARDS, **cards}.items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for number in range(25):
        expose(folder / "bias" / f"{number:02d}.fits", "Bias", number, 0.0)
        expose(folder / "dark" / f"{number:02d}.fits", "Dark", number, DARK_S)
        expose(folder / "flat" / f"{number:02d}.fits", "Flat", number, 2.0, 20000)
    for number in range(4):
        expose(folder / "light" / f"{number}.fits", "Light", 100 + number, DARK_S, SKY)
    return folder


def coldframe(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def combined(folder: Path, raw: Path, kind: str, *options: object) -> Path:
    master = folder / f"Master{kind.title()}.fits"
    done = coldframe("combine", raw / kind, "-o", master, *options)
    assert done.exit_code == ExitCode.DONE, done.stderr
    return master


def masters(folder: Path, raw: Path, *options: object) -> Sequence[Path]:
    bias = combined(folder, raw, "bias", *options)
    return bias, combined(folder, raw, "dark", *options), combined(folder, raw, "flat", "--dark", bias)


def calibrated(folder: Path, files: Sequence[Path], raw: Path, *options: object) -> list[NDArray[np.float32]]:
    assert coldframe("library", "add", *files, "--library", folder / "library").exit_code == ExitCode.DONE
    given = ("--library", folder / "library", "--out", folder / "done", "--float", "--uncertainty")
    done = coldframe("calibrate", raw / "light", *given, *options)
    assert done.exit_code == ExitCode.DONE, done.stderr
    return [fits.getdata(path) for path in sorted((folder / "done").iterdir())]


@pytest.mark.parametrize("method", ["smooth", "row", None])
def test_overscan_removes_the_drift_of_the_electronics(method: str | None, raw: Path, tmp_path: Path) -> None:
    files = masters(tmp_path, raw, *(() if method is None else ("--overscan", method)))
    header = fits.getheader(files[1])
    assert header["OVERSCAN"] == f"{method or 'smooth'} {CARDS['BIASSEC']}"
    assert header["TRIM"] == CARDS["TRIMSEC"]
    assert "BIASSEC" not in header
    assert fits.getdata(files[0]).shape == (HEIGHT, WIDTH)
    assert abs(fits.getdata(files[0]).mean() - STRUCTURE.mean()) < 0.2
    assert abs(fits.getdata(files[1]).mean() - STRUCTURE.mean() - CURRENT.mean()) < 0.2
    flat = fits.getdata(files[2])
    np.testing.assert_allclose(flat[:, :20].mean() / flat[:, -20:].mean(), 0.8635 / 1.1365, rtol=0.003)
    lights = calibrated(tmp_path, files, raw)
    for light in lights:
        assert light.shape == (HEIGHT, WIDTH)
        assert abs(light.mean() - SKY) < 0.6  # photon and read noise of the strip: 0.15
        # Nothing remains of the drift along the rows, up to 6 ADU.
        assert abs(light[:20].mean() - light[100:].mean()) < 2
    result = fits.getheader(tmp_path / "done" / "0_calibrated.fits")
    assert (result["OVERSCAN"], result["TRIM"]) == (header["OVERSCAN"], header["TRIM"])
    assert "BIASSEC" not in result


def test_whole_frames_are_calibrated_whole_and_keep_the_drift(raw: Path, tmp_path: Path) -> None:
    files = masters(tmp_path, raw, "--overscan", "none")
    assert fits.getheader(files[0])["BIASSEC"] == CARDS["BIASSEC"]
    assert "OVERSCAN" not in fits.getheader(files[0])
    lights = calibrated(tmp_path, files, raw)
    assert lights[0].shape == SHAPE
    assert max(abs(light[:, :WIDTH].mean() - SKY) for light in lights) > 2


def test_a_mixture_of_whole_and_trimmed_masters_is_refused_with_the_reason(raw: Path, tmp_path: Path) -> None:
    dark = combined(tmp_path, raw, "dark")
    (tmp_path / "whole").mkdir()
    flat = masters(tmp_path / "whole", raw, "--overscan", "none")[2]
    assert coldframe("library", "add", dark, flat, "--library", tmp_path / "library").exit_code == ExitCode.DONE
    refused = coldframe("calibrate", raw / "light" / "0.fits", "--library", tmp_path / "library")
    assert refused.exit_code == ExitCode.BAD_INPUT
    (line,) = refused.stderr.splitlines()
    assert "no flat fits" in line
    assert "overscan subtraction is none instead of smooth [201:220,1:160]" in line
    trimmed = coldframe("combine", raw / "flat", "-o", tmp_path / "f.fits", "--dark", dark, "--overscan", "none")
    assert trimmed.exit_code == ExitCode.BAD_INPUT
    assert "overscan subtraction is smooth" in trimmed.stderr.splitlines()[-1]


def test_a_dark_without_its_bias_calibrates_as_the_plain_one_does(raw: Path, tmp_path: Path) -> None:
    bias, plain, _ = masters(tmp_path, raw)
    (tmp_path / "less").mkdir()
    less = combined(tmp_path / "less", raw, "dark", "--bias", bias)
    header = fits.getheader(less)
    assert (header["CALSTAT"], header["CFSUBTR"]) == ("B", "MasterBias.fits")
    np.testing.assert_allclose(fits.getdata(less), fits.getdata(plain) - fits.getdata(bias), atol=1e-4)
    usual = calibrated(tmp_path / "a", [bias, plain], raw, "--no-flat", "--no-mend")
    other = calibrated(tmp_path / "b", [bias, less], raw, "--no-flat", "--no-mend")
    for one, two in zip(usual, other, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-3)
    names = [tmp_path / folder / "done" / "0_calibrated.fits" for folder in ("a", "b")]
    one, two = (fits.getdata(name, "UNCERT") for name in names)
    # The same bias is recognised under its name in the library, too, and its error cancels.
    np.testing.assert_allclose(two, one, rtol=1e-3)
    # With both in a library, the plain one is used, which needs no bias.
    calibrated(tmp_path / "c", [bias, plain, less], raw, "--no-flat", "--no-mend")
    assert "CFBIAS" not in fits.getheader(tmp_path / "c" / "done" / "0_calibrated.fits")
    # Without its bias it is refused, with the reason.
    lonely = tmp_path / "d" / "library"
    assert coldframe("library", "add", less, "--library", lonely).exit_code == ExitCode.DONE
    refused = coldframe("calibrate", raw / "light" / "0.fits", "--no-flat", "--library", lonely)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "no bias fits" in refused.stderr
    # It cannot be subtracted from flats.
    done = coldframe("combine", raw / "flat", "-o", tmp_path / "f.fits", "--dark", less)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "its bias was already subtracted" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"GAIN": 200}, "gain is 100 instead of 200"),
        ({"OFFSET": 10}, "offset is 50 instead of 10"),
        ({"XBINNING": 2}, "binning is 1 instead of 2"),
        ({"INSTRUME": "other"}, "camera is CCD instead of other"),
        ({"READOUTM": "Fast"}, "readout mode is Slow instead of Fast"),
        ({"EXPTIME": 3.0}, "exposure differs by 1 s"),
        ({"EXPTIME": 2.1}, None),
    ],
)
def test_a_dark_that_does_not_fit_the_flats_is_refused_unless_forced(
    changed: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"GAIN": 100, "OFFSET": 50, "XBINNING": 1, "READOUTM": "Slow"}
    for number in range(3):
        expose(tmp_path / "dark" / f"{number}.fits", "Dark", number, 2.0, **settings, CFROLE="DARKFLAT")
        expose(tmp_path / "flat" / f"{number}.fits", "Flat", number, 2.0, 20000, **{**settings, **changed})
    dark = combined(tmp_path, tmp_path, "dark")
    done = coldframe("combine", tmp_path / "flat", "-o", tmp_path / "f.fits", "--dark", dark)
    if message is None:
        assert done.exit_code == ExitCode.DONE
        return
    assert done.exit_code == ExitCode.BAD_INPUT
    line = done.stderr.splitlines()[-1]
    assert message in line
    assert "--force" in line
    assert not (tmp_path / "f.fits").exists()
    forced = coldframe("combine", tmp_path / "flat", "-o", tmp_path / "f.fits", "--dark", dark, "--force")
    assert forced.exit_code == ExitCode.DONE
    assert message in forced.stderr


@pytest.mark.parametrize(
    ("cards", "options", "message"),
    [
        ({"BIASSEC": "[1:99999999,1:2]"}, (), "BIASSEC '[1:99999999,1:2]' is not of the form"),
        ({"BIASSEC": "[201:230,1:160]"}, (), "is not within the frame of 220 x 160 pixels"),
        ({"BIASSEC": "[190:220,1:160]"}, (), "does not lie along a whole side"),
        ({"BIASSEC": "N/A"}, ("--overscan", "row"), "declares no overscan (BIASSEC), so row is not possible"),
    ],
)
def test_an_invalid_overscan_is_reported_in_one_line(
    cards: dict[str, Any], options: tuple[str, ...], message: str, raw: Path, tmp_path: Path
) -> None:
    bad = expose(tmp_path / "bad.fits", "Bias", 99, 0.0, **cards)
    done = coldframe("combine", bad, bad.parent / "bad.fits", "-o", tmp_path / "m.fits", "--force", *options)
    assert done.exit_code == ExitCode.BAD_INPUT
    lines = [line for line in done.stderr.splitlines() if not line.startswith("notice: ")]
    assert [line.partition(f"left out: {bad}: ")[0] for line in lines] == ["", "too few frames are left to combine"]
    assert message in done.stderr
    assert not (tmp_path / "m.fits").exists()
    # Among good frames only this one is left out; with --overscan none it is used.
    good = sorted((raw / "bias").iterdir())[:4]
    done = coldframe("combine", bad, *good, "-o", tmp_path / "m.fits", "--force", *options)
    assert done.exit_code == ExitCode.INCOMPLETE
    assert fits.getheader(tmp_path / "m.fits")["STACKCNT"] == 4
    whole = coldframe("combine", bad, *good, "-o", tmp_path / "whole.fits", "--force", "--overscan", "none")
    assert whole.exit_code == ExitCode.DONE


def test_only_a_bias_is_subtracted_and_only_from_darks(raw: Path, tmp_path: Path) -> None:
    bias, dark, _ = masters(tmp_path, raw)
    for kind, given, message in (
        ("flat", bias, "for flats, specify it with --dark"),
        ("dark", dark, "this is a master dark"),
    ):
        done = coldframe("combine", raw / kind, "-o", tmp_path / "x.fits", "--bias", given)
        assert done.exit_code == ExitCode.BAD_INPUT
        assert message in done.stderr.splitlines()[-1]


def test_an_unknown_filter_array_is_refused(tmp_path: Path) -> None:
    for number in range(3):
        expose(tmp_path / "flat" / f"{number}.fits", "Flat", number, 2.0, 20000, BAYERPAT="CMYG")
    done = coldframe("combine", tmp_path / "flat", "-o", tmp_path / "f.fits")
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "only 2x2 patterns" in done.stderr.splitlines()[-1]
