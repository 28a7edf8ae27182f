"""Check the pixels of a set, combine it into a master, and report messages about both."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coldframe.calibration.combining.combine import Stacking, StackingError, combine_frames, stack_here
from coldframe.calibration.combining.few_frames import method_for, weakness
from coldframe.calibration.combining.frame_sets import FrameSet, RawFrame, sets_of
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.matching import subtraction_faults
from coldframe.calibration.frames.overscan import OverscanChoice
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, require_readable, setup_of
from coldframe.calibration.looks.set_looks import look_at_set
from coldframe.calibration.looks.set_verdict import SetFrame, SetVerdict
from coldframe.calibration.masters.flat_recipe import on_pedestal
from coldframe.calibration.masters.master_frame import MasterFrame
from coldframe.calibration.masters.reading import MasterPlanes, read_adu_master
from coldframe.calibration.measuring.statistics import central_region
from coldframe.calibration.stacking.clipping import MOST_FRAMES
from coldframe.calibration.stacking.methods import Method
from coldframe.config.frames import FrameKind
from coldframe.counted import counted
from coldframe.errors import ColdframeError, MissingPackageError
from coldframe.operations.reports import Reports

FEWEST_FRAMES = 2

_MOST_FAULTS = 5
_A_SINGLE_FRAME = "it is a single frame, not a master"


class RefusedError(ColdframeError):
    """No master can be made from the files with these options; the message gives the reason."""


class NothingLeftError(RefusedError):
    """None of the files can be used; the fault of each has been reported."""

    def __init__(self) -> None:
        super().__init__("nothing is left to combine")


def require_possible_count(frames: Sequence[RawFrame], *, force: bool) -> None:
    """Raise an error if a set is too small for a master, unless `force` is true, or too large.

    Raises
    ------
    RefusedError
        If no master can be made; the message states the reason.
    """
    if len(frames) < FEWEST_FRAMES and not force:
        raise RefusedError("a single frame is not enough for a master: nothing can be averaged or rejected")
    if len(frames) > MOST_FRAMES:
        raise RefusedError(
            f"the set has {len(frames):,} frames, but a master can contain at most {MOST_FRAMES:,}: specify fewer files"
        )


class Treatment(NamedTuple):
    """The treatment of the frames of a set.

    Attributes
    ----------
    method
        Method of combination; None to choose it according to the number of frames.
    overscan
        Method of subtracting the overscan; None to use the method of the subtracted master or, without a subtracted
        master, to subtract the overscan that the headers declare.
    force
        True to combine frames even if they do not match, are saturated or are too few.
    reject_doubtful
        True to leave out doubtful frames, such as those that differ from the other frames of their set.
    """

    method: Method | None = None
    overscan: OverscanChoice | None = None
    force: bool = False
    reject_doubtful: bool = False


class Subtracted(NamedTuple):
    """A master to subtract."""

    path: Path
    planes: MasterPlanes
    setup: FrameSetup

    @classmethod
    def read(cls, path: Path) -> "Subtracted":
        """Read a master; raise `FrameFileError` if the file or a value in its header cannot be read."""
        planes = read_adu_master(path)
        height, width = planes.mean.shape
        setup = setup_of({**planes.header, "NAXIS1": width, "NAXIS2": height})
        require_readable(setup, path)
        return cls(path, planes, setup)

    def faults(self, frames: Iterable[RawFrame]) -> list[str]:
        """Return the reasons why this master must not be subtracted from the frames."""
        faults = dict.fromkeys(fault for frame in frames for fault in subtraction_faults(frame.setup, self.setup))
        if is_single_frame(self.planes.header):
            # The noise of a single frame would be added to all flats alike, and the size of this noise is unknown.
            faults[_A_SINGLE_FRAME] = None
        return list(faults)

    def level_adu(self, flats: FrameSetup) -> float:
        """Return the level of this master in ADU, on the pedestal of flats whose overscan was subtracted."""
        plane = on_pedestal(self.planes.mean, flats.overscan)
        return float(np.median(plane[central_region(plane.shape)]))


def judged(
    frames: Sequence[RawFrame],
    raws: Sequence[RawFrame],
    treatment: Treatment,
    subtracted: Subtracted | None,
    reports: Reports,
) -> list[RawFrame]:
    """Look at the pixels of frames, report doubtful frames, and return the frames to combine.

    Parameters
    ----------
    frames
        Frames after overscan subtraction; they belong to one set unless `treatment.force` is True.
    raws
        The same frames before overscan subtraction.
    treatment
        Treatment of the frames.
    subtracted
        The master to subtract from the frames; None if none is subtracted.
    reports
        Receiver of the messages.

    Raises
    ------
    RefusedError
        If all flats are saturated.
    """
    whole = {frame.image.path: frame.image for frame in raws}
    away: set[Path] = set()
    for one in sets_of(frames):
        setup = one.frames[0].setup
        bias_adu = subtracted.level_adu(setup) if subtracted is not None and setup.kind is FrameKind.FLAT else None
        seen = [
            SetFrame(frame.image, frame.setup, None if frame.rest is None else whole[frame.image.path])
            for frame in one.frames
        ]
        verdict = look_at_set(seen, bias_adu)
        reports.left_out(verdict.faults)
        _show(verdict, treatment, reports)
        away |= {Path(error.path) for error in verdict.faults}
        away |= verdict.doubts.keys() if treatment.reject_doubtful else set()
    return [frame for frame in frames if frame.image.path not in away]


def combined(
    frames: Sequence[RawFrame],
    treatment: Treatment,
    subtracted: Subtracted | None,
    stacking: Stacking,
    reports: Reports,
) -> tuple[MasterFrame, int]:
    """Combine frames, starting with the largest set; report and count the frames that turn out to be unusable.

    Raises
    ------
    RefusedError
        If too few frames are left to combine.
    ColdframeError
        See `combine_frames`.
    """
    left = [frame for one in sets_of(frames) for frame in one.frames]
    if not left or (len(left) < FEWEST_FRAMES and not treatment.force):
        raise RefusedError("too few frames are left to combine")
    name, planes = (None, None) if subtracted is None else (subtracted.path.name, subtracted.planes)
    faults: list[FrameFileError] = []
    while True:
        method = treatment.method or method_for(len(left))
        try:
            master = combine_frames(left, method, planes, name, stacking)
        except FrameFileError as error:
            others = [frame for frame in left if frame.image.path != error.path]
            if len(others) == len(left):
                raise
            faults.append(error)
            left = others
            if len(left) < FEWEST_FRAMES:
                reports.left_out(faults)
                raise (RefusedError("too few frames are left to combine") if left else NothingLeftError()) from error
        else:
            reports.left_out(faults)
            if len(left) > 1 and (text := weakness(len(left), method, is_chosen=treatment.method is not None)):
                reports.notice(text)
            return master, len(faults)


def stacking_on(scheduler: str | None, folder: Path) -> AbstractContextManager[Stacking]:
    """Return a context for stacking on this machine or, with a scheduler, on a Dask cluster."""
    if scheduler is None:
        return nullcontext(stack_here)
    try:
        from coldframe.calibration.combining.dask import stacking_cluster  # noqa: PLC0415 - an optional dependency, slow to import
    except ModuleNotFoundError as error:
        missing = MissingPackageError("distributed")
        raise StackingError(f"{missing} (in the same version as on the cluster)") from error
    return stacking_cluster(scheduler, folder)


def require_fit(frames: Sequence[RawFrame], subtracted: Subtracted, reports: Reports, *, force: bool) -> None:
    """Raise an error if a master must not be subtracted from the frames; with `force`, report the reasons instead."""
    faults = subtracted.faults(frames)
    if not faults:
        return
    message = f"{subtracted.path} does not match the frames: {', '.join(faults[:_MOST_FAULTS])}"
    if not force:
        raise RefusedError(f"{message}; {_other_master(frames[0].setup)}, or --force to subtract it anyway")
    reports.notice(message)


def _other_master(setup: FrameSetup) -> str:
    """Return advice on which master to use instead of one that does not match."""
    if setup.kind is not FrameKind.FLAT:
        return "specify a different master bias with --bias, or use none"
    exposure = "" if setup.exposure_s is None else f" of {setup.exposure_s:g} s"
    return f"use --dark with a master dark flat{exposure} or with a master bias"


def description_of(master: MasterFrame) -> str:
    """Return a description of how a master was combined."""
    stack = master.stack
    return f"{counted(stack.frames, 'frame')}, {master.method}, {stack.rejected_fraction:.2%} of the values rejected"


def report_set(one: FrameSet, reports: Reports) -> None:
    """Report the properties that the frames of a set share, and the values that are missing from their headers."""
    reports.line(str(one))
    for name in one.missing:
        reports.notice(
            f"notice: these headers contain no {name}, so frames with a different {name} would not be noticed"
        )


def _show(verdict: SetVerdict, treatment: Treatment, reports: Reports) -> None:
    """Report the verdict on a set; raise an error if all its flats are saturated, unless `force` is set."""
    word = "left out" if treatment.reject_doubtful else "doubtful"
    for notice in verdict.notices:
        reports.notice(f"notice: {notice}")
    for path, reason in verdict.doubts.items():
        reports.notice(f"{word}: {path}: {reason}")
    if verdict.doubts and not treatment.reject_doubtful:
        reports.notice(f"--reject-doubtful leaves out doubtful frames ({len(verdict.doubts)})")
    if verdict.all_saturated and not treatment.force:
        raise RefusedError(
            "all of these flats are saturated, so they do not show the sensor's response: shoot them with a shorter "
            "exposure or less light; --force combines them anyway"
        )


def overscan_as_in(subtracted: Subtracted | None) -> OverscanChoice | None:
    """Return the overscan treatment that the subtracted master requires; None if no master is subtracted."""
    if subtracted is None:
        return None
    return "none" if subtracted.setup.overscan is None else subtracted.setup.overscan.method
