"""Unpacking of images that are compressed with gzip or in tiles (fpack), and of formats other than FITS.

The header announces the size of the image. Nothing is unpacked before this size has been compared with the length of
the file and with the free disk space, and no more is unpacked than the header announces.
"""

import atexit
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.scratch import require_room
from coldframe.errors import MissingPackageError


class Reader(StrEnum):
    """The reader of a file in the resource-limited process; see `decoding_server`."""

    ASTROPY = "astropy"
    XISF = "xisf"
    RAW = "raw"


Extension = int | Literal["mosaic"]
"""The number of an HDU, counted from 0 as in CFITSIO, or "mosaic" for all images assembled as DETSEC or CCDSEC state.
"""

MOST_COMPRESSED = 4000
"""Largest number of pixels that one byte of a compressed file can represent.

One byte can represent up to 1,032 bytes with zlib, and up to 3,125 pixels of an image of zeros with HCOMPRESS.
"""

MOST_PIXELS = 1 << 30
"""Maximum number of pixels of a compressed image or a mosaic, seven times that of the largest single sensors."""

STORED_AS: dict[int, np.dtype[Any]] = {
    8: np.dtype("u1"),
    16: np.dtype(">i2"),
    32: np.dtype(">i4"),
    -32: np.dtype(">f4"),
    -64: np.dtype(">f8"),
}
"""Type of the stored pixels, by BITPIX."""

Form = tuple[int, int]
"""BITPIX and BZERO of stored pixels."""

FORMS: dict[str, Form] = {
    "uint8": (8, 0),
    "int16": (16, 0),
    "uint16": (16, BZERO),
    "int32": (32, 0),
    "uint32": (32, 1 << 31),
    "float32": (-32, 0),
    "float64": (-64, 0),
}
"""Forms in which pixels are stored, by NumPy's name of their type."""

_ROWS_AT_ONCE = 256
_COPIED_AT_ONCE = 1 << 20

_MOST_BYTES_OF_A_PIXEL = 8
_WORKING_BYTES_OF_A_PIXEL = 32
"""Memory of the decompressors in bytes per pixel; HCOMPRESS needs 8 bytes for coefficients and 8 for its result."""

BASE_BYTES = 512 << 20
"""Memory, in bytes, that the server may use in addition to the file and the working memory of its decompressor."""

_BASE_S = 10
_PIXELS_OF_A_SECOND = 1_000_000
"""Slowest acceptable rate of unpacking, in pixels per second of CPU time; a 64-bit PC unpacks 60 million."""

_one_request = threading.Lock()
_BYTES_OF_A_TILE = 8
"""Minimum length of the table row that describes a tile: the length and the offset of its compressed pixels."""


def form_of(values: NDArray[Any], path: Path) -> Form:
    """Return the form in which pixels are stored.

    Raises
    ------
    FrameFileError
        If FITS has no form for pixels of this type.
    """
    if values.dtype.name not in FORMS:
        raise FrameFileError(path, f"pixels of type {values.dtype.name} cannot be combined")
    return FORMS[values.dtype.name]


def stored_form(values: NDArray[Any], form: Form) -> memoryview:
    """Return pixels as the bytes that FITS stores."""
    bits, zero = form
    signed = (values ^ values.dtype.type(zero)).view(f"i{values.itemsize}") if zero else values
    stored = signed.astype(f">{'f' if bits < 0 else 'u' if bits == 8 else 'i'}{abs(bits) // 8}", copy=False)  # noqa: PLR2004 - BITPIX 8
    return np.ascontiguousarray(stored).view(np.uint8).data


def require_possible_size(shape: tuple[int, int], size: int, path: Path) -> None:
    """Raise if a compressed file of `size` bytes cannot contain an image of this height and width.

    Raises
    ------
    FrameFileError
        If the size is not possible; the error states the size that the header announces.
    """
    height, width = shape
    if height * width > MOST_PIXELS:
        raise FrameFileError(path, f"damaged: it announces {width} x {height} pixels, more than any camera has")
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
        If the image cannot be unpacked or does not match its header, or the disk has no room.
    """
    rows = _rows_of_whole_tiles(path, header, shape)
    return _unpacked(path, None, shape, rows, folder)


def unpack_extension(path: Path, extension: Extension, shape: tuple[int, int], folder: Path) -> tuple[Path, int, int]:
    """Write the pixels of one image of a file with several images, or of their mosaic; see `unpack_tiles`."""
    return _unpacked(path, extension, shape, shape[0], folder)


def _unpacked(
    path: Path, extension: Extension | None, shape: tuple[int, int], rows: int, folder: Path
) -> tuple[Path, int, int]:
    height, width = shape
    require_room(folder, height * width * _MOST_BYTES_OF_A_PIXEL, path)
    copy = new_file(folder)
    answer = decoded(
        path,
        Reader.ASTROPY,
        {"copy": str(copy.absolute()), "extension": extension, "shape": shape, "rows": rows},
        working_bytes=_WORKING_BYTES_OF_A_PIXEL * min(rows, height) * width,
        pixels=height * width,
    )
    bits, zero = answer["form"]
    return copy, bits, zero


def decoded(
    path: Path, reader: Reader, request: Mapping[str, object], *, working_bytes: int, pixels: int
) -> dict[str, Any]:
    """Read a file in a process with limits on memory and CPU time, and return the answer of this process.

    Parameters
    ----------
    path
        The file.
    reader
        The reader of the file in that process.
    request
        Values for the reader; JSON must be able to represent them.
    working_bytes
        Memory that the reader may need in addition to `BASE_BYTES` and twice the length of the file.
    pixels
        Number of pixels to decode.

    Raises
    ------
    FrameFileError
        If the reader reports a fault, or exceeds a limit.
    MissingPackageError
        If the reader needs a package that is not installed.
    """
    whole = {
        **request,
        "path": str(path.absolute()),
        "reader": reader,
        "most_bytes": BASE_BYTES + 2 * path.stat().st_size + working_bytes,
        "longest_s": _BASE_S + pixels // _PIXELS_OF_A_SECOND,
    }
    answer = ask_server(json.dumps(whole))
    if "absent" in answer:
        raise MissingPackageError(str(answer["absent"]))
    if "fault" in answer:
        raise FrameFileError(path, str(answer["fault"]))
    return answer


def require_packages(*names: str) -> None:
    """Raise if an optional package is not installed; import nothing.

    Raises
    ------
    MissingPackageError
        If a package is not installed; the error names the extra that contains it.
    """
    for name in names:
        if find_spec(name) is None:
            raise MissingPackageError(name)


def ask_server(request: str) -> dict[str, Any]:
    """Send a request to this process's server, which is started on the first request, and return the answer."""
    with _one_request:
        server = server_of(os.getpid())
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            server.stdin.write(request + "\n")
            server.stdin.flush()
            line = server.stdout.readline()
        except BrokenPipeError:
            line = ""
        except BaseException:  # otherwise, the next request would receive this answer
            _end(server)
            raise
        if not line:
            _end(server)
            return {"fault": "the process that unpacks images has ended unexpectedly: try again"}
        answer: dict[str, Any] = json.loads(line)
        return answer


@cache
def server_of(_process: int) -> subprocess.Popen[str]:
    """Start the server; a process forked from this one needs a server of its own."""
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", "coldframe.calibration.files.decoding_server"],
        # Modules are imported from where this process found them, never from the current folder, which could contain
        # other modules of the same names. Threads of LibRaw would need memory that counts towards the limit.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C ends the program, which then ends the server
    )
    atexit.register(_end, server)
    return server


def _end(server: subprocess.Popen[str]) -> None:
    server_of.cache_clear()
    server.kill()
    server.communicate()


def _rows_of_whole_tiles(path: Path, header: Mapping[str, HeaderValue], shape: tuple[int, int]) -> int:
    """Return a number of rows that spans whole tiles; Astropy unpacks a tile anew each time a part of it is read.

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


def new_file(folder: Path) -> Path:
    """Create an empty file with a new name in a folder, and return its path."""
    descriptor, name = mkstemp(dir=folder)
    os.close(descriptor)
    return Path(name)
