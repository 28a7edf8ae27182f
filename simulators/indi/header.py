"""FITS cards from clients, as libindi's property FITS_HEADER has accepted them since version 2.0.1."""

import re
from collections.abc import Mapping

from coldframe.calibration.files.cards import STRUCTURAL, HeaderValue
from coldframe.simulators.indi.properties import RefusedError, Text, Value

CLEAR = "INDI_CLEAR"
"""Keyword with which a client removes all cards that clients have added."""

LONGEST_VALUE = 66
"""Number of characters in the longest text that fits in one card."""

_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")


class ClientCards:
    """The cards that clients, such as Ekos, add to frames.

    Attributes
    ----------
    cards
        The cards that clients have added so far.
    """

    def __init__(self) -> None:
        self.cards: dict[str, HeaderValue] = {}

    @staticmethod
    def elements() -> tuple[Text, ...]:
        """Return the elements of the property."""
        return (
            Text("KEYWORD_NAME", "", "Name"),
            Text("KEYWORD_VALUE", "", "Value"),
            Text("KEYWORD_COMMENT", "", "Comment"),
        )

    def take(self, values: Mapping[str, Value]) -> None:
        """Accept a card. It replaces any earlier card with the same keyword. The comment is ignored.

        Raises
        ------
        RefusedError
            If a card cannot have this keyword or this value.
        """
        keyword, text = str(values.get("KEYWORD_NAME", "")).upper(), str(values.get("KEYWORD_VALUE", ""))
        if keyword == CLEAR:
            self.cards.clear()
        elif not _KEYWORD.fullmatch(keyword) or keyword in STRUCTURAL:
            raise RefusedError(f"FITS_HEADER: a client cannot write the keyword {keyword[:40]!r}")
        elif not text.isascii() or not text.isprintable() or len(text) > LONGEST_VALUE:
            raise RefusedError(f"FITS_HEADER: {keyword}: the value must have at most {LONGEST_VALUE} ASCII characters")
        else:
            self.cards[keyword] = _typed(text)


def _typed(text: str) -> HeaderValue:
    """Return a number if the text is a plain decimal number, as libindi does, and otherwise the text."""
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    if re.fullmatch(r"[-+]?\d*\.\d+", text):
        return float(text)
    return text
