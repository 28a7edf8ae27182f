"""The results of the Python API equal those of the commands, bit by bit."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

import coldframe
from coldframe.calibration.library.library import Library
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.calibration.diagnosis import nights
from tests.outside.observatory import Observatory

SHAPE = (40, 60)
WHOLE = (256, 384)


def shoot(folder: Path, count: int, kind: str = "Dark", level: float = 500) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).normal(level, 9, SHAPE).round().astype(np.uint16)
        header = fits.Header([("IMAGETYP", kind), ("EXPTIME", 60.0), ("GAIN", 100), ("INSTRUME", "Camera")])
        fits.PrimaryHDU(pixels, header).writeto(folder / f"{number:02d}.fits")
    return folder


def run(*arguments: object, code: ExitCode = ExitCode.DONE) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def observatory() -> Observatory:
    return Observatory(width=96, height=64)


@pytest.fixture(scope="module")
def library(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masters")
    library = Library(folder / "library")
    for master in observatory.masters(folder / "night"):
        library.file(master)
    return library.folder


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ([], {}),
        (["--method", "winsorized", "--sigma", "2.5"], {"method": "winsorized", "sigma": 2.5}),
        (["--center", "median"], {"center": "median"}),
        (["--kind", "bias"], {"kind": "bias"}),
    ],
)
def test_combine_writes_the_file_of_the_command(tmp_path: Path, options: list[str], given: dict[str, Any]) -> None:
    darks = shoot(tmp_path / "darks", 9)
    (tmp_path / "darks" / "broken.fits").write_bytes(b"SIMPLE")
    run("combine", darks, "-o", tmp_path / "command.fits", *options, code=ExitCode.INCOMPLETE)
    made = coldframe.combine(darks, tmp_path / "api.fits", **given)
    assert digest(tmp_path / "api.fits") == digest(tmp_path / "command.fits")
    assert (made.path, made.frames) == (tmp_path / "api.fits", 9)
    assert [each.path.name for each in made.left_out] == ["broken.fits"]
    assert made.messages[0].startswith("9 ")


def test_combine_subtracts_the_dark_of_flats(tmp_path: Path) -> None:
    coldframe.combine(shoot(tmp_path / "bias", 5, "Bias", 100), tmp_path / "bias.fits")
    flats = shoot(tmp_path / "flats", 6, "Flat", 20_000)
    run("combine", flats, "-o", tmp_path / "command.fits", "--dark", tmp_path / "bias.fits")
    made = coldframe.combine([flats / "*.fits"], tmp_path / "api.fits", dark=tmp_path / "bias.fits")
    assert digest(tmp_path / "api.fits") == digest(tmp_path / "command.fits")
    assert made.master.setup.kind == "flat"
    assert made.master.mean.mean() == pytest.approx(1, abs=1e-5)
    assert made.master.masked is not None


def test_combine_without_an_output_returns_the_same_values_and_leaves_no_file(tmp_path: Path) -> None:
    darks = shoot(tmp_path / "darks", 9)
    written = coldframe.combine(darks, tmp_path / "master.fits").master
    before = sorted(tmp_path.rglob("*"))
    made = coldframe.combine(darks)
    assert sorted(tmp_path.rglob("*")) == before
    assert made.path is None
    for one, other in zip(
        (made.master.mean, made.master.uncertainty, made.master.counts),
        (written.mean, written.uncertainty, written.counts),
        strict=True,
    ):
        assert one is not None
        assert other is not None
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)


def test_combine_refuses_what_the_command_refuses(tmp_path: Path) -> None:
    darks, biases = shoot(tmp_path / "darks", 4), shoot(tmp_path / "biases", 4, "Bias")
    message = run("combine", darks, biases, "-o", tmp_path / "m.fits", code=ExitCode.BAD_INPUT).splitlines()[-1]
    with pytest.raises(coldframe.ColdframeError) as refused:
        coldframe.combine([darks, biases], tmp_path / "m.fits")
    assert str(refused.value) == message
    assert not (tmp_path / "m.fits").exists()


def test_calibrate_writes_the_files_of_the_command(observatory: Observatory, library: Path, tmp_path: Path) -> None:
    for number in range(3):
        observatory.light(tmp_path / "lights" / f"{number}.fits", number)
    (tmp_path / "lights" / "odd.fits").write_bytes(b"SIMPLE")
    lights = tmp_path / "lights"
    code = ExitCode.INCOMPLETE
    run("calibrate", lights, "--out", tmp_path / "command", "--library", library, "--float", code=code)
    done = coldframe.calibrate(lights, tmp_path / "api", library=library, floating=True)
    names = sorted(path.name for path in (tmp_path / "command").iterdir())
    assert names == [f"{number}_calibrated.fits" for number in range(3)]
    assert [each.path for each in done.lights] == [tmp_path / "api" / name for name in names]
    assert [each.light for each in done.lights] == [lights / f"{number}.fits" for number in range(3)]
    assert [digest(tmp_path / "api" / name) for name in names] == [
        digest(tmp_path / "command" / name) for name in names
    ]
    assert [each.path.name for each in done.left_out] == ["odd.fits"]
    assert done.findings == ()
    assert all(each.has_photon_noise for each in done.lights)
    assert done.done_before == {}
    later = coldframe.calibrate(lights, tmp_path / "api", library=library, floating=True)
    assert later.lights == ()
    assert later.done_before == {each.light: each.path for each in done.lights}
    again = coldframe.calibrate(lights, tmp_path / "api", library=library, floating=True, again=True)
    assert again.lights == done.lights


def test_calibrate_raises_if_no_light_can_be_calibrated(
    observatory: Observatory, library: Path, tmp_path: Path
) -> None:
    light = observatory.light(tmp_path / "l.fits", exposure_s=7.0)
    with pytest.raises(coldframe.NothingDoneError, match="dark") as failed:
        coldframe.calibrate(light, library=library)
    assert [each.path for each in failed.value.left_out] == [light]
    with pytest.raises(coldframe.ColdframeError, match="there is no library here"):
        coldframe.calibrate(light, library=tmp_path / "nothing")


def test_diagnose_finds_what_the_command_finds(tmp_path: Path) -> None:
    simulated = nights.simulate(nights.draw(7, size=WHOLE, lights=5, program="nina"), None)
    (light, *_), (master, *_) = nights.write(simulated, tmp_path)
    arguments = ["diagnose", light.parent, "--library", master.parent, "--json"]
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    found = coldframe.diagnose(light.parent, library=master.parent)
    assert found.as_dict() == json.loads(result.stdout)
    assert found.is_clean is (result.exit_code == ExitCode.DONE)
    assert found.verdict == found.as_dict()["verdict"]
    assert [each.cause for each in found.findings] == [each["cause"] for each in found.as_dict()["findings"]]


def test_the_library_lists_matches_adds_and_verifies(observatory: Observatory, library: Path, tmp_path: Path) -> None:
    shutil.copytree(library, tmp_path / "library")
    masters = coldframe.Library(tmp_path / "library")
    kinds = sorted(str(each.setup.kind) for each in masters.masters())
    assert kinds == ["bias", "dark", "dark", "flat"]
    assert (masters.unreadable(), masters.verify()) == ((), ())
    light = observatory.light(tmp_path / "l.fits")
    matches = masters.match(light)
    shown = run("library", "match", light, "--library", tmp_path / "library")
    assert sorted(matches) == ["bias", "dark", "flat"]
    for kind, match in matches.items():
        assert f"{kind:<5} {match.path}" in shown
    dark = matches["dark"].path
    assert dark is not None
    added = coldframe.Library(tmp_path / "other").add(dark)
    assert added.is_relative_to(tmp_path / "other")
    assert digest(added) == digest(dark)
    (tmp_path / "library" / "odd.fits").write_bytes(b"SIMPLE")
    content = bytearray(dark.read_bytes())
    content[-3000] ^= 1
    dark.write_bytes(content)
    assert [each.path.name for each in masters.unreadable()] == ["odd.fits"]
    assert {each.path.name for each in masters.verify()} == {"odd.fits", dark.name}


def test_a_library_that_does_not_exist_is_not_an_empty_one(observatory: Observatory, tmp_path: Path) -> None:
    masters = coldframe.Library(tmp_path / "typing-error")
    light = observatory.light(tmp_path / "l.fits")
    for use in (masters.masters, masters.unreadable, masters.verify, lambda: masters.match(light)):
        with pytest.raises(coldframe.ColdframeError, match="typing-error: there is no library here yet"):
            use()


def test_the_reasons_are_kept_if_nothing_can_be_combined(tmp_path: Path) -> None:
    darks = shoot(tmp_path / "darks", 3)
    with pytest.raises(coldframe.NothingDoneError, match="HDU 3 is not an image") as raised:
        coldframe.combine(darks, extension=3)
    assert len(raised.value.left_out) == 3


def test_an_error_of_the_system_is_shown_without_its_number(
    observatory: Observatory, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    light = observatory.light(tmp_path / "l.fits")
    with pytest.raises(coldframe.NothingDoneError) as raised:
        coldframe.calibrate(light, tmp_path / "file", library=library)
    assert raised.value.left_out[0].reason == f"{tmp_path / 'file'}: File exists"


def test_a_frame_is_read_with_its_settings(observatory: Observatory, tmp_path: Path) -> None:
    path = observatory.light(tmp_path / "l.fits")
    frame = coldframe.read_frame(path)
    assert frame.pixels.dtype == np.uint16
    np.testing.assert_array_equal(frame.pixels, fits.getdata(path))
    assert frame.header["EGAIN"] == observatory.e_per_adu
    setup = frame.setup
    assert (setup.kind, setup.exposure_s, setup.gain, setup.offset) == ("light", 60.0, 100.0, 50.0)
    assert (setup.temperature_c, setup.binning, setup.filter_name, setup.mosaic) == (-10.0, 1, "L", None)


def test_a_damaged_frame_is_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.fits").write_bytes(b"SIMPLE")
    with pytest.raises(coldframe.ColdframeError, match=r"odd\.fits"):
        coldframe.read_frame(tmp_path / "odd.fits")
    with pytest.raises(coldframe.ColdframeError, match=r"odd\.fits"):
        coldframe.read_master(tmp_path / "odd.fits")
