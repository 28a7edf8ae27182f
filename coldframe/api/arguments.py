"""The arguments of the API's functions, checked before any work begins."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from coldframe.calibration.files.unpacking import Extension

AnyPath: TypeAlias = str | os.PathLike[str]
"""A path; ``~`` at its start stands for the home folder."""

Files: TypeAlias = AnyPath | Iterable[AnyPath]
"""A file, a folder (the images directly in it) or a pattern such as ``"darks/*.fits"``, or several of them."""


def path_of(path: AnyPath) -> Path:
    """Return a path with ``~`` expanded."""
    return Path(path).expanduser()


def optional_path(path: AnyPath | None) -> Path | None:
    """Return a path with ``~`` expanded; None for None."""
    return None if path is None else path_of(path)


def names_of(files: Files) -> list[str]:
    """Return the names of files, folders and patterns.

    Raises
    ------
    ValueError
        If there are none.
    """
    given = [files] if isinstance(files, str | os.PathLike) else files
    names = [str(path_of(each)) for each in given]
    if not names:
        raise ValueError("no files: name at least one file, folder or pattern")
    return names


def one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    """Raise `ValueError` if an argument is neither None nor one of the allowed words."""
    if value is not None and value not in allowed:
        raise ValueError(f"{name} = {value!r}: expected one of {', '.join(map(repr, allowed))}, or None")


def within(name: str, value: float | None, lowest: float, highest: float) -> None:
    """Raise `ValueError` if an argument is a number outside its range, or not a number."""
    if value is not None and not lowest <= value <= highest:
        raise ValueError(f"{name} = {value!r}: expected a number from {lowest:g} to {highest:g}")


def image_choice(extension: int | str | None) -> Extension | None:
    """Return the image to take from files with several images.

    Raises
    ------
    ValueError
        If it is neither the number of an HDU nor ``"mosaic"``.
    """
    if extension is None or extension == "mosaic":
        return None if extension is None else "mosaic"
    if isinstance(extension, int) and not isinstance(extension, bool) and extension >= 0:
        return extension
    raise ValueError(f"extension = {extension!r}: expected the number of an HDU, counted from 0, or 'mosaic'")
