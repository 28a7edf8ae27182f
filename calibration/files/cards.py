"""Conversion between values and the 80-character cards of a FITS header.

The conversion follows sections 4.1 and 4.2 of the FITS standard 4.0 (Pence et al. 2010, A&A 524, A42, and its 2018
revision). Long strings follow the CONTINUE convention of section 4.2.1.2.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

HeaderValue = str | int | float | bool

CARD_LENGTH = 80
BLOCK_LENGTH = 2880

STRUCTURAL = frozenset(
    {
        "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "EXTEND", "PCOUNT", "GCOUNT",
        "BZERO", "BSCALE", "CHECKSUM", "DATASUM", "END", "CONTINUE", "COMMENT", "HISTORY", "LONGSTRN",
    }
)  # fmt: skip
"""Keywords that describe the structure of the file rather than the frame."""

_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_VALUE = re.compile(r"\s*(?:'((?:[^']|'')*)'|([^/]*))")
_INTEGER = re.compile(r"[+-]?\d{1,40}")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d{1,4})?")
_EXPOSURE_KEYWORDS = frozenset({"EXPTIME", "EXPOSURE", "EXPOTIME", "EXP"})
_SECONDS_OF = {
    r"(?:\[\s*|\(\s*|^\s*|\bin )m(?:illi-?)?s(?:ec(?:ond)?s?)?\b": 1e-3,
    r"(?:\[\s*|\(\s*|^\s*|\bin )(?:[u\u00b5\u03bc]|micro-?)s(?:ec(?:ond)?s?)?\b": 1e-6,
    # At the start of a comment, "min" may also mean the minimum.
    r"(?:\[\s*|\(\s*|\bin )min(?:ute)?s?\b": 60.0,
    r"(?:\[\s*|\(\s*|\bin )h(?:ours?)?\b": 3600.0,
}
"""Seconds per unit, keyed by a pattern for the unit in an exposure's comment. The unit is either in brackets, as FITS
recommends ("[ms] exposure"), or in words ("in minutes")."""

_EXPOSURE_UNITS = {re.compile(unit, re.IGNORECASE): seconds for unit, seconds in _SECONDS_OF.items()}

_RATIO = re.compile(r"\s*(\d+/\d+)\s*(?:/.*)?")
_FIXED_WIDTH = 20
_KEPT_CARDS = 4096
_LONGEST_STRING = 68
_ASCII_SIGNS = {"\u00b0": "o", "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}


class GarbledValue(str):
    """The text of a value that is neither a quoted string, nor a finite number, nor a logical.

    Programs write text of this kind if their locale has decimal commas ("2,5"), or if a value is unknown ("NaN").
    """

    __slots__ = ()


class Card(NamedTuple):
    """A keyword with its value and comment."""

    keyword: str
    value: HeaderValue
    comment: str = ""


def format_card(card: Card) -> str:
    """Return the card as text: 80 characters, or a multiple of 80 if a long string continues on further cards.

    Raises
    ------
    ValueError
        If the keyword is not a FITS keyword, or a number is not finite and therefore has no representation in FITS.
    """
    if not _KEYWORD.fullmatch(card.keyword):
        raise ValueError(f"{card.keyword!r} is not a FITS keyword (1 to 8 of A-Z, 0-9, - and _)")
    if isinstance(card.value, str):
        return _format_string(card.keyword, ascii_text(card.value), ascii_text(card.comment))
    if isinstance(card.value, float) and not math.isfinite(card.value):
        raise ValueError(f"{card.keyword} = {card.value} cannot be written: FITS headers contain only finite numbers")
    value = _format_number(card.value).rjust(_FIXED_WIDTH)
    return _with_comment(f"{card.keyword:<8}= {value}", ascii_text(card.comment))


def _format_number(value: float) -> str:
    """Return the shortest text that reads back as exactly the same number."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int):
        return str(value)
    digits, exponent, power = repr(float(value)).partition("e")
    return (digits if "." in digits else digits + ".0") + exponent.upper() + power


def _format_string(keyword: str, text: str, comment: str) -> str:
    quoted = text.replace("'", "''")
    if len(quoted) <= _LONGEST_STRING:
        value = f"'{quoted:<8}'".ljust(_FIXED_WIDTH)
        return _with_comment(f"{keyword:<8}= {value}", comment)
    pieces = list(_pieces(quoted, _LONGEST_STRING - 1))
    cards = [f"{keyword:<8}= '{pieces[0]}&'"]
    cards += [f"CONTINUE  '{piece}&'" for piece in pieces[1:-1]]
    cards += [_with_comment(f"CONTINUE  '{pieces[-1]}'", comment)]
    return "".join(card.ljust(CARD_LENGTH) for card in cards)


def _pieces(quoted: str, length: int) -> Iterator[str]:
    """Cut a quoted text into pieces, but never between the two quotes that represent one quote."""
    while quoted:
        cut = length
        run = len(quoted[:cut]) - len(quoted[:cut].rstrip("'"))
        if run % 2 and len(quoted) > cut:
            cut -= 1
        yield quoted[:cut]
        quoted = quoted[cut:]


def _with_comment(text: str, comment: str) -> str:
    return (f"{text} / {comment}" if comment else text)[:CARD_LENGTH].ljust(CARD_LENGTH)


def ascii_text(text: str) -> str:
    """Return the text in printable ASCII, as FITS requires.

    Accents are removed, and Greek letters are spelt out (Halpha). Any other character becomes its code, such as U7EA2,
    so that different names remain different.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_ascii_character, unicodedata.normalize("NFKD", text)))


def _ascii_character(character: str) -> str:
    if " " <= character <= "~":
        return character
    if unicodedata.combining(character):
        return ""
    name = unicodedata.name(character, "")
    if name.startswith("GREEK "):
        spelt = name.rpartition(" ")[2]
        return spelt.lower() if "SMALL" in name else spelt.capitalize()
    if not character.isprintable():
        return "?"
    return _ASCII_SIGNS.get(character, f"U{ord(character):04X}")


def parse_cards(cards: Iterable[str]) -> dict[str, HeaderValue]:
    """Return the values of a header's cards; for a repeated keyword, only the first card is used.

    Commentary cards and cards without a value are skipped. An invalid value is returned as `GarbledValue`, so that a
    reader can distinguish it from a missing value. An exposure whose comment gives a unit other than seconds is
    converted to seconds.

    Parameters
    ----------
    cards
        Cards of 80 characters each, decoded as Latin-1. Strings that are valid UTF-8 are decoded as UTF-8.
    """
    values: dict[str, HeaderValue] = {}
    latest = ""
    is_ascii = True
    for card in cards:
        keyword, value = _read_card(card)
        is_ascii = is_ascii and card.isascii()
        if keyword == "CONTINUE":
            _continue(values, latest, value)
            continue
        latest = ""
        if value is not None and keyword not in values:
            values[keyword] = value
            latest = keyword
    if is_ascii:
        return values
    return {keyword: _decoded(value) if isinstance(value, str) else value for keyword, value in values.items()}


@lru_cache(maxsize=_KEPT_CARDS)
def _read_card(card: str) -> tuple[str, HeaderValue | None]:
    """Return the keyword and the value of a card; the value is None for commentary and for cards without a value.

    Most cards recur in all files of a night, and looking one up in the cache takes a tenth of the time of parsing it.
    """
    keyword = card[:8].rstrip()
    if keyword == "CONTINUE":
        return keyword, _parse_value(card[8:])[0]
    if card[8:10] != "= ":
        return keyword, None
    value, comment = _parse_value(card[10:])
    if value is not None and keyword in _EXPOSURE_KEYWORDS:
        value = _in_seconds(value, comment)
    return keyword, value


def _continue(values: dict[str, HeaderValue], keyword: str, addition: HeaderValue | None) -> None:
    begun = values.get(keyword)
    if isinstance(begun, str) and begun.endswith("&") and isinstance(addition, str):
        values[keyword] = begun[:-1] + addition


def _parse_value(text: str) -> tuple[HeaderValue | None, str]:
    """Return the value and the comment of a card; None if the card has no value."""
    match = _VALUE.match(text)
    if match is None:
        return None, ""
    quoted, bare = match.groups()
    if quoted is None and (ratio := _RATIO.fullmatch(text)):
        return GarbledValue(ratio[1]), ""  # "1/60" of a second, not a 1 with a comment
    comment = text[match.end() :].strip(" /")
    if quoted is not None:
        return str(quoted).replace("''", "'").rstrip(), comment
    return _parse_bare(bare.strip()), comment


def _parse_bare(word: str) -> HeaderValue | None:
    if word in {"T", "F"}:
        return word == "T"
    if _INTEGER.fullmatch(word):
        return int(word)
    if _REAL.fullmatch(word):
        number = float(word.upper().replace("D", "E"))
        return number if math.isfinite(number) else GarbledValue(word)
    return GarbledValue(word) if word else None


def _in_seconds(exposure: HeaderValue, comment: str) -> HeaderValue:
    """Return an exposure in seconds; it is converted if its comment states a different unit."""
    if isinstance(exposure, bool | str):
        return exposure
    seconds = next((seconds for unit, seconds in _EXPOSURE_UNITS.items() if unit.search(comment)), None)
    return exposure if seconds is None else exposure * seconds


def _decoded(text: str) -> str:
    """Decode UTF-8, which many programs write although FITS allows only ASCII; return any other text unchanged."""
    if text.isascii():
        return text
    try:
        decoded = text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text
    return GarbledValue(decoded) if isinstance(text, GarbledValue) else decoded


def checksum_text(complement: int) -> str:
    """Return the 16 characters of CHECKSUM for the complement of an HDU's 32-bit ones' complement sum.

    The encoding is that of appendix J of the FITS standard 4.0. Each byte is divided among four characters, which are
    shifted in pairs to avoid punctuation. The result is rotated by one place, because the value starts in column 12 of
    the card.
    """
    columns = []
    for shift in (24, 16, 8, 0):
        quotient, remainder = divmod((complement >> shift) & 0xFF, 4)
        columns.append(
            _without_punctuation(quotient + remainder + 48, quotient + 48)
            + _without_punctuation(quotient + 48, quotient + 48)
        )
    text = "".join(columns[i][j] for j in range(4) for i in range(4))
    return text[-1] + text[:-1]


def _without_punctuation(upper: int, lower: int) -> str:
    while not (chr(upper).isalnum() and chr(lower).isalnum()):
        upper, lower = upper + 1, lower - 1
    return chr(upper) + chr(lower)


def add_ones_complement(*sums: int) -> int:
    """Add numbers in 32-bit ones' complement, in which a carry out of the highest bit is added to the lowest."""
    total = sum(sums)
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total
