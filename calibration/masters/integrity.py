"""Checks that every byte of a master is intact."""

import hashlib
from pathlib import Path

import numpy as np

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.masters.reading import is_xisf, read_master
from coldframe.calibration.masters.stored_planes import StoredImage, stored_images
from coldframe.errors import MissingPackageError

_ALL_ONES = 0xFFFFFFFF
_WORDS_AT_ONCE = 1 << 18


def integrity_fault(path: Path) -> str | None:
    """Return a description of the damage to a file; None if it is intact.

    A FITS file is intact if every image has CHECKSUM and DATASUM, and every CHECKSUM is correct. An XISF file need not
    have a checksum; if PixInsight wrote one, it is verified.

    CHECKSUM is chosen so that all bits of the 32-bit ones' complement sum over an HDU are 1 (FITS standard 4.0,
    appendix J).
    """
    try:
        if is_xisf(path):
            read_master(path)  # verifies the checksum, if there is one
            return None
        for number, image in enumerate(stored_images(path), start=1):
            fault = _checksum_fault(image)
            if fault is not None:
                return f"image {number}: {fault}"
    except FrameFileError as error:
        return error.what
    except MissingPackageError as error:
        return str(error)
    return None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as text; it detects damage that additive checksums miss, such as swapped words."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum_fault(image: StoredImage) -> str | None:
    if "CHECKSUM" not in image.header or "DATASUM" not in image.header:
        return "it has no CHECKSUM"
    if _ones_complement(image) != _ALL_ONES:
        return "CHECKSUM is wrong: the file has changed since it was written"
    return None


def _ones_complement(image: StoredImage) -> int:
    total, words = 0, np.empty(_WORDS_AT_ONCE, ">u4")
    for start in range(image.start, image.end, words.nbytes):
        part = words[: (image.end - start) // words.itemsize]
        image.file.fill(part, start)
        total += int(part.sum(dtype=np.uint64))
    while total >> 32:
        total = (total & _ALL_ONES) + (total >> 32)
    return total
