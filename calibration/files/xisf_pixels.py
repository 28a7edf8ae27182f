"""The pixels of XISF files: decompression and conversion, in the resource-limited process."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.unpacking import form_of, stored_form
from coldframe.errors import MissingPackageError

_BAND_PIXELS = 1 << 20


def decode_xisf(path: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """Write the pixels of a block as FITS stores them; this runs in the resource-limited process.

    Raises
    ------
    FrameFileError
        If the block is damaged.
    OSError, ValueError, RuntimeError, zlib.error
        If the block cannot be read or unpacked.
    """
    with open_regular(path) as file, Path(request["copy"]).open("wb") as copy:
        if request["checksum"] is not None:
            _check(file, request, path)
        file.seek(request["position"])
        copy.writelines(stored_form(values, form_of(values, path)) for values in _bands(file, request, path))
    return {}


def _check(file: BufferedReader, request: Mapping[str, Any], path: Path) -> None:
    algorithm, expected = request["checksum"]
    digest, missing = hashlib.new(algorithm, usedforsecurity=False), request["stored_bytes"]
    file.seek(request["position"])
    while missing and (piece := file.read(min(missing, _BAND_PIXELS))):
        digest.update(piece)
        missing -= len(piece)
    if digest.hexdigest() != expected.lower():
        raise FrameFileError(path, "damaged: the checksum of its pixels is wrong")


def _bands(file: BufferedReader, request: Mapping[str, Any], path: Path) -> Iterator[NDArray[Any]]:
    """Yield the pixels in order, in the byte order of this machine."""
    stored_type = np.dtype(request["pixel_type"])
    native = stored_type.newbyteorder("=")
    if not request["codec"]:
        for start in range(0, request["stored_bytes"], _BAND_PIXELS * stored_type.itemsize):
            length = min(_BAND_PIXELS * stored_type.itemsize, request["stored_bytes"] - start)
            piece = file.read(length)
            if len(piece) < length:
                raise FrameFileError(path, "the file became shorter while it was being read")
            yield np.frombuffer(piece, stored_type).astype(native)
        return
    unpacked = _unpacked(file, request, path)
    item_bytes = request["item_bytes"]
    if item_bytes not in {1, stored_type.itemsize}:
        raise FrameFileError(path, f"damaged: its bytes are shuffled in items of {item_bytes} bytes, unlike its pixels")
    planes = unpacked.reshape(item_bytes, -1)
    for start in range(0, planes.shape[1], step := _BAND_PIXELS * stored_type.itemsize):
        together = np.ascontiguousarray(planes[:, start : start + step].T)
        yield together.reshape(-1).view(stored_type).astype(native)


def _unpacked(file: BufferedReader, request: Mapping[str, Any], path: Path) -> NDArray[np.uint8]:
    """Return the bytes of all subblocks; if there is only one, it is not copied."""
    parts = request["parts"]
    if len(parts) == 1:
        return np.frombuffer(_decompressed(file.read(parts[0][0]), request["codec"], parts[0][1], path), np.uint8)
    unpacked = np.empty(sum(length for _, length in parts), np.uint8)
    filled = 0
    for stored_bytes, length in parts:
        piece = _decompressed(file.read(stored_bytes), request["codec"], length, path)
        unpacked[filled : filled + length] = np.frombuffer(piece, np.uint8)
        filled += length
    return unpacked


def _decompressed(stored: bytes, codec: str, length: int, path: Path) -> bytes:
    """Return exactly `length` decompressed bytes; ask the decompressor for no more than these.

    Raises
    ------
    FrameFileError
        If the stored bytes decompress to fewer bytes, or announce a different length.
    MissingPackageError
        If the package of the decompressor cannot be imported.
    """
    unpacked: bytes
    if codec == "zlib":
        unpacked = zlib.decompressobj().decompress(stored, length)
    elif codec in {"lz4", "lz4hc"}:
        try:
            import lz4.block  # noqa: PLC0415 - an optional package
        except ImportError as error:
            raise MissingPackageError("lz4") from error
        unpacked = lz4.block.decompress(stored, uncompressed_size=length)
    else:
        try:
            import zstandard  # noqa: PLC0415 - an optional package
        except ImportError as error:
            raise MissingPackageError("zstandard") from error
        if zstandard.frame_content_size(stored) not in {-1, length}:
            raise FrameFileError(path, "damaged: its compressed pixels announce a different length")
        unpacked = zstandard.ZstdDecompressor().decompress(stored, max_output_size=length)
    if len(unpacked) != length:
        raise FrameFileError(path, f"damaged: its pixels have {len(unpacked)} instead of {length} bytes")
    return unpacked
