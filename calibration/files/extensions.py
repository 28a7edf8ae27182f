"""FITS files with several images, such as one per amplifier: choosing one image, or assembling all into a mosaic."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.damage import damage_reported
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.hdus import read_hdus, whole_number
from coldframe.calibration.files.headers.image_header import is_image, without_pixel_cards
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.files.unpacking import MOST_PIXELS, Extension, require_possible_size

if TYPE_CHECKING:
    from astropy.io.fits import HDUList

_SECTION = re.compile(r"\s*\[\s*(\d{1,6})\s*:\s*(\d{1,6})\s*,\s*(\d{1,6})\s*:\s*(\d{1,6})\s*\]\s*")
_BINNING = re.compile(r"\s*([1-9]\d?)\s+([1-9]\d?)\s*")
_PLACES = ("DETSEC", "CCDSEC")
_IMAGE_SECTIONS = ("DATASEC", "TRIMSEC")
_OF_ONE_AMPLIFIER = frozenset({"DETSEC", "CCDSEC", "AMPSEC", "DATASEC", "TRIMSEC", "BIASSEC", "EXTNAME", "EXTVER"})


def chosen_header(path: Path, extension: Extension) -> dict[str, HeaderValue]:
    """Return the header of one image, merged with the cards of the first HDU; read no pixels.

    Raises
    ------
    FrameFileError
        If the file does not contain this image, or its images cannot be assembled into a mosaic.
    """
    headers = [hdu.header for hdu in read_hdus(path)]
    return _chosen(headers, extension, path)


def _chosen(headers: list[dict[str, HeaderValue]], extension: Extension, path: Path) -> dict[str, HeaderValue]:
    images = [number for number, header in enumerate(headers) if is_image(header)]
    if extension == "mosaic":
        chosen = [headers[number] for number in images if number]
        if not chosen:
            raise FrameFileError(path, "it has no image extensions to assemble")
        height, width = _mosaic_shape(chosen, path)
        return {**_common(headers[0], chosen), "NAXIS1": width, "NAXIS2": height}
    if extension not in images:
        known = ", ".join(map(str, images)) or "none"
        raise FrameFileError(path, f"HDU {extension} is not an image; HDUs with an image: {known}")
    header = headers[extension]
    prefix = "Z" if header.get("ZIMAGE") is True else ""
    size = {axis: header[f"{prefix}{axis}"] for axis in ("NAXIS1", "NAXIS2") if f"{prefix}{axis}" in header}
    return {**without_pixel_cards(headers[0]), **header, **size}


def chosen_image(path: Path, extension: Extension) -> tuple[dict[str, HeaderValue], NDArray[Any]]:
    """Return the header and the pixels of one image in a file, or of the mosaic of all its images.

    A mosaic consists of the image sections (DATASEC or TRIMSEC) of all extensions, at the positions given by DETSEC or
    CCDSEC (NOAO's conventions). If an amplifier reads out from the opposite side, its section is reversed, and its
    image is flipped. The overscan is trimmed, not subtracted.

    Returns
    -------
    header
        As returned by `chosen_header`.
    pixels
        The pixels, shape (height, width): uint8, uint16, int16, int32, uint32, float32 or float64.

    Raises
    ------
    FrameFileError
        If the file cannot be read or does not contain this image, or if its images cannot be assembled.
    """
    from astropy.io import fits  # noqa: PLC0415 - importing it takes 0.3 s, and few files have several images

    with damage_reported(path):
        headers = [hdu.header for hdu in read_hdus(path)]
        header = _chosen(headers, extension, path)
        for each in headers if extension == "mosaic" else [headers[extension]]:
            _require_possible(each, path)
        with open_regular(path) as file, fits.open(file, memmap=False) as units:
            if extension == "mosaic":
                return header, _assembled(units, headers, path)
            return header, _plane(np.asarray(units[extension].data), path)


def _require_possible(header: Mapping[str, HeaderValue], path: Path) -> None:
    """Raise if the file is too short for the image that a header announces."""
    prefix = "Z" if header.get("ZIMAGE") is True else ""
    if is_image(header):
        shape = whole_number(header, f"{prefix}NAXIS2", 0), whole_number(header, f"{prefix}NAXIS1", 0)
        require_possible_size(shape, path.stat().st_size, path)


def _assembled(units: "HDUList", headers: list[dict[str, HeaderValue]], path: Path) -> NDArray[Any]:
    numbers = [number for number, header in enumerate(headers) if number and is_image(header)]
    planes = {number: _plane(np.asarray(units[number].data), path) for number in numbers}
    if len({plane.dtype for plane in planes.values()}) > 1:
        raise FrameFileError(
            path, "its images have pixels of different types, so they cannot be assembled into a mosaic"
        )
    chosen = [headers[number] for number in numbers]
    mosaic = np.zeros(_mosaic_shape(chosen, path), planes[numbers[0]].dtype)
    filled = np.zeros(mosaic.shape, np.bool_)
    left, top = _corner(chosen, path)
    for number, plane in planes.items():
        place = _place(headers[number], path)
        part = plane[_slices(_image_section(headers[number], plane.shape))]
        part = part[:: -1 if place[2] > place[3] else 1, :: -1 if place[0] > place[1] else 1]
        columns, rows = sorted(place[:2]), sorted(place[2:])
        where = slice(rows[0] - top, rows[1] - top + 1), slice(columns[0] - left, columns[1] - left + 1)
        if part.shape != mosaic[where].shape:
            raise FrameFileError(path, f"the image in HDU {number} does not fill its section of the detector {place}")
        if filled[where].any():
            raise FrameFileError(
                path, "the positions of its images (DETSEC) overlap, so they cannot be assembled into a mosaic"
            )
        mosaic[where], filled[where] = part, True
    if not filled.all():
        raise FrameFileError(
            path, "the positions of its images (DETSEC) leave gaps, so they cannot be assembled into a mosaic"
        )
    return mosaic


def _plane(pixels: NDArray[Any], path: Path) -> NDArray[Any]:
    if pixels.ndim < 2 or any(length != 1 for length in pixels.shape[:-2]):  # noqa: PLR2004 - a plane
        raise FrameFileError(path, f"not a valid two-dimensional image: axes {pixels.shape}")
    plane = pixels.reshape(pixels.shape[-2:])
    return plane.astype(plane.dtype.newbyteorder("="))


def _image_section(header: Mapping[str, HeaderValue], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    for keyword in _IMAGE_SECTIONS:
        match = _SECTION.fullmatch(str(header.get(keyword, "")))
        if match is not None:
            left, right, top, bottom = map(int, match.groups())
            return left, right, top, bottom
    return 1, shape[1], 1, shape[0]


def _slices(section: tuple[int, int, int, int]) -> tuple[slice, slice]:
    left, right, top, bottom = section
    return slice(top - 1, bottom), slice(left - 1, right)


def _place(header: Mapping[str, HeaderValue], path: Path) -> tuple[int, int, int, int]:
    """Return the first and last column, and the first and last row, of an image on the detector, counted from 1."""
    for keyword in _PLACES:
        match = _SECTION.fullmatch(str(header.get(keyword, "")))
        if match is not None:
            across, down = _binning(header)
            left, right, top, bottom = map(int, match.groups())
            return (*_binned(left, right, across), *_binned(top, bottom, down))
    raise FrameFileError(path, "its images have no DETSEC or CCDSEC, so their positions on the detector are unknown")


def _binning(header: Mapping[str, HeaderValue]) -> tuple[int, int]:
    """Return the binning of columns and rows; DETSEC counts unbinned pixels (NOAO's conventions)."""
    match = _BINNING.fullmatch(str(header.get("CCDSUM", "1 1")))
    return (int(match[1]), int(match[2])) if match is not None else (1, 1)


def _binned(first: int, last: int, binning: int) -> tuple[int, int]:
    """Return the first and last binned pixel of a section, which may be reversed."""
    return (first - 1) // binning + 1, (last - 1) // binning + 1


def _corner(headers: list[dict[str, HeaderValue]], path: Path) -> tuple[int, int]:
    places = [_place(header, path) for header in headers]
    return min(min(place[:2]) for place in places), min(min(place[2:]) for place in places)


def _mosaic_shape(headers: list[dict[str, HeaderValue]], path: Path) -> tuple[int, int]:
    places = [_place(header, path) for header in headers]
    left, top = _corner(headers, path)
    height, width = (
        max(max(place[2:]) for place in places) - top + 1,
        max(max(place[:2]) for place in places) - left + 1,
    )
    if height * width > MOST_PIXELS:
        raise FrameFileError(path, f"its images would form a mosaic of {width} x {height} pixels, which is too large")
    return height, width


def _common(first: dict[str, HeaderValue], images: list[dict[str, HeaderValue]]) -> dict[str, HeaderValue]:
    """Return the cards that apply to the whole mosaic: the cards of the first HDU, and those that all images share."""
    shared = {
        keyword: value
        for keyword, value in images[0].items()
        if keyword not in _OF_ONE_AMPLIFIER and all(image.get(keyword) == value for image in images)
    }
    return {**without_pixel_cards(first), **shared}
