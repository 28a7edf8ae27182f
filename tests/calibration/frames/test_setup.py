from datetime import UTC, datetime
from pathlib import Path

import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.frames.setup import fault_of_raw_frame, require_readable, setup_of
from coldframe.config.frames import FrameKind

Header = dict[str, HeaderValue]


def test_our_own_header_is_read() -> None:
    setup = setup_of(
        {
            "NAXIS1": 40, "NAXIS2": 30, "CFROLE": "DARKFLAT", "IMAGETYP": "Dark Frame", "INSTRUME": " ASI ",
            "GAIN": 100, "OFFSET": 50, "XBINNING": 2, "READOUTM": "Low", "EXPTIME": 1.5, "SET-TEMP": -10.0,
            "CCD-TEMP": -9.9, "FILTER": "Ha", "BAYERPAT": "rggb", "XBAYROFF": 1, "ROWORDER": "TOP-DOWN",
            "TELESCOP": "Refractor", "FOCALLEN": 500, "FOCUSPOS": 10, "ROTATANG": 1.5,
            "DATE-OBS": "2026-11-22T04:05:06.250000",
        }
    )  # fmt: skip
    assert (setup.kind, setup.camera, setup.width, setup.height) == (FrameKind.DARK_FLAT, "ASI", 40, 30)
    readout = setup.readout
    assert (readout.gain, readout.offset, readout.binning, readout.readout_mode) == (100, 50, 2, "Low")
    assert (setup.exposure_s, setup.temperature_c, setup.cooled, setup.filter_name) == (1.5, -9.9, True, "Ha")
    assert (setup.mosaic, setup.row_order) == ("GRBG", "TOP-DOWN")
    assert setup.train.telescope == "Refractor"
    assert (setup.train.focal_length_mm, setup.train.focus_steps, setup.train.rotation_deg) == (500, 10, 1.5)
    assert setup.taken_at == datetime(2026, 11, 22, 4, 5, 6, 250000, UTC)


def test_an_empty_header_gives_no_values() -> None:
    setup = setup_of({})
    assert (setup.kind, setup.camera, setup.exposure_s, setup.temperature_c) == (None, None, None, None)
    assert (setup.cooled, setup.readout.binning, setup.taken_at) == (False, 1, None)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"IMAGETYP": "Master Bias"}, FrameKind.BIAS),
        ({"IMAGETYP": "MASTERDARK"}, FrameKind.DARK),
        ({"IMAGETYP": "flat field"}, FrameKind.FLAT),
        ({"FRAME": "Light"}, FrameKind.LIGHT),
        ({"IMAGTYP": "LIGHT"}, FrameKind.LIGHT),
        ({"IMAGETYP": "Master Dark", "CFROLE": "DARK"}, FrameKind.DARK),
        ({"IMAGETYP": "zero"}, FrameKind.BIAS),
        ({"IMAGETYP": "banana"}, None),
    ],
)
def test_frame_kinds_are_read_in_all_spellings(header: Header, kind: FrameKind | None) -> None:
    assert setup_of(header).kind is kind


def test_numbers_as_text_and_other_keywords_are_read() -> None:
    setup = setup_of({"EXPOSURE": "12.5 ", "BLKLEVEL": 8, "ISOSPEED": 800, "SET-TEMP": -5, "FILTER": "NoFilter"})
    assert (setup.exposure_s, setup.readout.offset, setup.readout.gain) == (12.5, 8, 800)
    assert (setup.temperature_c, setup.cooled, setup.filter_name) == (-5, True, None)


@pytest.mark.parametrize("text", ["2026-11-22T04:05:06Z", "2026-11-22T05:05:06+01:00"])
def test_dates_with_a_time_zone_are_converted(text: str) -> None:
    assert setup_of({"DATE-OBS": text}).taken_at == datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)


def test_an_invalid_date_is_ignored() -> None:
    assert setup_of({"DATE-OBS": "yesterday"}).taken_at is None


@pytest.mark.parametrize(
    ("pattern", "right", "down", "seen"),
    [
        ("RGGB", 0, 0, "RGGB"),
        ("RGGB", 1, 0, "GRBG"),
        ("RGGB", 0, 1, "GBRG"),
        ("RGGB", 1, 1, "BGGR"),
        ("gbrg", 3, 2, "BGGR"),
        ("BGGR", -1, 0, "GBRG"),
        ("XTRANS", 7, 6, "XTRANS+7+6"),
        ("A+B+C", 1, 0, "A+B+C+1+0"),
    ],
)
def test_offsets_of_the_filter_array_are_applied(pattern: str, right: int, down: int, seen: str) -> None:
    for keyword in ("BAYERPAT", "COLORTYP"):
        assert setup_of({keyword: pattern, "XBAYROFF": right, "YBAYROFF": down}).mosaic == seen


def test_overscan_is_read_from_raw_frames_and_masters() -> None:
    raw: Header = {
        "NAXIS1": 120,
        "NAXIS2": 50,
        "BIASSEC": "[1:20,1:50]",
        "TRIMSEC": "[22:120,1:50]",
        "BAYERPAT": "RGGB",
    }
    setup = setup_of(raw)
    assert setup.sections is not None
    trimmed = setup.without(Overscan(setup.sections, "row"))
    assert (trimmed.width, trimmed.height, trimmed.mosaic, trimmed.sections) == (99, 50, "GRBG", None)
    assert trimmed.overscan == Overscan(setup.sections, "row")
    assert setup_of({**raw, "BIASSEC": "[1:9999,1:50]"}).sections is None
    assert setup_of({"OVERSCAN": "row [1:20,1:50]", "TRIM": "[22:120,1:50]"}).overscan == trimmed.overscan


@pytest.mark.parametrize(
    ("header", "subtracted"),
    [
        ({"IMAGETYP": "Master Dark", "CALSTAT": "B"}, True),
        ({"IMAGETYP": "Master Dark", "CFROLE": "DARKFLAT", "CALSTAT": "B"}, True),
        ({"IMAGETYP": "Master Dark"}, False),
        ({"IMAGETYP": "Master Flat", "CALSTAT": "B"}, False),
    ],
)
def test_a_dark_without_its_bias_is_recognised(header: Header, subtracted: bool) -> None:  # noqa: FBT001
    assert setup_of(header).bias_subtracted is subtracted


def test_numbers_out_of_range_are_ignored() -> None:
    setup = setup_of({"XBAYROFF": "1e999", "BAYERPAT": "RGGB", "XBINNING": "9e999", "EXPTIME": "-1e400"})
    assert (setup.mosaic, setup.readout.binning, setup.exposure_s) == ("RGGB", 1, None)


@pytest.mark.parametrize(
    "header",
    [
        {"EXPTIME": -1},
        {"EXPTIME": 1e300},
        {"EXPTIME": "1e300 s"},
        {"CCD-TEMP": 1e300},
        {"XBINNING": 0},
        {"FOCALLEN": 0.0},
        {"FOCALLEN": -1},
        {"DATE-OBS": "0001-01-01T00:00:00+05:00"},
    ],
)
def test_impossible_values_are_ignored(header: Header) -> None:
    assert setup_of(header) == setup_of({})


def test_an_unreadable_value_is_refused_with_its_card(tmp_path: Path) -> None:
    setup = setup_of({"IMAGETYP": "Dark", "EXPTIME": 60.0, "GAIN": "high"})
    assert [str(card) for card in setup.unreadable] == ["GAIN = 'high'"]
    with pytest.raises(FrameFileError, match=r"a\.fits: its header cannot be interpreted: GAIN = 'high'"):
        require_readable(setup, tmp_path / "a.fits")
    require_readable(setup_of({"IMAGETYP": "Dark", "EXPTIME": 60.0}), tmp_path / "a.fits")


@pytest.mark.parametrize(
    ("header", "cooled", "temperature_c"),
    [
        ({"SET-TEMP": -10.0, "CCD-TEMP": -10.3}, True, -10.3),
        ({"SET-TEMP": -10.0}, True, -10.0),
        ({"SET-TEMP": -10.0, "CCD-TEMP": 5.1}, False, 5.1),
        ({"SET-TEMP": 0.0, "CCD-TEMP": 21.5}, False, 21.5),
        ({"CCD-TEMP": 21.5}, False, 21.5),
        ({"CCDSTEMP": -100.0, "CCDATEMP": -99.9}, True, -99.9),
        ({"SET-TEMP": -10.0, "CCD-TEMP": -273.15}, True, -10.0),
    ],
)
def test_a_setpoint_counts_only_if_the_sensor_reached_it(header: Header, temperature_c: float, *, cooled: bool) -> None:
    setup = setup_of(header)
    assert (setup.cooled, setup.temperature_c) == (cooled, temperature_c)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ({"FILTER": "Ha"}, "Ha"),
        ({"FILTER1": "air", "FILTER2": "rp"}, "rp"),
        ({"FILTER1": "V", "FILTER2": "ND"}, "V + ND"),
        ({"FILTER": "rp", "FILTER1": "air", "FILTER2": "rp"}, "rp"),
        ({"FILTER": "Ha", "FILTER2": "ND"}, "Ha + ND"),
        ({"FILTER": "none"}, None),
    ],
)
def test_filters_of_several_wheels_are_joined(header: Header, name: str | None) -> None:
    assert setup_of(header).filter_name == name


@pytest.mark.parametrize(
    ("header", "origin"),
    [
        ({"XORGSUBF": 1024, "YORGSUBF": 512}, (1024, 512)),
        ({"DETSEC": "[1025:2048,1:512]"}, (1024, 0)),
        ({"XORGSUBF": 1024}, None),
        ({}, None),
    ],
)
def test_the_place_of_a_sub_frame_is_read(header: Header, origin: tuple[int, int] | None) -> None:
    assert setup_of(header).origin == origin


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"IMAGETYP": "Dark", "NCOMBINE": 1}, None),
        ({"IMAGETYP": "Dark", "STACKCNT": 20}, "it is already a master"),
        ({"IMAGETYP": "Dark", "SNAPSHOT": 12}, "it is already a master"),
        ({"IMAGETYP": "Master Dark"}, "it is already a master"),
        ({"IMAGETYP": "Light", "CALSTAT": "BDF"}, "it is already calibrated"),
        ({"IMAGETYP": "Light", "CALSTAT": ""}, None),
    ],
)
def test_masters_and_calibrated_frames_are_no_raw_frames(header: Header, fault: str | None) -> None:
    found = fault_of_raw_frame(header)
    assert found is None if fault is None else found is not None and found.startswith(fault)


def test_an_unknown_word_for_the_kind_is_kept() -> None:
    assert (setup_of({"IMAGETYP": "FOCUS"}).kind, setup_of({"IMAGETYP": "FOCUS"}).kind_word) == (None, "FOCUS")
    assert setup_of({"IMAGETYP": "?", "OBSTYPE": "SKYFLAT"}).kind is FrameKind.FLAT


def test_exposures_that_contradict_each_other_are_unreadable() -> None:
    assert not setup_of({"EXPTIME": 60.0, "EXPOSURE": 60.01}).unreadable
    assert [card.keyword for card in setup_of({"EXPTIME": 60.0, "EXPOSURE": 300.0}).unreadable] == ["EXPOSURE"]


def test_the_date_may_be_in_date_if_the_time_is_elsewhere() -> None:
    moment = datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)
    assert setup_of({"DATE": "2026-11-22", "TIME-OBS": "22:10:11"}).taken_at == moment
    assert setup_of({"DATE": "2026-11-22T08:00:00"}).taken_at is None


def test_the_optical_train_matters_only_for_frames_with_light() -> None:
    assert setup_of({"IMAGETYP": "Flat", "FOCALLEN": "f/7"}).unreadable
    assert not setup_of({"IMAGETYP": "Dark", "FOCALLEN": "f/7"}).unreadable


@pytest.mark.parametrize("header", [{"DETSEC": "[1:64,1:64"}, {"GAIN": "12 apples"}, {"XBINNING": -2}])
def test_half_a_value_is_not_equal_to_a_missing_one(header: Header) -> None:
    assert setup_of(header).unreadable


def test_an_unreadable_number_of_frames_may_hide_a_master() -> None:
    fault = fault_of_raw_frame({"IMAGETYP": "Dark", "NCOMBINE": "20 frames"})
    assert fault is not None
    assert "NCOMBINE" in fault


def test_sodium_is_a_filter() -> None:
    assert setup_of({"FILTER": "Na"}).filter_name == "Na"


@pytest.mark.parametrize(
    "header",
    [
        {"CCD-TEMP": -10.0, "CCDTEMP": 15.0},
        {"SET-TEMP": -10.0, "CCDSTEMP": -20.0},
        {"OFFSET": 50, "BLKLEVEL": 30},
        {"XBINNING": 1, "CCDSUM": "2 2"},
        {"XORGSUBF": 0, "YORGSUBF": 0, "DETSEC": "[801:896,1:64]"},
    ],
)
def test_cards_that_contradict_each_other_are_unreadable(header: Header) -> None:
    assert setup_of(header).unreadable
    agreeing = {keyword: value for keyword, value in header.items() if keyword != list(header)[-1]}
    assert not setup_of(agreeing).unreadable


def test_a_second_card_for_the_same_property_tells_frames_apart() -> None:
    assert setup_of({"GAIN": 1.0, "ISOSPEED": 800}).readout.gain == 800
    assert setup_of({"READOUTM": "Normal", "READMODE": "High"}).readout.readout_mode == "Normal + High"
    assert setup_of({"READOUTM": "Normal", "READMODE": "Normal"}).readout.readout_mode == "Normal"


def test_an_unreadable_card_beside_a_readable_one_does_not_matter() -> None:
    assert not setup_of({"CCD-TEMP": -10.0, "CCDTEMP": "cold", "OFFSET": 50, "BLKLEVEL": "low"}).unreadable


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"IMAGETYP": "Dark", "FRAME": "Light"}, None),
        ({"IMAGETYP": "Flat", "OBSTYPE": "SKYFLAT"}, FrameKind.FLAT),
        ({"IMAGETYP": "Dark", "OBSTYPE": "FLATDARK"}, FrameKind.DARK),
        ({"IMAGETYP": "Dark", "CFROLE": "DARKFLAT"}, FrameKind.DARK_FLAT),
        ({"IMAGETYP": "Bias", "CFROLE": "FLAT", "FRAME": "Light"}, FrameKind.FLAT),
    ],
)
def test_words_for_different_kinds_name_no_kind(header: Header, kind: FrameKind | None) -> None:
    assert setup_of(header).kind is kind
