"""Camera raws, such as CR2 or NEF: the header as FITS cards, and the pixels of the filter array as FITS stores them.

LibRaw, called through the package rawpy, decodes the pixels. They are not demosaiced, and the black level is not
subtracted. Every frame consists of the visible area only. The masked border around it receives no light, so a flat
would have no values there. Other programs also omit the border, so their masters have the same size.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.exif import (
    CFA_PATTERN,
    EXPOSURE_S,
    FOCAL_MM,
    LENS,
    MAKE,
    MODEL,
    ORIENTATION,
    SERIAL,
    Exif,
    read_exif,
)
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import RAW_SUFFIXES
from coldframe.calibration.files.raws.sidecar import read_sidecar
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.scratch import require_room
from coldframe.calibration.files.unpacking import (
    FORMS,
    Reader,
    decoded,
    form_of,
    new_file,
    require_packages,
    require_possible_size,
    stored_form,
)

SUFFIXES = RAW_SUFFIXES

_BAND_ROWS = 256
_WORKING_FRAMES = 3
"""Memory that LibRaw and its decoders may need, in multiples of the size of a 16-bit frame."""

_MOST_SENSOR_PIXELS = 300_000_000
"""Maximum number of pixels of a sensor, twice that of the largest sensors; the memory limit depends on it."""


class _Look(NamedTuple):
    """The properties of the pixels of a file, according to LibRaw.

    Attributes
    ----------
    shape
        Height and width of the visible area.
    pattern
        Colours of the filter array from the first visible pixel, row by row; "" without an array.
    exposure_s, iso
        Exposure time and ISO value; 0 if unknown.
    """

    shape: tuple[int, int]
    pattern: str
    exposure_s: float
    iso: float


known_looks: dict[tuple[object, ...], _Look] = {}
"""The properties of the first file from each camera, keyed by the values that all files from the camera share."""


def read_raw_header(path: Path) -> dict[str, HeaderValue]:
    """Return the header of a camera raw, with the size of the visible area in NAXIS1 and NAXIS2.

    The cards of a file that describes the raw take precedence over the camera's own tags; see `sidecar`.

    LibRaw can describe the filter array only after decoding the pixels, which can take a second. This is done only for
    the first file of each camera and size, and for files whose tags lack the exposure time or the ISO value, or give 0.

    Raises
    ------
    FrameFileError
        If the file is damaged, or has several colours in each pixel.
    MissingPackageError
        If rawpy is not installed.
    OSError
        If the file cannot be read.
    """
    require_packages("rawpy")
    exif = read_exif(path)
    sizes = ask_libraw(path, [0, 0], None)["sizes"]
    common = exif.values.get(MAKE), exif.values.get(MODEL), exif.values.get(CFA_PATTERN), tuple(sizes)
    look = known_looks.get(common)
    if look is None or not exif.number(EXPOSURE_S) or not exif.iso:
        look = known_looks[common] = _look(ask_libraw(path, sizes[:2], None))
    return _header(exif, look) | _described(path)


def unpack_raw(path: Path, folder: Path) -> tuple[dict[str, HeaderValue], Path, int, int]:
    """Write the visible pixels of a camera raw to a new file in a folder.

    Returns
    -------
    header, stored, bits, zero
        The header as returned by `read_raw_header`, the new file, and the BITPIX and BZERO of its pixels.

    Raises
    ------
    FrameFileError
        As for `read_raw_header`, or if the disk has no room.
    MissingPackageError
        If rawpy is not installed.
    OSError
        If the file cannot be read.
    """
    require_packages("rawpy")
    exif = read_exif(path)
    sizes = ask_libraw(path, [0, 0], None)["sizes"]
    require_room(folder, sizes[2] * sizes[3] * 2, path)
    copy = new_file(folder)
    look = _look(ask_libraw(path, sizes[:2], copy))
    bits, zero = FORMS["uint16"]
    if copy.stat().st_size != look.shape[0] * look.shape[1] * 2:
        raise FrameFileError(path, "damaged: its visible area extends beyond its pixels")
    return _header(exif, look) | _described(path), copy, bits, zero


def _described(path: Path) -> dict[str, HeaderValue]:
    sidecar = read_sidecar(path)
    return {} if sidecar is None else sidecar.cards


def ask_libraw(path: Path, sensor: list[int], copy: Path | None) -> dict[str, Any]:
    """Open a file with LibRaw, decode its pixels unless the size of the sensor is given as 0, and return the answer."""
    height, width = sensor
    if height * width:
        require_possible_size((height, width), path.stat().st_size, path)
    request = {"decode": height * width > 0, "copy": None if copy is None else str(copy.absolute())}
    return decoded(path, Reader.RAW, request, working_bytes=_WORKING_FRAMES * 2 * height * width, pixels=height * width)


def decode_raw(path: Path, request: Mapping[str, Any]) -> dict[str, object]:
    """Open a raw and, if requested, decode its pixels; this runs in the resource-limited process.

    Returns
    -------
    sizes
        Height and width of the sensor; height, width, first row and first column of its visible area.
    pattern, exposure_s, iso
        Colours of the filter array, exposure time and ISO value; only if the pixels were decoded.

    Raises
    ------
    FrameFileError
        If LibRaw cannot read the file, or the file is damaged or has several colours in each pixel.
    """
    import rawpy  # noqa: PLC0415 - an optional package, imported before the fork

    # rawpy accepts only ASCII names; in /proc, the name of an open file is always ASCII.
    with open_regular(path) as file, rawpy.RawPy() as raw:
        try:
            raw.open_file(f"/proc/self/fd/{file.fileno()}")
        except rawpy.LibRawError as error:
            raise FrameFileError(path, f"not a camera raw that LibRaw can read ({_text(error)})") from error
        sizes = raw.sizes
        visible = sizes.height, sizes.width, sizes.top_margin, sizes.left_margin
        answer: dict[str, object] = {"sizes": (sizes.raw_height, sizes.raw_width, *visible)}
        if sizes.raw_height * sizes.raw_width > _MOST_SENSOR_PIXELS or min(sizes.height, sizes.width) < 1:
            raise FrameFileError(path, f"damaged: it announces {sizes.raw_width} x {sizes.raw_height} pixels")
        if not request["decode"]:
            return answer
        try:
            raw.unpack()
        except rawpy.LibRawError as error:
            raise FrameFileError(path, f"truncated or damaged: {_text(error)}") from error
        if raw.raw_type is not rawpy.RawType.Flat:
            raise FrameFileError(
                path, "it has several colours in each pixel (sRAW, linear DNG or Foveon): save full raws"
            )
        if request["copy"] is not None:
            pixels = raw.raw_image_visible
            with Path(request["copy"]).open("wb") as copy:
                for top in range(0, pixels.shape[0], _BAND_ROWS):
                    rows = pixels[top : top + _BAND_ROWS]
                    copy.write(stored_form(rows, form_of(rows, path)))
        pattern = _pattern(raw.raw_pattern, raw.color_desc, sizes.top_margin, sizes.left_margin)
        return answer | {"pattern": pattern, "exposure_s": raw.other.shutter_speed, "iso": raw.other.iso_speed}


def _pattern(colours: NDArray[np.uint8] | None, names: bytes, top: int, left: int) -> str:
    """Return the letters of a filter array from the first visible pixel; "" for a sensor without one."""
    if colours is None or len(colours) == 1:
        return ""
    visible = np.roll(colours, (-(top % len(colours)), -(left % len(colours))), (0, 1))
    return "".join(chr(names[colour]) for colour in visible.reshape(-1))


def _text(error: Exception) -> str:
    """Return the message of LibRaw, which rawpy passes on as bytes."""
    what = error.args[0] if error.args else ""
    return what.decode("ascii", "replace") if isinstance(what, bytes) else str(what)


def _look(answer: Mapping[str, Any]) -> _Look:
    _, _, height, width, _, _ = answer["sizes"]
    return _Look((height, width), answer["pattern"], answer["exposure_s"], answer["iso"])


def _header(exif: Exif, look: _Look) -> dict[str, HeaderValue]:
    exposure_s = exif.number(EXPOSURE_S) or _rounded(look.exposure_s)
    orientation = exif.number(ORIENTATION)
    values: dict[str, HeaderValue | None] = {
        "INSTRUME": exif.camera,
        "EXPTIME": exposure_s if exposure_s > 0 else None,
        "ISOSPEED": _whole(exif.iso or look.iso) or None,
        "XBINNING": 1,
        "YBINNING": 1,
        "CCD-TEMP": exif.sensor_c,
        "DATE-OBS": None if exif.taken_at is None else exif.taken_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "FOCALLEN": exif.number(FOCAL_MM) or None,
        "LENS": exif.text(LENS),
        "SERIALNO": exif.text(SERIAL),
        "ORIENTAT": None if orientation is None else int(orientation),
        "BAYERPAT": look.pattern or None,
        "ROWORDER": "TOP-DOWN",
        "NAXIS1": look.shape[1],
        "NAXIS2": look.shape[0],
    }
    return {keyword: value for keyword, value in values.items() if value is not None}


def _rounded(value: float) -> float:
    """Round a 32-bit float from LibRaw to its significant digits."""
    return float(f"{value:.6g}")


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value
