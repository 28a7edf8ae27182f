"""Encode pictures as PNG, in memory."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_GREY, _RGB = 0, 2
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """Return the contents of a PNG file (ISO/IEC 15948) that stores the picture.

    Parameters
    ----------
    pixels
        The picture, uint8, with the shape (height, width) for grey or (height, width, 3) for RGB.
    """
    height, width = pixels.shape[:2]
    colour = _GREY if pixels.ndim == 2 else _RGB  # noqa: PLR2004 - a plane
    # Each row starts with its filter type. Type 0 means no filter. The other types do not improve the compression of
    # noise.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
