"""Combine raw frames from any camera and capture program into a master."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from coldframe.calibration.combining.combine import Stacking
from coldframe.calibration.combining.finding import find_files
from coldframe.calibration.combining.frame_sets import RawFrame, open_frames, sets_of, without_overscan
from coldframe.calibration.combining.given_sections import GivenSections
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.overscan import OverscanChoice
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.config.frames import FrameKind
from coldframe.counted import counted
from coldframe.operations.master_findings import findings_of_new, report_findings
from coldframe.operations.reports import Reports
from coldframe.operations.set_master import (
    NothingLeftError,
    RefusedError,
    Subtracted,
    Treatment,
    combined,
    description_of,
    judged,
    overscan_as_in,
    report_set,
    require_fit,
    require_possible_count,
    stacking_on,
)

if TYPE_CHECKING:
    from coldframe.calibration.combining.growing_set import GrowingSet

DEFAULT_SIGMA = 3.0

_OPTIONS_OF = {"mean": (), "median": (), "winsorized": ("sigma",), "sigma-clip": ("center", "start", "sigma")}


class Choice(NamedTuple):
    """The options that select the method."""

    method: Literal["mean", "sigma-clip", "winsorized", "median"] | None = None
    center: Literal["mean", "median"] | None = None
    start: Literal["trimmed", "all"] | None = None
    sigma: float | None = None


def option_without_effect(choice: Choice) -> str | None:
    """Return a sentence about an option that the chosen method would ignore, or None if every option has an effect."""
    method = choice.method or "sigma-clip"
    for option in ("center", "start", "sigma"):
        if getattr(choice, option) is None:
            continue
        if option not in _OPTIONS_OF[method]:
            others = " or ".join(name for name, options in _OPTIONS_OF.items() if option in options)
            return f"--{option} has no effect with --method {method}: leave it out, or choose --method {others}"
        if option == "start" and choice.center == "median":
            return "--start has no effect with --center median: leave out one of them"
    return None


def chosen_method(choice: Choice) -> Method | None:
    """Return the method that the options select; None if it depends on the number of frames."""
    sigma = DEFAULT_SIGMA if choice.sigma is None else choice.sigma
    match choice.method:
        case "mean":
            return Mean()
        case "median":
            return Median()
        case "winsorized":
            return Winsorizing(sigma)
        case None if choice == Choice():
            return None
        case _ if choice.center == "median":
            return MedianClipping(sigma)
        case _:
            return Clipping(kappa=sigma, start=choice.start or "trimmed")


class Request(NamedTuple):
    """The options of a combination, apart from the output file.

    Attributes
    ----------
    treatment
        Treatment of the frames.
    kind
        Kind of the frames, which overrides their headers; None to use the kind in the headers.
    dark, bias
        Masters to subtract from flats and from darks.
    sections
        Sections of the overscan and the image that the user specified.
    extension
        The image to read from files that contain several images; None if it is not specified.
    scheduler
        Address of the scheduler of a Dask cluster; None to combine on this machine.
    states
        State files of the set to which the frames are added; empty to combine only the frames.
    """

    treatment: Treatment = Treatment()
    kind: FrameKind | None = None
    dark: Path | None = None
    bias: Path | None = None
    sections: GivenSections = GivenSections()
    extension: Extension | None = None
    scheduler: str | None = None
    states: Sequence[Path] = ()


class Made(NamedTuple):
    """A master, its overscan-corrected frames, the master subtracted from them, and the number of files left out."""

    master: MasterFrame
    frames: Sequence[RawFrame]
    subtracted: Subtracted | None
    left_out: int


def combine_into(names: Sequence[str], output: Path, request: Request, reports: Reports) -> Made:
    """Combine frames into a master, write it, and report findings about it.

    Parameters
    ----------
    names
        Files, folders and patterns.
    output
        File of the master.
    request
        The other options.
    reports
        Receiver of the messages.

    Raises
    ------
    ColdframeError
        If no master can be made.
    OSError
        If a folder cannot be read, or temporary files cannot be written.
    """
    _check_request(names, output, request)
    with (
        scratch_folder(output.parent) as unpacked,
        stacking_on(request.scheduler, unpacked) as stacking,
    ):
        made = _master(names, request, stacking, unpacked, reports)
        with ThreadPoolExecutor(1) as judging:
            findings = judging.submit(findings_of_new, output, made.master, made.frames, made.subtracted)
            write_master(output, made.master)
            reports.line(f"{output}: {description_of(made.master)}")
        report_findings(findings.result(), reports, figures=True)
    return made


def _master(names: Sequence[str], request: Request, stacking: Stacking, folder: Path, reports: Reports) -> Made:
    """Combine the named files into a master."""
    treatment = request.treatment
    raws, refused = open_frames(find_files(names), folder, request.kind, request.extension)
    reports.left_out(refused)
    raws = request.sections.applied_to(raws)
    growing = _growing(request.states, raws, treatment.method or Clipping(), folder)
    known = [] if growing is None else growing.frames
    _check_set([*known, *raws], reports, force=treatment.force)
    subtracted = _subtracted([*known, *raws], request.dark, request.bias, reports)
    frames, uncorrected = without_overscan(raws, _overscan(request, subtracted), folder)
    reports.left_out(uncorrected)
    if subtracted is not None:
        require_fit([*known, *frames], subtracted, reports, force=treatment.force)
    frames = judged(frames, raws, treatment, subtracted, reports)
    left_out = len(refused) + len(raws) - len(frames)
    if growing is not None:
        left_out += _grown(growing, frames, reports)
        frames, stacking = growing.frames, growing.stack
        treatment = treatment._replace(method=treatment.method or Clipping())
    master, lost = combined(frames, treatment, subtracted, stacking, reports)
    return Made(master, frames, subtracted, left_out + lost)


def _growing(states: Sequence[Path], frames: Sequence[RawFrame], method: Method, folder: Path) -> "GrowingSet | None":
    """Return the set of the first state file, with the other states merged into it; raise an error if they differ."""
    if not states:
        return None
    from coldframe.calibration.combining.growing_set import GrowingSet  # noqa: PLC0415 - needs pydantic, which is slow to import

    growing = GrowingSet(states[0], folder)
    growing.require_fit(frames, method)
    for other in states[1:]:
        growing.merge(GrowingSet(other, folder))
    return growing


def _grown(growing: "GrowingSet", frames: Sequence[RawFrame], reports: Reports) -> int:
    """Add frames to the state and save the state; report and count the frames that are left out."""
    refused = growing.add(frames)
    reports.left_out(refused)
    growing.save()
    reports.line(f"{growing.path}: {counted(len(growing.frames), 'frame')}")
    return len(refused)


def _check_request(names: Sequence[str], output: Path, request: Request) -> None:
    """Raise an error before any work if the options contradict each other or the master could not be written."""
    _check_output(output)
    if not names and not request.states:
        raise RefusedError("nothing to combine: specify raw FILES, folders or patterns")
    if request.states and request.scheduler is not None:
        raise RefusedError("--state and --dask cannot be used together: a state is updated on one machine")


def _overscan(request: Request, subtracted: Subtracted | None) -> OverscanChoice | None:
    """Return the specified treatment of the overscan, or the treatment that the subtracted master requires.

    If the user specifies sections but no method, the overscan is always subtracted; the subtracted master must have
    been made in the same way.
    """
    choice = request.treatment.overscan or overscan_as_in(subtracted)
    are_given = request.sections != GivenSections()
    return "smooth" if are_given and request.treatment.overscan is None and choice == "none" else choice


def _check_output(output: Path) -> None:
    """Raise an error before any work if the master could not be written at the end."""
    if output.is_dir():
        raise RefusedError(f"{output}: this is a folder; specify a file in it, such as {output / 'MasterDark.fits'}")
    if output.suffix.lower() not in PLAIN_SUFFIXES:
        raise RefusedError(f"{output}: masters are written as FITS; specify a file that ends in .fits")
    if output.exists():
        raise RefusedError(f"{output}: this file exists, and files are never overwritten: choose a different name")
    if not output.parent.is_dir():
        raise RefusedError(f"{output.parent}: this folder does not exist: create it, or choose a different folder")
    if not os.access(output.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise RefusedError(f"{output.parent}: files cannot be created in this folder: choose a different folder")


def _check_set(frames: Sequence[RawFrame], reports: Reports, *, force: bool) -> None:
    """Report the sets to which the frames belong; raise an error unless the frames can be combined."""
    sets = sets_of(frames)
    for one in sets:
        report_set(one, reports)
    if not frames:
        raise NothingLeftError
    if len(sets) > 1 and not force:
        raise RefusedError(
            f"the files belong to {len(sets)} sets: use --all -o FOLDER to make a master of each, or specify the files "
            "of one set; --force combines them into one master anyway"
        )
    require_possible_count(frames, force=force)


def _subtracted(
    frames: Sequence[RawFrame], dark: Path | None, bias: Path | None, reports: Reports
) -> Subtracted | None:
    """Read the master to subtract; raise an error if its kind does not match the frames."""
    kind = sets_of(frames)[0].frames[0].setup.kind
    if dark is not None and kind is not FrameKind.FLAT:
        raise RefusedError(f"--dark {dark}: a dark is subtracted from flats only")
    if bias is not None and kind is not FrameKind.DARK:
        raise RefusedError(f"--bias {bias}: a bias is subtracted from darks only; for flats, specify it with --dark")
    if dark is None and kind is FrameKind.FLAT:
        reports.notice(
            "no --dark: bias and dark current remain in the flats and distort the master; "
            "specify a master dark flat or a master bias with --dark"
        )
    path = dark or bias
    if path is None:
        return None
    subtracted = Subtracted.read(path)
    if bias is not None and subtracted.setup.kind not in {FrameKind.BIAS, None}:
        raise RefusedError(f"--bias {bias}: this is a master {subtracted.setup.kind}")
    return subtracted
