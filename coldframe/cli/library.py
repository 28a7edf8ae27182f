"""`coldframe library`: list and manage the masters of all nights."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.library.adopting import Stated, assumptions_in
from coldframe.calibration.library.library import Catalogue, Library, NotAMasterError
from coldframe.calibration.masters.reading import read_master_header
from coldframe.capture.monitoring.progress.quantities import exposure_text
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.counted import counted
from coldframe.operations.library import (
    NoLibraryError,
    filed_master,
    find_library,
    previous_master,
)
from coldframe.operations.master_findings import findings_of_file, report_findings


def list_masters(folder: Path | None, *, wants_json: bool = False) -> ExitCode:
    """Print a table of masters for each combination of camera and settings; return 1 if some files are not masters."""
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
    """Return the number of combined frames as the header states it, in coldframe's or another program's keyword."""
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
            filed = filed_master(library, master, stated)
            print(filed)
            for assumption in assumptions_in(read_master_header(filed)):
                print(f"  {assumption}")
            report_findings(findings_of_file(filed, previous_master(library, filed)), Printed(), filed)
        except (FrameFileError, NotAMasterError, NotDurableError) as error:
            print(error, file=sys.stderr)
            failed += 1
    if failed == len(masters):
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if failed else ExitCode.DONE


def verify_masters(folder: Path | None) -> ExitCode:
    """Read every byte of every master; return 1 if some masters are damaged."""
    try:
        library = find_library(folder)
    except NoLibraryError as error:
        return _refuse(error)
    verdicts = list(library.verify())
    sound = sum(fault is None for _, fault in verdicts)
    print(f"{sound:,} of {len(verdicts):,} masters are sound")
    return _print_faults((path, fault) for path, fault in verdicts if fault is not None)


def rebuild_index(folder: Path | None) -> ExitCode:
    """Rebuild the index from the headers."""
    try:
        catalogue = find_library(folder).rebuild()
    except NoLibraryError as error:
        return _refuse(error)
    print(f"the index contains {counted(len(catalogue.headers), 'master')}")
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
        print(f"{library.folder}: nothing to move, because no master has been replaced by a newer one", file=sys.stderr)
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
    """Return the console for tables; if the output is a file or a pipe, lines are not wrapped."""
    return VisibleConsole() if sys.stdout.isatty() else VisibleConsole(width=240)


def _named(library: Library, name: str) -> Path:
    found = [path for path in library.catalogue().headers if name in {path.name, path.stem}]
    if not found:
        raise FrameFileError(
            name, f"it is neither a file nor a master in {library.folder}: see `coldframe library list`"
        )
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
