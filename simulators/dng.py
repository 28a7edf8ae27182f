"""Camera raws of simulated DSLRs: uncompressed DNG files with the tags that LibRaw needs."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ASCII, BYTE, SHORT, LONG, RATIONAL, SIGNED_RATIONAL = 2, 1, 3, 4, 5, 10
_FORMS = {ASCII: "s", BYTE: "B", SHORT: "H", LONG: "I", RATIONAL: "II", SIGNED_RATIONAL: "ii"}
_INLINE_BYTES = 4
COLOURS = {"R": 0, "G": 1, "B": 2}

Entry = tuple[int, int, Sequence[int] | str | bytes]


def dng_file(
    pixels: NDArray[np.uint16],
    *,
    pattern: str | None = "RGGB",
    iso: int = 800,
    exposure: tuple[int, int] = (30, 1),
    taken: str = "2026:11:20 22:10:05",
    zone: str | None = "+00:00",
    subsecond: str | None = None,
    model: str = "Coldframe D1",
    active: tuple[int, int, int, int] | None = None,
    claimed: tuple[int, int] | None = None,
    samples: int = 1,
    extra: Sequence[Entry] = (),
) -> bytes:
    """Return sensor data as a DNG file.

    Parameters
    ----------
    pixels
        uint16, shape (height, width), or (height, width, samples).
    pattern
        Colours of the filter array, row by row; None for a sensor without one.
    iso, exposure
        ISO value, and exposure in seconds as a fraction.
    taken, zone, subsecond
        Start of the exposure according to the camera's clock, the offset of the clock from UTC, and the fraction of a
        second; None for a value that the camera does not write.
    model
        Model of the camera.
    active
        Visible area (top, left, bottom, right); None if it is the whole sensor.
    claimed
        Height and width in the header, if they differ from those of the pixels.
    samples
        Number of values per pixel.
    extra
        Further entries of the image's directory: tag, form and values.
    """
    height, width = claimed or pixels.shape[:2]
    exif: list[Entry] = [
        (33434, RATIONAL, exposure),
        (34855, SHORT, [iso]),
        (36867, ASCII, taken),
        (37386, RATIONAL, [500, 1]),
        (42033, ASCII, "1234567"),
        (42036, ASCII, "Refractor 500"),
    ]
    if zone is not None:
        exif.append((36881, ASCII, zone))
    if subsecond is not None:
        exif.append((37521, ASCII, subsecond))
    image: list[Entry] = [
        (254, LONG, [0]),
        (256, LONG, [width]),
        (257, LONG, [height]),
        (258, SHORT, [16] * samples),
        (259, SHORT, [1]),
        (262, SHORT, [34892 if samples > 1 else 34892 if pattern is None else 32803]),
        (271, ASCII, "Coldframe"),
        (272, ASCII, model),
        (274, SHORT, [1]),
        (277, SHORT, [samples]),
        (278, LONG, [height]),
        (279, LONG, [pixels.nbytes]),
        (284, SHORT, [1]),
        (50706, BYTE, [1, 4, 0, 0]),
        (50708, ASCII, model),
        (50714, SHORT, [0]),
        (50717, LONG, [65535]),
        (50721, SIGNED_RATIONAL, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]),
        (50728, RATIONAL, [1, 1, 1, 1, 1, 1]),
        *extra,
    ]
    if pattern is not None:
        side = int(len(pattern) ** 0.5)
        image += [(33421, SHORT, [side, side]), (33422, BYTE, [COLOURS[each] for each in pattern])]
    if active is not None:
        image.append((50829, LONG, active))
    exif_at = 8 + _length([*image, (273, LONG, [0]), (34665, LONG, [0])])
    data_at = exif_at + _length(exif)
    image += [(273, LONG, [data_at]), (34665, LONG, [exif_at])]
    directories = _directory(image, 8) + _directory(exif, exif_at)
    return b"II*\0" + struct.pack("<I", 8) + directories + pixels.astype("<u2").tobytes()


def _length(entries: Sequence[Entry]) -> int:
    return len(_directory(entries, 0))


def _directory(entries: Sequence[Entry], at: int) -> bytes:
    head, tail = struct.pack("<H", len(entries)), b""
    tail_at = at + 2 + 12 * len(entries) + 4
    for tag, form, values in sorted(entries, key=lambda entry: entry[0]):
        if isinstance(values, str):
            text = values.encode() + b"\0"
            count = len(text)
        elif isinstance(values, bytes):
            text, count = values, len(values)
        else:
            text = struct.pack(f"<{len(values)}{_FORMS[form][0]}", *values)
            count = len(values) // len(_FORMS[form])
        if len(text) <= _INLINE_BYTES:
            head += struct.pack("<HHI", tag, form, count) + text.ljust(4, b"\0")
        else:
            head += struct.pack("<HHII", tag, form, count, tail_at + len(tail))
            tail += text + b"\0" * (len(text) % 2)
    return head + struct.pack("<I", 0) + tail
