from datetime import UTC, datetime

import pytest

from coldframe.calibration.fits_cards import HeaderValue
from coldframe.calibration.frame_setup import setup_of
from coldframe.config.frames import FrameKind

Header = dict[str, HeaderValue]


def test_our_own_header() -> None:
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
    assert (setup.mosaic, setup.row_order) == ("RGGB+1+0", "TOP-DOWN")
    assert setup.train.telescope == "Refractor"
    assert (setup.train.focal_length_mm, setup.train.focus_steps, setup.train.rotation_deg) == (500, 10, 1.5)
    assert setup.taken_at == datetime(2026, 11, 22, 4, 5, 6, 250000, UTC)


def test_an_empty_header_tells_nothing() -> None:
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
def test_kinds_as_programs_spell_them(header: Header, kind: FrameKind | None) -> None:
    assert setup_of(header).kind is kind


def test_numbers_as_text_and_other_keywords() -> None:
    setup = setup_of({"EXPOSURE": "12.5 ", "BLKLEVEL": 8, "GAIN": "high", "SET-TEMP": -5, "FILTER": "NoFilter"})
    assert (setup.exposure_s, setup.readout.offset, setup.readout.gain) == (12.5, 8, None)
    assert (setup.temperature_c, setup.cooled, setup.filter_name) == (-5, True, None)


@pytest.mark.parametrize("text", ["2026-11-22T04:05:06Z", "2026-11-22T05:05:06+01:00"])
def test_dates_with_a_zone(text: str) -> None:
    assert setup_of({"DATE-OBS": text}).taken_at == datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)


def test_a_date_that_is_none() -> None:
    assert setup_of({"DATE-OBS": "yesterday"}).taken_at is None
