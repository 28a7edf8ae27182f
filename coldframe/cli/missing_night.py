"""The error message for a name or path that is not a night, with the nights that exist."""

from contextlib import suppress
from pathlib import Path

from coldframe.capture.storage.night_folder import nights_from_newest

MOST_NIGHTS = 5


def missing_night(night: Path, searched: Path | None = None) -> str:
    """Return a message that says that a path is not a night, and that lists the newest nights nearby.

    Parameters
    ----------
    night
        The path.
    searched
        The folder whose nights are listed; None for the nearest existing folder that contains `night`.
    """
    if night.is_file():
        return f"{night} is a file; specify the folder of a night"
    place = searched or next((each for each in night.absolute().parents if each.is_dir()), Path("/"))
    nights: list[Path] = []
    with suppress(OSError):  # a folder that cannot be read has no nights to choose from
        nights = nights_from_newest(place)
    listed = ", ".join(each.name for each in nights[:MOST_NIGHTS]) + (", ..." if len(nights) > MOST_NIGHTS else "")
    problem = f"{night}: no night with a journal here" if night.is_dir() else f"{night}: no such night"
    return f"{problem}; {place} contains {f'the nights {listed}' if nights else 'no nights'}"
