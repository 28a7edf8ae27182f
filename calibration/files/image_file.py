"""Image files from any camera and program: the location and the format of their pixels.

Headers are not trusted: the sizes in a header are checked against the length of the file before memory is allocated.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files import raw_file, xisf_file
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.extensions import chosen_header
from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.hdus import GZIP_MAGIC
from coldframe.calibration.files.headers.image_header import (
    is_fits,
    merged_header,
    number_of,
    plane_shape,
    require_known_format,
    require_no_extension,
)
from coldframe.calibration.files.headers.open_file import OpenFile
from coldframe.calibration.files.headers.stamp import Stamp
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.unpacking import (
    MOST_COMPRESSED,
    STORED_AS,
    Extension,
    require_possible_size,
    unpack_extension,
    unpack_gzip,
    unpack_tiles,
)
from coldframe.calibration.kernels import fits_words

UINT16_STORAGES = frozenset({(8, 0, 1), (16, 0, 1), (16, BZERO, 1)})
"""Values of `ImageFile.storage` for images whose pixels are whole numbers from 0 to 65,535."""

_BYTES_OF_A_SEEK = 1 << 17
"""Number of bytes that a memory card reads in sequence in about the time of one random read."""

_MOST_AT_ONCE = 1 << 20
"""Number of bytes of scattered pixels, and of the pixels between them, to read at once; they stay in the processor's
cache."""

_CHANGED = "the file was changed or replaced since it was opened"

_BELOW_ZERO = "it has values below zero, unlike a raw frame: perhaps its unsigned values were stored without BZERO"
_ROWS_AT_ONCE = 256
_LARGEST = float(np.finfo(np.float32).max)
"""Largest value of a 32-bit float, the type in which images other than those of `UINT16_STORAGES` are combined."""

_OF_TABLES = re.compile(r"Z(?!ERO).*|T(FORM|TYPE|UNIT|ZERO|SCAL|NULL|FIELDS).*")
"""Keywords that describe the compression in tiles, and the table with the tiles."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A two-dimensional image on disk.

    Attributes
    ----------
    path
        The file that the user specified.
    stored
        The file that contains the pixels: the same file, or an unpacked copy.
    data_start
        Offset of the first pixel, bytes.
    shape
        Height and width.
    bits
        BITPIX of FITS: 8, 16 or 32 for integers, -32 or -64 for floats.
    zero, scale
        Offset and factor: a value equals `zero` plus `scale` times the stored number.
    header
        Values of the header's cards, including the cards about the structure.
    stamp
        The stamp of the file when it was opened; reading pixels of a file that has changed since is an error. None for
        a copy, which no other program changes.
    """

    path: Path
    stored: Path
    data_start: int
    shape: tuple[int, int]
    bits: int
    zero: float
    scale: float
    header: Mapping[str, HeaderValue]
    stamp: Stamp | None = None

    @property
    def storage(self) -> tuple[int, float, float]:
        """The format of the stored pixels; files with equal formats can be read in the same way."""
        return self.bits, self.zero, self.scale

    @property
    def pixel_bytes(self) -> int:
        """Bytes per pixel."""
        return abs(self.bits) // 8

    def pixels(self) -> NDArray[np.uint16] | NDArray[np.float32]:
        """Return all values: uint16 for an image with a storage in `UINT16_STORAGES`, float32 for any other image.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or a signed word is negative.
        """
        if self.storage == (8, 0, 1):
            return self._stored(0, self.shape[0]).astype(np.uint16)
        if self.storage not in {(16, 0, 1), (16, BZERO, 1)}:
            values = np.empty(self.shape, np.float32)
            for top, rows in self.bands():
                values[top : top + len(rows)] = rows
            return values
        words = self._stored(0, self.shape[0]).view(np.uint16)
        require_unsigned(fits_words.decode_words(words.reshape(-1), int(self.zero)), self)
        return words

    def values(self, places: NDArray[np.intp]) -> NDArray[np.uint16]:
        """Return selected values of an image with a storage in `UINT16_STORAGES`.

        Only the parts of the file that contain them are read.

        Parameters
        ----------
        places
            Their indices in the flattened image, in ascending order.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or has changed since it was opened.
        """
        stored = np.empty(places.size, STORED_AS[self.bits])
        offsets = places * self.pixel_bytes
        apart = (np.diff(offsets) > _BYTES_OF_A_SEEK) | (np.diff(offsets // _MOST_AT_ONCE) > 0)
        ends = [*(np.flatnonzero(apart) + 1).tolist(), places.size] if places.size else []
        buffer, first = np.empty(_MOST_AT_ONCE // self.pixel_bytes, stored.dtype), 0
        with self.opened() as file:
            for end in ends:
                near = places[first:end]
                part = buffer[: near[-1] - near[0] + 1]
                file.fill(part, self.data_start + int(offsets[first]))
                stored[first:end] = part[near - near[0]]
                first = end
        return (stored.astype(np.int32) + int(self.zero)).astype(np.uint16)

    def bands(self) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield all rows, a few at a time, each time with the number of the first of them."""
        for top in range(0, self.shape[0], _ROWS_AT_ONCE):
            yield top, self.rows(top, min(top + _ROWS_AT_ONCE, self.shape[0]))

    def rows(self, top: int, bottom: int) -> NDArray[np.float64]:
        """Return the values of the rows from `top` up to, but not including, `bottom`.

        Raises
        ------
        FrameFileError
            If the file cannot be read.
        """
        values: NDArray[np.float64] = self._stored(top, bottom).astype(np.float64) * self.scale + self.zero
        return values

    def _stored(self, top: int, bottom: int) -> NDArray[Any]:
        width = self.shape[1]
        stored = np.empty((bottom - top, width), STORED_AS[self.bits])
        with self.opened() as file:
            file.fill(stored, self.data_start + top * width * self.pixel_bytes)
        return stored

    @contextmanager
    def opened(self) -> Iterator[OpenFile]:
        """Open the file that contains the pixels; all errors are attributed to the file that the user specified.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or has changed since `open_image` opened it; this is checked before and after
            the block.
        """
        with OpenFile(self.stored, self.path) as file:
            self._require_unchanged(file)
            yield file
            self._require_unchanged(file)

    def _require_unchanged(self, file: OpenFile) -> None:
        if self.stamp is not None and not self.stamp.is_still(file.stamp()):
            raise FrameFileError(self.path, _CHANGED)


def require_unsigned(seen: int, image: ImageFile) -> None:
    """Raise `FrameFileError` if a signed word is negative; `seen` is the result of decoding the words."""
    if image.zero == 0 and seen & BZERO:
        raise FrameFileError(image.path, _BELOW_ZERO)


def uint16_pixels(image: ImageFile) -> NDArray[np.uint16]:
    """Return the pixels of an image whose values are whole numbers from 0 to 65,535.

    Raises
    ------
    FrameFileError
        If the image has other values, or cannot be read.
    """
    if image.storage not in UINT16_STORAGES:
        raise FrameFileError(image.path, "its values are not whole numbers of 8 or 16 bits")
    return image.pixels().astype(np.uint16, copy=False)


def open_image(path: Path, unpacked_in: Path, extension: Extension | None = None) -> ImageFile:
    """Open an image file; check its header, its size and its values.

    Parameters
    ----------
    path
        A FITS file, which may be compressed with gzip or in tiles (fpack), an XISF file or a camera raw. In a FITS
        file, the image may be in the first HDU or, if the first HDU is empty, the only image in the other HDUs. Further
        axes of length 1 are allowed.
    unpacked_in
        Folder for the unpacked copy of a compressed file, or of a file in a format other than FITS.
    extension
        The image to open in a file with several images; see `Extension`.

    Raises
    ------
    FrameFileError
        If the file is not a regular file, is damaged, contains no two-dimensional image, or contains several and
        `extension` is None; if a value is not finite or exceeds the range of a 32-bit float, or a signed word is
        negative.
    MissingPackageError
        If the format needs a package that is not installed.
    """
    require_known_format(path)
    with damage_reported(path):
        if not is_fits(path):
            image = _converted(path, unpacked_in, extension)
            _check_values(image)
            return image
        image = _opened(path, unpacked_in) if extension is None else _chosen_image(path, extension, unpacked_in)
        _check_values(image)
        return image


def _converted(path: Path, folder: Path, extension: Extension | None) -> ImageFile:
    """Open the image of a file that is not FITS."""
    require_no_extension(path, extension)
    if path.suffix.lower() == xisf_file.SUFFIX:
        image, stored, bits, zero, scale = xisf_file.unpack_xisf(path, folder)
        converted = ImageFile(path, stored, 0, image.shape, bits, zero, scale, image.header)
        if bits < 0 and scale != 1:
            _require_bounds(converted)
        return converted
    header, stored, bits, zero = raw_file.unpack_raw(path, folder)
    return ImageFile(path, stored, 0, (_length(header, 2, path), _length(header, 1, path)), bits, zero, 1, header)


def _opened(path: Path, unpacked_in: Path) -> ImageFile:
    with open_regular(path) as file:
        is_packed, stamp = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC, Stamp.of_status(os.fstat(file.fileno()))
    if is_packed:
        return _unpacked_gzip(path, stamp.size, unpacked_in)
    header, data_start = merged_header(path)
    if header.get("ZIMAGE") is True:
        return _unpacked_tiles(path, header, stamp.size, unpacked_in)
    return replace(_image(path, header, data_start, stamp.size), stamp=stamp)


def _image(path: Path, header: Mapping[str, HeaderValue], data_start: int, size: int) -> ImageFile:
    """Return the image whose pixels begin at offset `data_start` of a file of `size` bytes."""
    height, width = plane_shape(header, "", path)
    bits, zero, scale = (
        number_of(header, keyword, default, path) for keyword, default in (("BITPIX", 0), ("BZERO", 0), ("BSCALE", 1))
    )
    if bits not in STORED_AS or scale == 0:
        raise FrameFileError(path, f"BITPIX {bits}, BSCALE {scale}: not pixels that can be combined")
    image = ImageFile(path, path, data_start, (height, width), int(bits), zero, scale, header)
    needed, present = height * width * image.pixel_bytes, max(size - data_start, 0)
    if needed > present:
        raise FrameFileError(
            path, f"truncated: {width} x {height} pixels need {needed} bytes, but the file has {present}"
        )
    return image


def _require_bounds(image: ImageFile) -> None:
    """Raise if most values of an XISF image exceed the bounds in its header, which were used to scale it to 16 bits.

    A few values may exceed the bounds, because calibration can raise stars above full scale.
    """
    beyond = sum(int(np.count_nonzero(rows > xisf_file.FULL_RANGE)) for _, rows in image.bands())
    if 2 * beyond > image.shape[0] * image.shape[1]:
        raise FrameFileError(
            image.path, "most of its values exceed the range in its header (bounds), so this range is wrong"
        )


def _check_values(image: ImageFile) -> None:
    """Raise if a value does not fit in a 32-bit float, or an image of signed words contains a negative value.

    Some programs store unsigned words without BZERO, so that values above 32,767 appear negative.
    """
    if image.bits > 0 and image.storage != (16, 0, 1) and image.scale == 1 and abs(image.zero) <= 1 << 31:
        return
    for _, rows in image.bands():
        if not np.isfinite(rows).all():
            raise FrameFileError(image.path, "some pixels are not numbers (NaN or infinite)")
        if np.abs(rows).max() > _LARGEST:
            raise FrameFileError(
                image.path, "some pixels exceed the range of 32-bit floats: damaged, or not a raw frame"
            )
        if image.storage == (16, 0, 1) and rows.min() < 0:
            raise FrameFileError(image.path, _BELOW_ZERO)


def _chosen_image(path: Path, extension: Extension, folder: Path) -> ImageFile:
    """Return one image of a file with several images, or their mosaic, as a copy in a folder."""
    header = chosen_header(path, extension)
    height, width = shape = _length(header, 2, path), _length(header, 1, path)
    require_possible_size(shape, path.stat().st_size, path)
    stored, bits, zero = unpack_extension(path, extension, shape, folder)
    if stored.stat().st_size != height * width * abs(bits) // 8:
        raise FrameFileError(path, f"damaged: its image does not have the {width} x {height} pixels of its header")
    return ImageFile(path, stored, 0, shape, bits, zero, 1, header)


def _length(header: Mapping[str, HeaderValue], axis: int, path: Path) -> int:
    """Return the length of an axis."""
    return int(number_of(header, f"NAXIS{axis}", 0, path))


def _unpacked_gzip(path: Path, size: int, folder: Path) -> ImageFile:
    """Unpack the image in a gzip file, writing no more bytes than its header announces."""
    header, data_start = merged_header(path)
    if header.get("ZIMAGE") is True:
        raise FrameFileError(path, "it is compressed twice, in tiles and with gzip: unpack it with gunzip")
    require_possible_size(plane_shape(header, "", path), size, path)
    image = _image(path, header, data_start, MOST_COMPRESSED * size)
    stored = unpack_gzip(path, data_start, image.shape[0] * image.shape[1] * image.pixel_bytes, folder)
    return replace(image, stored=stored, data_start=0)


def _unpacked_tiles(path: Path, header: Mapping[str, HeaderValue], size: int, folder: Path) -> ImageFile:
    """Unpack an image that is compressed in tiles."""
    height, width = shape = plane_shape(header, "Z", path)
    require_possible_size(shape, size, path)
    stored, bits, zero = unpack_tiles(path, header, shape, folder)
    frame = {keyword: value for keyword, value in header.items() if not _OF_TABLES.fullmatch(keyword)}
    return ImageFile(path, stored, 0, shape, bits, zero, 1, {**frame, "NAXIS1": width, "NAXIS2": height})
