"""Defects found in a master dark, so that lights can be mended without a defect map."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.files import MOST_BAD, BadPixels
from coldframe.calibration.defects.finding import NotJudgeableError, dark_defects
from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import BandedMaster

Mask = NDArray[np.bool_]


def single(bad: Mask) -> Mask:
    """Return the bad pixels for which at least half of the neighbours, in a square of 5 x 5 pixels, are good.

    The remaining bad pixels belong to a structure, such as steep glow. Subtracting the dark removes this structure; its
    pixels could not be replaced anyway, because they have too few good neighbours.

    Parameters
    ----------
    bad
        bool, shape (height, width).
    """
    kept = np.zeros_like(bad)
    rows, columns = np.unravel_index(np.flatnonzero(bad), bad.shape)  # several times as fast as np.nonzero
    around = [(down, right) for down in range(-2, 3) for right in range(-2, 3) if (down, right) != (0, 0)]
    framed = np.pad(bad, 2, mode="edge")
    count = sum((framed[rows + 2 + down, columns + 2 + right].astype(np.uint8) for down, right in around), np.uint8(0))
    kept[rows, columns] = count <= len(around) // 2
    return kept


def hot_pixels(path: Path, dark: BandedMaster, bias: BandedMaster | None) -> BadPixels:
    """Return the hot and unstable pixels of a master dark, except those within larger structures (see `single`).

    Parameters
    ----------
    path
        File of the master dark.
    dark
        The master dark, as returned by `read_adu_master` or `open_adu_master`.
    bias
        A master bias to subtract from the dark, so that the pattern of the bias is not mistaken for dark current; None
        to subtract nothing.

    Raises
    ------
    NotJudgeableError
        If the masters differ in size, or if so many pixels differ from their neighbours that they cannot be defects.
    """
    setup = setup_of(dark.header)
    bad = dark_defects(dark, None if setup.bias_subtracted else bias, Limits()).bad
    fraction = float(bad.mean())
    if fraction > MOST_BAD:
        raise NotJudgeableError(f"{path}: {fraction:.0%} of its pixels differ too much from their neighbours")
    return BadPixels(path, single(bad), setup)


def filter_array_fault(found: BadPixels, mosaic: str | None) -> str | None:
    """Return the reason why defects cannot be replaced by pixels of the same colour, or None if they can.

    Parameters
    ----------
    found
        Defects that `hot_pixels` found in a dark that matches the lights.
    mosaic
        Colour filter array of the lights; None if their headers do not contain it.
    """
    array = found.setup.mosaic
    if mosaic is not None and array is not None and mosaic != array:
        return f"the colour filter array of the dark is {array} instead of {mosaic}"
    try:
        cfa_period(mosaic or array)
    except ValueError as error:
        return str(error)
    return None
