"""`coldframe defects`: make a map of a sensor's defective pixels from its masters."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coldframe.calibration.defects.files import MOST_BAD, write_map, write_siril_list
from coldframe.calibration.defects.finding import (
    OF_LINES,
    Defect,
    Defects,
    NotJudgeableError,
    bias_defects,
    dark_defects,
    flat_defects,
    merged,
)
from coldframe.calibration.defects.limits import Limits
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES
from coldframe.calibration.frames.card_values import Header
from coldframe.calibration.frames.matching import defect_map_faults, subtraction_faults
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, setup_of
from coldframe.calibration.masters.reading import MasterPlanes, read_adu_master, read_master
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class Masters:
    """The masters to examine; at least one is not None."""

    dark: Path | None
    flat: Path | None
    bias: Path | None


def map_defects(
    masters: Masters, output: Path, siril_list: Path | None, limits: Limits, e_per_adu: float | None
) -> ExitCode:
    """Find defects, print the number of each kind, and write the map; return 2 if no map can be written."""
    try:
        if output.suffix.lower() not in PLAIN_SUFFIXES:
            raise NotJudgeableError(f"{output}: maps are FITS files; choose a name that ends in .fits")  # noqa: TRY301 - reported like the other errors
        for path in filter(None, (output, siril_list)):
            _check_output(path)
        parts, header = _examine(masters, limits, e_per_adu)
        defects = merged(parts, limits)
        _check_fraction(defects)
        names = {"CFDARK": masters.dark, "CFBIAS": masters.bias, "CFFLAT": masters.flat}
        write_map(output, defects, limits, {key: path.name for key, path in names.items() if path}, header)
        if siril_list is not None:
            write_siril_list(siril_list, defects)
    except (FrameFileError, NotJudgeableError, NotDurableError, MemoryError) as error:
        print(str(error) or "not enough memory for these masters", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    for line in _table(defects):
        print(line)
    print(f"{output}: {np.count_nonzero(defects.bits)} of {defects.bits.size} pixels are bad")
    return ExitCode.DONE


def _check_output(path: Path) -> None:
    """Raise an error before any work if the file could not be written at the end."""
    if path.exists():
        raise NotJudgeableError(f"{path} already exists, and files are never overwritten: choose a different name")
    if not path.parent.is_dir():
        raise NotJudgeableError(f"{path.parent}: this folder does not exist: create it, or choose a different folder")


def _examine(masters: Masters, limits: Limits, e_per_adu: float | None) -> tuple[list[Defects], Header]:
    """Return the defects in each master, and the header of one master; hold at most two masters in memory at a time."""
    parts: list[Defects] = []
    bias, bias_setup = _read(masters.bias, FrameKind.BIAS)
    dark, dark_setup = _read(masters.dark, FrameKind.DARK, FrameKind.DARK_FLAT)
    if bias is not None:
        parts.append(bias_defects(bias, limits))
    if dark is not None:
        if bias is not None:
            _check_fit(masters.bias, subtraction_faults(dark_setup, bias_setup))
        parts.append(dark_defects(dark, None if dark_setup.bias_subtracted else bias, limits, e_per_adu))
    header = dark.header if dark is not None else bias.header if bias is not None else {}
    del dark, bias
    flat, flat_setup = _read(masters.flat, FrameKind.FLAT)
    if flat is not None:
        if parts:
            _check_fit(masters.flat, defect_map_faults(setup_of(header), flat_setup))
        parts.append(flat_defects(flat, flat_setup.mosaic, limits))
        header = header or flat.header
    return parts, header


def _read(path: Path | None, *kinds: FrameKind) -> tuple[MasterPlanes | None, FrameSetup]:
    if path is None:
        return None, setup_of({})
    master = read_master(path) if FrameKind.FLAT in kinds else read_adu_master(path)
    setup = setup_of(master.header)
    if setup.kind not in {*kinds, None}:
        raise NotJudgeableError(f"{path} is a {setup.kind} frame, not a {kinds[0]}")
    if is_single_frame(master.header):
        print(f"{path} is a single frame, not a master: many of its defects are noise", file=sys.stderr)
    return master, setup


def _check_fit(path: Path | None, faults: tuple[str, ...]) -> None:
    if faults:
        raise NotJudgeableError(f"{path} does not match the other masters: {', '.join(faults)}")


def _check_fraction(defects: Defects) -> None:
    fraction = float(np.count_nonzero(defects.bits) / defects.bits.size)
    if fraction > MOST_BAD:
        raise NotJudgeableError(
            f"{fraction:.0%} of the pixels would be defects: check the masters (light in the darks, no light in the"
            " flats?) and the thresholds"
        )


def _table(defects: Defects) -> Iterator[str]:
    for kind, count in defects.counts.items():
        lines = f" ({defects.lines(kind)})" if kind in OF_LINES and count else ""
        yield f"{kind.label:<9}{count:>9}{count / defects.bits.size:>9.3%}  {kind.meaning}{lines}"
    unseen = [kind.label for kind in Defect if kind not in defects.judged]
    if unseen:
        yield f"not examined, because a different master is needed: {', '.join(unseen)}"
