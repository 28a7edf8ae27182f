"""The values of a header's cards, each of which may be present, absent or unreadable.

A value that a program writes for an unknown quantity (an empty string, NaN, -273.15 C) counts as absent. A value that
no rule can interpret counts as unreadable, never as absent, because frames with unreadable values may differ.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from coldframe.calibration.files.cards import HeaderValue

Header = Mapping[str, HeaderValue]

LARGEST = 1e30
"""Numbers beyond this limit cannot be camera settings, and computing with them could overflow."""

OLDEST_YEAR, LATEST_YEAR = 1980, 2200
"""Dates outside these years are default values, such as .NET's 0001-01-01, Delphi's 1899-12-30 and 9999-12-31."""

_NO_VALUE = frozenset(
    {"", "-", "--", "?", "N/A", "NA", "NONE", "NULL", "NAN", "INF", "+INF", "-INF", "INFINITY", "-INFINITY", "UNKNOWN"}
    | {
        "UNDEFINED",
        "UNDEF",
        "NOT SET",
        "NOTSET",
        "1.#IND",
        "-1.#IND",
        "1.#INF",
        "-1.#INF",
        "1.#QNAN",
        "-1.#QNAN",
        "-NAN",
    }
)
"""Words that programs write for unknown values, in upper case; 1.#IND and similar words stand for NaN or infinity in
Microsoft's C library."""

_NO_NAME = _NO_VALUE - {"NA"}

_NO_TEMPERATURES_C = frozenset({999.0, 999.9, 9999.0, 99999.0})
"""High values that drivers write if there is no temperature sensor."""

_HOTTEST_C, _COLDEST_C = 100.0, -200.0
"""Highest and lowest plausible temperature; if there is no sensor, programs write values such as -273.15 and -999."""

_KELVIN_C = 273.15
_MOST_BINNING = 16

_NUMBER = re.compile(r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[EeDd][+-]?\d{1,3})?)\s*(\S*(?: \S)?)")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_PAIR = re.compile(r"(\d+)\s*[xX, ]\s*(\d+)")
_NO_UNIT = {"": 1.0}
_SECONDS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "min": 60.0,
}
_CELSIUS = dict.fromkeys(("", "c", "degc", "deg", "deg c", "celsius", "\u00b0", "\u00b0c", "oc"), 1.0)
_MILLIMETRES = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0}
_DAY_FIRST = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})")
_YEAR_FIRST = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?")
_ZONE = re.compile(r"\s*(Z|UTC?|GMT|[+-]\d{2}:?\d{2})", re.IGNORECASE)


_Reading = Callable[[HeaderValue], float | None]


class UnreadableCard(NamedTuple):
    """A card whose value could not be interpreted.

    Attributes
    ----------
    keyword
        Keyword of the card.
    value
        The value as text.
    contradicted
        A card that the value contradicts; empty if the value itself cannot be interpreted.
    """

    keyword: str
    value: str
    contradicted: str = ""

    def __str__(self) -> str:
        return f"{self.keyword} = {self.value!r}" + (f" contradicts {self.contradicted}" if self.contradicted else "")


class CardReader:
    """A reader for one header, which also collects the cards that it could not interpret.

    Each method takes the keywords of one property in order of preference, and returns the first value that is neither
    absent nor unreadable. Unreadable cards are collected only if no other keyword gives a value.

    Attributes
    ----------
    unreadable
        Cards that could not be interpreted.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self.unreadable: list[UnreadableCard] = []

    def text(self, *keywords: str) -> str | None:
        """Return the first text that is present, without surrounding blanks; numbers are returned as text."""
        return self._text(keywords, _NO_VALUE)

    def name(self, *keywords: str) -> str | None:
        """Return the first name that is present; "Na" counts as a name, because sodium filters have this name."""
        return self._text(keywords, _NO_NAME)

    def number(self, *keywords: str) -> float | None:
        """Return a number; a number with a unit counts as unreadable."""
        return self._first(keywords, _number)

    def not_negative(self, *keywords: str) -> float | None:
        """Return a number of at least 0; a negative number counts as absent, and one with a unit as unreadable."""
        return self._first(keywords, lambda value: _from_zero(_number(value)))

    def millimetres(self, *keywords: str) -> float | None:
        """Return a length in mm; 0 and negative lengths count as absent."""
        return self._first(keywords, lambda value: _from_zero(_number(value, _MILLIMETRES)) or None)

    def seconds(self, *keywords: str) -> float | None:
        """Return a duration in seconds; negative durations count as absent."""
        return self._first(keywords, lambda value: _from_zero(_number(value, _SECONDS)))

    def microseconds(self, *keywords: str) -> float | None:
        """Return, in seconds, a duration that the header gives in microseconds."""
        value = self.not_negative(*keywords)
        return None if value is None else value / 1e6

    def celsius(self, *keywords: str) -> float | None:
        """Return a temperature in degrees Celsius; values that drivers write if there is no sensor count as absent."""
        return self._first(keywords, _celsius)

    def binning(self, across: tuple[str, ...], down: tuple[str, ...]) -> int | None:
        """Return the binning, which must be the same in both directions; 0 and -1 count as absent."""
        columns, rows = self._first(across, _binning), self._first(down, _binning)
        if columns is not None and rows is not None and columns != rows:
            self.unreadable.append(UnreadableCard(down[0], f"{rows:g}", f"{across[0]} = {columns:g}"))
        return None if columns is None else int(columns)

    def moment(self, date_keywords: tuple[str, ...], clock_keywords: tuple[str, ...]) -> datetime | None:
        """Return a time in UTC from one card with date and time, or from a card with the date and one with the time.

        The method understands ISO 8601, even with blanks instead of the T, and dd/mm/yy, which FITS used before 1999. A
        date before `OLDEST_YEAR` or after `LATEST_YEAR` counts as absent. So does a date that cannot be interpreted,
        because frames are not distinguished by their dates.
        """
        clock = self.text(*clock_keywords)
        for keyword in date_keywords:
            text = self.text(keyword)
            try:
                found = None if text is None else _moment(text, clock)
            except (ValueError, OverflowError):
                continue
            if found is not None:
                return found
        return None

    def require_agreement(self, read: Callable[[str], float | None], keywords: tuple[str, ...], slack: float) -> None:
        """Collect the cards whose values differ by more than `slack` from the value of the first card that has one."""
        present = [keyword for keyword in keywords if keyword in self._header]
        if len(present) < 2:  # noqa: PLR2004 - one card agrees with itself
            return
        before = list(self.unreadable)  # cards that `read` cannot interpret were collected when the property was read
        stated = {keyword: value for keyword in present if (value := read(keyword)) is not None}
        self.unreadable = before
        first = next(iter(stated), "")
        self.unreadable += [
            UnreadableCard(keyword, f"{value:g}", f"{first} = {stated[first]:g}")
            for keyword, value in stated.items()
            if abs(value - stated[first]) > slack
        ]

    def joined(self, *keywords: str) -> str | None:
        """Return the texts of all keywords that are present, joined, so that a difference in any of them is visible."""
        texts = (self.text(keyword) for keyword in keywords)
        return " + ".join(dict.fromkeys(text for text in texts if text is not None)) or None

    def origin(self, right: str, down: str) -> tuple[int, int] | None:
        """Return the first column and row of a sub-frame, counted from 0; one card without the other is unreadable."""
        columns, rows = self.whole(right), self.whole(down)
        if columns is not None and rows is not None:
            return columns, rows
        if columns is not None or rows is not None:
            present = right if rows is None else down
            missing = down if rows is None else right
            self.unreadable.append(
                UnreadableCard(present, f"{columns if rows is None else rows}", f"a missing {missing}")
            )
        return None

    def whole(self, *keywords: str) -> int | None:
        """Return a whole number of at least 0."""
        value = self._first(keywords, _whole)
        return None if value is None else int(value)

    def _text(self, keywords: tuple[str, ...], absent: frozenset[str]) -> str | None:
        for keyword in keywords:
            if keyword in self._header:
                text = str(self._header[keyword]).strip()
                if text.upper() not in absent:
                    return text
        return None

    def _first(self, keywords: tuple[str, ...], read: _Reading) -> float | None:
        faults: list[UnreadableCard] = []
        for keyword in keywords:
            value = self._header.get(keyword)
            if value is None or (isinstance(value, str) and value.strip().upper() in _NO_VALUE):
                continue
            try:
                found = read(value)
            except ValueError:
                faults.append(UnreadableCard(keyword, str(value).strip()))
                continue
            if found is not None:
                return found
        self.unreadable += faults
        return None


def _number(value: HeaderValue, units: Mapping[str, float] = _NO_UNIT) -> float | None:
    """Return a number, multiplied by the factor of its unit; None if it is too large to be a setting.

    Raises
    ------
    ValueError
        If the value is a logical, or text that is not one number with a known unit. "1,500" is refused, because it can
        mean 1.5 or 1500.
    """
    if isinstance(value, bool):
        raise ValueError("a logical")  # noqa: TRY004 - one error for all values that are not numbers
    if isinstance(value, (int, float)):
        return float(value) if -LARGEST <= value <= LARGEST else None
    match = _NUMBER.fullmatch(value.strip())
    if match is None or _THOUSANDS.fullmatch(match[1]):
        raise ValueError("not one number")
    factor = units.get(match[2].lower())
    if factor is None:
        raise ValueError("an unknown unit")
    number = float(match[1].replace(",", ".").upper().replace("D", "E")) * factor
    return number if math.isfinite(number) and abs(number) <= LARGEST else None


def _from_zero(value: float | None) -> float | None:
    return None if value is None or value < 0 else value


def _whole(value: HeaderValue) -> float | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise ValueError("not a whole number")
    return _from_zero(number)


def _celsius(value: HeaderValue) -> float | None:
    if isinstance(value, str) and value.strip().upper().endswith("K"):
        kelvin = _number(value.strip()[:-1])
        return None if not kelvin else kelvin - _KELVIN_C
    number = _number(value, _CELSIUS)
    if number is None or number in _NO_TEMPERATURES_C or number <= _COLDEST_C:
        return None
    if number > _HOTTEST_C:
        raise ValueError("hotter than a sensor can be")
    return number


def _binning(value: HeaderValue) -> float | None:
    if isinstance(value, str) and (pair := _PAIR.fullmatch(value.strip())):
        if pair[1] != pair[2]:
            raise ValueError("different binning across columns and rows")
        value = int(pair[1])
    number = _number(value)
    if number is None or number in {0, -1}:
        return None
    if not 1 <= number <= _MOST_BINNING or number != int(number):
        raise ValueError("not a binning")
    return number


def _moment(text: str, clock: str | None) -> datetime | None:
    """Return a time in UTC; None for a default value. Raise ValueError or OverflowError if the text is not a time."""
    day_first = _DAY_FIRST.match(text)
    if day_first is not None:
        day, month, year = map(int, day_first.groups())
        date, rest = datetime(_full_year(year), month, day, tzinfo=UTC), text[day_first.end() :]
    else:
        year_first = _YEAR_FIRST.match(text)
        if year_first is None:
            raise ValueError("not a date")
        year, month, day = map(int, year_first.groups())
        date, rest = datetime(year, month, day, tzinfo=UTC), text[year_first.end() :]
    moment = date + _time_of_day(rest.strip(" T") or clock or "00:00")
    return moment if OLDEST_YEAR <= moment.year <= LATEST_YEAR else None


def _full_year(year: int) -> int:
    """Complete a two-digit year, which some programs still write."""
    if year >= 100:  # noqa: PLR2004 - all digits are present
        return year
    return year + (1900 if year + 1900 >= OLDEST_YEAR else 2000)


def _time_of_day(text: str) -> timedelta:
    """Return the time since midnight UTC; the second may be 60, because some programs round up."""
    match = _CLOCK.match(text)
    if match is None:
        raise ValueError("not a time of day")
    hours, minutes, seconds, fraction = match.groups("0")
    if int(hours) > 24 or int(minutes) > 59 or int(seconds) > 60:  # noqa: PLR2004 - hour 24 and second 60 come from rounding
        raise ValueError("not a time of day")
    since = timedelta(hours=int(hours), minutes=int(minutes), seconds=float(f"{seconds}.{fraction}"))
    zone = text[match.end() :].strip()
    if not zone:
        return since
    if not _ZONE.fullmatch(zone):
        raise ValueError("unknown characters after the time")
    if zone[0] not in "+-":
        return since
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return since - offset if zone[0] == "+" else since + offset
