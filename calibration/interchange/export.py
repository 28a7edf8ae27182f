"""The files of an export: links, copies, and conversions for programs that cannot read masters of 32-bit floats."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import link_durably, make_folder_durably, write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.keywords import other_cards
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.interchange.layouts import Form, Placed, Plan
from coldframe.calibration.interchange.notes import note
from coldframe.calibration.interchange.xisf import write_xisf
from coldframe.calibration.masters.reading import read_master
from coldframe.config.frames import FrameKind

README = "README.txt"

_HIGHEST = 65535
_FLAT_LEVEL = 0.5
"""Mean of a converted master flat, as a fraction of the range; programs divide by the mean."""

_IMAGE_TYPES = {
    FrameKind.BIAS: "MasterBias",
    FrameKind.DARK: "MasterDark",
    FrameKind.DARK_FLAT: "MasterDark",
    FrameKind.FLAT: "MasterFlat",
}


def export(plan: Plan, program: str, folder: Path) -> list[Path]:
    """Write the files of a plan, and a README with the switches to set; existing files are never overwritten.

    Returns
    -------
    list of Path
        The new files; without those that existed, and without the README.

    Raises
    ------
    FrameFileError
        If a master that must be converted cannot be read.
    NotDurableError
        If a file could not be created.
    """
    made = [path for placed in plan.files if (path := _written(placed, folder)) is not None]
    readme = folder / README
    if made and not readme.exists():
        write_durably(readme, [note(program).encode()])
    return made


def _written(placed: Placed, folder: Path) -> Path | None:
    path = folder / placed.target
    if path.exists():
        return None
    make_folder_durably(path.parent)
    match placed.form:
        case Form.AS_IT_IS:
            link_durably(placed.source, path)
        case Form.XISF:
            pixels, header = _fractions(placed.source)
            kind = setup_of(header).kind
            write_xisf(path, pixels, header, _IMAGE_TYPES.get(kind, "") if kind is not None else "")
        case Form.WORDS:
            pixels, header = _fractions(placed.source)
            words = np.rint(pixels * np.float32(_HIGHEST)).astype(np.uint16)
            write_durably(path, FrameEncoder().encode(words, _cards(header)))
    return path


def _fractions(path: Path) -> tuple[NDArray[np.float32], dict[str, HeaderValue]]:
    """Return a master's values as fractions of the 16-bit range, and its header; flats get a mean of `_FLAT_LEVEL`."""
    master = read_master(path)
    header = dict(master.header)
    if setup_of(header).kind is FrameKind.FLAT:
        mean, highest = float(master.mean.mean(dtype=np.float64)), float(master.mean.max())
        factor = min(_FLAT_LEVEL / mean, 1 / highest) if mean > 0 else 1.0
        # The flat has no unit; a dark flat must not be subtracted from it again.
        return np.clip(master.mean * np.float32(factor), 0, 1), header
    return np.clip(master.mean / np.float32(_HIGHEST), 0, 1), header


def _cards(header: Mapping[str, HeaderValue]) -> list[Card]:
    """Return the cards of a master that hold for the converted image."""
    described = {keyword: value for keyword, value in header.items() if keyword not in {"BUNIT", "CHECKSUM", "DATASUM"}}
    return other_cards([], described)
