"""The rules as data: each has a source, and each program reads and groups as its source states."""

from dataclasses import fields
from pathlib import Path

import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.interchange.groups import groups_of
from coldframe.calibration.interchange.programs.app import APP
from coldframe.calibration.interchange.programs.dss import DSS
from coldframe.calibration.interchange.programs.known import PROGRAMS, UnknownVersionError, program_of
from coldframe.calibration.interchange.programs.model import Program, Rule, Tolerance
from coldframe.calibration.interchange.programs.siril import SIRIL_1_2, SIRIL_1_4
from coldframe.calibration.interchange.programs.wbpp import WBPP, with_tolerance
from coldframe.calibration.interchange.reading import Candidate, seen_by
from coldframe.config.frames import FrameKind

HEADER: dict[str, HeaderValue] = {
    "BITPIX": 16, "NAXIS": 2, "NAXIS1": 16, "NAXIS2": 12, "IMAGETYP": "Dark Frame", "EXPTIME": 300.0, "GAIN": 100,
    "XBINNING": 1, "SET-TEMP": -10.0,
}  # fmt: skip


def file(path: str, **cards: HeaderValue) -> Candidate:
    return Candidate(Path("/data") / path, HEADER | {key.replace("_", "-"): value for key, value in cards.items()})


def sizes(program: Program, *files: Candidate, keywords: tuple[str, ...] = ()) -> list[int]:
    seen = [seen_by(program, each, keywords) for each in files]
    return [len(group.frames) for group in groups_of(program, seen)]


@pytest.mark.parametrize(
    ("program", "rule"), [(program, rule) for program in PROGRAMS for rule in program.rules], ids=lambda each: each.name
)
def test_each_rule_has_a_source_or_is_of_a_program_that_is_marked(program: Program, rule: Rule) -> None:
    assert rule.says.endswith(".")
    if program is APP:
        assert (rule.source, program.verified) == (None, ())
    else:
        assert rule.source is not None
        assert all(getattr(rule.source, field.name) for field in fields(rule.source))
        assert set(program.verified) <= set(rule.source.version.split(" and "))


def test_names_of_rules_are_unique() -> None:
    for program in PROGRAMS:
        names = [rule.name for rule in program.rules]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("siril", None, SIRIL_1_4), ("siril", "1.2.6", SIRIL_1_2), ("siril", "1.4", SIRIL_1_4), ("wbpp", "2.7.5", WBPP),
        ("dss", "6.2.2", DSS),
    ],
)  # fmt: skip
def test_versions(name: str, version: str | None, wanted: Program) -> None:
    assert program_of(name, version) is wanted


@pytest.mark.parametrize(("name", "version"), [("siril", "0.9"), ("wbpp", "1.4"), ("dss", "new"), ("dss", "")])
def test_unknown_versions_are_refused(name: str, version: str) -> None:
    with pytest.raises(UnknownVersionError, match="are known from version"):
        program_of(name, version)


# ---- WBPP: BPP-Helper.js, BPP-StackEngine.js, BPP-FrameGroup.js, BPP-CalibrationMatcher.js ----


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Dark Frame", FrameKind.DARK), ("DARKFLAT", FrameKind.DARK), ("Master Bias", FrameKind.BIAS),
        ("Flat Field", FrameKind.FLAT), ("science", FrameKind.LIGHT), ("anything", FrameKind.LIGHT),
    ],
)  # fmt: skip
def test_wbpp_reads_the_kind(word: str, kind: FrameKind) -> None:
    assert seen_by(WBPP, file("a.xisf", IMAGETYP=word)).kind is kind


def test_wbpp_reads_the_kind_from_the_path_if_the_header_has_none() -> None:
    assert seen_by(WBPP, file("lights/flats/a.fits", IMAGETYP="?")).kind is FrameKind.FLAT
    assert seen_by(WBPP, file("flatlands/a.fits", IMAGETYP="?")).kind is FrameKind.LIGHT


def test_numbers_beyond_the_range_count_as_missing() -> None:
    for each in (file("a.fits", XBINNING="1e400"), file("BINNING_1e400/a.fits", XBINNING="?")):
        assert seen_by(WBPP, each).binning == 1
    assert seen_by(WBPP, file("a.fits", EXPTIME="1e400")).exposure_s == 0
    assert seen_by(DSS, file("darks/a.fits", GAIN="-1d999")).gain is None


def test_wbpp_refuses_masters_that_are_not_xisf() -> None:
    assert seen_by(WBPP, file("a.fits", IMAGETYP="Master Dark")).refused
    assert seen_by(WBPP, file("my masters/raw/a.fits")).refused
    assert not seen_by(WBPP, file("MasterDark.xisf", IMAGETYP="Master Dark")).refused
    assert not seen_by(WBPP, file("raw/a.fits")).refused


def test_wbpp_takes_the_last_exposure() -> None:
    assert seen_by(WBPP, file("a.fits", EXPTIME=1.0, EXPOSURE=2.0)).exposure_s == 2
    assert seen_by(DSS, file("darks/a.fits", EXPTIME=1.0, EXPOSURE=2.0)).exposure_s == 1


def test_wbpp_merges_raw_darks_within_10_s_but_masters_within_10_ms() -> None:
    raws = [file("a.fits", EXPTIME=300.0), file("b.fits", EXPTIME=310.0), file("c.fits", EXPTIME=311.0)]
    assert sizes(WBPP, *raws) == [2, 1]
    assert sizes(with_tolerance(WBPP, 0), *raws) == [1, 1, 1]
    masters = [file(f"m{each:g}.xisf", IMAGETYP="Master Dark", EXPTIME=each) for each in (1.0, 1.009, 1.02)]
    assert sizes(WBPP, *masters) == [2, 1]


def test_wbpp_compares_gain_and_temperature_only_as_keywords() -> None:
    files = [file("a.fits"), file("b.fits", GAIN=200), file("GAIN_100/TEMP_-20/c.fits")]
    assert sizes(WBPP, *files) == [3]
    assert sizes(WBPP, *files, keywords=("GAIN",)) == [2, 1]
    assert sizes(WBPP, *files, keywords=("GAIN", "TEMP")) == [1, 1, 1]
    assert seen_by(WBPP, file("x/GAIN_100_OFFSET_50_TEMP_-10/a.fits", GAIN=7), ("GAIN", "TEMP")).keywords == (
        ("GAIN", "100"),
        ("TEMP", "-10"),
    )


def test_wbpp_groups_flats_by_filter_only() -> None:
    flats = [
        file("a.fits", IMAGETYP="Flat Frame", FILTER="Ha", EXPTIME=1.0),
        file("b.fits", IMAGETYP="Flat Frame", FILTER="Ha", EXPTIME=50.0),
        file("c.fits", IMAGETYP="Flat Frame", FILTER="HA"),
        file("d.fits", IMAGETYP="Flat Frame"),
        file("FILTER_Ha/e.fits", IMAGETYP="Flat Frame"),
    ]
    assert sizes(WBPP, *flats) == [3, 1, 1]
    assert seen_by(WBPP, flats[3]).filter_name == "NoFilter"


def chosen(program: Program, *files: Candidate) -> dict[FrameKind, str | None]:
    groups = groups_of(program, [seen_by(program, each) for each in files])
    takes = groups[0].takes.items()
    return {kind: None if each is None else each.first.file.path.name for kind, each in takes}


def test_wbpp_takes_the_nearest_dark_for_lights() -> None:
    light = file("light.fits", IMAGETYP="Light Frame", EXPTIME=60.0)
    darks = [file("a.fits", EXPTIME=300.0), file("b.fits", EXPTIME=30.0)]
    assert chosen(WBPP, light, *darks)[FrameKind.DARK] == "b.fits"
    assert chosen(WBPP, light)[FrameKind.DARK] is None


def test_wbpp_takes_flats_only_with_the_same_mosaic() -> None:
    light = file("light.fits", IMAGETYP="Light Frame", BAYERPAT="RGGB")
    flat = file("flat.fits", IMAGETYP="Flat Frame")
    assert chosen(WBPP, light, flat)[FrameKind.FLAT] is None
    assert chosen(WBPP, light, file("flat.fits", IMAGETYP="Flat Frame", BAYERPAT="RGGB"))[FrameKind.FLAT] == "flat.fits"


def test_wbpp_takes_darks_of_flats_within_half_a_second_if_there_is_a_bias() -> None:
    flat = file("flat.fits", IMAGETYP="Flat Frame", EXPTIME=2.0)
    bias = file("bias.fits", IMAGETYP="Bias Frame", EXPTIME=0.0)
    dark = file("dark.fits", EXPTIME=2.6)
    assert chosen(WBPP, flat, dark)[FrameKind.DARK] == "dark.fits"
    assert chosen(WBPP, flat, dark, bias)[FrameKind.DARK] is None
    assert chosen(WBPP, flat, file("dark.fits", EXPTIME=2.4), bias)[FrameKind.DARK] == "dark.fits"


# ---- DeepSkyStacker: StackingTasks.cpp ----


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (0.5, 0.2, True), (0.5, 0.1, False), (1.0, 0.9, False), (100.0, 95.0, True), (100.0, 94.0, False),
        (0.0, 0.0, True), (0.0, 0.5, False), (1 / 100, 1 / 104, True), (1 / 100, 1 / 105.5, False),
    ],
)  # fmt: skip
def test_dss_equal_exposures(one: float, other: float, equal: bool) -> None:  # noqa: FBT001
    tolerance = DSS.grouping[FrameKind.DARK].tolerance
    assert tolerance.equal(one, other) is equal
    assert tolerance.equal(other, one) is equal


def test_dss_groups_by_tab_gain_and_exposure() -> None:
    files = [
        file("main/flats/a.fits", FILTER="Ha"),
        file("main/flats/b.fits", FILTER="L", SET_TEMP=0.0),
        file("group_L/flats/c.fits"),
        file("main/flats/d.fits", GAIN=200),
    ]
    assert sizes(DSS, *files) == [2, 1, 1]
    assert seen_by(DSS, file("a.fits")).kind is None
    assert seen_by(DSS, file("darks_300s/a.fits")).kind is FrameKind.DARK
    assert seen_by(DSS, file("dark_flats/a.fits")).kind is FrameKind.DARK_FLAT


def test_dss_prefers_gain_then_exposure_and_keeps_to_tabs() -> None:
    light = file("group_L/lights/l.fits", EXPTIME=60.0)
    near, gain = file("darks/n.fits", EXPTIME=60.0, GAIN=0), file("darks/g.fits", EXPTIME=10.0)
    assert chosen(DSS, light, near, gain)[FrameKind.DARK] == "g.fits"
    assert chosen(DSS, light, file("group_Ha/flats/f.fits"))[FrameKind.FLAT] is None
    assert chosen(DSS, light, file("group_L/flats/f.fits"))[FrameKind.FLAT] == "f.fits"
    assert chosen(DSS, light, file("darks/f.fits", BITPIX=-32))[FrameKind.DARK] is None


def test_dss_reads_microseconds() -> None:
    assert seen_by(DSS, file("darks/a.fits", EXPOINUS=2500000)).exposure_s == 2.5


# ---- Siril: scripts ----


def test_siril_stacks_what_is_in_a_folder() -> None:
    files = [file("s/darks/a.fits"), file("s/darks/b.fits", GAIN=7, EXPTIME=1.0), file("t/darks/c.fits")]
    assert sizes(SIRIL_1_4, *files) == [2, 1]
    assert seen_by(SIRIL_1_4, file("s/darkflats/a.fits")).kind is None


def test_no_tolerance_means_equal() -> None:
    assert Tolerance().equal(0.3, 0.3)
    assert not Tolerance().equal(300, 300.1)
