"""`coldframe combine --all`: sort raw frames into sets and combine each set into a master."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from coldframe.calibration.combining.combine import Stacking
from coldframe.calibration.combining.finding import find_files
from coldframe.calibration.combining.frame_sets import FrameSet, RawFrame, open_frames, sets_of, without_overscan
from coldframe.calibration.files.durable import make_folder_durably
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.matching import subtraction_faults
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.config.frames import FrameKind
from coldframe.counted import counted
from coldframe.errors import ColdframeError
from coldframe.operations.combining import Request
from coldframe.operations.master_findings import findings_of_new, report_findings
from coldframe.operations.set_master import (
    RefusedError,
    Subtracted,
    combined,
    description_of,
    judged,
    report_set,
    require_possible_count,
    stacking_on,
)

_ORDER = (FrameKind.BIAS, FrameKind.DARK, FrameKind.DARK_FLAT, FrameKind.FLAT)
"""Order of the sets: flats come last, because the masters of the other kinds are subtracted from them."""

_SUBTRACTED = (FrameKind.DARK_FLAT, FrameKind.DARK, FrameKind.BIAS)
"""Kinds of masters to subtract from flats, the best one first."""

_MOST_NAMED = 3

_PRINTED = Printed()


def combine_all(names: Sequence[str], folder: Path, request: Request) -> ExitCode:
    """Make a master from every set; return 1 if a set or a file was left out, 2 if no master was made.

    Parameters
    ----------
    names
        Files, folders and patterns.
    folder
        Folder for the masters, which is created if its parent exists.
    request
        The options. Options that name a state file or a master to subtract are rejected.
    """
    try:
        _check(names, folder, request)
        with (
            scratch_folder(folder.parent) as unpacked,
            stacking_on(request.scheduler, unpacked) as stacking,
        ):
            raws, refused = open_frames(find_files(names), unpacked, request.kind, request.extension)
            _PRINTED.left_out(refused)
            usable, skipped = _without_lights(request.sections.applied_to(raws))
            make_folder_durably(folder)
            masters = _Masters(folder, request, stacking, unpacked)
            for one in sorted(sets_of(usable), key=lambda each: _ORDER.index(_kind(each.frames[0]))):
                masters.add(one)
    except ColdframeError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except OSError as error:
        print(f"{error.filename or folder}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    if not masters.made:
        print("no master was made", file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if refused or skipped or masters.left_out else ExitCode.DONE


class _Made(NamedTuple):
    """A master, its frames after overscan subtraction, and the master that was subtracted from them or matches them."""

    master: MasterFrame
    frames: Sequence[RawFrame]
    subtracted: Subtracted | None


class _Masters:
    """Makes and counts the masters of a run.

    Attributes
    ----------
    made
        Number of masters written.
    left_out
        Number of frames that were left out, plus the number of sets from which no master was made.
    """

    def __init__(self, folder: Path, request: Request, stacking: Stacking, unpacked_in: Path) -> None:
        self.made = 0
        self.left_out = 0
        self._folder = folder
        self._request = request
        self._stacking = stacking
        self._unpacked_in = unpacked_in
        self._written: set[Path] = set()
        self._available: dict[Path, FrameSetup] = {}

    def add(self, one: FrameSet) -> None:
        """Make and write the master of a set; print the reason if that fails."""
        report_set(one, _PRINTED)
        try:
            made = self._master(one)
            path = self._write(made.master)
        except ColdframeError as error:
            print(error, file=sys.stderr)
            self.left_out += 1
            return
        self.made += 1
        print(f"{path}: {description_of(made.master)}")
        report_findings(findings_of_new(path, made.master, made.frames, made.subtracted), _PRINTED, figures=True)

    def _master(self, one: FrameSet) -> _Made:
        treatment = self._request.treatment
        require_possible_count(one.frames, force=treatment.force)
        frames, faults = without_overscan(one.frames, treatment.overscan, self._unpacked_in)
        _PRINTED.left_out(faults)
        subtracted = self._for_flats(frames) if frames and _kind(frames[0]) is FrameKind.FLAT else None
        kept = judged(frames, one.frames, treatment, subtracted, _PRINTED)
        self.left_out += len(one.frames) - len(kept)
        master, lost = combined(kept, treatment, subtracted, self._stacking, _PRINTED)
        self.left_out += lost
        if subtracted is None and _kind(kept[0]) is FrameKind.DARK:
            subtracted = self._bias_of(kept)
        return _Made(master, kept, subtracted)

    def _bias_of(self, darks: Sequence[RawFrame]) -> Subtracted | None:
        """Return the master bias from this run that matches the darks; None if there is none."""
        for path, setup in self._available.items():
            if setup.kind is FrameKind.BIAS and not any(subtraction_faults(dark.setup, setup) for dark in darks):
                return Subtracted.read(path)
        return None

    def _for_flats(self, flats: Sequence[RawFrame]) -> Subtracted | None:
        """Return this run's master to subtract from flats; print a line if it is a bias, or if there is none."""
        first = flats[0].setup
        fitting = [
            (_SUBTRACTED.index(setup.kind), setup.filter_name != first.filter_name, _gap_s(first, setup), path)
            for path, setup in self._available.items()
            if setup.kind in _SUBTRACTED and not any(subtraction_faults(flat.setup, setup) for flat in flats)
        ]
        if not fitting:
            print(
                "no dark flat and no bias from this run matches the flats: bias and dark current remain in the flats "
                "and distort the master",
                file=sys.stderr,
            )
            return None
        path = min(fitting)[-1]
        if self._available[path].kind is FrameKind.BIAS:
            print(f"no dark flat from this run matches the flats: {path.name} is subtracted instead", file=sys.stderr)
        return Subtracted.read(path)

    def _write(self, master: MasterFrame) -> Path:
        """Write a master and return its path. An existing file is not overwritten, but can be subtracted from flats."""
        path = self._path(master)
        exists = path.exists()
        if not exists:
            write_master(path, master)
        if master.kind is not FrameKind.FLAT:
            self._available[path] = Subtracted.read(path).setup
        if exists:
            raise RefusedError(f"{path} already exists, and files are never overwritten: move it elsewhere")
        return path

    def _path(self, master: MasterFrame) -> Path:
        """Return the path for a master; append a number if another set of this run already uses its name."""
        path = plain = self._folder / master_name(master)
        number = 2
        while path in self._written:
            path = plain.with_stem(f"{plain.stem}-{number}")
            number += 1
        self._written.add(path)
        return path


def _check(names: Sequence[str], folder: Path, request: Request) -> None:
    """Raise an error before any work if the options contradict each other or the folder cannot be used."""
    if not names:
        raise RefusedError("nothing to combine: specify raw FILES, folders or patterns")
    if request.dark or request.bias or request.states:
        raise RefusedError("--all subtracts the masters that it makes: leave out --dark, --bias and --state")
    if folder.exists() and not folder.is_dir():
        raise RefusedError(f"{folder}: --all writes several masters: specify a folder with -o")
    if not folder.parent.is_dir():
        raise RefusedError(f"{folder.parent}: this folder does not exist: create it, or choose a different folder")


def _without_lights(frames: Sequence[RawFrame]) -> tuple[list[RawFrame], int]:
    """Return the frames for masters, and the number of frames of unknown kind; print the number of skipped frames."""
    lights = [frame for frame in frames if frame.setup.kind is FrameKind.LIGHT]
    unknown = [frame for frame in frames if frame.setup.kind is None]
    if lights:
        print(f"skipped: {counted(len(lights), 'light')}")
    if unknown:
        named = ", ".join(str(frame.image.path) for frame in unknown[:_MOST_NAMED])
        more = "" if len(unknown) <= _MOST_NAMED else " ..."
        print(
            f"skipped: {counted(len(unknown), 'frame')} of unknown kind ({named}{more}); specify the kind with --kind",
            file=sys.stderr,
        )
    return [frame for frame in frames if frame.setup.kind in _ORDER], len(unknown)


def _kind(frame: RawFrame) -> FrameKind:
    assert frame.setup.kind is not None
    return frame.setup.kind


def _gap_s(flats: FrameSetup, master: FrameSetup) -> float:
    return abs((flats.exposure_s or 0.0) - (master.exposure_s or 0.0))
