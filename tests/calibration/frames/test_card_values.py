"""Values of cards: present, absent or unreadable."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from coldframe.calibration.files.cards import GarbledValue, HeaderValue
from coldframe.calibration.frames.card_values import CardReader

Reading = Callable[[CardReader], object]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (2.5, 2.5),
        ("2.5", 2.5),
        (" 2.5 ", 2.5),
        ("0,5", 0.5),
        ("-10,25", -10.25),
        (GarbledValue("2,500000000000E+00"), 2.5),
        (GarbledValue("1.5D+02"), 150.0),
        (".5", 0.5),
    ],
)
def test_numbers_are_read_with_point_or_comma(value: HeaderValue, number: float) -> None:
    cards = CardReader({"GAIN": value})
    assert cards.number("GAIN") == number
    assert not cards.unreadable


@pytest.mark.parametrize(
    "value", ["", " ", "N/A", "NaN", GarbledValue("NaN"), GarbledValue("-1.#IND"), "unknown", 1e38]
)
def test_values_for_an_unknown_quantity_are_absent(value: HeaderValue) -> None:
    cards = CardReader({"GAIN": value})
    assert cards.number("GAIN") is None
    assert not cards.unreadable


@pytest.mark.parametrize(
    "value", ["1,500", "32,768", "high", True, "1.2.3", "12 apples", GarbledValue("(1, 2)"), "2;5"]
)
def test_values_that_are_not_one_number_are_unreadable(value: HeaderValue) -> None:
    cards = CardReader({"GAIN": value})
    assert cards.number("GAIN") is None
    assert [card.keyword for card in cards.unreadable] == ["GAIN"]
    assert str(value) in str(cards.unreadable[0])


def test_another_keyword_replaces_an_unreadable_value() -> None:
    cards = CardReader({"EXPTIME": "1,500", "EXPOSURE": 1.5})
    assert cards.seconds("EXPTIME", "EXPOSURE") == 1.5
    assert not cards.unreadable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("300.0 s", 300), ("5000 ms", 5), ("250 us", 0.00025), ("2 min", 120), (-1, None), (0, 0), ("10 sec", 10)],
)
def test_durations_have_units(value: HeaderValue, seconds: float | None) -> None:
    cards = CardReader({"EXPTIME": value})
    assert cards.seconds("EXPTIME") == (None if seconds is None else pytest.approx(seconds))
    assert not cards.unreadable


def test_microseconds_become_seconds() -> None:
    assert CardReader({"EXPOINUS": 30_000_000}).microseconds("EXPOINUS") == 30


@pytest.mark.parametrize(
    ("value", "celsius"),
    [
        (-10.0, -10.0),
        ("-10 C", -10.0),
        ("-10,2", -10.2),
        (-273.15, None),
        (-999, None),
        (9999.0, None),
        (-100.0, -100.0),
    ],
)
def test_temperatures_that_no_sensor_has_are_absent(value: HeaderValue, celsius: float | None) -> None:
    cards = CardReader({"CCD-TEMP": value})
    assert cards.celsius("CCD-TEMP") == (None if celsius is None else pytest.approx(celsius))
    assert not cards.unreadable


@pytest.mark.parametrize("value", [263.15, "263 X", "cold"])
def test_temperatures_in_an_unknown_unit_are_unreadable(value: HeaderValue) -> None:
    cards = CardReader({"CCD-TEMP": value})
    assert cards.celsius("CCD-TEMP") is None
    assert cards.unreadable


@pytest.mark.parametrize(
    ("value", "binning"), [(2, 2), ("2x2", 2), ("1 1", 1), ("2,2", 2), (0, None), (1.0, 1), (-1, None)]
)
def test_binning_is_read_in_all_spellings(value: HeaderValue, binning: int | None) -> None:
    cards = CardReader({"XBINNING": value})
    assert cards.binning(("XBINNING",), ("YBINNING",)) == binning
    assert not cards.unreadable


def test_different_binning_of_columns_and_rows_is_unreadable() -> None:
    cards = CardReader({"CCDSUM": "2 1"})
    assert cards.binning(("CCDSUM",), ("CCDSUM",)) is None
    assert cards.unreadable
    cards = CardReader({"XBINNING": 1, "YBINNING": 2})
    cards.binning(("XBINNING",), ("YBINNING",))
    assert cards.unreadable


@pytest.mark.parametrize("value", [1.5, -3, 1e29, "two"])
def test_values_that_are_no_binning_are_unreadable(value: HeaderValue) -> None:
    cards = CardReader({"XBINNING": value})
    assert cards.binning(("XBINNING",), ("YBINNING",)) is None
    assert cards.unreadable


@pytest.mark.parametrize(
    ("date", "clock", "moment"),
    [
        ("2026-11-22T22:10:11", None, datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)),
        ("2026-11-22T22:10:11.1234567", None, datetime(2026, 11, 22, 22, 10, 11, 123457, tzinfo=UTC)),
        ("2026-11-22T22:10:11,5", None, datetime(2026, 11, 22, 22, 10, 11, 500000, tzinfo=UTC)),
        ("2026-11-22 22:10", None, datetime(2026, 11, 22, 22, 10, tzinfo=UTC)),
        ("2026-11-22T 9:05:00", None, datetime(2026, 11, 22, 9, 5, tzinfo=UTC)),
        ("2026-11-22T22:10:60.00", None, datetime(2026, 11, 22, 22, 11, tzinfo=UTC)),
        ("2026-11-22T22:10:11Z", None, datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)),
        ("2026-11-22T22:10:11+01:00", None, datetime(2026, 11, 22, 21, 10, 11, tzinfo=UTC)),
        ("2026-11-22", "22:10:11", datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)),
        ("2026-11-22", None, datetime(2026, 11, 22, tzinfo=UTC)),
        ("22/11/26", "22:10:11", datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)),
        ("22/11/98", None, datetime(1998, 11, 22, tzinfo=UTC)),
        ("22/11/2026", None, datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026/11/22T22:10:11", None, datetime(2026, 11, 22, 22, 10, 11, tzinfo=UTC)),
        ("2026-1-5T01:02:03", None, datetime(2026, 1, 5, 1, 2, 3, tzinfo=UTC)),
        ("9999-12-31T23:59:59", None, None),
        ("2026-11-22T25:99:99", None, None),
        ("0001-01-01T00:00:00.0000000", None, None),
        ("1899-12-30T00:00:00", None, None),
        ("yesterday", None, None),
        ("2026-13-45T00:00:00", None, None),
        ("2026-11-22Tnoon", None, None),
        (2461367.41, None, None),
    ],
)
def test_dates_are_read_in_all_forms(date: HeaderValue, clock: str | None, moment: datetime | None) -> None:
    header = {"DATE-OBS": date} | ({} if clock is None else {"TIME-OBS": clock})
    assert CardReader(header).moment(("DATE-OBS",), ("TIME-OBS",)) == moment


def test_the_origin_needs_both_cards() -> None:
    assert CardReader({"XORGSUBF": 1024, "YORGSUBF": 512}).origin("XORGSUBF", "YORGSUBF") == (1024, 512)
    for header in ({"XORGSUBF": 1024}, {"XORGSUBF": 100.7, "YORGSUBF": 0}):
        cards = CardReader(header)
        assert cards.origin("XORGSUBF", "YORGSUBF") is None
        assert cards.unreadable
