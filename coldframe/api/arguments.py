"""Check and convert the arguments of the API's functions before any work begins."""

import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import TypeAlias

from coldframe.calibration.files.unpacking import Extension

AnyPath: TypeAlias = str | os.PathLike[str]
"""A path; ``~`` at its start stands for the home folder."""

Files: TypeAlias = AnyPath | Iterable[AnyPath]
"""A file, a folder (the images directly in it) or a pattern such as ``"darks/*.fits"``, or several of these."""


def path_of(path: AnyPath) -> Path:
    """Return a path with ``~`` expanded.

    Raises
    ------
    ValueError
        If the path begins with ``~`` and the name of a user who has no home folder on this machine.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: no user of this name has a home folder here") from error


def optional_path(path: AnyPath | None) -> Path | None:
    """Return a path with ``~`` expanded, or None if there is no path."""
    return None if path is None else path_of(path)


def names_of(files: Files) -> list[str]:
    """Return the names of files, folders and patterns.

    Raises
    ------
    ValueError
        If `files` is empty.
    """
    given = [files] if isinstance(files, str | os.PathLike) else files
    names = [str(path_of(each)) for each in given]
    if not names:
        raise ValueError("no files: specify at least one file, folder or pattern")
    return names


def one_of(name: str, value: str | None, allowed: Sequence[str], *, is_optional: bool = True) -> None:
    """Raise `ValueError` unless an argument is one of the allowed words or, if it is optional, None."""
    if value not in allowed and not (is_optional and value is None):
        more = ", or None" if is_optional else ""
        raise ValueError(f"{name} = {value!r}: expected one of {', '.join(map(repr, allowed))}{more}")


def words_of(name: str, words: Sequence[str]) -> tuple[str, ...]:
    """Return an argument, a sequence of strings, as a tuple.

    Raises
    ------
    TypeError
        If the argument is a string, or contains anything but strings.
    """
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{name} = {words!r}: expected a sequence of strings, such as {name}=['flats:Ha']")
    return tuple(words)


def within(name: str, value: float | None, lowest: float, highest: float) -> None:
    """Raise an error unless an argument is None or a number in its range.

    Raises
    ------
    TypeError
        If the argument is not a number.
    ValueError
        If the argument is outside the range, or NaN.
    """
    if value is None:
        return
    expected = f"{name} = {value!r}: expected a number from {lowest:g} to {highest:g}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(expected)
    if not lowest <= value <= highest:
        raise ValueError(expected)


def image_choice(extension: int | str | None) -> Extension | None:
    """Return which image to read from files with several images.

    Raises
    ------
    ValueError
        If `extension` is neither the number of an HDU, nor ``"mosaic"``, nor None.
    """
    if extension is None or extension == "mosaic":
        return None if extension is None else "mosaic"
    if isinstance(extension, int) and not isinstance(extension, bool) and extension >= 0:
        return extension
    raise ValueError(f"extension = {extension!r}: expected the number of an HDU, counted from 0, or 'mosaic'")
