"""The images in the FITS file of a master; their rows are decoded only when they are needed."""

import os
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import BLOCK_LENGTH, HeaderValue
from coldframe.calibration.files.frame_file import mapped, parse_header
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.memory import ThreadMemory

F32 = NDArray[np.float32]

_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
_MOST_HDUS = 64


class OpenFile:
    """A file that remains open as long as this object exists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with open_regular(path) as file:
                self.descriptor = os.dup(file.fileno())
        except OSError as error:
            raise FrameFileError(path, error.strerror or str(error)) from error
        weakref.finalize(self, os.close, self.descriptor)

    def read(self, start: int, buffer: NDArray[np.uint8]) -> None:
        """Fill a buffer with the bytes from the position `start`; several threads may call this method."""
        read = 0
        while read < buffer.size:
            count = os.preadv(self.descriptor, [buffer[read:].data], start + read)
            if count == 0:
                raise FrameFileError(self._path, "became shorter while it was being read")
            read += count


class StoredImage(NamedTuple):
    """One header and data unit of a file.

    Attributes
    ----------
    header
        Values of the header's cards.
    whole
        All bytes of the unit, including the header and the padding.
    file, start
        The open file, and the position of the pixels in it.
    """

    header: dict[str, HeaderValue]
    whole: memoryview
    file: OpenFile
    start: int


_stored = ThreadMemory()


class StoredPlane:
    """A two-dimensional image in a file.

    Parameters
    ----------
    image
        The image.
    path
        Its file, for messages.

    Raises
    ------
    FrameFileError
        If the image is not two-dimensional, or its header is damaged.
    """

    def __init__(self, image: StoredImage, path: Path) -> None:
        header = image.header
        if header.get("NAXIS") != 2:  # noqa: PLR2004 - two-dimensional
            raise FrameFileError(path, "not a valid two-dimensional image")
        self.shape = _whole(header, "NAXIS2", path), _whole(header, "NAXIS1", path)
        self._dtype = np.dtype(_DTYPES[_whole(header, "BITPIX", path)])
        self._zero, self._scale = _number(header, "BZERO", 0, path), _number(header, "BSCALE", 1, path)
        self._file, self._start = image.file, image.start

    def rows(self, rows: slice) -> F32:
        """Return some rows as float32, with BZERO and BSCALE applied; several threads may call this method."""
        # Unlike mapped memory, reading reports a file that becomes shorter, and needs no pages that must be released.
        first, last, step = rows.indices(self.shape[0])
        wanted, width = range(first, last, step), self.shape[1] * self._dtype.itemsize
        stored = _stored.array((len(wanted) * width,), np.uint8)
        if step == 1:
            self._file.read(self._start + first * width, stored)
        else:
            for number, row in enumerate(wanted):
                self._file.read(self._start + row * width, stored[number * width : (number + 1) * width])
        plane = stored.view(self._dtype).reshape(len(wanted), self.shape[1]).astype(np.float32)
        if self._scale != 1:
            plane *= np.float32(self._scale)
        if self._zero != 0:
            plane += np.float32(self._zero)
        return plane


def stored_images(path: Path) -> Iterator[StoredImage]:
    """Yield the HDUs of a file, and check each size in the headers against the length of the file."""
    file = OpenFile(path)
    buffer = memoryview(mapped(file.descriptor, path))
    start = 0
    for _ in range(_MOST_HDUS):
        if start >= len(buffer):
            return
        header, header_length = parse_header(buffer[start:], path, "XTENSION=" if start else "SIMPLE  =")
        data_start = start + header_length
        size = _data_size(header, path)
        end = data_start + -(-size // BLOCK_LENGTH) * BLOCK_LENGTH
        if end > len(buffer):
            raise FrameFileError(path, f"truncated: the header announces {end} bytes, the file has {len(buffer)}")
        yield StoredImage(header, buffer[start:end], file, data_start)
        start = end


def _data_size(header: dict[str, HeaderValue], path: Path) -> int:
    bits = _whole(header, "BITPIX", path)
    if bits not in _DTYPES:
        raise FrameFileError(path, f"BITPIX is {bits}, which FITS does not define")
    axes = _whole(header, "NAXIS", path)
    if axes == 0:
        return 0
    size = abs(bits) // 8
    for axis in range(1, axes + 1):
        length = _whole(header, f"NAXIS{axis}", path)
        if length < 1:
            raise FrameFileError(path, f"not a valid two-dimensional image: NAXIS{axis} is {length}")
        size *= length
    heap, groups = header.get("PCOUNT", 0), header.get("GCOUNT", 1)
    if not isinstance(heap, int) or not isinstance(groups, int) or heap < 0 or groups != 1:
        raise FrameFileError(path, f"PCOUNT {heap}, GCOUNT {groups}: not valid in FITS")
    return size + abs(bits) // 8 * heap


def _whole(header: dict[str, HeaderValue], keyword: str, path: Path) -> int:
    value = header.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int):
        raise FrameFileError(path, f"{keyword} is missing or not an integer")
    return value


def _number(header: Mapping[str, HeaderValue], keyword: str, default: float, path: Path) -> float:
    value = header.get(keyword, default)
    if isinstance(value, str | bool):
        raise FrameFileError(path, f"{keyword} = {value!r} is not a number, so the pixels cannot be read")
    return value
