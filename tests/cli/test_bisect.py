"""`coldframe bisect` on a written night with an old dark and an old flat."""

import json
import shutil
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from astropy.io.fits import getheader
from typer.testing import CliRunner, Result

from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.cli import app
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.examples import example_night
from coldframe.config.frames import FrameKind
from coldframe.operations.nights.request import NightRequest
from tests.calibration.diagnosis import faults, nights

NIGHT = nights.draw(7, size=(256, 384), lights=5, program="nina", nebula_fill=0.0)

COMBINATION = {
    "type": "object",
    "required": ["dark", "flat", "score", "leaves", "significance"],
    "properties": {
        "dark": {"type": "string", "minLength": 1},
        "flat": {"type": "string", "minLength": 1},
        "score": {"type": "number", "minimum": 0},
        "leaves": {"type": "array", "items": {"type": "string"}},
        "significance": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 20}},
    },
}
CULPRIT = {
    "type": "object",
    "required": ["component", "worse", "better", "artifacts"],
    "properties": {
        "component": {"enum": ["dark", "flat"]},
        "worse": COMBINATION,
        "better": COMBINATION,
        "artifacts": {"type": "array", "minItems": 1},
    },
}
PROPERTIES: dict[str, object] = {
    "format": {"const": 1},
    "verdict": {"type": "string", "minLength": 1},
    "clean": {"type": "boolean"},
    "culprits": {"type": "array", "items": CULPRIT},
    "combinations": {"type": "array", "minItems": 1, "items": COMBINATION},
    "ties": {"type": "array", "items": COMBINATION},
    "masters": {"type": "array", "items": {"type": "object", "required": ["key", "kind", "path", "taken_at"]}},
    "lights": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    "not_compared": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    "notes": {"type": "array", "items": {"type": "string"}},
    "shoot": {"type": ["string", "null"]},
}
SCHEMA = {"type": "object", "required": [*PROPERTIES], "properties": PROPERTIES, "additionalProperties": False}


@dataclass(frozen=True)
class Files:
    """The files of a night."""

    lights: Path
    library: Path
    right: dict[FrameKind, Path]
    old_dark: Path


def older(master: MasterFrame) -> MasterFrame:
    days = timedelta(days=9)
    assert master.first_at is not None
    assert master.last_at is not None
    return replace(master, first_at=master.first_at - days, last_at=master.last_at - days)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("night")
    simulated = nights.simulate(NIGHT)
    _, masters = nights.write(simulated, folder)
    dark = older(nights.simulate(NIGHT, faults.dark_temperature_c(1.0, told=False)).masters.frames[0])
    old = folder / "masters" / master_name(dark).replace(".fits", "_old.fits")
    write_master(old, dark)
    right = {frame.kind: path for frame, path in zip(simulated.masters.frames, masters, strict=True)}
    return Files(folder / "lights", folder / "masters", right, old)


def bisect(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bisect", *map(str, arguments)], catch_exceptions=False)


def bisected(*arguments: object) -> dict[str, Any]:
    result = bisect(*arguments, "--json")
    found: dict[str, Any] = json.loads(result.stdout, parse_constant=pytest.fail)
    jsonschema.validate(found, SCHEMA)
    assert result.exit_code == (ExitCode.DONE if found["clean"] else ExitCode.INCOMPLETE)
    return found


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (ExitCode.BAD_INPUT, "")
    (line,) = result.stderr.splitlines()
    return line


def test_the_old_dark_of_the_library_is_accused(files: Files, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = bisect(files.lights, "--library", files.library, "--html", page)
    assert (result.exit_code, result.stderr) == (ExitCode.DONE, "")
    text = " ".join(result.stdout.split())
    assert text.startswith("The dark introduces hot pixels: with the dark of 2026-11-14 (D2), the score is")
    assert f"D2 {files.old_dark.name}" in text
    assert max(len(line) for line in result.stdout.splitlines()) <= 100
    html = page.read_text("utf-8")
    pictures = html.count("<img ")
    assert pictures == html.count("</figure>") == 5
    assert 'src="data:image/png;base64,' in html
    assert bisect(files.lights, "--library", files.library, "--html", page).exit_code == ExitCode.BAD_INPUT


def test_named_masters_are_compared_alone(files: Files) -> None:
    found = bisected(
        files.lights,
        *("--dark", files.old_dark, "--dark", files.right[FrameKind.DARK]),
        *("--flat", files.right[FrameKind.FLAT]),
    )
    assert {(row["dark"], row["flat"]) for row in found["combinations"]} == {
        ("D1", "F1"),
        ("D2", "F1"),
        ("D1", "no flat"),
    }
    (culprit,) = found["culprits"]
    assert (culprit["component"], culprit["worse"]["dark"], culprit["artifacts"][0]) == ("dark", "D2", "hot pixels")
    assert found["combinations"][0]["leaves"] == []
    assert found["shoot"] is None


def test_a_missing_master_is_to_be_shot(files: Files) -> None:
    found = bisected(files.lights, "--dark", files.old_dark, "--bias", files.right[FrameKind.BIAS])
    assert not found["clean"]
    assert found["shoot"] == f"coldframe run --lights {files.lights} --only darks --only flats --redo"
    assert "no flat" in found["not_compared"]["dust"]
    text = bisect(files.lights, "--dark", files.old_dark, "--bias", files.right[FrameKind.BIAS])
    assert found["shoot"] in text.stdout


def test_masters_without_uncertainty_are_compared_by_other_witnesses(files: Files, tmp_path: Path) -> None:
    from astropy.io import fits  # noqa: PLC0415

    with fits.open(files.right[FrameKind.DARK]) as file:
        header = fits.Header(
            [
                (card, file[0].header[card])
                for card in ("IMAGETYP", "EXPTIME", "GAIN", "CCD-TEMP")
                if card in file[0].header
            ]
        )
        fits.PrimaryHDU(file[0].data, header).writeto(tmp_path / "foreign.fits")
    found = bisected(files.lights, "--dark", tmp_path / "foreign.fits", "--flat", files.right[FrameKind.FLAT])
    assert {"pixel responses", "photon noise", "noise of the masters"} <= set(found["not_compared"])


def test_more_than_a_dozen_lights_are_thinned_out(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.cli.bisect.MOST_LIGHTS", 2)
    found = bisected(files.lights, "--dark", files.right[FrameKind.DARK])
    assert len(found["lights"]) == 2
    assert found["notes"] == ["2 of 5 lights were compared"]


def test_unsuitable_input_is_refused(files: Files, tmp_path: Path) -> None:
    light = next(iter(sorted(files.lights.iterdir())))
    assert "contradicts" in bisect(light, "--dark", files.old_dark, "--library", files.library).stderr
    assert "it is a flat, not a dark" in refused(bisect(light, "--dark", files.right[FrameKind.FLAT]))
    (tmp_path / "empty").mkdir()
    assert "specify masters with --dark" in refused(bisect(light, "--library", tmp_path / "empty"))
    calibrated = tmp_path / "pp_light.fits"
    calibrated.write_bytes(light.read_bytes())
    assert "specify raw lights" in refused(bisect(calibrated, "--dark", files.old_dark))
    other = nights.simulate(replace(NIGHT, exposure_s=NIGHT.exposure_s * 2, lights=1))
    (path, *_), _ = nights.write(other, tmp_path)
    assert "belong to 2 sets" in refused(bisect(light, path, "--dark", files.old_dark))


def test_missing_masters_are_shot_before_the_comparison(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, library = tmp_path / "coldframe.toml", tmp_path / "storage" / "library"
    config.write_text(f'{example_night("small").read_text("utf-8")}[storage]\nfolder = "{library.parent}"\n', "utf-8")
    shot: list[NightRequest] = []

    def night(request: NightRequest, **_: bool) -> ExitCode:
        shot.append(request)
        shutil.copytree(files.library, library)
        return ExitCode.DONE

    monkeypatch.setattr("coldframe.cli.bisecting.shooting.run_night", night)
    result = bisect(files.lights, "--shoot", "--config", config)
    assert "there is no library here yet" in result.stderr
    assert shot == [NightRequest(config, lights=files.lights, only=("darks", "flats"), redo=True)]
    assert "The dark introduces hot pixels" in " ".join(result.stdout.split())
    assert bisect(files.lights, "--shoot", "--config", config).exit_code == ExitCode.DONE
    assert len(shot) == 1
    for path in library.glob("*Flat*"):
        path.unlink()
    bisect(files.lights, "--shoot", "--config", config)
    assert shot[1:] == [NightRequest(config, lights=files.lights, only=("flats",), redo=True)]


def test_a_night_that_fails_ends_the_bisection(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coldframe.cli.bisecting.shooting.run_night", lambda *_, **__: ExitCode.ABORTED)
    result = bisect(files.lights, "--shoot", "--simulate", "small", "--folder", tmp_path)
    assert (result.exit_code, result.stdout) == (ExitCode.ABORTED, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(["--shoot", "--json"], "--shoot"), (["--shoot", "--library", "x"], "--shoot"), (["--folder", "x"], "--folder")],
)
def test_options_that_contradict_shooting(files: Files, arguments: list[str], hint: str) -> None:
    result = bisect(files.lights, *arguments)
    assert result.exit_code == ExitCode.BAD_INPUT
    assert hint in result.stderr


@pytest.mark.deep
def test_a_simulated_rig_shoots_what_a_bisection_lacks(tmp_path: Path) -> None:
    rig = ["--simulate", "small", "--folder", tmp_path / "night"]
    assert CliRunner().invoke(app, ["simulate", "small", "--lights", str(tmp_path / "lights")]).exit_code == 0
    one_filter = [path for path in (tmp_path / "lights").iterdir() if getheader(path)["FILTER"] == "L"]
    result = bisect(*one_filter, "--shoot", *rig)
    assert "shooting darks and flats" in result.stderr
    assert "D1" in result.stdout
    assert "F1" in result.stdout
