"""`coldframe combine`: a master from raw frames of any camera and program."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from coldframe.calibration.combining import (
    NotOneSetError,
    RawFrame,
    combine_frames,
    find_files,
    open_frames,
    sets_of,
)
from coldframe.calibration.durable import NotDurableError
from coldframe.calibration.frame_file import FrameFileError
from coldframe.calibration.master_file import read_master
from coldframe.calibration.masters import MasterFrame, write_master
from coldframe.calibration.methods import Clipping, Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind

FEWEST_FRAMES = 2


class Choice(NamedTuple):
    """What the options say about the method."""

    method: Literal["mean", "sigma-clip", "winsorized", "median"]
    center: Literal["mean", "median"]
    start: Literal["trimmed", "all"]
    sigma: float


def chosen_method(choice: Choice) -> Method:
    """Return the method that the options name."""
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
) -> ExitCode:
    """Combine; 1 if files were left out and named, 2 if there is no master, and why."""
    try:
        _check_output(output)
        with tempfile.TemporaryDirectory(prefix=".coldframe-", dir=output.parent) as unpacked:
            frames, refused = open_frames(find_files(names), Path(unpacked), None if kind is None else FrameKind(kind))
            for error in refused:
                print(f"left out: {error}", file=sys.stderr)
            _check_set(frames, force=force)
            master, lost = _combined(frames, chosen_method(choice), dark)
        write_master(output, master)
    except (NotOneSetError, FrameFileError, NotDurableError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or output}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    rejected = f", {master.stack.rejected_fraction:.2%} of the values rejected"
    print(f"{output}: {master.stack.frames} frames, {master.clipping}{rejected}")
    return ExitCode.INCOMPLETE if refused or lost else ExitCode.DONE


def _check_output(output: Path) -> None:
    """Raise before any work if the master could not be written in the end."""
    if output.exists():
        raise NotOneSetError(f"{output}: exists, and files are never overwritten: choose another name")
    if not output.parent.is_dir():
        raise NotOneSetError(f"{output.parent}: this folder does not exist: create it, or name another")


def _check_set(frames: Sequence[RawFrame], *, force: bool) -> None:
    """Say what the frames are; raise if they are not one set."""
    sets = sets_of(frames)
    for one in sets:
        print(one)
    if not frames:
        raise NotOneSetError("nothing is left to combine")
    if len(sets) > 1 and not force:
        raise NotOneSetError(f"these are {len(sets)} sets, one master each: name the files of one set, or use --force")
    if len(frames) < FEWEST_FRAMES and not force:
        raise NotOneSetError("one frame alone makes no master: nothing can be averaged or rejected")


def _combined(frames: list[RawFrame], method: Method, dark: Path | None) -> tuple[MasterFrame, int]:
    """Combine the largest set first; frames that cannot be read after all are named and left out."""
    frames = [frame for one in sets_of(frames) for frame in one.frames]
    flats = frames[0].setup.kind is FrameKind.FLAT
    if dark is not None and not flats:
        raise NotOneSetError(f"--dark {dark}: only from flats a dark is subtracted here")
    if dark is None and flats:
        print("no --dark: bias and dark current stay in the flats and falsify the master", file=sys.stderr)
    planes = None if dark is None else read_master(dark)
    lost = 0
    while True:
        try:
            return combine_frames(frames, method, planes, None if dark is None else dark.name), lost
        except FrameFileError as error:
            print(f"left out: {error}", file=sys.stderr)
            frames = [frame for frame in frames if frame.image.path != error.path]
            lost += 1
            if len(frames) < FEWEST_FRAMES:
                raise NotOneSetError("nothing is left to combine") from error
