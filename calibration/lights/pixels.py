"""The pixels of a raw light, band by band, so that a band is still in the processor's cache when it is calibrated."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.frame_file import BZERO
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile, require_unsigned
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.kernels import fits_words
from coldframe.calibration.lights.content import ContentHash, content_of

Pixels = NDArray[np.uint16] | NDArray[np.float32]

ROWS_AT_ONCE = 64
"""Number of rows in a band; a band of a large frame takes about a megabyte."""

_WORDS_OF_16_BITS = frozenset({(16, 0, 1), (16, BZERO, 1)})


class LightPixels(Protocol):
    """The pixels of a light; they can be read several times."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""

    def bands(self, height: int = ROWS_AT_ONCE) -> Iterator[tuple[slice, Pixels]]:
        """Yield bands of `height` rows, each with its range of rows; the next band can overwrite the pixels."""


class HeldPixels:
    """Pixels in memory: uint16 or float32, shape (height, width)."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return self._pixels.shape

    def bands(self, height: int = ROWS_AT_ONCE) -> Iterator[tuple[slice, Pixels]]:
        """Yield bands of rows; see `LightPixels`."""
        for rows in _bands(len(self._pixels), height):
            yield rows, self._pixels[rows]


class StoredPixels:
    """The pixels of a file of 16-bit words, uint16; they are read only when they are needed.

    While the bands are being read for the first time, the bytes of the file are added to its digest.

    Parameters
    ----------
    image
        An image for which `holds` returns True.
    """

    def __init__(self, image: ImageFile) -> None:
        self._image = image
        self._content: str | None = None

    @staticmethod
    def holds(image: ImageFile) -> bool:
        """Return True for images of 16-bit words."""
        return image.storage in _WORDS_OF_16_BITS

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""
        return self._image.shape

    @property
    def content(self) -> str:
        """The digest of the bytes of the light's file; see `content_of`."""
        if self._content is None:
            self._content = content_of(self._image.path)
        return self._content

    def bands(self, height: int = ROWS_AT_ONCE) -> Iterator[tuple[slice, NDArray[np.uint16]]]:
        """Yield bands of rows; see `LightPixels`.

        Raises
        ------
        FrameFileError
            If the file cannot be read, or a signed word is negative.
        """
        image = self._image
        buffer = np.empty((height, image.shape[1]), np.uint16)
        content = self._new_content()
        try:
            with open_regular(image.stored) as file:
                if content is None:
                    file.seek(image.data_start)
                else:
                    content.add_from(file, image.data_start)
                for rows in _bands(image.shape[0], height):
                    words = buffer[: rows.stop - rows.start].reshape(-1)
                    if file.readinto(words.view(np.uint8).data) < words.nbytes:
                        raise FrameFileError(image.path, "the file became shorter while it was being read")
                    if content is not None:
                        content.add(words.view(np.uint8))
                    require_unsigned(fits_words.decode_words(words, int(image.zero)), image)
                    yield rows, words.reshape(-1, image.shape[1])
                if content is not None:
                    content.add_from(file)
                    self._content = content.text
        except OSError as error:
            raise FrameFileError(image.path, error.strerror or str(error)) from error

    def _new_content(self) -> ContentHash | None:
        """Return a hash for the bytes of the file; None if the digest is known, or an unpacked copy is being read."""
        image = self._image
        return ContentHash() if self._content is None and image.stored == image.path else None


class KeptRows:
    """The pixels of a light, of which some rows are kept while the bands are being read.

    Parameters
    ----------
    pixels
        The pixels of a light.
    rows
        The rows to keep, in ascending order.
    """

    def __init__(self, pixels: LightPixels, rows: NDArray[np.intp]) -> None:
        self._source = pixels
        self._rows = rows
        self._kept: Pixels = np.zeros((0, pixels.shape[1]), np.uint16)

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width of the whole light."""
        return self._source.shape

    @property
    def kept(self) -> Pixels:
        """The kept rows; available after all bands have been read."""
        return self._kept

    def bands(self, height: int = ROWS_AT_ONCE) -> Iterator[tuple[slice, Pixels]]:
        """Yield bands of rows; see `LightPixels`."""
        for rows, band in self._source.bands(height):
            if rows.start == 0:
                self._kept = np.empty((self._rows.size, band.shape[1]), band.dtype)
            first, last = np.searchsorted(self._rows, (rows.start, rows.stop))
            self._kept[first:last] = band[self._rows[first:last] - rows.start]
            yield rows, band


def _bands(height: int, at_once: int) -> Iterator[slice]:
    for top in range(0, height, at_once):
        yield slice(top, min(top + at_once, height))
