"""The writing of images whose rows are written before their headers."""

from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import BLOCK_LENGTH, Card, add_ones_complement
from coldframe.calibration.files.durable import NewFile
from coldframe.calibration.files.frame_file import extension_structure, primary_structure, sealed_header
from coldframe.calibration.kernels import fits_words

_ENCODED_AT_ONCE = 1 << 18
"""Number of values to encode before they are written; they stay in the processor's cache."""


class ImageWriter:
    """A writer of an image in a new file: its rows as soon as they are known, and its header last.

    The header contains the checksum of the pixels, so it can only be written after them.

    Parameters
    ----------
    file, start
        The file, and the offset of the image in this file.
    shape, kind
        Height and width, and type of the pixels.
    cards
        The cards that `finish` will write; their values may differ, but not their lengths.
    name
        Name of an extension; None for the first image of the file.
    """

    def __init__(
        self,
        file: NewFile,
        start: int,
        shape: tuple[int, ...],
        kind: type[np.uint16 | np.float32],
        cards: Iterable[Card],
        *,
        name: str | None = None,
    ) -> None:
        plane: NDArray[np.generic] = np.broadcast_to(kind(0), shape)  # needs no memory
        self._structure = extension_structure(plane) if name else primary_structure(plane)
        self._name = [Card("EXTNAME", name)] if name else []
        self._file, self._start, self._sum = file, start, 0
        self._data_start = start + len(self._header(cards))
        self._data_end = self._data_start + plane.nbytes
        self._row_bytes = shape[1] * plane.itemsize
        self._encoded = np.empty(_ENCODED_AT_ONCE, kind)

    @property
    def end(self) -> int:
        """Offset at which the next image begins."""
        return self._data_end + (self._data_start - self._data_end) % BLOCK_LENGTH

    def write(self, first: int, rows: NDArray[np.uint16 | np.float32]) -> None:
        """Write some rows; `first`, the number of the first of them, must be even.

        An even number of rows consists of whole 32-bit words, so that the checksums of all rows add up.
        """
        flat, start = rows.reshape(-1), self._data_start + first * self._row_bytes
        for begin in range(0, flat.size, _ENCODED_AT_ONCE):
            piece = flat[begin : begin + _ENCODED_AT_ONCE]
            encoded = self._encoded[: piece.size]
            self._sum += _encode(piece, encoded)
            self._file.write(encoded.data, start + begin * piece.itemsize)

    def finish(self, cards: Iterable[Card]) -> None:
        """Write the header, after all rows, and fill the last block of the pixels with zeros."""
        header = self._header(cards)
        if self._start + len(header) != self._data_start:
            raise ValueError(
                "the header's length has changed: only values may change, if their cards keep their lengths"
            )
        self._file.write(bytes(self.end - self._data_end), self._data_end)
        self._file.write(header, self._start)

    def _header(self, cards: Iterable[Card]) -> bytes:
        return sealed_header(self._structure, [*self._name, *cards], add_ones_complement(self._sum))


def _encode(values: NDArray[np.generic], encoded: NDArray[np.generic]) -> int:
    """Encode flat values of 16 or 32 bits into a buffer of the same type; return the sum of the 32-bit words."""
    if values.dtype == np.uint16:
        even, odd = fits_words.encode_unsigned(cast("NDArray[np.uint16]", values), cast("NDArray[np.uint16]", encoded))
        return (int(even) << 16) + int(odd)
    encoded[:] = values
    return int(fits_words.encode_long_words(encoded.view(np.uint32)))
