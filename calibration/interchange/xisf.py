"""Masters in PixInsight's XISF format: one image of 32-bit floats in each file.

The format follows the sections on monolithic files and on the core elements Image and FITSKeyword in the XISF 1.0
specification (https://github.com/PixInsight/XISF-specification).
"""

import contextlib
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import STRUCTURAL, HeaderValue, ascii_text

SUFFIX = ".xisf"

_SIGNATURE = b"XISF0100"
_PREAMBLE = struct.Struct("<8sI4x")
_BLOCK = 4096
"""The offset of the pixels is a multiple of this number of bytes, as in the files that PixInsight writes."""

_LONGEST_HEADER = 1 << 24
_NAMESPACE = "{http://www.pixinsight.com/xisf}"
_SAMPLE_BITS = {"UInt8": 8, "UInt16": 16, "UInt32": 32, "Float32": -32, "Float64": -64}
_LEFT_OUT = STRUCTURAL | {"CHECKSUM", "DATASUM", "BUNIT"}
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def xisf_content(
    pixels: NDArray[np.float32], header: Mapping[str, HeaderValue], image_type: str
) -> tuple[bytes, memoryview]:
    """Return the contents of a file, which depend neither on the current time nor on coldframe's version.

    Parameters
    ----------
    pixels
        Values from 0 to 1, first row at the top.
    header
        Values that become FITS keywords; values that describe the structure of the FITS file are left out.
    image_type
        Kind of the image, as spelled in the specification, such as "MasterDark".
    """
    data = np.ascontiguousarray(pixels, "<f4")
    begin = _BLOCK
    # The header states the offset of the pixels, and this offset depends on the length of the header.
    while len(text := _header(data, header, image_type, begin)) + _PREAMBLE.size > begin:
        begin += _BLOCK
    start = _PREAMBLE.pack(_SIGNATURE, len(text)) + text
    return start.ljust(begin, b"\0"), data.data.cast("B")


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
        f'<Property id="XISF:CreationTime" type="TimePoint" value="{_created_at(header):%Y-%m-%dT%H:%M:%SZ}"/>'
        f'<Property id="XISF:CreatorApplication" type="String">coldframe</Property>'
        "</Metadata></xisf>"
    ).encode()


def _created_at(header: Mapping[str, HeaderValue]) -> datetime:
    """Return the time of the image in UTC, so that the contents do not depend on the time of writing."""
    for keyword in ("DATE", "DATE-END", "DATE-OBS"):
        with contextlib.suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(str(header.get(keyword)))
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return datetime.fromtimestamp(0, UTC)


def _as_fits(value: HeaderValue) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        return "'" + ascii_text(value).replace("'", "''") + "'"
    return repr(value)
