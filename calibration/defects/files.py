"""Defect maps as files: FITS bit masks, and lists that Siril reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.finding import Defect, Defects, Limits
from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameFileError, primary_pieces, read_frame
from coldframe.calibration.files.keywords import software_card
from coldframe.calibration.frames.setup import FrameSetup, setup_of

MOST_BAD = 0.2
"""Fraction of all pixels; with more of them bad a map says something about the masters, or is none."""

_ROLE = "DEFECTS"
_OF_THE_CAMERA = (
    "INSTRUME", "CAMERAID", "XBINNING", "YBINNING", "GAIN", "OFFSET", "READOUTM", "EXPTIME", "SET-TEMP", "CCD-TEMP",
    "ROWORDER", "BAYERPAT", "XBAYROFF", "YBAYROFF", "DATE-OBS",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class BadPixels:
    """What a defect map says of its camera.

    Attributes
    ----------
    path
        The map.
    bad
        bool, shape (height, width).
    setup
        Of the camera, as far as the map's header tells.
    """

    path: Path
    bad: NDArray[np.bool_]
    setup: FrameSetup


def write_map(
    path: Path, defects: Defects, limits: Limits, masters: Mapping[str, str], header: Mapping[str, HeaderValue]
) -> None:
    """Write a defect map durably: a FITS image of bytes whose bits are named in its header.

    Parameters
    ----------
    path
        The file to make, in a folder that exists.
    defects
        What was found.
    limits
        The thresholds by which.
    masters
        File names by keyword: CFDARK, CFBIAS, CFFLAT.
    header
        Of one of the masters: what it tells of the camera holds for the map, too.

    Raises
    ------
    NotDurableError
        If the file could not be brought onto the disk, or exists.
    """
    cards = [
        Card("IMAGETYP", "Defect Map", "0: good pixel, else a sum of bits"),
        Card("CFROLE", _ROLE, "what this file is for"),
        *_bit_cards(defects),
        *(Card(keyword, name, "looked at") for keyword, name in masters.items()),
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
    yield Card("CFBAD", int(np.count_nonzero(defects.bits)), "pixels that are anything of this")


def _limit_cards(limits: Limits) -> list[Card]:
    hot = (
        Card("CFSIGMA", limits.sigma, "hot, bias: beyond so many times the spread")
        if limits.hot_e_per_s is None
        else Card("CFHOTEPS", limits.hot_e_per_s, "[e-/s] hot: beyond this")
    )
    return [
        hot,
        Card("CFCOLD", limits.cold_response, "cold: below this fraction of the neighbours"),
        Card("CFBRIGHT", limits.bright_response, "bright: above this fraction of the neighbours"),
        Card("CFFLICK", limits.flicker, "unstable: noise above so many times the expected"),
        Card("CFREJFR", limits.rejected_fraction, "unstable: clipped in more of the frames"),
        Card("CFLINE", limits.line_pixels, "defects that make a line bad"),
        Card("CFGAP", limits.line_gap, "most good pixels between them"),
    ]


def read_map(path: Path) -> BadPixels:
    """Read a defect map of ours, or of another program with 0 for good pixels, in 8 or 16 bits.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or marks so many pixels that it is no defect map.
    """
    try:
        pixels, header = read_frame(path)
    except FrameFileError as error:
        raise FrameFileError(path, f"cannot be read as a defect map ({error.what})") from error
    bad = pixels != 0
    fraction = float(bad.mean())
    if fraction > MOST_BAD:
        raise FrameFileError(path, f"no defect map: {fraction:.0%} of its pixels are not 0")
    return BadPixels(path, bad, setup_of(header))


def write_siril_list(path: Path, defects: Defects) -> None:
    """Write the bad pixels as a list for Siril's command `cosme`, durably; one line for each, `P x y H` or `P x y C`.

    Siril counts from 0, columns from the left and rows from the last of the file, whatever ROWORDER says (Siril 1.0.6,
    as its own `find_hot` writes them).

    Raises
    ------
    NotDurableError
        If the file could not be brought onto the disk, or exists.
    """
    rows, columns = np.nonzero(defects.bits)
    cold = (defects.bits[rows, columns] & np.uint8(Defect.COLD)) != 0
    above = len(defects.bits) - 1 - rows
    lines = (
        f"P {column} {row} {'C' if dark else 'H'}\n"
        for column, row, dark in zip(columns.tolist(), above.tolist(), cold.tolist(), strict=True)
    )
    write_durably(path, ["".join(lines).encode("ascii")])
