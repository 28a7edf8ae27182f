"""A writer of XISF files whose headers may be wrong in any way."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FORMATS = {"uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "float32": "Float32", "float64": "Float64"}
DATA_AT = 8192


def write_xisf(
    path: Path,
    pixels: NDArray[np.generic],
    *,
    attributes: Mapping[str, str | None] | None = None,
    inside: str = "",
    data: bytes | None = None,
    before: str = "",
    images: int = 1,
) -> Path:
    """Write a file with one grey image.

    Parameters
    ----------
    path, pixels
        The new file and its pixels.
    attributes
        Attributes of the image that differ from the correct ones; None leaves one out.
    inside
        XML in the element of the image.
    data
        The block; None for the pixels as they are.
    before
        XML in front of the header's root.
    images
        Number of images, which share the pixels.
    """
    block = pixels.tobytes() if data is None else data
    right = {
        "geometry": f"{pixels.shape[1]}:{pixels.shape[0]}:1",
        "sampleFormat": FORMATS[pixels.dtype.name],
        "colorSpace": "Gray",
        "location": f"attachment:{DATA_AT}:{len(block)}",
    }
    given = {name: value for name, value in {**right, **(attributes or {})}.items() if value is not None}
    written = " ".join(f'{name}="{value}"' for name, value in given.items())
    image = f"<Image {written}>{inside}</Image>"
    root = f'<xisf version="1.0" xmlns="http://www.pixinsight.com/xisf">{image * images}<Metadata/></xisf>'
    text = f'<?xml version="1.0" encoding="UTF-8"?>{before}{root}'.encode()
    start = b"XISF0100" + struct.pack("<II", len(text), 0) + text
    path.write_bytes(start.ljust(DATA_AT, b"\0") + block)
    return path


def keywords(**values: str) -> str:
    """Return FITSKeyword elements; an underscore in a name stands for a hyphen."""
    return "".join(
        f'<FITSKeyword name="{name.replace("_", "-")}" value="{value}" comment=""/>' for name, value in values.items()
    )


def properties(**values: str) -> str:
    """Return Property elements; two underscores in a name stand for a colon."""
    return "".join(
        f'<Property id="{name.replace("__", ":")}" type="Float32" value="{value}"/>' for name, value in values.items()
    )
