"""The headers of the HDUs of a FITS file; the data between them is skipped, not read."""

import gzip
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.files.cards import BLOCK_LENGTH, CARD_LENGTH, HeaderValue, parse_cards
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular

FitsFile = BufferedReader | gzip.GzipFile

GZIP_MAGIC = b"\x1f\x8b"

LONGEST_HEADER = 1000 * BLOCK_LENGTH
"""Maximum length of a file's first header, in bytes (36,000 cards); a file with a longer header is rejected as not
FITS. The header of a master lists all of its frames."""

_LONGEST_EXTENSION = 200 * BLOCK_LENGTH
"""Maximum length of every other header, in bytes (7,200 cards)."""

_MOST_HDUS = 1000
"""Maximum number of HDUs in a file; a mosaic camera has a few hundred."""

_MOST_AXES = 999
"""Maximum number of axes of an image and of columns of a table (FITS standard 4.0, sections 4.4.1.1 and 7.3.1)."""

_MOST_UNPACKED_BYTES = 1 << 32
"""Maximum number of bytes to unpack from a gzip file in search of HDUs."""

_OPENINGS = _PRIMARY, _EXTENSION = "SIMPLE  =", "XTENSION="


class Hdu(NamedTuple):
    """A header, and the offset of its data from the beginning of the file or, for gzip, of the unpacked file."""

    header: dict[str, HeaderValue]
    data_start: int


class _Cards(NamedTuple):
    """The cards of a header before END, the number of bytes read, and whether END was found."""

    cards: list[str]
    length: int
    has_end: bool


@contextmanager
def opened_fits(path: Path) -> Iterator[FitsFile]:
    """Open a FITS file; if it is compressed with gzip, unpack it while it is being read."""
    with open_regular(path) as file:
        is_packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if not is_packed:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield unpacked


def read_hdus(path: Path) -> list[Hdu]:
    """Return the headers of all HDUs of a file, up to the first incomplete header.

    Raises
    ------
    FrameFileError
        If the file is not FITS, or a header is not valid.
    OSError
        If the file cannot be read.
    """
    with opened_fits(path) as file:
        first = _required_header(file, path, _PRIMARY)
        if first.get("SIMPLE") is not True:
            raise FrameFileError(path, "not a standard FITS file: SIMPLE is not T")
        hdus = [Hdu(first, file.tell())]
        _skip_data(file, first, 0, path)
        while (header := _next_header(file)) is not None:
            hdus.append(Hdu(header, file.tell()))
            _skip_data(file, header, len(hdus) - 1, path)
        return hdus


def read_second_header(path: Path, start: int) -> Hdu:
    """Return the header of the second HDU, which begins at `start`; its last block may be incomplete.

    Raises
    ------
    FrameFileError
        If no header of an extension begins there, or the header does not end.
    """
    with opened_fits(path) as file:
        file.seek(start)
        header = _required_header(file, path, _EXTENSION)
        return Hdu(header, file.tell())


def _required_header(file: FitsFile, path: Path, opening: str) -> dict[str, HeaderValue]:
    """Return the header at the current position of the file; the last block of the header may be incomplete."""
    cards, length, has_end = _read_cards(file, LONGEST_HEADER if opening == _PRIMARY else _LONGEST_EXTENSION)
    if not length and opening == _PRIMARY:
        raise FrameFileError(path, "the file is empty")
    if cards and not cards[0].startswith(opening):
        raise FrameFileError(path, f"not a FITS file: it does not start with {opening.rstrip(' =')}")
    if not has_end:
        raise FrameFileError(path, f"the header does not end within {length} bytes: truncated, or not FITS")
    return parse_cards(cards)


def _next_header(file: FitsFile) -> dict[str, HeaderValue] | None:
    """Return the header at the current position of the file; None if there is no complete header."""
    cards, length, has_end = _read_cards(file, _LONGEST_EXTENSION)
    is_whole = has_end and length % BLOCK_LENGTH == 0
    return parse_cards(cards) if is_whole and cards and cards[0].startswith(_OPENINGS) else None


def _read_cards(file: FitsFile, longest: int) -> _Cards:
    """Read a header of up to `longest` bytes block by block, up to and including the block with END."""
    cards: list[str] = []
    length = 0
    while length < longest:
        block = file.read(BLOCK_LENGTH).decode("latin-1")
        length += len(block)
        for start in range(0, len(block) - CARD_LENGTH + 1, CARD_LENGTH):
            card = block[start : start + CARD_LENGTH]
            if card[:3] == "END" and card.rstrip() == "END":
                return _Cards(cards, length, has_end=True)
            cards.append(card)
        if len(block) < BLOCK_LENGTH or not cards[0].startswith(_OPENINGS):
            break
    return _Cards(cards, length, has_end=False)


def _skip_data(file: FitsFile, header: Mapping[str, HeaderValue], number: int, path: Path) -> None:
    length = _data_length(header)
    if length < 0 or number >= _MOST_HDUS or not _has_possible_counts(header):
        raise FrameFileError(path, f"damaged: the header of HDU {number} is not valid FITS")
    if isinstance(file, gzip.GzipFile) and file.tell() + length > _MOST_UNPACKED_BYTES:
        raise FrameFileError(path, f"its header announces {length} bytes of data: unpack the file with gunzip first")
    file.seek(length, os.SEEK_CUR)


def _has_possible_counts(header: Mapping[str, HeaderValue]) -> bool:
    """Return whether the numbers of axes and columns are within the limits of FITS; Astropy is slow beyond them."""
    counts = ["NAXIS", "TFIELDS"] if header.get("XTENSION") in {"BINTABLE", "TABLE"} else ["NAXIS"]
    return all(0 <= whole_number(header, keyword, -1) <= _MOST_AXES for keyword in counts)


def _data_length(header: Mapping[str, HeaderValue]) -> int:
    """Return the length in bytes of the data after a header, rounded up to blocks (FITS standard 4.0, equation 2)."""
    count = min(whole_number(header, "NAXIS", 0), 9)
    if count < 1:
        return 0
    pixels = math.prod(whole_number(header, f"NAXIS{axis}", 0) for axis in range(1, count + 1))
    groups, parameters = whole_number(header, "GCOUNT", 1), whole_number(header, "PCOUNT", 0)
    length = abs(whole_number(header, "BITPIX", 8)) // 8 * groups * (parameters + pixels)
    return -(-length // BLOCK_LENGTH) * BLOCK_LENGTH


def whole_number(header: Mapping[str, HeaderValue], keyword: str, default: int) -> int:
    """Return the value of a card if it is a whole number; otherwise, return the default."""
    value = header.get(keyword, default)
    return value if isinstance(value, int) else default
