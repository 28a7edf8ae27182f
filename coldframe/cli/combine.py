"""`coldframe combine`: combine raw frames from any camera and program into a master."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from coldframe.calibration.combining.combine import NotOneSetError, Stacking, StackingError, combine_frames, stack_here
from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.combining.frame_sets import RawFrame, open_frames, sets_of, without_overscan
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import PLAIN_SUFFIXES
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.matching import subtraction_faults
from coldframe.calibration.frames.overscan import OverscanChoice
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, setup_of
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.calibration.masters.reading import MasterPlanes, read_adu_master
from coldframe.calibration.stacking.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from coldframe.errors import ColdframeError

if TYPE_CHECKING:
    from coldframe.calibration.combining.growing_set import GrowingSet

FEWEST_FRAMES = 2

_MOST_FAULTS = 5


class RefusedError(ColdframeError):
    """No master can be made from the files with these options; the message gives the reason."""


class Choice(NamedTuple):
    """The options that select the method."""

    method: Literal["mean", "sigma-clip", "winsorized", "median"]
    center: Literal["mean", "median"]
    start: Literal["trimmed", "all"]
    sigma: float


def chosen_method(choice: Choice) -> Method:
    """Return the method that the options select."""
    match choice.method:
        case "mean":
            return Mean()
        case "median":
            return Median()
        case "winsorized":
            return Winsorizing(choice.sigma)
        case "sigma-clip" if choice.center == "median":
            return MedianClipping(choice.sigma)
        case "sigma-clip":
            return Clipping(kappa=choice.sigma, start=choice.start)


def combine_files(
    names: Sequence[str],
    output: Path,
    choice: Choice,
    dark: Path | None,
    kind: str | None,
    *,
    force: bool,
    scheduler: str | None = None,
    bias: Path | None = None,
    overscan: OverscanChoice | None = None,
    states: Sequence[Path] = (),
) -> ExitCode:
    """Combine frames; print the files left out, with reasons. Return 1 if there are any, 2 if there is no master."""
    try:
        _check_output(output)
        if not names and not states:
            raise RefusedError("nothing to combine: name raw FILES, folders or patterns")  # noqa: TRY301 - printed like all other errors
        method = chosen_method(choice)
        if states and scheduler is not None:
            raise RefusedError("--state and --dask cannot be used together: a state grows on one machine")  # noqa: TRY301 - printed like all other errors
        with (
            scratch_folder(output.parent) as unpacked,
            _stacking(scheduler, unpacked) as stacking,
        ):
            frames, refused = open_frames(find_files(names), unpacked, None if kind is None else FrameKind(kind))
            for error in refused:
                print(f"left out: {error}", file=sys.stderr)
            growing = _growing(states, frames, method, unpacked)
            known = [] if growing is None else growing.frames
            _check_set([*known, *frames], force=force)
            subtracted = _subtracted([*known, *frames], dark, bias)
            frames, uncorrected = without_overscan(frames, overscan or _as_in(subtracted), unpacked)
            for error in uncorrected:
                print(f"left out: {error}", file=sys.stderr)
            _check_subtracted([*known, *frames], subtracted, force=force)
            if growing is not None:
                refused += _grown(growing, frames)
                frames = growing.frames
            stack = stacking if growing is None else growing.stack
            master, lost = _combined(frames, method, subtracted, stack)
        write_master(output, master)
    except (NothingFoundError, NotOneSetError, RefusedError, FrameFileError, NotDurableError, StackingError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or output}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    rejected = f", {master.stack.rejected_fraction:.2%} of the values rejected"
    print(f"{output}: {master.stack.frames} frames, {master.method}{rejected}")
    return ExitCode.INCOMPLETE if refused or uncorrected or lost else ExitCode.DONE


def _growing(states: Sequence[Path], frames: Sequence[RawFrame], method: Method, folder: Path) -> "GrowingSet | None":
    """Return the first state, with the other states merged into it; raise if the frames do not belong to this state."""
    if not states:
        return None
    from coldframe.calibration.combining.growing_set import GrowingSet  # noqa: PLC0415 - needs pydantic, which is slow to import

    growing = GrowingSet(states[0], folder)
    growing.require_fit(frames, method)
    for other in states[1:]:
        growing.merge(GrowingSet(other, folder))
    return growing


def _grown(growing: "GrowingSet", frames: Sequence[RawFrame]) -> list[FrameFileError]:
    """Add frames to the state and save the state; print and return the faults of frames that are left out."""
    refused = growing.add(frames)
    for error in refused:
        print(f"left out: {error}", file=sys.stderr)
    growing.save()
    print(f"{growing.path}: {len(growing.frames)} frames")
    return refused


def _check_output(output: Path) -> None:
    """Raise an error before any work if the master could not be written at the end."""
    if output.is_dir():
        raise RefusedError(f"{output}: is a folder: name a file in it, such as {output / 'MasterDark.fits'}")
    if output.suffix.lower() not in PLAIN_SUFFIXES:
        raise RefusedError(f"{output}: masters are written as FITS; name a file that ends in .fits")
    if output.exists():
        raise RefusedError(f"{output}: exists, and files are never overwritten: choose a different name")
    if not output.parent.is_dir():
        raise RefusedError(f"{output.parent}: this folder does not exist: create it, or choose a different folder")


def _check_set(frames: Sequence[RawFrame], *, force: bool) -> None:
    """Print the sets of the frames; raise an error if there is more than one set."""
    sets = sets_of(frames)
    for one in sets:
        print(one)
    if not frames:
        raise RefusedError("nothing is left to combine")
    if len(sets) > 1 and not force:
        raise RefusedError(f"the files belong to {len(sets)} sets: name the files of one set, or use --force")
    if len(frames) < FEWEST_FRAMES and not force:
        raise RefusedError("a single frame is not enough for a master: nothing can be averaged or rejected")


def _stacking(scheduler: str | None, folder: Path) -> AbstractContextManager[Stacking]:
    """Return the function that stacks on this machine, or on a Dask cluster whose workers can read the folder."""
    if scheduler is None:
        return nullcontext(stack_here)
    try:
        from coldframe.calibration.combining.dask import stacking_cluster  # noqa: PLC0415 - an optional dependency, slow to import
    except ModuleNotFoundError as error:
        raise StackingError(f"--dask: {error}: pip install distributed, in the same version as the cluster") from error
    return stacking_cluster(scheduler, folder)


class _Subtracted(NamedTuple):
    """A master to subtract."""

    path: Path
    planes: MasterPlanes
    setup: FrameSetup


def _subtracted(frames: Sequence[RawFrame], dark: Path | None, bias: Path | None) -> _Subtracted | None:
    """Read the master to subtract; raise an error if its kind does not suit the kind of the frames."""
    kind = sets_of(frames)[0].frames[0].setup.kind
    if dark is not None and kind is not FrameKind.FLAT:
        raise RefusedError(f"--dark {dark}: a dark is subtracted from flats only")
    if bias is not None and kind is not FrameKind.DARK:
        raise RefusedError(f"--bias {bias}: a bias is subtracted from darks only; for flats, name it with --dark")
    if dark is None and kind is FrameKind.FLAT:
        print(
            "no --dark: bias and dark current remain in the flats and distort the master; "
            "name their master dark flat, or a master bias, with --dark",
            file=sys.stderr,
        )
    path = dark or bias
    if path is None:
        return None
    planes = read_adu_master(path)
    height, width = planes.mean.shape
    setup = setup_of({**planes.header, "NAXIS1": width, "NAXIS2": height})
    if bias is not None and setup.kind not in {FrameKind.BIAS, None}:
        raise RefusedError(f"--bias {bias}: this is a master {setup.kind}")
    return _Subtracted(path, planes, setup)


def _as_in(subtracted: _Subtracted | None) -> OverscanChoice | None:
    """Return the overscan treatment that the subtracted master requires; None if no master is subtracted."""
    if subtracted is None:
        return None
    return "none" if subtracted.setup.overscan is None else subtracted.setup.overscan.method


def _check_subtracted(frames: Sequence[RawFrame], subtracted: _Subtracted | None, *, force: bool) -> None:
    if subtracted is None:
        return
    faults = dict.fromkeys(fault for frame in frames for fault in subtraction_faults(frame.setup, subtracted.setup))
    if is_single_frame(subtracted.planes.header):
        # The noise of a single frame would be the same in every flat, and its size is unknown.
        faults["it is a single frame, not a master"] = None
    if not faults:
        return
    message = f"{subtracted.path} does not match the frames: {', '.join(list(faults)[:_MOST_FAULTS])}"
    if not force:
        raise RefusedError(f"{message}; --force subtracts it anyway")
    print(message, file=sys.stderr)


def _combined(
    frames: list[RawFrame], method: Method, subtracted: _Subtracted | None, stacking: Stacking
) -> tuple[MasterFrame, int]:
    """Combine the frames, those of the largest set first; print and leave out frames that cannot be read."""
    frames = [frame for one in sets_of(frames) for frame in one.frames]
    if not frames:
        raise RefusedError("nothing is left to combine")
    path, planes = (None, None) if subtracted is None else (subtracted.path.name, subtracted.planes)
    lost = 0
    while True:
        try:
            return combine_frames(frames, method, planes, path, stacking), lost
        except FrameFileError as error:
            others = [frame for frame in frames if frame.image.path != error.path]
            if len(others) == len(frames):
                raise
            print(f"left out: {error}", file=sys.stderr)
            frames = others
            lost += 1
            if len(frames) < FEWEST_FRAMES:
                raise RefusedError("nothing is left to combine") from error
