"""The files of an export: links, copies, and masters converted for programs that cannot read 32-bit floats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import Buffer, link_durably, make_folder_durably, write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import other_cards
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.interchange.layouts import Form, Placed, Plan
from coldframe.calibration.interchange.notes import note
from coldframe.calibration.interchange.xisf import xisf_content
from coldframe.calibration.masters.reading import read_master
from coldframe.config.frames import FrameKind
from coldframe.errors import MissingPackageError

README = "README.txt"

_COMPARED_AT_ONCE = 1 << 24
_HIGHEST = 65535
_FLAT_LEVEL = 0.5
"""Intended mean of a converted master flat, as a fraction of the largest value that a file can contain. Programs divide
a flat by its mean."""

_OUTLIERS = 0.001
"""Maximum fraction of a flat's pixels that are clipped."""

_IMAGE_TYPES = {
    FrameKind.BIAS: "MasterBias",
    FrameKind.DARK: "MasterDark",
    FrameKind.DARK_FLAT: "MasterDark",
    FrameKind.FLAT: "MasterFlat",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export.

    Attributes
    ----------
    made
        The new files, excluding the README.
    differing
        Existing files with different contents, each with the file that would have been exported to this path. The
        existing files were kept.
    left_out
        Masters and raw frames that could not be exported, each with the reason.
    outdated_readme
        A README from an earlier export that was kept although its text differs from the new text; otherwise, None.
    """

    made: list[Path] = field(default_factory=list)
    differing: list[tuple[Path, Path]] = field(default_factory=list)
    left_out: list[tuple[Path, str]] = field(default_factory=list)
    outdated_readme: Path | None = None


def export(plan: Plan, program: str, folder: Path) -> Exported:
    """Write the files of a plan and a README, without overwriting existing files.

    The README lists the settings to change in the program.

    Raises
    ------
    NotDurableError
        If a file could not be created.
    OSError
        If the folder cannot be searched.
    """
    exported = Exported()
    for placed in plan.files:
        path = folder / placed.target
        exists = _exists(path)
        try:
            if not exists:
                _write(placed, path)
                exported.made.append(path)
            elif not _has_content(placed, path):
                exported.differing.append((path, placed.source))
        except FrameFileError as error:
            exported.left_out.append((placed.source, error.what))
        except MissingPackageError as error:
            exported.left_out.append((placed.source, str(error)))
        except OSError as error:  # the source can be neither linked nor copied
            exported.left_out.append((placed.source, error.strerror or str(error)))
    readme, text = folder / README, note(program).encode()
    if not _exists(readme):
        if exported.made:
            write_durably(readme, [text])
        return exported
    return exported if _consists_of(readme, [text]) else replace(exported, outdated_readme=readme)


def _exists(path: Path) -> bool:
    """Return whether a file or a broken link has this name; raise other errors, such as for a name that is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _write(placed: Placed, path: Path) -> None:
    content = None if placed.form is Form.AS_IT_IS else _converted(placed)
    make_folder_durably(path.parent)
    if content is None:
        link_durably(placed.source, path)
    else:
        write_durably(path, content)


def _converted(placed: Placed) -> Sequence[Buffer]:
    """Return the contents of a converted file, which depend only on the contents of the source file."""
    pixels, header = _fractions(placed.source)
    if placed.form is Form.XISF:
        kind = setup_of(header).kind
        return xisf_content(pixels, header, _IMAGE_TYPES.get(kind, "") if kind is not None else "")
    words = np.rint(pixels * np.float32(_HIGHEST)).astype(np.uint16)
    return FrameEncoder().encode(words, _cards(header))


def _has_content(placed: Placed, path: Path) -> bool:
    """Return whether an existing file has the contents that would be written; False for an unreadable file."""
    if placed.form is not Form.AS_IT_IS:
        return _consists_of(path, _converted(placed))
    try:
        if path.samefile(placed.source):
            return True
        same_size = path.stat().st_size == placed.source.stat().st_size
        with open_regular(placed.source) as file:
            return same_size and _consists_of(path, iter(lambda: file.read(_COMPARED_AT_ONCE), b""))
    except OSError:
        return False


def _consists_of(path: Path, buffers: Iterable[Buffer]) -> bool:
    try:
        with open_regular(path) as file:
            return all(file.read(len(buffer)) == buffer for buffer in buffers) and not file.read(1)
    except OSError:
        return False


def _fractions(path: Path) -> tuple[NDArray[np.float32], dict[str, HeaderValue]]:
    """Return a master's values as fractions of the 16-bit range, and its header; for flats, see `_flat_fractions`."""
    master = read_master(path)
    header = dict(master.header)
    if setup_of(header).kind is FrameKind.FLAT:
        return _flat_fractions(master.mean), header
    return np.clip(master.mean / np.float32(_HIGHEST), 0, 1), header


def _flat_fractions(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a flat with a mean of `_FLAT_LEVEL`; clip outliers, because leaving room for them would reduce precision.

    Values are clipped at twice the mean. In strongly vignetted flats, more than a few pixels exceed this limit; a
    higher limit is then used, and the mean is below `_FLAT_LEVEL`.
    """
    usual = float(np.quantile(flat, 1 - _OUTLIERS, method="lower"))
    # An outlier also affects the mean, but hardly does so once it has been clipped.
    limit = max(float(flat.mean(dtype=np.float64)) / _FLAT_LEVEL, usual)
    limit = max(float(np.minimum(flat, np.float32(limit)).mean(dtype=np.float64)) / _FLAT_LEVEL, usual)
    # The fractions have no offset, because the dark flat has already been subtracted from the flat.
    return np.clip(flat / np.float32(limit), 0, 1) if limit > 0 else np.clip(flat, 0, 1)


def _cards(header: Mapping[str, HeaderValue]) -> list[Card]:
    """Return those cards of a master's header that remain valid for the converted image."""
    described = {keyword: value for keyword, value in header.items() if keyword not in {"BUNIT", "CHECKSUM", "DATASUM"}}
    return other_cards([], described)
