"""Each trap springs on the files that it is about, and on no sound set."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.interchange.layouts import arrange, parts
from coldframe.calibration.interchange.linting import Lint, candidates_of, lint, planned_files
from coldframe.calibration.interchange.programs.dss import DSS
from coldframe.calibration.interchange.programs.known import PROGRAMS, program_of
from coldframe.calibration.interchange.programs.model import Program
from coldframe.calibration.interchange.programs.siril import SIRIL_1_4
from coldframe.calibration.interchange.programs.wbpp import WBPP, with_tolerance
from coldframe.calibration.interchange.raw_sets import raw_sets
from coldframe.config.frames import FrameKind
from tests.calibration.interchange.builders import raw, setups, write


def judged(program: Program, folder: Path, *keywords: str) -> Lint:
    files, errors = candidates_of(folder)
    assert errors == []
    return lint(program, files, keywords)


def names(program: Program, folder: Path, *keywords: str) -> set[str]:
    return {trap.name for trap in judged(program, folder, *keywords).traps}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Return a folder with frames that no program gets wrong."""
    folder = tmp_path / "night"
    for number in (1, 2):
        raw(folder / "biases" / f"b{number}.fits", "bias", EXPTIME=0.0)
        raw(folder / "darks" / f"d{number}.fits", "dark")
        raw(folder / "flats" / f"f{number}.fits", "flat", EXPTIME=2.0, FILTER="L")
        raw(folder / "lights" / f"l{number}.fits", "light", FILTER="L")
    return folder


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: f"{each.name} {each.since}")
def test_a_sound_night_has_no_traps(program: Program, night: Path) -> None:
    result = judged(program, night)
    assert [trap.says for trap in result.traps] == []
    assert [len(group.frames) for group in result.groups] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("program", "place", "kind", "cards", "wanted"),
    [
        (WBPP, "darks/x.fits", "dark", {"EXPTIME": 305.0}, "merged"),
        (WBPP, "darks/x.fits", "dark", {"GAIN": 200}, "merged"),
        (WBPP, "darks/x.fits", "dark", {"SET-TEMP": 0.0, "CCD-TEMP": 0.0}, "merged"),
        (WBPP, "biases/x.fits", "bias", {"OFFSET": 10, "EXPTIME": 0.0}, "merged"),
        (WBPP, "darks/x.fits", "dark", {"GAIN": None}, "no-gain"),
        (WBPP, "darks/x.fits", "dark", {"SET-TEMP": None, "CCD-TEMP": None}, "no-temperature"),
        (WBPP, "darks/x.fits", "dark", {"EXPTIME": None}, "no-exposure"),
        (WBPP, "darks/x.fits", "dark", {"EXPOSURE": 30.0}, "unreadable"),
        (WBPP, "darks/x.fits", "Master Dark", {}, "refused"),
        (WBPP, "masters/x.fits", "dark", {}, "refused"),
        (WBPP, "x/x.fits", "gibberish", {"FILTER": "L"}, "no-kind"),
        (WBPP, "flats/x.fits", "flat", {"FILTER": None, "EXPTIME": 2.0}, "no-filter"),
        (WBPP, "flats/x.fits", "flat", {"FILTER": " l", "EXPTIME": 2.0}, None),
        (WBPP, "flats/x.fits", "flat", {"FILTER": "L", "EXPTIME": 2.0, "shape": (6, 8)}, "size"),
        (WBPP, "lights/x.fits", "light", {"FILTER": "L", "EXPTIME": 60.0}, "wrong-dark"),
        (WBPP, "lights/x.fits", "light", {"FILTER": "L", "BAYERPAT": "RGGB"}, "no-bayerpat"),
        (WBPP, "lights/x.fits", "light", {"FILTER": "L", "BAYERPAT": "RGGB"}, "unmatched"),
        (WBPP, "lights/x.fits", "light", {"FILTER": "R"}, "unmatched"),
        (WBPP, "darks/x.fits", "dark", {"ROWORDER": None}, "no-row-order"),
        (WBPP, "darks/Dark_2s.fits", "dark", {"EXPTIME": 2.5}, "truncated-exposure"),
        (WBPP, "darks/Dark_2.5s.fits", "dark", {"EXPTIME": 2.5}, None),
        (WBPP, "darks/x.fits", "dark", {"CALSTAT": "B", "IMAGETYP": "Dark Frame"}, "bias-subtracted"),
        (WBPP, "darks/x.fits", "dark", {"CFROLE": "DARKFLAT", "EXPTIME": 302.0}, "merged"),
        (SIRIL_1_4, "darks/x.fits", "dark", {"EXPTIME": 60.0}, "merged"),
        (SIRIL_1_4, "flats/x.fits", "flat", {"FILTER": "Ha", "EXPTIME": 2.0}, "merged"),
        (SIRIL_1_4, "other/x.fits", "dark", {}, "ignored"),
        (SIRIL_1_4, "darks/x.fits", "bias", {"EXPTIME": 0.0}, "kind"),
        (SIRIL_1_4, "darkflats/x.fits", "dark", {"CFROLE": "DARKFLAT"}, "dark-flats"),
        (SIRIL_1_4, "darks/x.fits", "dark", {"GAIN": 1.5}, "whole-gain"),
        (SIRIL_1_4, "lights/x.fits", "light", {"FILTER": "L", "BAYERPAT": "RGGB", "ROWORDER": None}, "no-row-order"),
        (DSS, "flats/x.fits", "flat", {"FILTER": "Ha", "EXPTIME": 2.0}, "merged"),
        (DSS, "darkflats/x.fits", "bias", {"EXPTIME": 0.0}, "kind"),
        (DSS, "lights/x.fits", "light", {"FILTER": "L", "EXPTIME": 60.0}, "wrong-dark"),
        (DSS, "lights/x.fits", "light", {"FILTER": "L", "BAYERPAT": "RGGB"}, "merged"),
        (program_of("app"), "darks/x.fits", "dark", {"EXPTIME": 60.0}, "merged"),
    ],
)  # fmt: skip
def test_traps(
    *, program: Program, place: str, kind: str, cards: dict[str, object], wanted: str | None, night: Path
) -> None:
    raw(night / place, kind, **cards)
    found = names(program, night)
    assert (wanted in found) if wanted is not None else True
    if place.endswith("Dark_2.5s.fits"):
        assert "truncated-exposure" not in found


def test_filters_of_different_spelling(night: Path) -> None:
    raw(night / "lights" / "h.fits", "light", FILTER="H alpha")
    raw(night / "flats" / "h.fits", "flat", FILTER="h  Alpha", EXPTIME=2.0)
    trap = next(trap for trap in judged(WBPP, night).traps if trap.name == "filter-spelling")
    assert "'H alpha' in lights, but 'h  Alpha' in flats" in trap.says
    assert trap.rule is not None
    assert trap.rule.name == "filters"


def test_the_settings_of_wbpp_prevent_the_traps(night: Path) -> None:
    raw(night / "darks" / "x.fits", "dark", EXPTIME=305.0, GAIN=200)
    assert names(WBPP, night) == {"merged"}
    assert names(with_tolerance(WBPP, 0), night, "GAIN") == set()


def test_dss_masters_of_short_exposures_share_a_name(night: Path) -> None:
    for exposure_s in (0.1, 0.9):
        for number in (1, 2):
            raw(night / "darks" / f"s{exposure_s}_{number}.fits", "dark", EXPTIME=exposure_s)
    assert "truncated-names" in names(DSS, night)


def test_dss_cannot_use_masters_of_floats(night: Path) -> None:
    write(night / "darks", FrameKind.DARK)
    found = names(DSS, night)
    assert {"depth", "float-range", "masters-together"} <= found
    assert "float-range" not in names(SIRIL_1_4, night)


def test_dss_would_subtract_the_bias_of_a_master_dark_twice(night: Path) -> None:
    bias, dark = write(night / "biases", FrameKind.BIAS, exposure_s=0), write(night / "darks" / "m", FrameKind.DARK)
    for each in (night / "darks").glob("*.fits"):
        each.unlink()
    trap = next(trap for trap in judged(DSS, night).traps if trap.name == "bias-twice")
    assert {bias, dark} <= set(trap.files)
    assert trap.rule is not None
    assert "ApplyAllMasters" in str(trap.rule.source)
    assert "bias-twice" not in names(SIRIL_1_4, night)
    for each in (night / "biases").glob("*.fits"):
        each.unlink()
    assert "bias-twice" not in names(DSS, night)


def test_fractions_beside_adu(tmp_path: Path) -> None:
    folder = tmp_path / "darks"
    write(folder, FrameKind.DARK)
    path = write(folder, FrameKind.DARK, exposure_s=60)
    with fits.open(path, mode="update") as file:
        file[0].data = (file[0].data / 65535).astype(np.float32)
    assert "mixed-ranges" in names(SIRIL_1_4, tmp_path)


def test_two_masters_of_one_setting(tmp_path: Path) -> None:
    write(tmp_path / "darks", FrameKind.DARK)
    write(tmp_path / "darks" / "warm", FrameKind.DARK, setpoint_c=0)
    assert names(DSS, tmp_path) >= {"merged", "masters-together"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda each: f"{each.name} {each.since}")
def test_the_exports_have_no_traps(program: Program, night: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    masters = [
        write(library, FrameKind.BIAS, exposure_s=0),
        write(library, FrameKind.DARK),
        write(library, FrameKind.DARK, setpoint_c=0.0),
        write(library, FrameKind.DARK, gain=200),
        write(library, FrameKind.FLAT, level=1, filter_name="Ha"),
        write(library, FrameKind.FLAT, level=1, filter_name="L"),
    ]
    frames = [path for path in night.rglob("*.fits") if path.parent.name != "lights"]
    frames += [raw(night / "dark-flats" / "x.fits", "dark", EXPTIME=2.0, CFROLE="DARKFLAT", FILTER="L")]
    plan = arrange(program.name, setups(*masters), raw_sets(setups(*frames)))
    rules = with_tolerance(program, 0) if program is WBPP else program
    keywords = ("GAIN", "OFFSET", "TEMP") if program is WBPP else ()
    found = [
        trap
        for part in parts(plan, program.name)
        for trap in lint(rules, planned_files(part, Path("/out"))[0], keywords).traps
    ]
    ignored = {"dark-flats", "ignored", "kind"} if program.name == "siril" else set()
    assert [trap.says for trap in found if trap.name not in ignored] == []
