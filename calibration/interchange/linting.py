"""Judge how a program would treat files; list the files in a folder or in a planned export."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES, SUFFIXES, read_image_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.interchange.groups import Group, groups_of
from coldframe.calibration.interchange.judged import Judged, Trap
from coldframe.calibration.interchange.layouts import Form, Plan
from coldframe.calibration.interchange.programs.model import Program
from coldframe.calibration.interchange.reading import Candidate, Seen, seen_by
from coldframe.calibration.interchange.traps import traps_of

_WORDS = 16
_SAMPLED_ROWS = 16


@dataclass(frozen=True, slots=True)
class Lint:
    """How a program would treat files.

    Attributes
    ----------
    program
        Rules of the program.
    seen
        Each file as the program sees it.
    groups
        Groups into which the program sorts the files.
    traps
        Traps that the user should know about in advance.
    """

    program: Program
    seen: tuple[Seen, ...]
    groups: tuple[Group, ...]
    traps: tuple[Trap, ...]


def lint(program: Program, files: Iterable[Candidate], keywords: tuple[str, ...] = ()) -> Lint:
    """Judge files according to the rules of a program.

    Parameters
    ----------
    program
        The rules.
    files
        The files that the user would load into the program.
    keywords
        Grouping keywords that are set in WBPP.
    """
    seen = tuple(seen_by(program, file, keywords) for file in sorted(files, key=lambda file: file.path))
    groups = tuple(groups_of(program, seen))
    return Lint(program, seen, groups, tuple(traps_of(Judged(program, seen, groups))))


def candidates_of(folder: Path) -> tuple[list[Candidate], list[FrameFileError]]:
    """Return all images in a folder and its subfolders, and the errors about images that cannot be read."""
    found, errors = [], []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        try:
            found.append(candidate_of(path))
        except FrameFileError as error:
            errors.append(error)
    return found, errors


def candidate_of(path: Path) -> Candidate:
    """Return a file in the form in which it is judged.

    Raises
    ------
    FrameFileError
        If its header cannot be read.
    """
    absolute = path.absolute()
    header = read_image_header(path)
    return Candidate(absolute, header, _highest(path, header.get("BITPIX")))


def _highest(path: Path, bits: object) -> float | None:
    """Return the highest value in the middle rows of a floating-point image, to distinguish fractions from ADU."""
    if path.suffix.lower() not in PLAIN_SUFFIXES or not isinstance(bits, int) or bits > 0:
        return None
    with scratch_folder() as folder:  # a file can be compressed regardless of its suffix
        image = open_image(path, folder)
        middle = image.shape[0] // 2
        highest = float(np.max(image.rows(middle, min(middle + _SAMPLED_ROWS, image.shape[0]))))
    return highest if np.isfinite(highest) else None


def planned_files(plan: Plan, folder: Path) -> tuple[list[Candidate], list[FrameFileError]]:
    """Return the files of a planned export as the program will see them, and the errors about unreadable files."""
    files, errors = [], []
    for placed in plan.files:
        try:
            source = candidate_of(placed.source)
        except FrameFileError as error:
            errors.append(error)
            continue
        target = (folder / placed.target).absolute()
        header = dict(source.header)
        if placed.form is Form.WORDS:
            header["BITPIX"] = _WORDS
        files.append(Candidate(target, header, source.highest if placed.form is Form.AS_IT_IS else None))
    return files, errors
