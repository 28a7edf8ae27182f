"""`coldframe library`: list and manage the masters of all nights."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import read_image_header
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.frames.matching import predecessors
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.adopting import Stated, adopted, assumptions_in
from coldframe.calibration.library.library import LIBRARY, Catalogue, Library, NotAMasterError, not_a_master
from coldframe.calibration.lights.arithmetic import MismatchError, check_relative
from coldframe.calibration.masters.reading import read_adu_master, read_master, read_master_header
from coldframe.capture.monitoring.progress.quantities import exposure_text
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.master_findings import findings_of_file, print_findings
from coldframe.config.frames import FrameKind
from coldframe.config.loading import ConfigError, find_config, load_settings
from coldframe.errors import ColdframeError

_PLAIN_NAME = re.compile(r"(\.(fits|fit|fts|xisf))?(\.(fz|gz))?$", re.IGNORECASE)
"""The suffixes of a master's name, which those of the converted copy replace."""


class NoLibraryError(ColdframeError):
    """A folder contains no library; the message names the folder."""


def find_library(folder: Path | None) -> Library:
    """Return the library in a folder, or the library of the user's configuration.

    Raises
    ------
    NoLibraryError
        If there is no library.
    """
    if folder is None:
        try:
            folder = load_settings(find_config()).storage.folder / LIBRARY
        except ConfigError as error:
            raise NoLibraryError(f"{error}\nName the library instead: --library FOLDER") from error
    if not folder.is_dir():
        raise NoLibraryError(
            f"{folder}: there is no library here yet; coldframe files masters at the end of a night, "
            "and `coldframe library add` files masters made by `coldframe combine`"
        )
    return Library(folder)


def configured_camera_names() -> tuple[str, ...]:
    """Return all names of the configured camera; nothing if there is no valid configuration."""
    try:
        return load_settings(find_config()).camera_names
    except ConfigError:
        return ()


def masters_of(catalogue: Catalogue) -> dict[Path, FrameSetup]:
    """Return the setups of the library's masters, by path, with one name for the configured camera."""
    names = configured_camera_names()
    return {path: under_one_name(setup, names) for path, setup in catalogue.setups.items()}


def list_masters(folder: Path | None, *, wants_json: bool = False) -> ExitCode:
    """Print a table of the masters for each camera and its settings; return 1 if some files are not masters."""
    try:
        library = find_library(folder)
    except NoLibraryError as error:
        return _refuse(error)
    catalogue = library.catalogue()
    if wants_json:
        print(json.dumps([_as_json(path, header) for path, header in catalogue.headers.items()], indent=2))
    else:
        _print_tables(library, catalogue)
    return _print_faults(catalogue.faults.items())


def _print_tables(library: Library, catalogue: Catalogue) -> None:
    tables: dict[str, Table] = {}
    for path, header in catalogue.headers.items():
        setup = setup_of(header)
        tables.setdefault(_camera_text(setup), _empty_table()).add_row(path.name, *_columns(setup), _frames(header))
    print(f"{len(catalogue.headers)} {'master' if len(catalogue.headers) == 1 else 'masters'} in {library.folder}")
    console = _console()
    for camera, table in tables.items():
        console.print(f"\n{camera}", markup=False, highlight=False)
        console.print(table)


def _frames(header: Mapping[str, HeaderValue]) -> str:
    """Return the number of combined frames, as coldframe and other programs write it."""
    return str(header.get("STACKCNT", header.get("NCOMBINE", "")))


def _as_json(path: Path, header: Mapping[str, HeaderValue]) -> dict[str, object]:
    setup, frames = setup_of(header), _frames(header)
    readout = setup.readout
    return {
        "path": str(path),
        "kind": None if setup.kind is None else setup.kind.value,
        "camera": setup.camera,
        "filter": setup.filter_name,
        "exposure_s": setup.exposure_s,
        "temperature_c": setup.temperature_c,
        "gain": readout.gain,
        "offset": readout.offset,
        "binning": readout.binning,
        "readout_mode": readout.readout_mode,
        "taken_at": None if setup.taken_at is None else setup.taken_at.isoformat(),
        "frames": int(frames) if frames.isdecimal() else None,
    }


def show_master(folder: Path | None, name: str) -> ExitCode:
    """Print the header of a master, given by its path or by its name in the library."""
    path = Path(name)
    try:
        if not path.exists():
            path = _named(find_library(folder), name)
        header = read_master_header(path)
    except (NoLibraryError, FrameFileError) as error:
        return _refuse(error)
    print(path)
    for keyword, value in header.items():
        print(f"  {keyword:<8}  {value}")
    return ExitCode.DONE


def add_masters(folder: Path | None, names: Sequence[str], stated: Stated) -> ExitCode:
    """File masters in the library; return 1 if some masters could not be filed."""
    try:
        library = find_library(folder) if folder is None else Library(folder)
        masters = find_files(names)
    except (NoLibraryError, NothingFoundError) as error:
        return _refuse(error)
    failed = 0
    for master in masters:
        try:
            filed = _filed(library, master, stated)
            print(filed)
            for assumption in assumptions_in(read_master_header(filed)):
                print(f"  {assumption}")
            print_findings(findings_of_file(filed, _previous(library, filed)), filed)
        except (FrameFileError, NotAMasterError, NotDurableError) as error:
            print(error, file=sys.stderr)
            failed += 1
    if failed == len(masters):
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if failed else ExitCode.DONE


def _filed(library: Library, master: Path, stated: Stated) -> Path:
    """File a master, converted if `calibrate` could not use it otherwise.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or its unit cannot be found out.
    NotAMasterError
        If it is not a master, or `calibrate` could not use it.
    NotDurableError
        If it could not be written.
    """
    header = read_image_header(master)
    # A stated kind replaces a missing one, but does not make a single frame a master.
    if (stated.kind is None or setup_of(header).kind is not None) and (fault := not_a_master(header)) is not None:
        raise NotAMasterError(f"{master}: {fault}")
    with scratch_folder() as scratch:
        converted = adopted(master, scratch, stated)
        wanted = master
        if converted is not None:
            wanted = scratch / _PLAIN_NAME.sub(".fits", master.name, count=1)
            converted.write(wanted)
        if (fault := _unusable(wanted)) is not None:
            raise NotAMasterError(f"{master}: calibrate cannot use it: {fault}")
        return library.file(wanted)


def _previous(library: Library, master: Path) -> Path | None:
    """Return the newest earlier master in the library with the settings of a master; None if there is none."""
    setups = library.catalogue().setups
    earlier = predecessors(master, setups)
    return earlier[-1] if earlier else None


def _unusable(master: Path) -> str | None:
    """Return the reason why `calibrate` cannot use the values of a master from another program; None if it can."""
    try:
        if setup_of(read_master_header(master)).kind is FrameKind.FLAT:
            check_relative(read_master(master))
        else:
            read_adu_master(master)
    except FrameFileError as error:
        return error.what
    except MismatchError as error:
        return str(error)
    return None


def verify_masters(folder: Path | None) -> ExitCode:
    """Read every byte of every master; return 1 if some masters are damaged."""
    try:
        library = find_library(folder)
    except NoLibraryError as error:
        return _refuse(error)
    verdicts = list(library.verify())
    sound = sum(fault is None for _, fault in verdicts)
    print(f"{sound} of {len(verdicts)} masters are sound")
    return _print_faults((path, fault) for path, fault in verdicts if fault is not None)


def rebuild_index(folder: Path | None) -> ExitCode:
    """Rebuild the index from the headers."""
    try:
        catalogue = find_library(folder).rebuild()
    except NoLibraryError as error:
        return _refuse(error)
    print(f"{len(catalogue.headers)} masters are in the index")
    return _print_faults(catalogue.faults.items())


def prune_masters(folder: Path | None, *, dry_run: bool) -> ExitCode:
    """Move masters to `superseded/` if newer masters have replaced them."""
    try:
        library = find_library(folder)
        replaced = list(library.prunable())
        for path in replaced:
            print(f"{path} -> {'superseded/' if dry_run else library.retire(path)}")
    except (NoLibraryError, NotDurableError) as error:
        return _refuse(error)
    if not replaced:
        print(f"{library.folder}: nothing to move: no master has been replaced by a newer one", file=sys.stderr)
    return ExitCode.DONE


def _empty_table() -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("master", overflow="fold")
    for heading in ("sensor", "exposure", "filter", "taken", "frames"):
        table.add_column(heading, no_wrap=True, justify="left" if heading in {"filter", "taken"} else "right")
    return table


def _camera_text(setup: FrameSetup) -> str:
    readout = setup.readout
    parts = [
        setup.camera or "unknown camera",
        None if readout.gain is None else f"gain {readout.gain:g}",
        None if readout.offset is None else f"offset {readout.offset:g}",
        f"{readout.binning}x{readout.binning}",
        readout.readout_mode,
    ]
    return ", ".join(part for part in parts if part)


def _columns(setup: FrameSetup) -> list[str]:
    return [
        "" if setup.temperature_c is None else f"{setup.temperature_c:.1f} C",
        "" if setup.exposure_s is None else exposure_text(setup.exposure_s),
        setup.filter_name or "",
        "" if setup.taken_at is None else setup.taken_at.date().isoformat(),
    ]


def _console() -> Console:
    """Return the console for tables; if the output is a file or a pipe, lines are not folded."""
    return VisibleConsole() if sys.stdout.isatty() else VisibleConsole(width=240)


def _named(library: Library, name: str) -> Path:
    found = [path for path in library.catalogue().headers if name in {path.name, path.stem}]
    if not found:
        raise FrameFileError(name, f"neither a file nor a master in {library.folder}: see `coldframe library list`")
    return found[0]


def _print_faults(faults: Iterable[tuple[Path, str]]) -> ExitCode:
    code = ExitCode.DONE
    for path, fault in faults:
        print(f"{path}: {fault}", file=sys.stderr)
        code = ExitCode.INCOMPLETE
    return code


def _refuse(error: Exception) -> ExitCode:
    print(error, file=sys.stderr)
    return ExitCode.BAD_INPUT
