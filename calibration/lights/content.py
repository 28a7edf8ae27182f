"""A digest of the bytes of a file, which identifies a light or a master."""

import sys
from hashlib import blake2b
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.kernels import lights

U8 = NDArray[np.uint8]

_STEP = 32
"""Number of bytes that the hash processes in one step."""

_DIGEST_BYTES = 16
"""Size of a digest: large enough to avoid equal digests by chance, and small enough for a header card."""

_HASHED_AT_ONCE = 1 << 20


def digest_of(*parts: object) -> str:
    """Return a short digest of values, as text."""
    return blake2b(repr(parts).encode(), digest_size=_DIGEST_BYTES).hexdigest()


class ContentHash:
    """A hash of the bytes of a file; the bytes are added piece by piece.

    The hash only has to distinguish different files. A cryptographic hash would take ten times as long, and its
    strength is not needed here.
    """

    def __init__(self) -> None:
        self._lanes = np.zeros(_STEP // 8, np.uint64)
        self._size = 0
        self._rest = np.zeros(0, np.uint8)

    def add(self, piece: U8) -> None:
        """Add the next bytes."""
        self._size += piece.size
        missing = -self._rest.size % _STEP
        begun = np.concatenate([self._rest, piece[:missing]])
        if begun.size < _STEP and missing:  # the piece does not complete the step
            self._rest = begun
            return
        whole = (piece.size - missing) // _STEP * _STEP + missing
        _mix(begun, self._lanes)
        _mix(piece[missing:whole], self._lanes)
        self._rest = piece[whole:].copy()

    def add_from(self, file: BufferedReader, count: int = sys.maxsize) -> None:
        """Read the next `count` bytes of a file, or all that it has left, and add them, a megabyte at a time."""
        buffer = np.empty(_HASHED_AT_ONCE, np.uint8)
        while size := file.readinto(buffer[: min(count, _HASHED_AT_ONCE)].data):
            self.add(buffer[:size])
            count -= size

    @property
    def text(self) -> str:
        """The digest of the bytes added so far; the last step is padded with zeros."""
        lanes = self._lanes.copy()
        if self._rest.size:
            _mix(np.pad(self._rest, (0, _STEP - self._rest.size)), lanes)
        return digest_of(self._size, lanes.tolist())


def _mix(whole_steps: U8, lanes: NDArray[np.uint64]) -> None:
    # Machine code is kept only for aligned, writeable arrays. For other arrays, Numba would compile the kernel in each
    # process.
    lights.hash_words(np.require(whole_steps.view(np.uint64), requirements=["A", "W"]), lanes)


def content_of(file: Path) -> str:
    """Return the digest of the bytes of a file.

    Raises
    ------
    OSError
        If the file is not accessible.
    """
    content = ContentHash()
    with open_regular(file) as opened:
        content.add_from(opened)
    return content.text
