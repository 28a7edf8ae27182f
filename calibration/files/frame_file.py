"""Encoding of frames and masters as FITS files, and reading of FITS files that may be damaged."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import (
    BLOCK_LENGTH,
    CARD_LENGTH,
    STRUCTURAL,
    Card,
    HeaderValue,
    add_ones_complement,
    checksum_text,
    format_card,
    parse_cards,
)
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.hdus import LONGEST_HEADER
from coldframe.calibration.files.headers.open_file import OpenFile
from coldframe.calibration.kernels import fits_words

Buffer = bytes | bytearray | memoryview

BZERO = 32768
"""The offset with which FITS stores unsigned values in signed 16-bit words (FITS standard 4.0, table 11)."""

_NO_CHECKSUM = "0" * 16

_PIECE = 360 * BLOCK_LENGTH
"""Number of values to encode or decode at once; they fill a whole number of blocks for every type."""

_PRIMARY, _EXTENSION = "SIMPLE  =", "XTENSION="

_HEADER_PIECE = 8 * BLOCK_LENGTH
"""Number of bytes of a header to read at once; most headers are shorter."""


class FrameEncoder:
    """An encoder of frames as FITS files; the first frame allocates a buffer that all later frames reuse.

    An encoder must not be shared between threads.
    """

    def __init__(self) -> None:
        self._size = 0
        self._data: NDArray[np.uint16] = np.empty(0, np.uint16)

    def encode(self, pixels: NDArray[np.uint16], cards: Iterable[Card]) -> tuple[bytes, memoryview]:
        """Return the header and the data of a frame's FITS file.

        Parameters
        ----------
        pixels
            The pixels of the frame: uint16, shape (height, width).
        cards
            Cards that describe the frame; the structural cards, CHECKSUM and DATASUM are added.

        Returns
        -------
        header, data
            The content of the file, in this order. The next call overwrites the data.

        Raises
        ------
        ValueError
            If a card cannot be written, or its keyword is structural.
        """
        if pixels.size != self._size:
            self._size = pixels.size
            self._data = np.zeros(_whole_blocks(2 * pixels.size) // 2, np.uint16)
        flat = np.ascontiguousarray(pixels).reshape(-1)
        even, odd = fits_words.encode_unsigned(flat, self._data)
        structure = [
            *_primary(16, pixels.shape),
            Card("BSCALE", 1, "ADU = BSCALE x value + BZERO"),
            Card("BZERO", BZERO, "unsigned 16-bit pixels"),
        ]
        header = sealed_header(structure, cards, add_ones_complement((int(even) << 16) + int(odd)))
        return header, self._data.data.cast("B")


def primary_pieces(
    plane: NDArray[np.float32 | np.uint16 | np.uint8], cards: Iterable[Card]
) -> Iterator[bytes | memoryview]:
    """Yield the header and data of a file's first image in pieces; encode each piece on demand to save memory.

    See `FrameEncoder.encode`; the plane may consist of 32-bit floats, or of unsigned 8- or 16-bit integers.
    """
    structure = [*_primary(_bits(plane), plane.shape), *_unsigned(plane)]
    yield sealed_header(structure, cards, _sum_of_pieces(plane))
    yield from _pieces(plane)


def primary_in_place(pixels: NDArray[np.uint16], cards: Iterable[Card]) -> Iterator[bytes | memoryview]:
    """Yield the header and data of a file's first image; encode the pixels in place, in a single pass.

    Parameters
    ----------
    pixels
        The pixels: uint16, contiguous, shape (height, width); overwritten with the bytes of the file.
    cards
        As for `primary_pieces`.
    """
    even, odd = fits_words.encode_words(pixels.reshape(-1))
    structure = [*_primary(_bits(pixels), pixels.shape), *_unsigned(pixels)]
    yield sealed_header(structure, cards, add_ones_complement((int(even) << 16) + int(odd)))
    yield pixels.reshape(-1).view(np.uint8).data
    yield bytes(_whole_blocks(pixels.nbytes) - pixels.nbytes)


def extension_in_place(name: str, plane: NDArray[np.float32], cards: Iterable[Card]) -> Iterator[bytes | memoryview]:
    """Yield an image extension, like `extension_pieces`; encode the plane in place, like `primary_in_place`."""
    total = fits_words.encode_long_words(plane.reshape(-1).view(np.uint32))
    yield sealed_header(_extension(plane), [Card("EXTNAME", name), *cards], add_ones_complement(int(total)))
    yield plane.reshape(-1).view(np.uint8).data
    yield bytes(_whole_blocks(plane.nbytes) - plane.nbytes)


def extension_pieces(
    name: str, plane: NDArray[np.float32 | np.uint16 | np.uint8], cards: Iterable[Card]
) -> Iterator[bytes | memoryview]:
    """Yield the header and data of an image extension called `name`; see `primary_pieces`."""
    yield sealed_header(_extension(plane), [Card("EXTNAME", name), *cards], _sum_of_pieces(plane))
    yield from _pieces(plane)


def _pieces(plane: NDArray[np.generic]) -> Iterator[memoryview]:
    flat = plane.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        yield _big_endian(flat[start : start + _PIECE])


def _sum_of_pieces(plane: NDArray[np.generic]) -> int:
    if plane.dtype == np.uint16:
        return _sum_of_words(cast("NDArray[np.uint16]", plane).reshape(-1))
    if plane.dtype == np.float32:  # 32-bit words, summed before the bytes are swapped
        return add_ones_complement(int(plane.reshape(-1).view(np.uint32).sum(dtype=np.uint64)))
    return add_ones_complement(*map(_sum, _pieces(plane)))


def _sum_of_words(flat: NDArray[np.uint16]) -> int:
    """Return the sum of unsigned 16-bit pixels as FITS stores them."""
    encoded = np.empty(min(flat.size, _PIECE), np.uint16)  # stays in the processor's cache
    total = 0
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        even, odd = fits_words.encode_unsigned(piece, encoded[: piece.size])
        total += (int(even) << 16) + int(odd)
    return add_ones_complement(total)


def _extension(plane: NDArray[np.generic]) -> list[Card]:
    return [
        Card("XTENSION", "IMAGE", "image extension"),
        *_axes(_bits(plane), plane.shape),
        Card("PCOUNT", 0, "no parameters"),
        Card("GCOUNT", 1, "one group"),
        *_unsigned(plane),
    ]


def _unsigned(plane: NDArray[np.generic]) -> list[Card]:
    """Return the cards that declare unsigned 16-bit values; no cards for other types."""
    if plane.dtype != np.uint16:
        return []
    return [Card("BSCALE", 1, "value = BSCALE x stored + BZERO"), Card("BZERO", BZERO, "unsigned 16-bit values")]


def _bits(plane: NDArray[np.generic]) -> int:
    """Return the BITPIX of a plane."""
    return plane.itemsize * (-8 if plane.dtype.kind == "f" else 8)


def _primary(bits: int, shape: tuple[int, ...]) -> list[Card]:
    return [
        Card("SIMPLE", True, "FITS standard 4.0"),
        *_axes(bits, shape),
        Card("EXTEND", True, "extensions may follow"),
    ]


def _axes(bits: int, shape: tuple[int, ...]) -> list[Card]:
    height, width = shape
    return [
        Card("BITPIX", bits, "bits per pixel"),
        Card("NAXIS", 2, "number of axes"),
        Card("NAXIS1", width, "width in pixels"),
        Card("NAXIS2", height, "height in pixels"),
    ]


def _big_endian(plane: NDArray[np.generic]) -> memoryview:
    """Return the values in the byte order of FITS, padded with zeros to whole blocks."""
    data = np.empty(_whole_blocks(plane.nbytes), np.uint8)
    data[plane.nbytes :] = 0
    if plane.dtype == np.uint16:
        words = cast("NDArray[np.uint16]", plane).reshape(-1)
        fits_words.encode_unsigned(words, data[: plane.nbytes].view(np.uint16))
        return data.data
    data[: plane.nbytes].view(plane.dtype.newbyteorder(">"))[:] = plane.reshape(-1)
    return data.data


def _sum(data: memoryview) -> int:
    return add_ones_complement(int(np.frombuffer(data, ">u4").sum(dtype=np.uint64)))


def sealed_header(structure: Iterable[Card], cards: Iterable[Card], data_sum: int) -> bytes:
    """Return a header as bytes, with DATASUM and with a CHECKSUM that covers the whole HDU."""
    cards = list(cards)
    forbidden = sorted({card.keyword for card in cards} & STRUCTURAL)
    if forbidden:
        raise ValueError(f"{', '.join(forbidden)}: structural keywords are derived from the pixels, not from cards")
    seal = [
        Card("CHECKSUM", _NO_CHECKSUM, "HDU checksum"),
        Card("DATASUM", str(data_sum), "data unit checksum"),
    ]
    if any(len(format_card(card)) > CARD_LENGTH for card in cards):
        seal.append(Card("LONGSTRN", "OGIP 1.0", "strings may continue on further cards"))
    text = "".join(map(format_card, [*structure, *cards, *seal])) + "END".ljust(CARD_LENGTH)
    header = text.ljust(_whole_blocks(len(text))).encode("ascii")
    complement = 0xFFFFFFFF - add_ones_complement(_sum(memoryview(header)), data_sum)
    place = header.rindex(b"CHECKSUM= '" + _NO_CHECKSUM.encode()) + len("CHECKSUM= '")
    return header[:place] + checksum_text(complement).encode("ascii") + header[place + len(_NO_CHECKSUM) :]


def parse(buffer: Buffer, name: Path | str = "frame in memory") -> tuple[NDArray[np.uint16], dict[str, HeaderValue]]:
    """Read a frame from the bytes of a FITS file, as delivered by a camera driver.

    The padding after the data may be missing, or have any length and content. The sizes in the header are checked
    against the bytes that are present before anything is allocated.

    Parameters
    ----------
    buffer
        The file's bytes, contiguous.
    name
        The frame's name in error messages.

    Returns
    -------
    pixels
        The pixels in the order of the file, as a new array: uint16, shape (height, width).
    header
        Values of the header's cards, excluding those about the file's structure.

    Raises
    ------
    FrameFileError
        If the bytes are not a two-dimensional image of 8-bit, unsigned 16-bit (BZERO 32768) or non-negative signed
        16-bit integers, or if the data are incomplete.
    """
    bytes_ = memoryview(buffer).cast("B")
    header, data_start = _header_of(_cards(bytes_[:LONGEST_HEADER]), len(bytes_), name, _PRIMARY)
    height, width, bits, offset = _layout(header, len(bytes_) - data_start, name)
    if bits == 8:  # noqa: PLR2004 - BITPIX 8
        pixels = np.frombuffer(bytes_, np.uint8, height * width, data_start).astype(np.uint16)
    else:
        pixels = _decode(bytes_[data_start:], height * width, offset, name)
    return pixels.reshape(height, width), _without_structure(header)


def _without_structure(header: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    return {keyword: value for keyword, value in header.items() if keyword not in STRUCTURAL}


def _decode(data: memoryview, size: int, offset: int, name: Path | str) -> NDArray[np.uint16]:
    words = np.require(np.frombuffer(data, np.uint16, size), requirements="A")
    pixels = np.empty(size, np.uint16)
    _require_unsigned(fits_words.decode_unsigned(words, offset, pixels), offset, name)
    return pixels


def _require_unsigned(seen: int, offset: int, name: Path | str) -> None:
    """Raise if a signed word is negative; `seen` is the result of decoding the words."""
    if offset == 0 and seen & 0x8000:
        raise FrameFileError(name, "signed 16-bit data with values below zero, which a raw frame cannot contain")


def read_header_at(file: OpenFile, start: int, name: Path | str) -> tuple[dict[str, HeaderValue], int]:
    """Return the values of the header that begins at `start` in a file, and the length of the header in whole blocks.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or no header begins there, or the header does not end.
    """
    if not file.size:
        raise FrameFileError(name, "the file is empty")
    available, opening = file.size - start, _EXTENSION if start else _PRIMARY
    pieces = (
        file.read(start + read, min(_HEADER_PIECE, available - read))
        for read in range(0, min(available, LONGEST_HEADER), _HEADER_PIECE)
    )
    return _header_of((card for piece in pieces for card in _cards(memoryview(piece))), available, name, opening)


def _header_of(
    texts: Iterable[str], available: int, name: Path | str, opening: str
) -> tuple[dict[str, HeaderValue], int]:
    """Return the values of a header, and its length in whole blocks.

    Parameters
    ----------
    texts
        The cards of at most `LONGEST_HEADER` bytes, and whatever follows them.
    available
        Number of bytes from the beginning of the header to the end of the file.
    name, opening
        Name of the file in messages, and beginning of the first card.
    """
    cards: list[str] = []
    for card in texts:
        if card.rstrip() == "END":
            header_length = (len(cards) + 1) * CARD_LENGTH
            break
        cards.append(card)
        if len(cards) == 1 and not card.startswith(opening):
            raise FrameFileError(name, f"not a FITS file: it does not start with {opening.rstrip(' =')}")
    else:
        length = min(available, LONGEST_HEADER)
        raise FrameFileError(name, f"the header does not end within {length} bytes: truncated, or not FITS")
    return parse_cards(cards), _whole_blocks(header_length)


def _whole_blocks(length: int) -> int:
    return -(-length // BLOCK_LENGTH) * BLOCK_LENGTH


def _cards(buffer: memoryview) -> Iterator[str]:
    for start in range(0, len(buffer) - CARD_LENGTH + 1, CARD_LENGTH):
        yield bytes(buffer[start : start + CARD_LENGTH]).decode("latin-1")


def _layout(header: Mapping[str, HeaderValue], available: int, name: Path | str) -> tuple[int, int, int, int]:
    """Return height, width, bits per pixel and offset after checking that enough bytes are present."""
    if header.get("SIMPLE") is not True:
        raise FrameFileError(name, "not a standard FITS file: SIMPLE is not T")
    axes = [_integer(header, keyword, name) for keyword in ("NAXIS", "NAXIS1", "NAXIS2")]
    naxis, width, height = axes
    if naxis != 2 or width < 1 or height < 1:  # noqa: PLR2004 - two-dimensional
        raise FrameFileError(name, f"not a valid two-dimensional image: NAXIS {naxis}, NAXIS1 {width}, NAXIS2 {height}")
    bits = _integer(header, "BITPIX", name)
    offset, scale = header.get("BZERO", 0), header.get("BSCALE", 1)
    if scale != 1 or (bits, offset) not in {(8, 0), (16, 0), (16, BZERO)}:
        raise FrameFileError(name, f"BITPIX {bits}, BZERO {offset}, BSCALE {scale}: not the format of a raw frame")
    needed = width * height * (bits // 8)
    if needed > available:
        raise FrameFileError(
            name, f"truncated: {width} x {height} pixels need {needed} bytes, but the file has {max(available, 0)}"
        )
    return height, width, bits, BZERO if offset else 0


def _integer(header: Mapping[str, HeaderValue], keyword: str, name: Path | str) -> int:
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FrameFileError(
            name, f"{keyword} must be an integer, but is {'missing' if value is None else repr(value)}"
        )
    return value


def read_frame(path: Path) -> tuple[NDArray[np.uint16], dict[str, HeaderValue]]:
    """Read a raw frame's pixels and header from disk; see `parse`.

    Raises
    ------
    FrameFileError
        If the file cannot be read or is not a raw frame.
    """
    with OpenFile(path) as file:
        header, data_start = read_header_at(file, 0, path)
        height, width, bits, offset = _layout(header, file.size - data_start, path)
        if bits == 8:  # noqa: PLR2004 - BITPIX 8
            stored = np.empty((height, width), np.uint8)
            file.fill(stored, data_start)
            return stored.astype(np.uint16), _without_structure(header)
        pixels, seen = np.empty(height * width, np.uint16), 0
        for start in range(0, pixels.size, _PIECE):
            piece = pixels[start : start + _PIECE]
            file.fill(piece, data_start + start * piece.itemsize)
            seen |= fits_words.decode_words(piece, offset)
    _require_unsigned(seen, offset, path)
    return pixels.reshape(height, width), _without_structure(header)


def read_pixels(path: Path) -> NDArray[np.uint16]:
    """Read a raw frame's pixels from disk; see `read_frame`."""
    return read_frame(path)[0]


def read_header(path: Path) -> dict[str, HeaderValue]:
    """Read the header of a file's first image, including the cards about the file's structure.

    Raises
    ------
    FrameFileError
        If the file cannot be read or has no FITS header.
    """
    with OpenFile(path) as file:
        return read_header_at(file, 0, path)[0]
