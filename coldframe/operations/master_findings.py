"""The findings about a master that `combine`, `library add` and `inspect` report."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.combining.frame_sets import RawFrame
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.looking import look_at_master
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import UINT16_STORAGES, uint16_pixels
from coldframe.calibration.masters.flat_recipe import on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame, master_header
from coldframe.calibration.masters.reading import MasterPlanes, planes_of_new, read_master
from coldframe.config.frames import FrameKind
from coldframe.operations.reports import Reports
from coldframe.operations.set_master import Subtracted

MOST_FRAMES = 40
"""Maximum number of combined flats to look at; if there are more, an evenly spaced selection is used."""


def report_findings(
    findings: Iterable[Finding], reports: Reports, path: Path | None = None, *, figures: bool = False
) -> None:
    """Report findings that have a remedy: as warnings if they matter, and otherwise as notices.

    Parameters
    ----------
    findings
        The findings about a master.
    reports
        Receives the messages.
    path
        The master, if the messages should name it.
    figures
        True to report the findings without a remedy as well, such as measured figures.
    """
    name = "" if path is None else f"{path}: "
    for finding in findings:
        if finding.fix:
            word = "warning" if finding.matters else "notice"
            reports.notice(f"{word}: {name}{finding.cause} ({finding.evidence}). {finding.fix}")
        elif figures:
            reports.line(f"  {finding.cause}")


def findings_of_new(
    path: Path, master: MasterFrame, frames: Sequence[RawFrame], subtracted: Subtracted | None
) -> list[Finding]:
    """Return the findings about a master that was just made from frames.

    Parameters
    ----------
    path
        The file of the master, for messages.
    master
        The master.
    frames
        The frames, after overscan subtraction.
    subtracted
        The master that was subtracted from the frames, or a bias that matches unsubtracted darks; None if neither.
    """
    first = frames[0].setup
    raws = _in_order(frames) if first.kind is FrameKind.FLAT else None
    bias = None
    if subtracted is not None:
        plane = subtracted.planes.mean
        # Flats whose overscan was subtracted lie on a pedestal, but biases and darks are stored without it.
        level = on_pedestal(plane, first.overscan) if first.kind is FrameKind.FLAT else plane
        bias = replace(subtracted.planes, mean=level)
    planes = planes_of_new(path, master.stack, master.masked, master_header(master))
    try:
        return look_at_master(planes, frames=raws, are_combined=True, bias=bias)
    except FrameFileError:
        # The master is complete; a frame that has just become unreadable only limits what can be seen.
        return look_at_master(planes, bias=bias)


def findings_of_file(path: Path, previous: Path | None = None) -> list[Finding]:
    """Return the findings about a master file, compared with an earlier one if given; [] if a file is unreadable."""
    try:
        planes = read_master(path)
        earlier: MasterPlanes | None = None if previous is None else read_master(previous)
    except FrameFileError:
        return []
    return look_at_master(planes, previous=earlier)


def _in_order(frames: Sequence[RawFrame]) -> Iterator[NDArray[np.uint16]] | None:
    """Return the pixels of frames in the order of exposure; None if not all of the pixels are 16-bit integers."""
    if any(frame.image.storage not in UINT16_STORAGES for frame in frames):
        return None
    dated = [(frame.setup.taken_at, number) for number, frame in enumerate(frames) if frame.setup.taken_at is not None]
    order = [number for _, number in sorted(dated)] if len(dated) == len(frames) else list(range(len(frames)))
    step = -(-len(order) // MOST_FRAMES)
    return (uint16_pixels(frames[number].image) for number in order[::step])
