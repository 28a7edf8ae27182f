"""PixInsight's format XISF, as far as masters need it: one image of 32-bit floats, and the header of any XISF file.

Source: XISF 1.0 specification, https://github.com/PixInsight/XISF-specification: monolithic files, the core elements
Image and FITSKeyword.
"""

import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from coldframe import __version__
from coldframe.calibration.files.cards import HeaderValue, ascii_text
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import STRUCTURAL, FrameFileError
from coldframe.calibration.files.regular import open_regular

SUFFIX = ".xisf"

_SIGNATURE = b"XISF0100"
_PREAMBLE = struct.Struct("<8sI4x")
_BLOCK = 4096
"""The pixels begin at a multiple of this offset, as in the files that PixInsight writes."""

_LONGEST_HEADER = 1 << 24
_NAMESPACE = "{http://www.pixinsight.com/xisf}"
_SAMPLE_BITS = {"UInt8": 8, "UInt16": 16, "UInt32": 32, "Float32": -32, "Float64": -64}
_LEFT_OUT = STRUCTURAL | {"CHECKSUM", "DATASUM", "BUNIT"}
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def write_xisf(path: Path, pixels: NDArray[np.float32], header: Mapping[str, HeaderValue], image_type: str) -> None:
    """Write an image, durably; an existing file is never overwritten.

    Parameters
    ----------
    path
        The new file.
    pixels
        Values from 0 to 1, first row at the top.
    header
        Values that become FITS keywords; those about the structure of the FITS file are left out.
    image_type
        Kind of the image in the words of the specification, such as "MasterDark".

    Raises
    ------
    NotDurableError
        If the file could not be written, or exists.
    """
    data = np.ascontiguousarray(pixels, "<f4")
    begin = _BLOCK
    # The header states where the pixels begin, which depends on the length of the header.
    while len(text := _header(data, header, image_type, begin)) + _PREAMBLE.size > begin:
        begin += _BLOCK
    start = _PREAMBLE.pack(_SIGNATURE, len(text)) + text
    write_durably(path, [start.ljust(begin, b"\0"), data.data.cast("B")])


def read_xisf_header(path: Path) -> dict[str, HeaderValue]:
    """Return the FITS keywords of the first image, with NAXIS1, NAXIS2 and BITPIX of its pixels.

    Raises
    ------
    FrameFileError
        If the file is not an XISF file, or its header is damaged.
    """
    try:
        with open_regular(path) as file:
            start = file.read(_PREAMBLE.size)
            if len(start) < _PREAMBLE.size or not start.startswith(_SIGNATURE):
                raise FrameFileError(path, "not an XISF file")
            length = _PREAMBLE.unpack(start)[1]
            if length > _LONGEST_HEADER:
                raise FrameFileError(path, "damaged: its header is longer than any header")
            content = file.read(length)
    except OSError as error:
        raise FrameFileError(path, error.strerror or str(error)) from error
    try:
        text = content.rstrip(b"\0").decode()  # always UTF-8, so that no other encoding hides entities
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise FrameFileError(path, "its header declares entities, which XISF files do not have")
        image = ET.fromstring(text).find(f"{_NAMESPACE}Image")  # noqa: S314 - without entities, see above
        return _image_header(image)
    except (ET.ParseError, ValueError) as error:
        raise FrameFileError(path, f"damaged: its header cannot be interpreted: {error}") from error


def _image_header(image: ET.Element | None) -> dict[str, HeaderValue]:
    """Return the keywords of an image element. Raise ValueError if there is none, or its size is not one."""
    if image is None:
        raise ValueError("it has no image")
    width, height = (int(size) for size in image.get("geometry", "").split(":")[:2])
    keywords = {
        each.get("name", ""): _value(each.get("value", ""))
        for each in image.iter(f"{_NAMESPACE}FITSKeyword")
        if each.get("name") not in {"HISTORY", "COMMENT", *STRUCTURAL}
    }
    bits = _SAMPLE_BITS.get(image.get("sampleFormat", ""))
    if bits is None:
        raise ValueError("unknown format of its pixels")
    return {**keywords, "BITPIX": bits, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height}


def _value(text: str) -> HeaderValue:
    stripped = text.strip()
    if stripped.startswith("'"):
        return stripped.strip("'").rstrip().replace("''", "'")
    if stripped in {"T", "F"}:
        return stripped == "T"
    if _WHOLE.fullmatch(stripped):
        return int(stripped)
    try:
        return float(stripped)
    except ValueError:
        return stripped


def _header(pixels: NDArray[np.float32], header: Mapping[str, HeaderValue], image_type: str, begin: int) -> bytes:
    height, width = pixels.shape
    keywords = "".join(
        f'<FITSKeyword name="{keyword}" value={quoteattr(_as_fits(value))} comment=""/>'
        for keyword, value in header.items()
        if keyword not in _LEFT_OUT
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="http://www.pixinsight.com/xisf http://pixinsight.com/xisf/xisf-1.0.xsd">'
        f'<Image geometry="{width}:{height}:1" sampleFormat="Float32" bounds="0:1" colorSpace="Gray"'
        f' imageType="{image_type}" location="attachment:{begin}:{pixels.nbytes}">{keywords}</Image>'
        "<Metadata>"
        f'<Property id="XISF:CreationTime" type="TimePoint" value="{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"/>'
        f'<Property id="XISF:CreatorApplication" type="String">coldframe {__version__}</Property>'
        "</Metadata></xisf>"
    ).encode()


def _as_fits(value: HeaderValue) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        return "'" + ascii_text(value).replace("'", "''") + "'"
    return repr(value)
