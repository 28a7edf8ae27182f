"""`coldframe diagnose` on written nights: raw lights, and lights that any program has calibrated."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner, Result

from coldframe.calibration.diagnosis.estimating import thinned_masters
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from tests.calibration.diagnosis import faults, nights
from tests.calibration.diagnosis.faults import Fault

SIZE = (256, 384)
LIGHTS = 5

FINDING = {
    "type": "object",
    "required": ["kind", "cause", "size", "unit", "error", "significance", "matters", "evidence", "fix"],
    "properties": {
        "kind": {
            "enum": [
                "dust",
                "overcorrection",
                "banding",
                "amp-glow",
                "colour",
                "gradient",
                "offset",
                "temperature",
                "masters",
            ]
        },
        "cause": {"type": "string", "minLength": 1},
        "size": {"type": "number"},
        "unit": {"type": "string"},
        "error": {"type": ["number", "null"]},
        "significance": {"type": ["number", "null"]},
        "matters": {"type": "boolean"},
        "evidence": {"type": "string", "minLength": 1},
        "fix": {"type": "string", "minLength": 1},
    },
}
PROPERTIES: dict[str, object] = {
    "verdict": {"type": "string", "minLength": 1},
    "findings": {"type": "array", "items": FINDING},
    "seen_down_to": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["size", "unit", "what"],
            "properties": {"size": {"type": "number", "exclusiveMinimum": 0}},
        },
    },
    "untested": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    "lights": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["path", "stage"]}},
    "masters": {"type": "array", "items": {"type": "object", "required": ["kind", "path", "differences"]}},
}
RESULT = {"type": "object", "required": [*PROPERTIES], "properties": PROPERTIES}
SCHEMA = {
    "type": "object",
    "required": [*PROPERTIES, "sets"],
    "properties": PROPERTIES | {"sets": {"type": "array", "minItems": 1, "items": RESULT}},
}


@dataclass(frozen=True)
class Files:
    """The files of a night."""

    folder: Path
    lights: list[Path]
    masters: dict[str, Path]
    simulated: nights.Simulated

    @property
    def library(self) -> Path:
        return self.folder / "masters"

    @property
    def given(self) -> list[object]:
        return ["--dark", self.masters["dark"], "--flat", self.masters["flat"], "--bias", self.masters["bias"]]


Shoot = Callable[..., Files]


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Shoot:
    """Return a function that writes the files of a night with a fault, once for all tests."""
    made: dict[object, Files] = {}

    def written(fault: Fault | None = None, seed: int = 7, **changes: Any) -> Files:
        key = (fault, seed, tuple(sorted(changes.items())))
        if key not in made:
            night = nights.draw(seed, **{"size": SIZE, "lights": LIGHTS, "program": "nina"} | changes)
            simulated = nights.simulate(night, fault)
            folder = tmp_path_factory.mktemp("night")
            lights, masters = nights.write(simulated, folder)
            kinds = {str(fits.getheader(path)["CFROLE"]).removeprefix("MASTER ").lower(): path for path in masters}
            made[key] = Files(folder, lights, kinds, simulated)
        return made[key]

    return written


def diagnose(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["diagnose", *map(str, arguments)], catch_exceptions=False)


def diagnosed(*arguments: object, exit_code: int | None = None) -> dict[str, Any]:
    """Return the JSON object of a diagnosis that conforms to the schema."""
    result = diagnose(*arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    jsonschema.validate(found, SCHEMA)
    is_clean = not any(finding["matters"] for finding in found["findings"])
    assert result.exit_code == (ExitCode.DONE if is_clean else ExitCode.INCOMPLETE) == (exit_code or result.exit_code)
    return found


def kinds(found: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in found["findings"] if finding["matters"]]


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    (line,) = result.stderr.splitlines()
    return line


def foreign(path: Path, pixels: np.ndarray[Any, np.dtype[Any]], **cards: object) -> Path:
    """Write an image as another program does, with the cards of a light."""
    header = fits.Header({"IMAGETYP": "Light Frame", "EXPTIME": 120.0} | cards)
    path.parent.mkdir(exist_ok=True)
    fits.PrimaryHDU(pixels, header).writeto(path)
    return path


def test_a_clean_night_is_clean(shoot: Shoot) -> None:
    night = shoot()
    result = diagnose(night.folder / "lights", "--library", night.library)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "Your lights calibrate cleanly."
    assert max(len(line) for line in lines if "Master" not in line) <= 80
    assert "Artifacts above these sizes would have been found:" in lines
    assert "Not tested:" in lines


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.dark_temperature_c(3), "temperature"),
        (faults.offset_adu(60), "offset"),
        (faults.fixed_rows(6), "banding"),
        (faults.few_darks(2), "banding"),
        (faults.saturated_flat(0.1), "masters"),
    ],
    ids=str,
)
def test_a_fault_is_found(shoot: Shoot, fault: Fault, kind: str) -> None:
    night = shoot(fault)
    found = diagnosed(night.folder / "lights", *night.given, exit_code=1)
    assert kinds(found)[0] == kind
    assert found["findings"] == found["sets"][0]["findings"]
    assert found["verdict"].startswith("Your lights do not calibrate cleanly: ")


@pytest.mark.parametrize(("fault", "kind"), [(faults.few_darks(2), "banding"), (faults.saturated_flat(0.1), "masters")])
def test_thinned_masters_show_the_same(shoot: Shoot, monkeypatch: pytest.MonkeyPatch, fault: Fault, kind: str) -> None:
    monkeypatch.setattr(thinned_masters, "ENOUGH_PIXELS", 1000)
    night = shoot(fault)
    found = diagnosed(night.folder / "lights", *night.given, exit_code=1)
    assert kinds(found)[0] == kind


def test_findings_are_sorted_and_fit_the_terminal(shoot: Shoot) -> None:
    night = shoot(faults.dark_temperature_c(3))
    result = diagnose(night.folder / "lights", *night.given)
    assert result.exit_code == ExitCode.INCOMPLETE
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Your lights do not calibrate cleanly: the dark has a different temperature")
    assert any(re.match(r" +size +-3\.\d+ \+- 0\.\d+ C", line) for line in lines)
    assert any(line.startswith("   fix") for line in lines)
    assert max(len(line) for line in lines if "Master" not in line) <= 80


def test_headers_that_differ_are_evidence(shoot: Shoot) -> None:
    night = shoot(faults.dark_temperature_c(3))
    found = diagnosed(*night.lights, *night.given)
    assert [each["differences"] for each in found["masters"] if each["kind"] == "dark"] == [
        ["temperature differs by 3 C"]
    ]
    (finding,) = [each for each in found["findings"] if each["kind"] == "temperature"]
    assert (
        "according to its header, the dark differs from the lights: temperature differs by 3 C" in finding["evidence"]
    )


def test_the_library_refuses_the_dark_that_a_user_may_name(shoot: Shoot) -> None:
    night = shoot(faults.dark_temperature_c(3))
    found = diagnosed(*night.lights, "--library", night.library)
    assert "temperature" not in kinds(found)
    assert "no dark fits" in found["untested"]["temperature"]
    assert "no dark fits" in found["sets"][0]["notes"][0]


def test_lights_of_several_sets_are_diagnosed_apart(shoot: Shoot, tmp_path: Path) -> None:
    clean, warm = shoot(), shoot(faults.dark_temperature_c(3, told=False), seed=8)
    for number, night in enumerate((clean, warm)):
        for path in (*night.lights, *night.library.glob("*.fits")):
            shutil.copy(path, tmp_path / f"{number}_{path.name}")
    lights = sorted(tmp_path.glob("?_light*.fits"))
    found = diagnosed(*lights, "--library", library_of(tmp_path), exit_code=1)
    assert len(found["sets"]) == 2
    assert sorted(each["clean"] for each in found["sets"]) == [False, True]
    assert len(found["lights"]) == 2 * LIGHTS
    assert "1 of 2 sets" in found["verdict"]
    page = tmp_path / "page.html"
    text = diagnose(*lights, "--library", tmp_path / "library", "--html", page).stdout
    assert text.count("5 lights: ") == 2
    assert page.read_text("utf-8").count('src="data:image/png;base64,') == 8


def library_of(folder: Path) -> Path:
    (library := folder / "library").mkdir()
    for path in folder.glob("?_Master*.fits"):
        path.rename(library / path.name)
    return library


# ---- lights that were calibrated before ----


@pytest.fixture
def calibrated(shoot: Shoot, tmp_path: Path) -> Files:
    """A warm dark, and lights that coldframe has calibrated with it, in a folder beside their raw lights."""
    night = shoot(faults.dark_temperature_c(3, told=False))
    shutil.copytree(night.folder, tmp_path / "night")
    folder = tmp_path / "night"
    result = CliRunner().invoke(app, ["calibrate", str(folder / "lights"), "--library", str(folder / "masters")])
    assert result.exit_code == ExitCode.DONE
    assert "a quick look found: the dark has a different temperature" in result.stdout.splitlines()[-1]
    return replace(night, folder=folder, lights=sorted((folder / "lights" / "calibrated").iterdir()))


def test_the_raw_light_beside_a_calibrated_one_is_read(calibrated: Files) -> None:
    found = diagnosed(*calibrated.lights, "--library", calibrated.library)
    assert kinds(found)[0] == "temperature"
    assert [Path(each["read"]).name for each in found["lights"]] == [f"light_{n:04d}.fits" for n in range(LIGHTS)]
    assert "the raw lights were read" in diagnose(*calibrated.lights, "--library", calibrated.library).stdout


def test_calibrated_lights_alone_have_no_thermometer(calibrated: Files) -> None:
    for raw in (calibrated.folder / "lights").glob("*.fits"):
        raw.unlink()
    found = diagnosed(*calibrated.lights, "--library", calibrated.library)
    assert "temperature" not in kinds(found)
    assert "replaced" in found["untested"]["temperature"]
    assert {each["stage"] for each in found["lights"]} == {"calibrated by coldframe"}
    assert "offset" in found["seen_down_to"]


def test_masters_that_the_library_lacks_are_unknown(calibrated: Files, tmp_path: Path) -> None:
    for raw in (calibrated.folder / "lights").glob("*.fits"):
        raw.unlink()
    (empty := tmp_path / "empty").mkdir()
    found = diagnosed(*calibrated.lights, "--library", empty)
    assert found["masters"] == []
    assert "the library lacks masters" in found["untested"]["dust"]


@pytest.fixture(params=["fractions", "ADU", "16 bits"])
def siril(request: pytest.FixtureRequest, shoot: Shoot, tmp_path: Path) -> Files:
    """Lights with an offset that another program has calibrated."""
    night = shoot(faults.offset_adu(60))
    scale, kind, pedestal = {"fractions": (65_535, "f4", 0), "ADU": (1, "f4", 0), "16 bits": (1, "u2", 200)}[
        request.param
    ]
    paths = []
    for number, signal in enumerate(nights.calibrated(night.simulated)):
        pixels = ((signal + pedestal) / scale).clip(0, 65_535).astype(kind)
        cards = {"PEDESTAL": pedestal} if pedestal else {}
        paths.append(foreign(tmp_path / "process" / f"pp_light_{number:05d}.fit", pixels, GAIN=100, EGAIN=0.8, **cards))
    return replace(night, lights=paths)


def test_lights_of_other_programs_with_masters(siril: Files) -> None:
    found = diagnosed(*siril.lights, *siril.given, exit_code=1)
    assert kinds(found)[0] == "offset"
    assert {each["stage"] for each in found["lights"]} == {"calibrated by another program"}
    assert "another program may have replaced the hot pixels" in found["untested"]["temperature"]


def test_lights_of_other_programs_without_masters(siril: Files) -> None:
    found = diagnosed(*siril.lights)
    assert found["masters"] == []
    assert set(found["untested"]) >= {"dust", "overcorrection", "offset", "amp-glow", "temperature"}
    assert "specify them with --dark and --flat" in found["untested"]["dust"]
    assert "banding" in found["seen_down_to"]


def test_masters_without_uncertainty_limit_the_tests(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot(faults.dark_temperature_c(3))
    given: list[object] = []
    for kind in ("dark", "flat"):
        with fits.open(night.masters[kind]) as file:
            pixels, header = file[0].data, file[0].header
        level = 24_000 if kind == "flat" else 1
        for keyword in ("CFLEVEL", "CFROLE"):
            header.pop(keyword, None)
        fits.PrimaryHDU(pixels * level / 65_535, header).writeto(tmp_path / f"{kind}.fit")
        given += [f"--{kind}", tmp_path / f"{kind}.fit"]
    found = diagnosed(*night.lights, *given, exit_code=1)
    assert kinds(found)[0] == "temperature"
    assert "uncertainty" in found["untested"]["overcorrection"]
    assert "uncertainty" in found["untested"]["offset"]
    assert "dust" in found["seen_down_to"]


def test_lights_that_are_below_zero_are_reported_without_masters(shoot: Shoot, tmp_path: Path) -> None:
    signals = nights.calibrated(shoot().simulated)
    paths = [foreign(tmp_path / f"light{n}_c.fit", signal - np.float32(1200)) for n, signal in enumerate(signals)]
    found = diagnosed(*paths, exit_code=1)
    (finding,) = [each for each in found["findings"] if each["kind"] == "offset"]
    assert "below zero" in finding["cause"]


def test_only_a_dark(shoot: Shoot) -> None:
    night = shoot(faults.dark_temperature_c(3))
    found = diagnosed(*night.lights, "--dark", night.masters["dark"], exit_code=1)
    assert kinds(found)[0] == "temperature"
    assert found["untested"]["dust"] == "no flat was specified (--flat)"
    assert found["untested"]["gradient"] == "no flat was specified (--flat)"


def test_one_light_of_a_colour_camera(shoot: Shoot) -> None:
    night = shoot(faults.dark_temperature_c(3), mosaic="RGGB")
    found = diagnosed(night.lights[0], *night.given, exit_code=1)
    assert kinds(found)[0] == "temperature"
    assert "in a single light" in found["untested"]["banding"]


# ---- the page ----


def test_the_page_shows_the_evidence(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot(faults.dark_temperature_c(3), mosaic="RGGB")
    page = tmp_path / "page.html"
    result = diagnose(*night.lights, *night.given, "--html", page)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert result.stdout.splitlines()[-1] == f"pictures: {page}"
    text = page.read_text("utf-8")
    assert text.count('src="data:image/png;base64,') == 4
    assert all(re.findall(r'<img [^>]*alt="[^"]+', text))
    assert len(re.findall(r'<svg class="chart"[^>]*aria-label="[^"]+', text)) == 4
    assert "prefers-color-scheme: dark" in text
    assert "the dark has a different temperature" in text
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert "exists" in refused(diagnose(*night.lights, *night.given, "--html", page))


def test_foreign_text_is_shown_as_it_is(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    evil = tmp_path / "\x1b[31m<b>dark.fits"
    shutil.copy(night.masters["dark"], evil)
    page = tmp_path / "page.html"
    result = diagnose(*night.lights, "--dark", evil, "--flat", night.masters["flat"], "--html", page)
    assert r"\x1b[31m<b>dark.fits" in result.stdout
    assert r"\x1b[31m&lt;b&gt;dark.fits" in page.read_text("utf-8")


# ---- bad input ----


def test_raw_lights_need_a_library(shoot: Shoot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert "--library FOLDER" in refused(diagnose(*shoot().lights))


def test_lights_without_masters_are_refused(shoot: Shoot, tmp_path: Path) -> None:
    (library := tmp_path / "library").mkdir()
    assert "no dark fits" in refused(diagnose(*shoot().lights, "--library", library))


@pytest.mark.parametrize(
    ("role", "cards", "reason"),
    [
        ("dark", {"INSTRUME": "Other Camera"}, "camera is Other Camera"),
        ("dark", {"XBINNING": 2, "YBINNING": 2}, "binning is 2"),
        ("bias", {"CFROLE": "MASTER FLAT", "IMAGETYP": "Master Flat"}, "it is a flat, not a bias"),
    ],
)
def test_masters_of_other_pixels_are_refused(
    shoot: Shoot, tmp_path: Path, role: str, cards: dict[str, object], reason: str
) -> None:
    night = shoot()
    path = tmp_path / "master.fits"
    with fits.open(night.masters[role]) as file:
        file[0].header.update(cards)
        file.writeto(path)
    line = refused(diagnose(*night.lights, f"--{role}", path))
    assert "master.fits does not match the lights" in line
    assert reason in line


def test_a_master_of_another_size_is_refused(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    with fits.open(night.masters["dark"]) as file:
        fits.PrimaryHDU(file[0].data[:-2], file[0].header).writeto(tmp_path / "dark.fits")
    assert "size is 384 x 254" in refused(diagnose(*night.lights, "--dark", tmp_path / "dark.fits"))


@pytest.mark.parametrize(
    ("cards", "reason"),
    [
        ({"BAYERPAT": "XTRANS"}, "only 2x2 arrays"),
        ({"BAYERPAT": "CYGM"}, "colour filter array 'CYGM'"),
        ({"STACKCNT": 12}, "combination of several frames"),
        ({"IMAGETYP": "Dark Frame"}, "it is a dark frame, not a light"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, cards: dict[str, object], reason: str) -> None:
    path = foreign(tmp_path / "file.fits", np.zeros((128, 128), np.uint16), **cards)
    assert reason in refused(diagnose(path))


def test_small_images_are_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "light_c.fits", np.zeros((64, 200), np.float32))
    assert "too small" in refused(diagnose(path))


def test_copies_of_a_light_count_once(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    copies = [tmp_path / f"copy{number}.fits" for number in range(3)]
    for copy in copies:
        copy.write_bytes(night.lights[0].read_bytes())
    result = diagnose(*copies, *night.given, "--json")
    assert result.exit_code == ExitCode.INCOMPLETE
    assert len(json.loads(result.stdout)["lights"]) == 1
    assert result.stderr.count(f"its pixels are those of {copies[0]}") == len(copies) - 1


def test_raw_lights_without_contrast_are_refused(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    path = tmp_path / "light.fits"
    fits.writeto(path, np.zeros(SIZE, np.uint16), fits.getheader(night.lights[0]))
    result = diagnose(path, *night.given)
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    assert "the same value, 0 ADU" in result.stderr


@pytest.mark.parametrize(("level", "reason"), [(0.0, "the same value, 0 ADU"), (1e30, "not in ADU")])
def test_images_without_contrast_or_unit_are_refused(tmp_path: Path, level: float, reason: str) -> None:
    scatter = np.random.default_rng(1).normal(1, 0.1, (128, 200)).astype(np.float32)
    path = foreign(tmp_path / "light_c.fits", scatter * np.float32(level))
    assert reason in refused(diagnose(path))


def test_noise_alone_allows_few_tests(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(500, 20, (131, 203)).astype(np.float32)
    path = foreign(tmp_path / "light_c.fits", pixels, BAYERPAT="RGGB")
    result = diagnose(path, "--html", tmp_path / "page.html")
    assert result.exit_code == ExitCode.DONE
    assert result.stdout.splitlines()[0].startswith("No fault was found, but these files allow few tests")


def test_colour_images_are_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "rgb_c.fits", np.zeros((3, 64, 96), np.float32))
    assert "not a valid two-dimensional image" in refused(diagnose(path))


def test_a_damaged_light_among_others_is_left_out(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    bad = tmp_path / "bad.fits"
    bad.write_bytes(night.lights[0].read_bytes()[:9000])
    result = diagnose(*night.lights[1:], bad, *night.given)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert result.stdout.startswith("Your lights calibrate cleanly.")
    (line,) = result.stderr.splitlines()
    assert "truncated" in line


def test_the_library_contradicts_named_masters(shoot: Shoot) -> None:
    night = shoot()
    result = diagnose(*night.lights, *night.given, "--library", night.library)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert "contradicts" in result.stderr


def test_calibrate_need_not_look(shoot: Shoot, tmp_path: Path) -> None:
    night = shoot()
    arguments = ["calibrate", *map(str, night.lights), "--library", str(night.library), "--out", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, "--no-diagnose"])
    assert "quick look" not in result.stdout
    result = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "looked")])
    assert result.stdout.splitlines()[-1].startswith("a quick look found no fault")
    pairs = [(tmp_path / f"light_{n:04d}_calibrated.fits", tmp_path / "looked" / f"light_{n:04d}_calibrated.fits") for n in range(LIGHTS)]  # fmt: skip  # noqa: E501
    assert all(np.array_equal(fits.getdata(one), fits.getdata(other)) for one, other in pairs)
