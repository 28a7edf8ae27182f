"""The files that a user means by names, folders and patterns."""

from collections.abc import Iterable
from pathlib import Path

from coldframe.calibration.files.image_file import SUFFIXES
from coldframe.errors import ColdframeError


class NothingFoundError(ColdframeError):
    """A name stands for no file."""


def find_files(names: Iterable[str]) -> list[Path]:
    """Return the files that are meant: files as named, FITS files of folders, matches of patterns; each once.

    Raises
    ------
    NothingFoundError
        If a name leads to nothing.
    """
    found: dict[Path, Path] = {}
    for name in names:
        try:
            for file in _meant_by(name):
                found.setdefault(file.resolve(), file)
        except OSError as error:
            raise NothingFoundError(f"{name}: {error.strerror or error}") from error
        except (ValueError, RuntimeError) as error:  # of a malformed pattern; of links that lead to each other
            raise NothingFoundError(f"{name}: {error}") from error
    return list(found.values())


def _meant_by(name: str) -> list[Path]:
    """Return the files that one name stands for."""
    path = Path(name)
    if not name:
        raise NothingFoundError("an empty name among the files: '.' is the folder you are in")
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not files:
            below = "; name the folders in it instead" if any(each.is_dir() for each in path.iterdir()) else ""
            raise NothingFoundError(f"{name}: no FITS files in this folder ({', '.join(sorted(SUFFIXES))}){below}")
        return files
    if path.exists() or not set(name) & set("*?["):
        return [path]
    files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    if not files:
        raise NothingFoundError(f"{name}: nothing matches this pattern")
    return files
