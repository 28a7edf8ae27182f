"""Simulated frames as FITS files in memory, which other processes can map without copying."""

import mmap
import os
import weakref
from collections.abc import Mapping

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue

BLOCK = 2880


class MemoryFile:
    """A file in memory, without a name. It is closed when the object is garbage-collected.

    Parameters
    ----------
    size
        Size in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("coldframe frame", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, size)

    def writable(self) -> NDArray[np.uint8]:
        """Return a writable view of the bytes, with shape (size,)."""
        return np.frombuffer(mmap.mmap(self.descriptor, self.size), np.uint8)

    def view(self) -> memoryview:
        """Return a read-only view of the bytes."""
        return memoryview(mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ))


def fits_file(pixels: NDArray[np.uint16], cards: Mapping[str, HeaderValue]) -> MemoryFile:
    """Write a frame as FITS into a memory file.

    Parameters
    ----------
    pixels
        uint16, shape (height, width).
    cards
        Header cards in addition to the structural cards.
    """
    height, width = pixels.shape
    header = fits_header(height, width, cards)
    file = MemoryFile(len(header) + -(-pixels.nbytes // BLOCK) * BLOCK)
    target = file.writable()
    target[: len(header)] = np.frombuffer(header, np.uint8)
    stored = target[len(header) : len(header) + pixels.nbytes].view(np.uint16).reshape(pixels.shape)
    # Stored values are signed and big-endian. BZERO = 32768 inverts the top bit.
    np.bitwise_xor(pixels, np.uint16(0x8000), out=stored)
    stored.byteswap(inplace=True)
    return file


def fits_header(height: int, width: int, cards: Mapping[str, HeaderValue]) -> bytes:
    """Return the header of a 16-bit frame with `cards` after the structural cards, padded to whole blocks."""
    header = fits.Header()
    header["SIMPLE"] = True
    header["BITPIX"] = 16
    header["NAXIS"] = 2
    header["NAXIS1"] = width
    header["NAXIS2"] = height
    header["BZERO"] = 32768
    header["BSCALE"] = 1
    header.update(cards)
    return str(header.tostring()).encode("ascii")
