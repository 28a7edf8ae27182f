import errno
import gzip
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.library.library import Library
from coldframe.calibration.lights import files as light_files
from coldframe.calibration.lights.arithmetic import Correction
from coldframe.calibration.lights.files import CalibratedFile
from coldframe.calibration.lights.loading import load_correction
from coldframe.calibration.lights.result_file import ResultFile
from coldframe.calibration.masters.integrity import integrity_fault
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.operations import calibrating
from coldframe.operations.calibrating import Tally
from coldframe.operations.light_groups import LightGroup
from tests.outside.observatory import Observatory


@pytest.fixture(scope="module")
def observatory() -> Observatory:
    return Observatory(width=96, height=64)


@pytest.fixture(scope="module")
def masters(observatory: Observatory, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("masters")
    library = Library(folder / "library")
    for master in observatory.masters(folder / "night"):
        library.file(master)
    return library


@pytest.fixture
def library(masters: Library, tmp_path: Path) -> Library:
    """A copy of the library that a test may damage."""
    shutil.copytree(masters.folder, tmp_path / "library")
    return Library(tmp_path / "library")


def calibrate(library: Library, *arguments: object) -> Result:
    given = ["calibrate", *map(str, arguments), "--library", str(library.folder)]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_a_folder_of_lights_is_calibrated(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    lights = [observatory.light(tmp_path / "lights" / f"{number}.fits", number) for number in range(3)]
    result = calibrate(library, tmp_path / "lights", "--uncertainty")
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    line, summary, look = result.stdout.splitlines()
    assert summary == f"3 of 3 lights calibrated, in {tmp_path / 'lights' / 'calibrated'}"
    assert look.startswith("a quick look found no fault")
    found = re.fullmatch(
        r"3 lights: dark MasterDark_\S+, flat MasterFlat_\S+; (\d+) defective pixels replaced in each", line
    )
    assert found is not None
    for light in lights:
        path = light.parent / "calibrated" / f"{light.stem}_calibrated.fits"
        with fits.open(path, checksum=True) as file:
            header, data = file[0].header, file[0].data
            assert [hdu.name for hdu in file] == ["PRIMARY", "UNCERT", "MASK"]
        assert data.dtype == np.uint16
        assert header["CALSTAT"] == "BDF"
        assert header["CFDARK"].startswith("MasterDark_Coldframe-Camera_G100_O50_-10C_60s")
        assert header["CFFLAT"].startswith("MasterFlat")
        assert "CFBIAS" not in header
        assert header["CFRAW"] == light.name
        assert header["CFDEFMAP"] == header["CFDARK"]
        assert header["CFDEFNUM"] == int(found[1]) > 0
        assert header["PEDESTAL"] == 100
        assert (header["CFCLIPLO"], header["CFCLIPHI"]) == (0, 0)
        assert (header["IMAGETYP"], header["FILTER"], header["EXPTIME"]) == ("Light Frame", "L", 60)
        assert header["CFUNCERT"] == "readout, photons and masters"
        assert header["SWCREATE"].startswith("coldframe")
        assert data.mean() - 100 == pytest.approx(observatory.sky_adu.mean(), rel=0.01)
        if shutil.which("fitsverify"):
            report = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True, check=False).stdout
            assert "verification OK" in report


@pytest.mark.parametrize("options", [[], ["--float"], ["--no-mend"], ["--float", "--blank"], ["--no-flat"]], ids=str)
def test_the_uncertainty_is_added_on_request_and_changes_no_pixel(
    observatory: Observatory, library: Library, tmp_path: Path, options: list[str]
) -> None:
    light = observatory.light(tmp_path / "l.fits")
    for name, more in (("plain", []), ("more", ["--uncertainty"])):
        assert calibrate(library, light, *options, *more, "--out", tmp_path / name).exit_code == ExitCode.DONE
    with (
        fits.open(tmp_path / "plain" / "l_calibrated.fits", checksum=True) as plain,
        fits.open(tmp_path / "more" / "l_calibrated.fits", checksum=True) as more,
    ):
        np.testing.assert_array_equal(plain[0].data, more[0].data)
        assert [hdu.name for hdu in plain] == ["PRIMARY"]
        assert "UNCERT" in more
        changed = set(fits.HeaderDiff(plain[0].header, more[0].header).diff_keyword_values)
        assert changed == {"CFCALID", "CHECKSUM"}
        assert set(more[0].header) - set(plain[0].header) == {"CFUNCERT"}


def test_floats_need_no_pedestal(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    for name, kind in (("float", ["--float"]), ("whole", [])):
        options = ["--no-mend", "--uncertainty", *kind, "--out", tmp_path / name]
        assert calibrate(library, light, *options).exit_code == ExitCode.DONE
    with (
        fits.open(tmp_path / "float" / "l_calibrated.fits") as exact,
        fits.open(tmp_path / "whole" / "l_calibrated.fits") as rounded,
    ):
        assert exact[0].header["PEDESTAL"] == 0
        assert exact[0].data.dtype == np.dtype(">f4")
        assert np.abs(rounded[0].data - 100.0 - exact[0].data).max() <= 0.5001
        np.testing.assert_array_equal(exact["UNCERT"].data, rounded["UNCERT"].data)


def test_the_pedestal_can_be_chosen(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    calibrate(library, light, "--float", "--pedestal", "250.5", "--out", tmp_path)
    assert fits.getheader(tmp_path / "l_calibrated.fits")["PEDESTAL"] == 250.5


def test_clipped_pixels_are_reported(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    with fits.open(light, mode="update") as file:
        file[0].data[:4] = 0
    result = calibrate(library, light, "--pedestal", "0")
    assert result.exit_code == ExitCode.DONE
    assert f"{4 * 96} pixels were clipped at zero" in result.stderr


def test_bad_lights_are_named_and_the_others_are_calibrated(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "lights"
    good = observatory.light(folder / "good.fits")
    (folder / "empty.fits").touch()
    (folder / "words.fits").write_text("words")
    (folder / "cut.fits").write_bytes(good.read_bytes()[:9000])
    observatory.light(folder / "dark.fits", kind=FrameKind.DARK)
    observatory.light(folder / "short.fits", exposure_s=20.0)
    observatory.light(folder / "other.fits", filter_name="Ha")
    observatory.light(folder / "gain.fits", settings=ReadoutSettings(gain=0, offset=50))
    result = calibrate(library, folder, folder / "missing.fits")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "1 of 9 lights calibrated, in " in result.stdout
    faults = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in result.stderr.splitlines()}
    assert faults.keys() == {
        "empty.fits", "words.fits", "cut.fits", "dark.fits", "short.fits", "other.fits", "gain.fits", "missing.fits"
    }  # fmt: skip
    assert faults["short.fits"].endswith(
        "(-10 C, 30 s): exposure differs by 10 s; alternatives: --subtract scaled-dark, or --subtract bias"
    )
    assert faults["dark.fits"] == "it is a dark frame, not a light"
    assert faults["other.fits"].endswith("filter is L instead of Ha; alternatives: --no-flat")
    assert faults["gain.fits"].endswith("gain is 100 instead of 0")
    assert faults["cut.fits"].startswith("truncated")
    assert sorted(path.name for path in (folder / "calibrated").iterdir()) == ["good_calibrated.fits"]


def test_nothing_is_overwritten_or_calibrated_twice(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    assert calibrate(library, light).exit_code == ExitCode.DONE
    done = tmp_path / "calibrated" / "l_calibrated.fits"
    before = done.read_bytes()
    assert calibrate(library, light).exit_code == ExitCode.DONE
    assert done.read_bytes() == before
    assert "is already calibrated (CALSTAT BDF)" in calibrate(library, done).stderr


def test_patterns_select_lights(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        observatory.light(tmp_path / "lights" / f"{name}.fits")
    assert "2 of 2 lights calibrated, in " in calibrate(library, tmp_path / "lights" / "a*.fits").stdout
    nothing = calibrate(library, tmp_path / "lights" / "z*.fits")
    assert nothing.exit_code == ExitCode.BAD_INPUT
    assert nothing.stderr == f"{tmp_path}/lights/z*.fits: no file matches this pattern\n"


def converted(light: Path, folder: Path, form: str) -> Path:
    """Write a light as another program might, and return its path."""
    folder.mkdir()
    with fits.open(light) as units:
        pixels, header = units[0].data, units[0].header
    for keyword in ("BZERO", "BSCALE"):
        header.pop(keyword, None)
    match form:
        case "gz":
            path = folder / "l.fits.gz"
            path.write_bytes(gzip.compress(light.read_bytes()))
        case "fz":
            path = folder / "l.fits.fz"
            fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, header, compression_type="RICE_1")]).writeto(
                path
            )
        case "extension":
            path = folder / "l.fits"
            fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="SCI")]).writeto(path)
        case "cube":
            path = folder / "l.fits"
            fits.PrimaryHDU(pixels[None], header).writeto(path)
        case _:
            path = folder / "l.fits"
            fits.PrimaryHDU(pixels.astype(form), header).writeto(path)
    return path


@pytest.mark.parametrize("form", ["gz", "fz", "extension", "cube", "int32", "uint32", "float32", "float64"])
def test_lights_of_every_form_are_calibrated(
    observatory: Observatory, library: Library, tmp_path: Path, form: str
) -> None:
    light = observatory.light(tmp_path / "plain" / "l.fits")
    other = converted(light, tmp_path / "other", form)
    result = calibrate(library, light, other.parent)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    with (
        fits.open(light.parent / "calibrated" / "l_calibrated.fits") as plain,
        fits.open(other.parent / "calibrated" / "l_calibrated.fits", checksum=True) as same,
    ):
        for ours, theirs in zip(plain, same, strict=True):
            np.testing.assert_array_equal(ours.data, theirs.data)
        kept = [keyword for keyword in plain[0].header if keyword not in {"CFRAW", "CFCALID", "CHECKSUM", "DATASUM"}]
        assert [theirs for theirs in kept if same[0].header[theirs] != plain[0].header[theirs]] == []
        assert "EXTNAME" not in same[0].header
    assert sorted(path.name for path in other.parent.iterdir()) == sorted(["calibrated", other.name])
    if shutil.which("fitsverify"):
        file = other.parent / "calibrated" / "l_calibrated.fits"
        report = subprocess.run(["fitsverify", "-q", file], capture_output=True, text=True, check=False).stdout
        assert "verification OK" in report


def test_lights_of_eight_bits_are_calibrated(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    with fits.open(light) as units:
        pixels, header = (units[0].data / 8).astype(np.uint8), units[0].header
    fits.PrimaryHDU(pixels, header).writeto(tmp_path / "eight.fits")
    fits.PrimaryHDU(pixels.astype(np.uint16), header).writeto(tmp_path / "sixteen.fits")
    assert calibrate(library, tmp_path / "eight.fits", tmp_path / "sixteen.fits").exit_code == ExitCode.DONE
    done = [fits.getdata(tmp_path / "calibrated" / f"{name}_calibrated.fits") for name in ("eight", "sixteen")]
    np.testing.assert_array_equal(*done)


def test_floats_that_are_not_in_adu_are_refused(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    with fits.open(light) as units:
        fits.PrimaryHDU(units[0].data.astype(np.float32) / 65535, units[0].header).writeto(tmp_path / "f.fits")
    result = calibrate(library, tmp_path / "f.fits")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "not in ADU" in result.stderr
    assert not list((tmp_path / "calibrated").iterdir())


def test_masters_that_are_not_in_adu_are_refused(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    for path in library.catalogue().headers:
        with fits.open(path) as units:
            pixels, header = units[0].data / np.float32(65535), units[0].header
        fits.writeto(path, pixels, header, overwrite=True)
    for subtract in ("dark", "bias"):
        result = calibrate(library, light, "--subtract", subtract, "--no-flat")
        assert result.exit_code == ExitCode.BAD_INPUT
        assert f"Master{subtract.title()}" in result.stderr
        assert "not in ADU" in result.stderr


def test_an_empty_calstat_is_ignored(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    fits.setval(light, "CALSTAT", value="")
    assert calibrate(library, light).exit_code == ExitCode.DONE


def test_lights_without_their_gain_are_reported(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits", header=observatory.header | {"EGAIN": "unknown"})
    result = calibrate(library, light, "--uncertainty")
    assert result.exit_code == ExitCode.DONE
    assert result.stderr == "UNCERT excludes photon noise for 1 light without EGAIN (see --e-per-adu)\n"
    header = fits.getheader(tmp_path / "calibrated" / "l_calibrated.fits")
    assert header["CFUNCERT"] == "readout and masters"
    given = calibrate(library, light, "--uncertainty", "--e-per-adu", "0.25", "--out", tmp_path / "given")
    assert given.stderr == ""
    assert calibrate(library, light, "--out", tmp_path / "without").stderr == ""


def test_other_options_are_obeyed(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    assert calibrate(library, light, "--subtract", "bias", "--no-flat", "--out", tmp_path / "b").exit_code == 0
    header = fits.getheader(tmp_path / "b" / "l_calibrated.fits")
    assert header["CALSTAT"] == "B"
    assert header["CFBIAS"].startswith("MasterBias")
    assert "CFDARK" not in header


def test_darks_are_scaled_if_requested_and_possible(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits", exposure_s=45.0)
    # The sensor glows, but darks of 30 and of 60 s show that the glow grows with the exposure.
    assert calibrate(library, light, "--subtract", "scaled-dark", "--out", tmp_path).exit_code == ExitCode.DONE
    header = fits.getheader(tmp_path / "l_calibrated.fits")
    assert header["CFDKSCAL"] in {0.75, 1.5}
    short = next(path for path in library.catalogue().headers if "_30s_" in path.name)
    short.unlink()
    refused = calibrate(library, light, "--subtract", "scaled-dark")
    assert refused.exit_code == ExitCode.BAD_INPUT
    (line,) = refused.stderr.splitlines()
    assert "at the right edge might not scale with time" in line
    assert "scaling may leave an error of " in line
    assert line.endswith("shoot darks of 45 s; alternatives: --scale-dark, or --subtract bias")
    insisted = calibrate(library, light, "--scale-dark", "--out", tmp_path / "insisted")
    assert insisted.exit_code == ExitCode.DONE
    assert "at the right edge might not scale with time" in insisted.stderr
    header = fits.getheader(tmp_path / "insisted" / "l_calibrated.fits")
    assert header["CFDKSCAL"] == 0.75
    assert "might not scale with time" in header["CFNOTE01"]


def test_lights_without_their_dark_are_offered_only_what_works(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    next(path for path in library.catalogue().headers if "_30s_" in path.name).unlink()
    folder = tmp_path / "lights"
    for number in range(3):
        observatory.light(folder / f"{number}.fits", number, exposure_s=45.0)
    refused = calibrate(library, folder)
    assert refused.exit_code == ExitCode.BAD_INPUT
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"{folder / '0.fits'} and 2 others: no dark fits")
    # A scaled dark would be refused for its glow.
    assert line.endswith("; alternatives: --subtract bias")
    assert calibrate(library, folder, "--subtract", "bias").exit_code == ExitCode.DONE


def test_a_temperature_difference_is_reported_once_with_its_cost(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "lights"
    for number, sensor_c in enumerate((-10.6, -10.8, -11.0)):
        observatory.light(folder / f"{number}.fits", number, sensor_c=sensor_c)
    result = calibrate(library, folder)
    assert result.exit_code == ExitCode.DONE
    assert result.stdout.splitlines()[0].startswith("3 lights: ")
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f"{folder / '0.fits'} and 2 others: dark: its temperature differs from that of the light by "
        "+0.6 to +1.0 C, so it has up to 12 % more"
    )
    assert re.search(r"may leave [\d,.]+ ADU in one pixel in 1,000 and \d+ ADU of glow at the right edge", line)
    for number, differing in enumerate(("+0.6", "+0.8", "+1.0")):
        header = fits.getheader(folder / "calibrated" / f"{number}_calibrated.fits")
        assert f"differs from that of the light by {differing} C, so it has up to" in header["CFNOTE01"]


def test_hot_pixels_of_the_dark_are_kept_on_request(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    kept = calibrate(library, light, "--no-mend", "--float", "--out", tmp_path / "kept")
    assert (kept.exit_code, kept.stderr) == (ExitCode.DONE, "")
    assert "replaced" not in kept.stdout
    mended_with = ["--float", "--uncertainty", "--out", tmp_path / "mended"]
    assert calibrate(library, light, *mended_with).exit_code == ExitCode.DONE
    with (
        fits.open(tmp_path / "kept" / "l_calibrated.fits") as raw,
        fits.open(tmp_path / "mended" / "l_calibrated.fits") as mended,
    ):
        assert "CFDEFNUM" not in raw[0].header
        bad = (mended["MASK"].data & 2) != 0
        assert bad.sum() == mended[0].header["CFDEFNUM"]
        np.testing.assert_array_equal(raw[0].data[~bad], mended[0].data[~bad])
        errors = [(units[0].data - observatory.sky_adu)[bad].std() for units in (raw, mended)]
        assert errors[1] < 0.8 * errors[0]
    contradiction = calibrate(library, light, "--no-mend", "--blank", "--float")
    assert contradiction.exit_code == ExitCode.BAD_INPUT
    assert "contradicts --defects and --blank" in contradiction.stderr


def test_lights_with_another_filter_array_than_their_dark_are_not_mended(tmp_path: Path) -> None:
    observatory = Observatory("cooled-osc", width=96, height=64)
    library = Library(tmp_path / "library")
    for master in observatory.masters(tmp_path / "night"):
        library.file(master)
    light = observatory.light(tmp_path / "l.fits", header=observatory.header | {"BAYERPAT": "GBRG"})
    result = calibrate(library, light, "--no-flat")
    assert result.exit_code == ExitCode.DONE
    assert result.stderr == (
        f"{light}: hot pixels are not replaced: the colour filter array of the dark is RGGB instead of GBRG\n"
    )
    assert "CFDEFNUM" not in fits.getheader(tmp_path / "calibrated" / "l_calibrated.fits")


def test_a_missing_library_is_one_clear_line(observatory: Observatory, tmp_path: Path) -> None:
    light = observatory.light(tmp_path / "l.fits")
    result = calibrate(Library(tmp_path / "nowhere"), light)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert result.stderr.count("\n") == 1
    assert "no library here" in result.stderr


def test_a_damaged_master_is_named(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    flat = next(path for path in library.catalogue().headers if "MasterFlat" in path.name)
    flat.write_bytes(flat.read_bytes()[:20000])
    light = observatory.light(tmp_path / "l.fits")
    result = calibrate(library, light)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert f"{flat}: truncated" in result.stderr


@pytest.mark.parametrize("vanished", [0, 1])
def test_a_light_that_vanishes_costs_no_other_light(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanished: int
) -> None:
    lights = [observatory.light(tmp_path / "lights" / f"{number}.fits", number) for number in range(4)]

    def vanishing(*arguments: Any, **options: Any) -> Correction:
        lights[vanished].unlink()
        return load_correction(*arguments, **options)

    monkeypatch.setattr(calibrating, "load_correction", vanishing)
    result = calibrate(library, tmp_path / "lights")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert f"{lights[vanished]}: No such file or directory" in result.stderr
    assert "3 of 4 lights calibrated" in result.stdout
    assert "a quick look found no fault" in result.stdout
    assert [_calibrated(light).exists() for light in lights] == [number != vanished for number in range(4)]


def test_a_fault_in_the_caveats_of_a_group_costs_no_other_group(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = observatory.light(tmp_path / "lights" / "1.fits", 1, exposure_s=30.0)
    long = observatory.light(tmp_path / "lights" / "2.fits", 2)
    caveats_of = calibrating.caveats_of

    def damaged(group: LightGroup, *planes: Any) -> dict[str, list[Path]]:
        if group.paths == [short]:
            raise FrameFileError("dark.fits", "truncated")
        return caveats_of(group, *planes)

    monkeypatch.setattr(calibrating, "caveats_of", damaged)
    result = calibrate(library, tmp_path / "lights")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert result.stderr == f"{short}: dark.fits: truncated\n"
    assert "1 of 2 lights calibrated" in result.stdout
    assert (_calibrated(short).exists(), _calibrated(long).exists()) == (False, True)


def test_a_full_disk_leaves_no_incomplete_file(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        observatory.light(tmp_path / "lights" / f"{number}.fits", number)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = calibrate(library, tmp_path / "lights")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "the disk is full: free some space" in result.stderr
    assert not list((tmp_path / "lights" / "calibrated").iterdir())


def test_lights_calibrated_together_do_not_mix(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    lights = [observatory.light(tmp_path / "lights" / f"{number}.fits", number) for number in range(5)]
    calibrate(library, tmp_path / "lights")
    for light in lights:
        calibrate(library, light, "--out", tmp_path / "alone")
        alone = tmp_path / "alone" / _calibrated(light).name
        np.testing.assert_array_equal(fits.getdata(_calibrated(light)), fits.getdata(alone))


def test_an_interruption_leaves_only_complete_files(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        observatory.light(tmp_path / "lights" / f"{number}.fits", number)
    report = Tally.report

    def interrupted(tally: Tally, light: Path, outcome: CalibratedFile | Exception) -> None:
        report(tally, light, outcome)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tally, "report", interrupted)
    result = calibrate(library, tmp_path / "lights")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert result.stderr == "interrupted; 1 of 4 lights calibrated\n"
    done = list((tmp_path / "lights" / "calibrated").iterdir())
    assert 1 <= len(done) <= 4
    assert all(integrity_fault(path) is None for path in done)


def test_a_terminal_shows_the_progress(observatory: Observatory, library: Library, tmp_path: Path) -> None:
    observatory.light(tmp_path / "lights" / "l.fits")
    command = [
        sys.executable,
        "-m",
        "coldframe",
        "calibrate",
        str(tmp_path / "lights"),
        "--library",
        str(library.folder),
    ]
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert b"1 of 1 light calibrated, in " in done.stdout
    assert "calibrating" in shown


def _calibrated(light: Path) -> Path:
    return light.parent / "calibrated" / f"{light.stem}_calibrated.fits"


def test_lights_that_are_calibrated_already_are_skipped(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "lights"
    first = observatory.light(folder / "1.fits", 1)
    calibrate(library, folder)
    written = _calibrated(first).stat().st_mtime_ns
    second = observatory.light(folder / "2.fits", 2)
    result = calibrate(library, folder)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert "1 of 2 lights calibrated" in result.stdout
    assert "1 skipped: already calibrated with the same masters and options (see --again)" in result.stdout
    assert _calibrated(first).stat().st_mtime_ns == written
    assert _calibrated(second).exists()
    result = calibrate(library, folder)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    assert result.stdout.startswith("0 of 2 lights calibrated; 2 skipped")


def test_a_damaged_light_that_was_copied_again_is_not_skipped(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    light = observatory.light(tmp_path / "l.fits")
    good = light.read_bytes()
    light.write_bytes(good[:-5760] + bytes(5760))
    calibrate(library, light)
    light.write_bytes(good)
    result = calibrate(library, light)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "use --again to replace it" in result.stderr


def test_a_light_that_was_replaced_while_it_was_read_is_calibrated_by_the_next_run(
    observatory: Observatory, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    light, other = (observatory.light(tmp_path / folder / "l.fits", n) for n, folder in enumerate(["lights", "more"]))

    def replacing(*arguments: Any) -> Any:
        result = ResultFile(*arguments)
        other.replace(light)
        return result

    with monkeypatch.context() as patched:
        patched.setattr(light_files, "ResultFile", replacing)
        result = calibrate(library, light)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert result.stderr.startswith(
        f"{light}: the file was changed or replaced while it was being read: calibrate it again"
    )
    assert not _calibrated(light).exists()
    assert calibrate(library, light).exit_code == ExitCode.DONE


@pytest.mark.parametrize("options", [("--float",), ("--no-flat",), ("--no-mend",), ("--pedestal", "200")])
def test_an_earlier_result_with_other_options_is_kept_until_asked(
    observatory: Observatory, library: Library, tmp_path: Path, options: tuple[str, ...]
) -> None:
    light = observatory.light(tmp_path / "l.fits")
    calibrate(library, light)
    before = _calibrated(light).read_bytes()
    result = calibrate(library, light, *options)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "was made earlier with different pixels, masters or options; use --again to replace it" in result.stderr
    assert _calibrated(light).read_bytes() == before
    assert calibrate(library, light, *options, "--again").exit_code == ExitCode.DONE
    assert _calibrated(light).read_bytes() != before
    assert "0 of 1 light calibrated; 1 skipped" in calibrate(library, light, *options).stdout


def test_a_master_built_again_under_its_name_is_not_the_same_master(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    light = observatory.light(tmp_path / "l.fits")
    calibrate(library, light)
    (dark,) = library.folder.rglob("MasterDark_*_60s*")
    with fits.open(dark, checksum=True) as file:
        file[0].data += 3
        file.writeto(tmp_path / "dark.fits", checksum=True)
    dark.unlink()
    shutil.move(tmp_path / "dark.fits", dark)
    assert "was made earlier with different pixels, masters or options" in calibrate(library, light).stderr


def test_again_replaces_only_results_of_the_same_light(
    observatory: Observatory, library: Library, tmp_path: Path
) -> None:
    lights = [observatory.light(tmp_path / night / "l.fits", number) for number, night in enumerate(["a", "b"])]
    with fits.open(lights[1], mode="update") as file:
        file[0].header["DATE-OBS"] = "2026-11-23T03:00:00"
    out = tmp_path / "out"
    calibrate(library, lights[0], "--out", out)
    before = (out / "l_calibrated.fits").read_bytes()
    result = calibrate(library, lights[1], "--out", out, "--again")
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "a file with this name exists" in result.stderr
    assert (out / "l_calibrated.fits").read_bytes() == before


@pytest.mark.parametrize(("height", "width"), [(8, 4), (2, 64), (130, 2), (62, 200), (64, 64)])
def test_lights_too_small_for_a_quick_look_are_calibrated(height: int, width: int, tmp_path: Path) -> None:
    small = Observatory(width=width, height=height)
    library = Library(tmp_path / "library")
    for master in small.masters(tmp_path / "night"):
        library.file(master)
    light = small.light(tmp_path / "l.fits")
    result = calibrate(library, light, "--float", "--no-mend")
    assert result.exit_code == ExitCode.DONE, result.stderr
    with fits.open(_calibrated(light)) as file:
        calibrated, header = file[0].data, file[0].header
    dark, flat = (fits.getdata(next(library.folder.rglob(header[name]))) for name in ("CFDARK", "CFFLAT"))
    np.testing.assert_allclose(calibrated, (fits.getdata(light) - dark) / flat, rtol=1e-6, atol=1e-3)
