"""Reading the headers of raw frames with the keywords of other programs."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import FrameEncoder, parse
from coldframe.calibration.files.keywords import in_drivers_words, raw_cards
from coldframe.config.frames import FrameKind, ReadoutSettings

SHAPE = (30, 40)
MOMENT = datetime(2026, 11, 22, 4, 5, 6, 250000, UTC)


def raw(kind: FrameKind, header: dict[str, HeaderValue], **changes: object) -> dict[str, HeaderValue]:
    values: dict[str, object] = {
        "kind": kind,
        "exposure_s": 0.1 + 0.2,
        "settings": ReadoutSettings(gain=100.0, offset=7.5, readout_mode="High gain"),
        "sensor_c": -9.9,
        "setpoint_c": -10.0,
        "filter_name": "Ha",
        "camera": "Coldframe Camera",
        "started_at": MOMENT,
        "header": header,
    }
    cards = raw_cards(**(values | changes))  # type: ignore[arg-type]
    head, data = FrameEncoder().encode(np.zeros(SHAPE, np.uint16), cards)
    return parse(head + bytes(data))[1]


@pytest.mark.parametrize(
    ("kind", "imagetyp", "role"),
    [
        (FrameKind.BIAS, "Bias Frame", "BIAS"),
        (FrameKind.DARK, "Dark Frame", "DARK"),
        (FrameKind.FLAT, "Flat Frame", "FLAT"),
        (FrameKind.DARK_FLAT, "Dark Frame", "DARKFLAT"),
        (FrameKind.LIGHT, "Light Frame", "LIGHT"),
    ],
)
def test_raw_frames_have_the_keywords_of_other_programs(kind: FrameKind, imagetyp: str, role: str) -> None:
    header = raw(kind, {})
    assert (header["IMAGETYP"], header["CFROLE"]) == (imagetyp, role)
    assert header["EXPTIME"] == header["EXPOSURE"] == 0.1 + 0.2
    assert header["GAIN"] == 100
    assert isinstance(header["GAIN"], int)
    assert header["OFFSET"] == 7.5
    assert (header["XBINNING"], header["YBINNING"]) == (1, 1)
    assert (header["READOUTM"], header["FILTER"], header["INSTRUME"]) == ("High gain", "Ha", "Coldframe Camera")
    assert (header["SET-TEMP"], header["CCD-TEMP"]) == (-10, -9.9)
    assert header["DATE-OBS"] == "2026-11-22T04:05:06.250000"
    assert header["DATE-AVG"] == "2026-11-22T04:05:06.400000"
    assert header["ROWORDER"] == "TOP-DOWN"
    assert str(header["SWCREATE"]).startswith("coldframe ")


def test_times_of_other_zones_are_written_as_utc() -> None:
    moment = MOMENT.astimezone(timezone(timedelta(hours=5)))
    assert raw(FrameKind.DARK, {}, started_at=moment)["DATE-OBS"] == "2026-11-22T04:05:06.250000"


def test_our_keywords_take_precedence_and_other_driver_cards_are_kept() -> None:
    driver: dict[str, HeaderValue] = {
        "EXPTIME": 0.0,
        "FRAME": "Dark",
        "BAYERPAT": "RGGB",
        "NAXIS": 2,
        "CHECKSUM": "x",
        "OBJECT": "it's",
        "not a key": 1,
        "ROWORDER": "BOTTOM-UP",
    }
    header = raw(FrameKind.DARK, driver)
    assert header["EXPTIME"] == 0.1 + 0.2
    assert (header["FRAME"], header["BAYERPAT"], header["OBJECT"]) == ("Dark", "RGGB", "it's")
    assert header["ROWORDER"] == "BOTTOM-UP"
    assert "not a key" not in header
    head, _ = FrameEncoder().encode(
        np.zeros(SHAPE, np.uint16),
        raw_cards(
            kind=FrameKind.DARK,
            exposure_s=2.0,
            settings=ReadoutSettings(),
            sensor_c=None,
            setpoint_c=None,
            filter_name=None,
            camera="C",
            started_at=MOMENT,
            header=driver | {"GAIN": 3},
        ),
    )
    assert b"driver: 0.0" in head
    assert b"GAIN    =                    3" in head
    assert b"SET-TEMP" not in head


def test_words_of_the_lights_take_the_place_of_ours() -> None:
    driver: dict[str, HeaderValue] = {
        "INSTRUME": "ZWO ASI2600MM Pro", "CFCAMERA": "Coldframe Camera", "FILTER": "HA", "CFFILTER": "Ha",
        "TELESCOP": "Esprit 100", "CFTELESC": "EQMod Mount",
    }  # fmt: skip
    header = raw(FrameKind.FLAT, driver)
    assert header.items() >= driver.items()
    own = in_drivers_words(header)
    assert (own["INSTRUME"], own["FILTER"], own["TELESCOP"]) == ("Coldframe Camera", "Ha", "EQMod Mount")
    assert not {"CFCAMERA", "CFFILTER", "CFTELESC"} & own.keys()


def test_names_are_compared_as_a_header_stores_them() -> None:
    header = raw(FrameKind.FLAT, {"FILTER": "HALPHA", "CFFILTER": "Halpha"}, filter_name="H\u03b1 ")
    assert header["FILTER"] == "HALPHA"


def test_the_lights_word_for_another_filter_is_not_used() -> None:
    assert raw(FrameKind.FLAT, {"FILTER": "HA", "CFFILTER": "Ha"}, filter_name="L")["FILTER"] == "L"
