"""The frames of a night in either format: FITS as coldframe writes it, or the raw that the camera delivered."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import STRUCTURAL, HeaderValue
from coldframe.calibration.files.frame_file import read_frame
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import ImageFile, open_image, uint16_pixels
from coldframe.calibration.files.raw_file import SUFFIXES
from coldframe.calibration.files.scratch import scratch_folder

FRAME_SUFFIXES = SUFFIXES | {".fits"}
"""Suffixes of the frames of a night."""


def is_raw(path: Path) -> bool:
    """Return True if the suffix of a file is that of a camera raw."""
    return path.suffix.lower() in SUFFIXES


def frame_files(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the frames in a folder that match a glob pattern, sorted by path; the pattern must allow any suffix."""
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in FRAME_SUFFIXES)


def read_night_frame(path: Path) -> tuple[NDArray[np.uint16], dict[str, HeaderValue]]:
    """Return the pixels and the header of a frame of a night; the header excludes cards about the file's structure.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or is not a raw frame.
    MissingPackageError
        If it is a camera raw, and the package that decodes it is not installed.
    """
    if not is_raw(path):
        return read_frame(path)
    with scratch_folder() as folder:
        return _decoded(open_image(path, folder))


def read_night_pixels(path: Path) -> NDArray[np.uint16]:
    """Return the pixels of a frame of a night; see `read_night_frame`."""
    return read_night_frame(path)[0]


def read_night_header(path: Path) -> dict[str, HeaderValue]:
    """Return the header of a frame of a night, including the cards about the size of the image.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    MissingPackageError
        If it is a camera raw, and the package that decodes it is not installed.
    """
    return read_image_header(path)


def values_at(path: Path, places: NDArray[np.intp]) -> NDArray[np.uint16]:
    """Return the pixels of a frame at the given indices of the flattened image; for FITS, read only these pixels.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    """
    if is_raw(path):
        return read_night_pixels(path).reshape(-1)[places]
    return open_image(path, path.parent).values(places)


def read_delivered(content: bytes, suffix: str) -> tuple[NDArray[np.uint16], dict[str, HeaderValue]]:
    """Return the pixels and the header of a camera raw that is not in a file; see `read_night_frame`.

    Parameters
    ----------
    content
        All bytes of the raw.
    suffix
        Suffix of the camera's files, one of `SUFFIXES`.
    """
    with scratch_folder() as folder:
        path = folder / f"delivered{suffix}"
        try:
            path.write_bytes(content)
        except OSError as error:
            raise FrameFileError(path.name, error.strerror or str(error)) from error
        return _decoded(open_image(path, folder))


def _decoded(image: ImageFile) -> tuple[NDArray[np.uint16], dict[str, HeaderValue]]:
    header = {keyword: value for keyword, value in image.header.items() if keyword not in STRUCTURAL}
    return uint16_pixels(image), header
