"""The header of the image in a file, read without the pixels.

FITS headers are read without NumPy, because importing it takes as long as reading 500 headers. Commands that look at
many files read headers through the index (`image_headers`).
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.hdus import Hdu, read_hdus, read_second_header
from coldframe.calibration.files.headers.index import HeaderIndex, opened_index

if TYPE_CHECKING:
    from coldframe.calibration.files.unpacking import Extension

XISF_SUFFIX = ".xisf"
RAW_SUFFIXES = frozenset({".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".dng", ".rw2", ".pef"})
PLAIN_SUFFIXES = frozenset({".fits", ".fit", ".fts"})
_PACKED_SUFFIXES = frozenset({".fz", ".gz"})
SUFFIXES = PLAIN_SUFFIXES | _PACKED_SUFFIXES | {XISF_SUFFIX} | RAW_SUFFIXES
"""Suffixes of the files that are read from a folder."""

UNREAD_FORMATS = dict.fromkeys((".tif", ".tiff"), "TIFF")
"""Formats of frames that coldframe does not read, by the suffix of the file."""

_OF_THE_PIXELS = frozenset({"BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "BZERO", "BSCALE", "BLANK", "DATAMIN", "DATAMAX"})
_COMPANIONS = frozenset(
    {"UNCERT", "COUNTS", "MASK", "ERR", "ERROR", "ERRORS", "SIGMA", "VAR", "VARIANCE", "DQ", "BPM", "WHT", "WEIGHT"}
    | {"THUMBNAIL", "PREVIEW", "CONFIDENCE", "EXPOSUREMAP"}
)
"""Names of extensions that describe the pixels of an image in another HDU."""


def without_packed_copies(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files without the compressed copies that gzip or fpack left next to them, and a list of these copies.

    The order of the files is kept. A copy is recognised by its name, such as light.fits.fz next to light.fits.
    """
    every = dict.fromkeys(paths)
    copies = [path for path in every if path.suffix.lower() in _PACKED_SUFFIXES and path.with_suffix("") in every]
    return [path for path in every if path not in copies], copies


def require_known_format(path: Path) -> None:
    """Raise if the suffix of a file belongs to a format that coldframe does not read.

    Raises
    ------
    FrameFileError
        If coldframe does not read the format of the file; the error states the format.
    """
    format_name = UNREAD_FORMATS.get(path.suffix.lower())
    if format_name is not None:
        raise FrameFileError(
            path, f"{format_name} files are not supported: specify the camera raw, or convert the file to FITS"
        )


def read_image_header(path: Path, extension: "Extension | None" = None) -> dict[str, HeaderValue]:
    """Return the header of the image that `open_image` opens, with its size in NAXIS1 and NAXIS2; read no pixels.

    Raises
    ------
    FrameFileError
        If the file cannot be read, contains no two-dimensional image, or contains several and `extension` is None.
    MissingPackageError
        If the format needs a package that is not installed.
    """
    require_known_format(path)
    with damage_reported(path):
        if not is_fits(path):
            require_no_extension(path, extension)
            return _foreign_header(path)
        if extension is not None:
            from coldframe.calibration.files.extensions import chosen_header  # noqa: PLC0415 - needs NumPy

            return chosen_header(path, extension)
        header, _ = merged_header(path)
        height, width = plane_shape(header, "Z" if header.get("ZIMAGE") is True else "", path)
        return {**header, "NAXIS1": width, "NAXIS2": height}


def _foreign_header(path: Path) -> dict[str, HeaderValue]:
    """Return the header of an image in an XISF file or a camera raw."""
    from coldframe.calibration.files import raw_file, xisf_file  # noqa: PLC0415 - need NumPy

    is_xisf = path.suffix.lower() == XISF_SUFFIX
    return xisf_file.read_xisf(path).header if is_xisf else raw_file.read_raw_header(path)


def image_headers() -> AbstractContextManager[HeaderIndex]:
    """Open the index through which commands that look at many files read headers, as `read_image_header` does."""
    return opened_index(read_image_header, RAW_SUFFIXES)


def merged_header(path: Path) -> Hdu:
    """Return the header of the first HDU with data, merged with the cards of the first HDU, and the data's offset."""
    hdus = read_hdus(path)
    require_one_image(hdus, path)
    header, data_start = hdus[0]
    if header.get("NAXIS") != 0:
        if header.get("ZIMAGE") is True:
            raise FrameFileError(path, "damaged: the first HDU of a file cannot be compressed in tiles (ZIMAGE)")
        return hdus[0]
    extension, data_start = hdus[1] if len(hdus) > 1 else read_second_header(path, data_start)
    if extension.get("XTENSION") != "IMAGE" and extension.get("ZIMAGE") is not True:
        raise FrameFileError(path, "neither the first nor the second HDU holds an image")
    return Hdu({**without_pixel_cards(header), **extension}, data_start)


def require_one_image(hdus: list[Hdu], path: Path) -> None:
    """Raise if a file holds several images; extensions with the uncertainty or the mask of an image do not count.

    Raises
    ------
    FrameFileError
        If the file holds several images; the error states their number and how to choose one.
    """
    images = [number for number, (header, _) in enumerate(hdus) if is_image(header) and not _is_companion(header)]
    if len(images) > 1:
        numbers = ", ".join(map(str, images))
        raise FrameFileError(
            path,
            f"it holds {len(images)} images (HDU {numbers}): combine, calibrate and inspect take one with --extension "
            "N, or the assembled images of one detector with --extension mosaic",
        )


def without_pixel_cards(first: Mapping[str, HeaderValue]) -> dict[str, HeaderValue]:
    """Return the cards of a first HDU that also apply to an image in an extension, excluding cards about pixels."""
    return {keyword: value for keyword, value in first.items() if keyword not in _OF_THE_PIXELS}


def _is_companion(header: Mapping[str, HeaderValue]) -> bool:
    return "XTENSION" in header and str(header.get("EXTNAME", "")).strip().upper() in _COMPANIONS


def is_image(header: Mapping[str, HeaderValue]) -> bool:
    """Return True if an HDU holds an image with two or more axes; the image may be compressed in tiles."""
    if header.get("ZIMAGE") is True:
        return True
    is_plane = isinstance(axes := header.get("NAXIS"), int) and axes >= 2  # noqa: PLR2004 - two axes
    return (
        is_plane
        and header.get("XTENSION", "IMAGE") == "IMAGE"
        and all(header.get(f"NAXIS{axis}") != 0 for axis in (1, 2))
    )


def is_fits(path: Path) -> bool:
    """Return whether a file is read as FITS: False if its suffix belongs to a different format."""
    return path.suffix.lower() not in RAW_SUFFIXES | {XISF_SUFFIX}


def require_no_extension(path: Path, extension: "Extension | None") -> None:
    """Raise `FrameFileError` if an extension was chosen, although the file is not FITS."""
    if extension is not None:
        raise FrameFileError(path, "only FITS files have extensions: leave out --extension")


def plane_shape(header: Mapping[str, HeaderValue], prefix: str, path: Path) -> tuple[int, int]:
    """Return the height and the width of an image; the prefix is "Z" for an image in tiles.

    Raises
    ------
    FrameFileError
        If the image is not two-dimensional or its lengths are not valid.
    """
    count = int(number_of(header, f"{prefix}NAXIS", -1, path))
    lengths = [number_of(header, f"{prefix}NAXIS{axis}", 0, path) for axis in range(1, min(count, 9) + 1)]
    axes = [int(length) for length in lengths]
    if not all(length == int(length) for length in lengths):
        raise FrameFileError(path, f"not a valid two-dimensional image: lengths {lengths}")
    if count < 2 or min(axes) < 1 or any(length > 1 for length in axes[2:]):  # noqa: PLR2004 - a plane
        raise FrameFileError(path, f"not a valid two-dimensional image: NAXIS {count}, lengths {axes}")
    return axes[1], axes[0]


def number_of(header: Mapping[str, HeaderValue], keyword: str, default: float, path: Path) -> float:
    """Return the value of a card about the pixels; raise `FrameFileError` if it is not a number."""
    value = header.get(keyword, default)
    if isinstance(value, str | bool):
        raise FrameFileError(path, f"{keyword} = {value!r} is not a number, so the pixels cannot be read")
    return value
