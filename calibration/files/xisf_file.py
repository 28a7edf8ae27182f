"""XISF files, the format of PixInsight: the header as FITS cards, and the pixels as FITS stores them.

A monolithic XISF file begins with a header in XML, which locates the blocks of pixels that follow it (XISF 1.0,
sections 9 to 11). The package `xisf` is not used to read these files: together with the header, it reads the data of
all properties; it unpacks zlib without a limit; and it does not support the subblocks into which PixInsight divides
large compressed images.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from coldframe.calibration.files.cards import HeaderValue, parse_cards
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import XISF_SUFFIX
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.scratch import require_room
from coldframe.calibration.files.unpacking import (
    FORMS,
    Reader,
    decoded,
    new_file,
    require_packages,
    require_possible_size,
)

SUFFIX = XISF_SUFFIX

_SIGNATURE = b"XISF0100"
_START_BYTES = 16
"""Length of what precedes the XML: the signature, the length of the XML and reserved bytes."""

_LONGEST_HEADER = 64 << 20
"""Maximum number of bytes of XML; the processing history of an image can take several MB."""

_DEEPEST = 100
FULL_RANGE = 65535
"""PixInsight divides the values of 16-bit frames by this number."""

_TYPES = {"UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "Float32": "f4", "Float64": "f8"}
_PACKAGES = {"zlib": None, "lz4": "lz4", "lz4hc": "lz4", "zstd": "zstandard"}
"""Package that decompresses the data of each codec; None for the standard library."""

_CHECKSUMS = {"sha-1": "sha1", "sha1": "sha1", "sha-256": "sha256", "sha256": "sha256"} | {
    "sha-512": "sha512",
    "sha512": "sha512",
    "sha3-256": "sha3_256",
    "sha3-512": "sha3_512",
}
_KEYWORD = re.compile(r"[A-Z0-9_-]{1,8}")
_OF_THE_STRUCTURE = re.compile(r"SIMPLE|BITPIX|NAXIS\d*|BZERO|BSCALE|BLANK|EXTEND|PCOUNT|GCOUNT|CHECKSUM|DATASUM|END")
"""Structural keywords of the FITS file from which an XISF file was made; they do not describe the XISF pixels."""

_METRES_TO_MM = 1000.0
_OF_PROPERTIES: dict[str, tuple[tuple[str, ...], float | None]] = {
    "Instrument:ExposureTime": (("EXPTIME", "EXPOSURE", "EXPOTIME", "EXP", "EXPOINUS"), 1.0),
    "Instrument:Camera:Name": (("INSTRUME", "CAMERA", "DETECTOR"), None),
    "Instrument:Camera:ISOSpeed": (("ISOSPEED", "ISO", "ISOSPEEDRATING", "GAIN"), 1.0),
    "Instrument:Camera:XBinning": (("XBINNING", "BINX", "BINNING", "CCDSUM"), 1.0),
    "Instrument:Camera:YBinning": (("YBINNING", "BINY", "BINNING", "CCDSUM"), 1.0),
    "Instrument:Sensor:Temperature": (("CCD-TEMP", "CCD_TEMP", "CCDTEMP", "CCDATEMP"), 1.0),
    "Instrument:Sensor:TargetTemperature": (("SET-TEMP", "SETTEMP", "CCDSTEMP"), 1.0),
    "Instrument:Telescope:Name": (("TELESCOP",), None),
    "Instrument:Telescope:FocalLength": (("FOCALLEN",), _METRES_TO_MM),
    "Instrument:Filter:Name": (("FILTER", "FILT-1", "INSFLNAM"), None),
    "Instrument:Focuser:Position": (("FOCUSPOS", "FOCPOS"), 1.0),
    "Observation:Object:Name": (("OBJECT",), None),
    "Observation:Time:Start": (("DATE-OBS", "DATE-BEG", "DATE_OBS"), None),
}
"""For each property, the keywords that have its meaning, and the factor that converts the property to their unit, or
None for text. If the header has none of the keywords, the first is added. Instrument:Camera:Gain is left out: some
programs write electrons per ADU, and others write the gain setting."""


@dataclass(slots=True)
class _Element:
    """An Image element of the header and what it contains."""

    attributes: dict[str, str]
    keywords: list[dict[str, str]] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class XisfImage:
    """The only image in a file.

    Attributes
    ----------
    shape
        Height and width.
    pixel_type
        NumPy's name for the stored type, such as "<u2".
    position, stored_bytes
        Offset and length, in bytes, of the block with the pixels.
    codec
        Name of the compression; "" for uncompressed pixels.
    item_bytes
        Number of bytes in each item whose bytes were shuffled; 1 if bytes were not shuffled.
    parts
        Compressed and uncompressed length of each subblock.
    checksum
        Name of the algorithm and digest of the block; None if there is no known checksum.
    scale
        Factor that converts stored values to ADU.
    header
        Cards, including BITPIX and the axes.
    """

    shape: tuple[int, int]
    pixel_type: str
    position: int
    stored_bytes: int
    codec: str
    item_bytes: int
    parts: tuple[tuple[int, int], ...]
    checksum: tuple[str, str] | None
    scale: float
    header: dict[str, HeaderValue]


def read_xisf(path: Path) -> XisfImage:
    """Read the header of a file with one greyscale image; read no pixels.

    Raises
    ------
    FrameFileError
        If the file is damaged, contains several images or a colour image, or stores its pixels in an unknown form.
    MissingPackageError
        If the package that decompresses the pixels is not installed.
    xml.parsers.expat.ExpatError, ValueError
        If the header is damaged.
    """
    with open_regular(path) as file:
        start = file.read(_START_BYTES)
        if not start:
            raise FrameFileError(path, "the file is empty")
        if not start.startswith(_SIGNATURE):
            raise FrameFileError(path, "not a monolithic XISF file")
        length = int.from_bytes(start[8:12], "little")
        if length > _LONGEST_HEADER:
            raise FrameFileError(path, f"damaged: it announces a header of {length} bytes")
        text = file.read(length)
        size = file.seek(0, 2)
    if len(text) < length:
        raise FrameFileError(path, f"truncated: its header has {len(text)} of {length} bytes")
    images = _images(text.rstrip(b"\0"), path)
    if len(images) != 1:
        raise FrameFileError(path, f"it holds {len(images) or 'no'} images: save one image in each file")
    return _image(images[0], size, path)


def unpack_xisf(path: Path, folder: Path) -> tuple[XisfImage, Path, int, float, float]:
    """Write the pixels of the image to a new file in a folder.

    Returns
    -------
    image, stored, bits, zero, scale
        The image, the new file, and the form of its pixels as in `ImageFile`.

    Raises
    ------
    FrameFileError
        As for `read_xisf`, or if the pixels are damaged or the disk has no room.
    MissingPackageError
        As for `read_xisf`.
    """
    image = read_xisf(path)
    height, width = image.shape
    unpacked_bytes = height * width * np.dtype(image.pixel_type).itemsize
    require_room(folder, unpacked_bytes, path)
    copy = new_file(folder)
    request = {
        "copy": str(copy.absolute()),
        "pixel_type": image.pixel_type,
        "position": image.position,
        "stored_bytes": image.stored_bytes,
        "codec": image.codec,
        "item_bytes": image.item_bytes,
        "parts": image.parts,
        "checksum": image.checksum,
    }
    decoded(path, Reader.XISF, request, working_bytes=2 * unpacked_bytes, pixels=height * width)
    bits, zero = FORMS[np.dtype(image.pixel_type).name]
    return image, copy, bits, zero * image.scale, image.scale


def _images(text: bytes, path: Path) -> list[_Element]:
    """Return the images that a header describes."""
    reader = _HeaderReader(path)
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.content
    parser.EndElementHandler = reader.end
    parser.Parse(text, True)
    return reader.images


class _HeaderReader:
    """Parser target that collects the images of a header.

    Entity declarations can make a short text very long. They need a document type declaration, which XISF forbids.
    """

    def __init__(self, path: Path) -> None:
        self.images: list[_Element] = []
        self._path = path
        self._names: list[str] = []
        self._property, self._texts = "", [""]

    def refuse(self, *_: object) -> None:
        """Refuse a document type declaration."""
        raise FrameFileError(self._path, "damaged: its header declares a document type, which XISF forbids")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self._names.append(name.rpartition(":")[2])
        if len(self._names) > _DEEPEST:
            raise FrameFileError(self._path, "damaged: the elements of its header are nested too deeply")
        match self._names:
            case ["xisf", "Image"]:
                self.images.append(_Element(attributes))
            case ["xisf", "Image", "FITSKeyword"]:
                self.images[-1].keywords.append(attributes)
            case ["xisf", "Image", "Property"]:
                self._property, self._texts = attributes.get("id", ""), [attributes.get("value", "")]
            case ["xisf", "Image", "ColorFilterArray"]:
                self.images[-1].pattern = attributes.get("pattern")

    def content(self, text: str) -> None:
        """Handle text, which is the value of a property of type String."""
        if self._names == ["xisf", "Image", "Property"]:
            self._texts.append(text)

    def end(self, _: str) -> None:
        """Handle the end of an element."""
        if self._names == ["xisf", "Image", "Property"]:
            self.images[-1].properties[self._property] = "".join(self._texts)
        self._names.pop()


def _image(element: _Element, size: int, path: Path) -> XisfImage:
    attributes = element.attributes
    shape = _shape(attributes, path)
    form = attributes.get("sampleFormat", "")
    if form not in _TYPES:
        raise FrameFileError(path, f"its pixel type is {form or '(none)'}, not one of {', '.join(_TYPES)}")
    pixel_type = (">" if attributes.get("byteOrder") == "big" else "<") + _TYPES[form]
    position, stored_bytes = _attached(attributes, path)
    if position + stored_bytes > size:
        raise FrameFileError(
            path, f"truncated: its pixels end at byte {position + stored_bytes}, but the file has {size} bytes"
        )
    codec, item_bytes, parts = _compression(attributes, stored_bytes, path)
    needed = shape[0] * shape[1] * np.dtype(pixel_type).itemsize
    described = sum(length for _, length in parts)
    if described != needed:
        raise FrameFileError(
            path, f"damaged: {shape[1]} x {shape[0]} pixels need {needed} bytes, but its header announces {described}"
        )
    require_possible_size(shape, size, path)
    return XisfImage(
        shape,
        pixel_type,
        position,
        stored_bytes,
        codec,
        item_bytes,
        parts,
        _checksum(attributes),
        _scale(attributes, form, path),
        {**_header(element), "BITPIX": _bits(pixel_type), "NAXIS": 2, "NAXIS1": shape[1], "NAXIS2": shape[0]},
    )


def _bits(pixel_type: str) -> int:
    """Return BITPIX of the stored type."""
    dtype = np.dtype(pixel_type)
    return -8 * dtype.itemsize if dtype.kind == "f" else 8 * dtype.itemsize


def _shape(attributes: Mapping[str, str], path: Path) -> tuple[int, int]:
    geometry = attributes.get("geometry", "")
    lengths = _numbers(geometry, ":")
    if len(lengths) != 3 or min(lengths) < 1:  # noqa: PLR2004 - width, height and channels
        raise FrameFileError(path, f"not a valid two-dimensional image: its geometry is {geometry!r}")
    width, height, channels = lengths
    colours = attributes.get("colorSpace", "Gray")
    if channels != 1 or colours != "Gray":
        raise FrameFileError(path, f"it is a colour image ({colours}, {channels} channels): a raw frame has one plane")
    return height, width


def _attached(attributes: Mapping[str, str], path: Path) -> tuple[int, int]:
    """Return the position and the length of the block with the pixels."""
    kind, _, place = attributes.get("location", "").partition(":")
    numbers = _numbers(place, ":")
    if kind != "attachment" or len(numbers) != 2:  # noqa: PLR2004 - position and length
        raise FrameFileError(
            path, f"its pixels are not attached to the header (location {kind!r}): save it as a monolithic file"
        )
    return numbers[0], numbers[1]


def _compression(
    attributes: Mapping[str, str], stored_bytes: int, path: Path
) -> tuple[str, int, tuple[tuple[int, int], ...]]:
    """Return the codec, the number of bytes per shuffled item, and the lengths of the subblocks."""
    text = attributes.get("compression", "")
    if not text:
        return "", 1, ((stored_bytes, stored_bytes),)
    name, _, rest = text.partition(":")
    codec, shuffled, numbers = name.removesuffix("+sh"), name.endswith("+sh"), _numbers(rest, ":")
    if codec not in _PACKAGES or len(numbers) != 1 + shuffled:
        raise FrameFileError(path, f"its compression is {text!r}, not one of {', '.join(_PACKAGES)}")
    package = _PACKAGES[codec]
    if package is not None:
        require_packages(package)
    parts = [_numbers(part, ",") for part in attributes.get("subblocks", "").split(":") if part]
    parts = parts or [[stored_bytes, numbers[0]]]
    if any(len(part) != 2 for part in parts) or sum(part[0] for part in parts) != stored_bytes:  # noqa: PLR2004 - lengths
        raise FrameFileError(path, "damaged: its subblocks do not have the length of its pixels")
    return codec, numbers[1] if shuffled else 1, tuple((part[0], part[1]) for part in parts)


def _checksum(attributes: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name of the algorithm and the digest; None without a checksum, or if XISF lacks the algorithm."""
    name, _, digest = attributes.get("checksum", "").partition(":")
    algorithm = _CHECKSUMS.get(name.lower())
    return None if algorithm is None else (algorithm, digest)


def _scale(attributes: Mapping[str, str], form: str, path: Path) -> float:
    """Return the factor that converts stored values to 16-bit ADU.

    PixInsight maps the range of the stored type to values from 0 to 1, where 1 is 65535 ADU in a 16-bit frame. For
    floats, the attribute `bounds` gives the range.
    """
    if form == "UInt32":
        return FULL_RANGE / (2**32 - 1)
    if not form.startswith("Float") or "bounds" not in attributes:
        return 1.0
    low, _, high = attributes["bounds"].partition(":")
    if float(low) != 0 or not 0 < float(high) < math.inf:
        raise FrameFileError(
            path, f"its values range from {low} to {high}, but those of a frame or a master start at 0"
        )
    return FULL_RANGE / float(high)


def _numbers(text: str, separator: str) -> list[int]:
    """Return the numbers in a text; an empty list if it does not consist of whole numbers."""
    parts = text.split(separator)
    return [int(part) for part in parts] if all(re.fullmatch(r"\d{1,15}", part) for part in parts) else []


def _header(element: _Element) -> dict[str, HeaderValue]:
    """Return the FITS keywords of an image, and the properties for which it has no keyword."""
    header = parse_cards(_cards(element.keywords))
    for name, (keywords, factor) in _OF_PROPERTIES.items():
        value = _property(element.properties.get(name, ""), factor)
        if value is not None and not any(keyword in header for keyword in keywords):
            header[keywords[0]] = value
    kind = element.attributes.get("imageType")
    if kind and "IMAGETYP" not in header and "FRAME" not in header:
        header["IMAGETYP"] = kind
    if element.pattern and "BAYERPAT" not in header and "COLORTYP" not in header:
        header["BAYERPAT"] = element.pattern
    return header


def _cards(keywords: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for attributes in keywords:
        name = attributes.get("name", "").strip().upper()
        if _KEYWORD.fullmatch(name) and not _OF_THE_STRUCTURE.fullmatch(name):
            yield f"{name:<8}= {attributes.get('value', '')} / {attributes.get('comment', '')}"


def _property(text: str, factor: float | None) -> HeaderValue | None:
    text = text.strip()
    if factor is None:
        return text or None
    try:
        number = float(text) * factor
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) else number
