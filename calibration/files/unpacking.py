"""Unpacking of images that are compressed with gzip or in tiles (fpack).

The header announces the size of the image. Nothing is unpacked before this size was compared with the length of the
file and with the free disk space, and no more is unpacked than the header announces.
"""

import gzip
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkstemp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import BZERO, FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.scratch import require_room

GZIP_MAGIC = b"\x1f\x8b"

MOST_COMPRESSED = 4000
"""Largest number of pixels that one byte of a compressed file can represent.

zlib reaches 1,032 bytes; HCOMPRESS reaches 3,125 pixels in an image of zeros.
"""

MOST_PIXELS = 1 << 30
"""Most pixels of a compressed image or a mosaic, seven times those of the largest single sensors."""

STORED_AS: dict[int, np.dtype[Any]] = {
    8: np.dtype("u1"),
    16: np.dtype(">i2"),
    32: np.dtype(">i4"),
    -32: np.dtype(">f4"),
    -64: np.dtype(">f8"),
}
"""Type of the stored pixels, by BITPIX."""

_BITS_AND_ZERO = {"uint8": (8, 0), "int16": (16, 0), "uint16": (16, BZERO), "int32": (32, 0), "uint32": (32, 1 << 31),
            "float32": (-32, 0), "float64": (-64, 0)}  # fmt: skip
_ROWS_AT_ONCE = 256
_COPIED_AT_ONCE = 1 << 20
_BYTES_OF_A_TILE = 8
"""Fewest bytes of the table's row that describes a tile: length and offset of its compressed pixels."""


def require_possible_size(shape: tuple[int, int], size: int, path: Path) -> None:
    """Raise if a compressed file of `size` bytes cannot contain an image of this height and width.

    Raises
    ------
    FrameFileError
        Stating the size that the header announces.
    """
    height, width = shape
    if height * width > MOST_PIXELS:
        raise FrameFileError(path, f"damaged: announces {width} x {height} pixels, more than any camera has")
    if height * width > MOST_COMPRESSED * size:
        raise FrameFileError(path, f"truncated: {width} x {height} pixels cannot come from {size} bytes")


def unpack_gzip(path: Path, data_start: int, length: int, folder: Path) -> Path:
    """Write `length` bytes of a gzip file's content, beginning at `data_start`, to a new file in a folder.

    Raises
    ------
    FrameFileError
        If the file ends earlier, or the disk has no room.
    OSError, EOFError, zlib.error
        If the file cannot be read or is damaged.
    """
    require_room(folder, length, path)
    copy_path = new_file(folder)
    with open_regular(path) as file, gzip.open(file) as packed, copy_path.open("wb") as copy:
        packed.seek(data_start)
        missing = length
        while missing:
            piece = packed.read(min(missing, _COPIED_AT_ONCE))
            if not piece:
                raise FrameFileError(path, f"truncated: {missing} bytes of the image are missing")
            missing -= copy.write(piece)
    return copy_path


def unpack_tiles(
    path: Path, header: Mapping[str, HeaderValue], shape: tuple[int, int], folder: Path
) -> tuple[Path, int, int]:
    """Write the pixels of an image that is compressed in tiles to a new file in a folder, a few rows at a time.

    Returns
    -------
    path, bits, zero
        The new file, and the BITPIX and BZERO of its pixels.

    Raises
    ------
    FrameFileError
        If the header of the table does not fit the image, or the disk has no room.
    Exception
        If Astropy cannot decompress the image.
    """
    rows = _rows_of_whole_tiles(path, header, shape)
    kind = ""
    copy_path = new_file(folder)
    with copy_path.open("wb") as copy:
        for values in _tile_rows(path, shape, rows):
            if not kind:
                kind = require_combinable(values, path)
                require_room(folder, shape[0] * shape[1] * values.itemsize, path)
            copy.write(stored_form(values))
    return copy_path, *_BITS_AND_ZERO[kind]


def store(pixels: NDArray[Any], folder: Path, path: Path) -> tuple[Path, int, int]:
    """Write pixels to a new file in a folder; see `unpack_tiles`."""
    kind = require_combinable(pixels, path)
    require_room(folder, pixels.nbytes, path)
    copy_path = new_file(folder)
    copy_path.write_bytes(stored_form(pixels))
    return copy_path, *_BITS_AND_ZERO[kind]


def require_combinable(values: NDArray[Any], path: Path) -> str:
    """Return the name of the pixels' type, such as "uint16"; raise if FITS stores no image of this type."""
    if values.dtype.name not in _BITS_AND_ZERO:
        raise FrameFileError(path, f"pixels of type {values.dtype.name} cannot be combined")
    return values.dtype.name


def stored_form(values: NDArray[Any]) -> memoryview:
    """Return values as the bytes that FITS stores."""
    bits, zero = _BITS_AND_ZERO[values.dtype.name]
    signed = (values ^ values.dtype.type(zero)).view(f"i{values.itemsize}") if zero else values
    return memoryview(np.ascontiguousarray(signed.astype(STORED_AS[bits], copy=False)).view(np.uint8))


def new_file(folder: Path) -> Path:
    """Create an empty file with a new name in a folder, and return its path."""
    descriptor, name = mkstemp(dir=folder)
    os.close(descriptor)
    return Path(name)


def _rows_of_whole_tiles(path: Path, header: Mapping[str, HeaderValue], shape: tuple[int, int]) -> int:
    """Return a number of rows that consists of whole tiles, because Astropy unpacks a tile for each read of a part.

    Raises
    ------
    FrameFileError
        If the number of tiles, or the length of the table, does not fit the image and the file.
    """
    height, width = shape
    wide, tall = _positive(header, "ZTILE1", width, path), _positive(header, "ZTILE2", 1, path)
    tiles = -(-height // tall) * -(-width // wide)
    described, row_bytes = _positive(header, "NAXIS2", 0, path), _positive(header, "NAXIS1", 0, path)
    if tiles != described or row_bytes < _BYTES_OF_A_TILE or tiles * row_bytes > path.stat().st_size:
        raise FrameFileError(path, f"damaged: its table of {described} rows does not describe {tiles} tiles")
    return tall * max(_ROWS_AT_ONCE // tall, 1)


def _positive(header: Mapping[str, HeaderValue], keyword: str, default: int, path: Path) -> int:
    value = header.get(keyword, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise FrameFileError(path, f"damaged: {keyword} is {value!r}, not a positive integer")
    return value


def _tile_rows(path: Path, shape: tuple[int, int], rows: int) -> Iterator[NDArray[Any]]:
    """Decompress an image that is compressed in tiles, with Astropy, and yield its rows."""
    from astropy.io import fits  # noqa: PLC0415 - importing it takes 0.3 s, and few files are compressed

    height, width = shape
    with open_regular(path) as file, fits.open(file, memmap=False) as units:
        section = units[1].section
        plane = (0,) * (section.ndim - 2)
        for top in range(0, height, rows):
            values = np.asarray(section[(*plane, slice(top, min(top + rows, height)))])
            if values.shape != (min(rows, height - top), width):
                raise FrameFileError(path, f"damaged: its tiles have the shape {values.shape}")
            yield values
