"""Read and write defect maps: FITS bit masks, and lists for Siril."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.finding import Defect, Defects
from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import primary_pieces, read_frame
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.keywords import software_card
from coldframe.calibration.frames.setup import FrameSetup, setup_of

MOST_BAD = 0.2
"""Largest plausible fraction of bad pixels; a larger fraction means that the file is not a defect map, or that the
masters were bad."""

_ROLE = "DEFECTS"
_OF_THE_CAMERA = (
    "INSTRUME", "CAMERAID", "XBINNING", "YBINNING", "GAIN", "OFFSET", "READOUTM", "EXPTIME", "SET-TEMP", "CCD-TEMP",
    "ROWORDER", "BAYERPAT", "XBAYROFF", "YBAYROFF", "DATE-OBS",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BadPixels:
    """The bad pixels marked in a defect map, or revealed by a master.

    Attributes
    ----------
    path
        The file.
    bad
        bool, shape (height, width).
    setup
        Setup from the header of the file.
    """

    path: Path
    bad: NDArray[np.bool_]
    setup: FrameSetup

    @cached_property
    def places(self) -> NDArray[np.intp]:
        """Rows and columns of the bad pixels, shape (2, pixels); computed once for many lights."""
        # In one dimension, NumPy finds the few bad pixels several times as fast as in two.
        return np.array(np.unravel_index(np.flatnonzero(self.bad), self.bad.shape))


def write_map(
    path: Path, defects: Defects, limits: Limits, masters: Mapping[str, str], header: Mapping[str, HeaderValue]
) -> None:
    """Write a defect map durably, as an 8-bit FITS image whose header names the bits.

    Parameters
    ----------
    path
        File to create, in an existing folder.
    defects
        Defects to write.
    limits
        Thresholds with which the defects were found.
    masters
        File names of the examined masters, by keyword: CFDARK, CFBIAS, CFFLAT.
    header
        Header of one of the masters; the camera's cards are copied from it.

    Raises
    ------
    NotDurableError
        If the file cannot be written or already exists.
    """
    cards = [
        Card("IMAGETYP", "Defect Map", "0: good pixel, else a sum of bits"),
        Card("CFROLE", _ROLE, "purpose of this file"),
        *_bit_cards(defects),
        *(Card(keyword, name, "examined master") for keyword, name in masters.items()),
        *_limit_cards(limits),
        *(Card(keyword, header[keyword]) for keyword in _OF_THE_CAMERA if keyword in header),
        software_card(),
    ]
    write_durably(path, primary_pieces(defects.bits, cards))


def _bit_cards(defects: Defects) -> Iterator[Card]:
    counts = defects.counts
    for number, kind in enumerate(Defect):
        yield Card(f"CFBIT{number}", kind.label, f"{kind.value}: {kind.meaning}")
        if kind in counts:
            yield Card(f"CFNUM{number}", counts[kind], "pixels of this kind")
    yield Card("CFBAD", int(np.count_nonzero(defects.bits)), "pixels with any defect")


def _limit_cards(limits: Limits) -> list[Card]:
    hot = (
        Card("CFSIGMA", limits.sigma, "hot, bias: threshold in units of local spread")
        if limits.hot_e_per_s is None
        else Card("CFHOTEPS", limits.hot_e_per_s, "[e-/s] hot: threshold")
    )
    return [
        hot,
        Card("CFCOLD", limits.cold_response, "cold: below this fraction of the neighbours"),
        Card("CFBRIGHT", limits.bright_response, "bright: above this fraction of the neighbours"),
        Card("CFFLICK", limits.flicker, "unstable: noise above this times expected noise"),
        Card("CFREJFR", limits.rejected_fraction, "unstable: clipped in more than this fraction"),
        Card("CFLINE", limits.line_pixels, "defects that make a line bad"),
        Card("CFGAP", limits.line_gap, "largest gap of good pixels between defects"),
    ]


def read_map(path: Path) -> BadPixels:
    """Read a defect map from any program: an image of 8 or 16 bits in which good pixels are 0.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or marks so many pixels that it cannot be a defect map.
    """
    try:
        pixels, header = read_frame(path)
    except FrameFileError as error:
        raise FrameFileError(path, f"it cannot be read as a defect map ({error.what})") from error
    bad = pixels != 0
    fraction = float(bad.mean())
    if fraction > MOST_BAD:
        raise FrameFileError(path, f"it is not a defect map, because {fraction:.0%} of its pixels are not 0")
    return BadPixels(path, bad, setup_of(header))


def write_siril_list(path: Path, defects: Defects) -> None:
    """Write the bad pixels durably as a list for Siril's `cosme`, with a line `P x y H` or `P x y C` for each pixel.

    Siril counts from 0: columns from the left, and rows from the last row of the file, regardless of ROWORDER. Siril
    1.0.6 counts in the same way in the lists that `find_hot` writes.

    Raises
    ------
    NotDurableError
        If the file cannot be written or already exists.
    """
    rows, columns = np.nonzero(defects.bits)
    cold = (defects.bits[rows, columns] & np.uint8(Defect.COLD)) != 0
    above = len(defects.bits) - 1 - rows
    lines = (
        f"P {column} {row} {'C' if dark else 'H'}\n"
        for column, row, dark in zip(columns.tolist(), above.tolist(), cold.tolist(), strict=True)
    )
    write_durably(path, ["".join(lines).encode("ascii")])
