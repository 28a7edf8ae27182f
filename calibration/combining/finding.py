"""The search for the files that a user specifies by path, folder or pattern."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from coldframe.calibration.files.headers.image_header import SUFFIXES, UNREAD_FORMATS
from coldframe.errors import ColdframeError


class NothingFoundError(ColdframeError):
    """A name matches no file; the message contains the name and the reason."""


def find_files(names: Iterable[str]) -> list[Path]:
    """Return the given files, the images in given folders, and the files that match patterns, without duplicates.

    Images are FITS files, XISF files and camera raws.

    Raises
    ------
    NothingFoundError
        If a name matches no file.
    """
    found: dict[Path, Path] = {}
    for name in names:
        try:
            for file in _files_named(name):
                found.setdefault(file.resolve(), file)
        except OSError as error:
            raise NothingFoundError(f"{name}: {error.strerror or error}") from error
        except (ValueError, RuntimeError) as error:  # the pattern is malformed; links form a loop
            raise NothingFoundError(f"{name}: {error}") from error
    return list(found.values())


def _files_named(name: str) -> list[Path]:
    """Return the files that a name refers to."""
    path = Path(name)
    if not name:
        raise NothingFoundError("a file name is empty: use '.' for the current folder")
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
        if not files:
            raise NothingFoundError(f"{name}: no FITS, XISF or camera raw files in this folder{_instead(path)}")
        return files
    if path.exists() or not set(name) & set("*?["):
        return [path]
    files = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
    if not files:
        raise NothingFoundError(f"{name}: no file matches this pattern")
    return files


def _instead(folder: Path) -> str:
    """Return advice to the user about a folder that contains no readable images."""
    others = Counter(UNREAD_FORMATS.get(file.suffix.lower()) for file in folder.iterdir())
    unread = ", ".join(f"{count} {name}" for name, count in others.items() if name is not None)
    below = "; specify its subfolders instead" if any(each.is_dir() for each in folder.iterdir()) else ""
    return below + (
        f"; it contains files in formats that cannot be read ({unread}): convert them to FITS" if unread else ""
    )
