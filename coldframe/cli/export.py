"""`coldframe export`: export masters and raw frames in the folders and under the names that other programs expect."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import SUFFIXES, read_image_header
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, fault_of_raw_frame, setup_of
from coldframe.calibration.interchange.export import export
from coldframe.calibration.interchange.layouts import Plan, arrange, parts
from coldframe.calibration.interchange.linting import lint, planned_files
from coldframe.calibration.interchange.raw_sets import raw_sets
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.lint import keywords_of, print_lints, rules_of
from coldframe.errors import ColdframeError
from coldframe.operations.library import NoLibraryError, configured_camera_names, find_library, masters_of

_NOT_FRAMES_OF_SETS = frozenset({"quarantine", "tuning", "checks", "masters"})
"""Folders of a night whose frames belong to no set."""

_FEW = 3
"""Maximum number of left-out files in a folder that are listed individually."""


class NoNightError(ColdframeError):
    """A folder contains no raw frames; the message names the folder."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `coldframe export`.

    Attributes
    ----------
    program
        A key of `LAYOUTS`.
    library
        Folder of the library; by default, the configured library.
    raw
        Folders of nights whose raw frames are also exported.
    """

    program: str
    library: Path | None = None
    raw: tuple[Path, ...] = ()


def export_files(folder: Path, request: Request) -> ExitCode:
    """Export masters and raw frames to a folder, and print the new files.

    Return 1 if outdated files are in the way, or if files cannot be read.
    """
    try:
        plan, faults = planned(request)
        exported = export(plan, request.program, folder)
    except (NoLibraryError, NoNightError, NotDurableError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    unreadable = [*faults, *exported.left_out]
    _print_left_out([*plan.left_out, *unreadable])
    for path in exported.made:
        print(path)
    for path, source in exported.differing:
        print(f"{path} exists and differs from {source}: move it away to export the newer file", file=sys.stderr)
    if exported.outdated_readme is not None:
        outdated = "is from an earlier export, or was edited, and is kept: move it away to get the current text"
        print(f"{exported.outdated_readme} {outdated}", file=sys.stderr)
    if unreadable or exported.differing or exported.outdated_readme is not None:
        return ExitCode.INCOMPLETE
    if not exported.made:
        print(f"{folder}: nothing new to export", file=sys.stderr)
    return ExitCode.DONE


def check_export(folder: Path, request: Request, *, as_json: bool) -> ExitCode:
    """Print how the program would treat an export, without writing the export; return 1 if there are problems.

    The program is assumed to have the recommended settings. Files that a user loads into it together are judged
    together.
    """
    try:
        plan, unreadable = planned(request)
    except (NoLibraryError, NoNightError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    results = []
    for part in parts(plan, request.program):
        files, errors = planned_files(part, folder)
        unreadable += [(Path(error.path), error.what) for error in errors]
        results.append(lint(rules_of(request.program, recommended=True), files, keywords_of(request.program)))
    _print_left_out(dict.fromkeys([*plan.left_out, *unreadable]))
    if not plan.files:
        print(f"{folder}: there is nothing to export for {request.program}", file=sys.stderr)
        return ExitCode.BAD_INPUT
    print_lints(results, folder, as_json=as_json)
    return ExitCode.INCOMPLETE if unreadable or any(each.traps for each in results) else ExitCode.DONE


def _print_left_out(left_out: Iterable[tuple[Path, str]]) -> None:
    """Print the files that are left out. If many files in a folder have the same reason, they share one line."""
    alike: dict[tuple[Path, str], list[Path]] = {}
    for path, reason in left_out:
        alike.setdefault((path.parent, reason), []).append(path)
    for (folder, reason), paths in alike.items():
        if len(paths) > _FEW:
            print(f"{folder}: {len(paths)} files left out: {reason}", file=sys.stderr)
        else:
            for path in paths:
                print(f"{path}: left out: {reason}", file=sys.stderr)


def planned(request: Request) -> tuple[Plan, list[tuple[Path, str]]]:
    """Return the plan of an export, and the files of the library that are not masters or cannot be read, with reasons.

    Raises
    ------
    NoLibraryError
        If there is no library.
    NoNightError
        If a night has no raw frames.
    """
    catalogue = find_library(request.library).catalogue()
    plan = arrange(request.program, masters_of(catalogue), raw_sets(*_raw_frames(request.raw)))
    return plan, [*catalogue.faults.items()]


def _raw_frames(nights: Iterable[Path]) -> tuple[dict[Path, FrameSetup], dict[Path, str]]:
    """Return the setups of the nights' raw frames, except frames that were set aside, and the night of each frame."""
    names = configured_camera_names()
    found: dict[Path, FrameSetup] = {}
    named: dict[Path, str] = {}
    for night in map(Path.resolve, nights):
        frames = {}
        for path in sorted(night.rglob("*")):
            if path.suffix.lower() not in SUFFIXES or _NOT_FRAMES_OF_SETS & set(path.relative_to(night).parts[:-1]):
                continue
            try:
                header = read_image_header(path)
            except FrameFileError as error:
                print(f"{error}: left out", file=sys.stderr)
                continue
            if fault_of_raw_frame(header) is None:
                frames[path] = under_one_name(setup_of(header), names)
        if not frames:
            raise NoNightError(f"{night}: there are no raw frames here; specify the folder of a night")
        found |= frames
        named |= dict.fromkeys(frames, night.name)
    return found, named
