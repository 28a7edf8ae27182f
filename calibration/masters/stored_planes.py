"""The images in the FITS file of a master; their rows are decoded only when they are needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import BLOCK_LENGTH, HeaderValue
from coldframe.calibration.files.frame_file import read_header_at
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.open_file import OpenFile
from coldframe.calibration.memory import ThreadMemory

F32 = NDArray[np.float32]

_DTYPES = {8: "u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
_MOST_HDUS = 64


class StoredImage(NamedTuple):
    """One header and data unit of a file.

    Attributes
    ----------
    header
        Values of the header's cards.
    file
        The open file.
    start, end
        Position of the unit in the file, including the header and the padding.
    data_start
        Position of the pixels in the file.
    """

    header: dict[str, HeaderValue]
    file: OpenFile
    start: int
    data_start: int
    end: int


_memory = ThreadMemory()


class StoredPlane:
    """A two-dimensional image in a file.

    Parameters
    ----------
    image
        The image.
    path
        File of the image, for messages.

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
        self._file, self._start = image.file, image.data_start

    def rows(self, rows: slice) -> F32:
        """Return some rows as float32, with BZERO and BSCALE applied; several threads may call this method.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or has become shorter.
        """
        plane = self._stored(range(*rows.indices(self.shape[0]))).astype(np.float32)
        if self._scale != 1:
            plane *= np.float32(self._scale)
        if self._zero != 0:
            plane += np.float32(self._zero)
        return plane

    def _stored(self, rows: range) -> NDArray[np.generic]:
        """Return some rows as they are stored, in memory that the next call by the same thread overwrites."""
        row_bytes = self.shape[1] * self._dtype.itemsize
        stored = _memory.array((len(rows), row_bytes), np.uint8)
        if rows.step == 1:
            self._file.fill(stored, self._start + rows.start * row_bytes)
        else:
            for row, into in zip(rows, stored, strict=True):
                self._file.fill(into, self._start + row * row_bytes)
        return stored.view(self._dtype)


def stored_images(path: Path) -> Iterator[StoredImage]:
    """Yield the HDUs of a file, and check each size in the headers against the length of the file."""
    file, start = OpenFile(path), 0
    for _ in range(_MOST_HDUS):
        if start and start >= file.size:
            return
        header, header_length = read_header_at(file, start, path)
        data_start = start + header_length
        size = _data_size(header, path)
        end = data_start + -(-size // BLOCK_LENGTH) * BLOCK_LENGTH
        if end > file.size:
            raise FrameFileError(path, f"truncated: the header announces {end} bytes, the file has {file.size}")
        yield StoredImage(header, file, start, data_start, end)
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
