"""Words that the night's frames take over from the lights."""

from pathlib import Path
from typing import Any

import pytest

from coldframe.calibration.files.cards import HeaderValue
from coldframe.capture.planning.light_words import LightWords, light_words
from coldframe.capture.planning.read_lights import read_lights
from tests.capture.planning.headers import EVENING, Cards, nina, save

CAMERA = "ZWO CCD ASI2600MM Pro"
FILTERS = ("L", "H\u03b1")
SHAPE = (12, 16)
BAYER: dict[str, Any] = {"BAYERPAT": "RGGB", "XBAYROFF": 1, "YBAYROFF": 0}


def light(filter_name: str = "L", **more: Any) -> Cards:
    return nina(filter_name, 60.0, -10.0, EVENING) | more


def words_of(folder: Path, *lights: Cards) -> LightWords:
    for number, cards in enumerate(lights):
        save(folder / f"light_{number}.fits", cards)
    return light_words(read_lights(folder, [CAMERA]), FILTERS)


def header_of(
    words: LightWords, driver: Cards, filter_name: str | None = None, shape: tuple[int, int] = SHAPE
) -> dict[str, HeaderValue]:
    return words.added_to(driver, camera=CAMERA, filter_name=filter_name, shape=shape)


def test_the_lights_words_replace_those_of_the_rig_which_are_kept(tmp_path: Path) -> None:
    words = words_of(tmp_path, light("halpha"), light("L"))
    driver: Cards = {"TELESCOP": "EQMod Mount", "INSTRUME": CAMERA, "GAIN": 100}
    assert header_of(words, driver, "H\u03b1") == {
        "TELESCOP": "Refractor", "CFTELESC": "EQMod Mount", "FOCALLEN": 530.0, "GAIN": 100,
        "INSTRUME": "ZWO ASI2600MM Pro", "CFCAMERA": CAMERA, "FILTER": "halpha", "CFFILTER": "H\u03b1",
    }  # fmt: skip
    assert words.notes == ()


def test_equal_words_leave_the_header_as_it_is(tmp_path: Path) -> None:
    words = words_of(tmp_path, light("Halpha", INSTRUME=CAMERA))
    driver: Cards = {"TELESCOP": "Refractor", "FOCALLEN": 530, "INSTRUME": CAMERA, "ROWORDER": "BOTTOM-UP"}
    assert header_of(words, driver, "H\u03b1") == driver
    assert header_of(LightWords(), driver, "L") == driver


@pytest.mark.parametrize(
    ("other", "note", "keyword"),
    [
        ({"TELESCOP": "RASA 8"}, "TELESCOP (RASA 8, Refractor)", "TELESCOP"),
        ({"FOCALLEN": 400.0}, "FOCALLEN (400.0, 530.0)", "FOCALLEN"),
        ({"INSTRUME": "ASI2600MM Pro"}, "INSTRUME (ASI2600MM Pro, ZWO ASI2600MM Pro)", "INSTRUME"),
        ({"FILTER": "HALPHA"}, "FILTER (HALPHA, halpha)", "FILTER"),
        (BAYER | {"BAYERPAT": "BGGR"}, "BAYERPAT (GBRG on 16 x 12, GRBG on 16 x 12)", "BAYERPAT"),
    ],
)
def test_words_on_which_lights_differ_are_not_taken_over(tmp_path: Path, other: Cards, note: str, keyword: str) -> None:
    usual = light("halpha", **BAYER)
    words = words_of(tmp_path, usual | other, usual)
    kept = f"the calibration frames keep the driver's {keyword} and may not fit all lights; use separate folders"
    assert words.notes == (f"the lights differ in {note}: {kept}",)
    assert keyword not in header_of(words, {}, "H\u03b1")


def test_small_differences_and_missing_words_are_no_contradiction(tmp_path: Path) -> None:
    silent = {keyword: value for keyword, value in light().items() if keyword != "TELESCOP"}
    words = words_of(tmp_path, light(TELESCOP="REFRACTOR", FOCALLEN=532.0), light(), silent)
    assert words.notes == ()
    assert words.train == {"TELESCOP": "Refractor", "FOCALLEN": 530.0}


def test_the_filter_array_is_added_only_where_the_driver_states_none(tmp_path: Path) -> None:
    words = words_of(tmp_path, light(**BAYER))
    assert header_of(words, {}).items() >= BAYER.items()
    assert header_of(words, {"BAYERPAT": "RGGB"})["XBAYROFF"] == 1
    assert header_of(words, {"BAYERPAT": "RGGB", "XBAYROFF": 0})["XBAYROFF"] == 0
    assert "XBAYROFF" not in header_of(words, {"BAYERPAT": "BGGR"})
    assert "BAYERPAT" not in header_of(words, {}, shape=(6, 8))
    assert (words.pattern_of(SHAPE), words.pattern_of((6, 8))) == ("GRBG", None)


def test_the_filter_array_of_binned_lights_does_not_count(tmp_path: Path) -> None:
    words = words_of(tmp_path, light(**BAYER, XBINNING=2, YBINNING=2))
    assert words.mosaic is None


def test_the_array_of_lights_with_the_opposite_row_order_is_not_taken_over(tmp_path: Path) -> None:
    words = words_of(tmp_path, light("halpha", **BAYER, ROWORDER="BOTTOM-UP"))
    assert "BAYERPAT" not in header_of(words, {}, "H\u03b1")
    assert "ROWORDER" not in header_of(words, {}, "H\u03b1")
