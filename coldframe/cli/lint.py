"""`coldframe lint`: show what another program would group, merge or ignore, and point out every problem."""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.interchange.groups import Group
from coldframe.calibration.interchange.judged import Trap
from coldframe.calibration.interchange.linting import Lint, candidates_of, lint
from coldframe.calibration.interchange.programs.known import UnknownVersionError, program_of
from coldframe.calibration.interchange.programs.model import Program
from coldframe.calibration.interchange.programs.wbpp import with_tolerance
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.counted import counted
from coldframe.visible import visible

WIDTH = 80
_FILES_SHOWN = 3
_RECOMMENDED_KEYWORDS = {"wbpp": ("GAIN", "OFFSET", "TEMP", "READOUTM", "ROTATION")}


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `coldframe lint`.

    Attributes
    ----------
    program
        Name of the program.
    version
        Version of the program; None for the newest known version.
    keywords, tolerance_s
        Grouping keywords and exposure tolerance of WBPP; without a tolerance, the default of WBPP applies.
    as_json
        True to print a JSON object.
    """

    program: str
    version: str | None = None
    keywords: tuple[str, ...] = ()
    tolerance_s: float | None = None
    as_json: bool = False


def lint_folder(folder: Path, request: Request) -> ExitCode:
    """Print how a program would treat the files in a folder; return 1 if there are problems or unreadable files."""
    try:
        program = rules_of(request.program, request.version, request.tolerance_s)
    except UnknownVersionError as error:
        return _refuse(str(error))
    if not folder.is_dir():
        return _refuse(f"{folder} is not a folder; specify the folder that you would load into the program")
    files, errors = candidates_of(folder)
    if not files and not errors:
        return _refuse(f"{folder}: no FITS or XISF files in this folder and its subfolders")
    result = lint(program, files, request.keywords)
    print_lints([result], folder, errors, as_json=request.as_json)
    return ExitCode.INCOMPLETE if result.traps or errors else ExitCode.DONE


def rules_of(
    name: str, version: str | None = None, tolerance_s: float | None = None, *, recommended: bool = False
) -> Program:
    """Return the rules of a version of a program, adapted to the program's settings.

    Raises
    ------
    UnknownVersionError
        If the version is not known.
    """
    program = program_of(name, version)
    if name == "wbpp" and (tolerance_s is not None or recommended):
        return with_tolerance(program, tolerance_s or 0.0)
    return program


def keywords_of(program: str) -> tuple[str, ...]:
    """Return the grouping keywords that the README of an export recommends."""
    return _RECOMMENDED_KEYWORDS.get(program, ())


def print_lints(results: Sequence[Lint], folder: Path, errors: Sequence[FrameFileError] = (), *, as_json: bool) -> None:
    """Print judgements as tables and paragraphs that fit into 80 columns, or as a JSON object."""
    for error in errors:
        print(error, file=sys.stderr)
    if as_json:
        objects = [_json(each, folder) for each in results]
        unread = [{"file": str(error.path), "reason": error.what} for error in errors]
        print(json.dumps({"folder": str(folder), "judged": objects, "unreadable": unread}, indent=2))
        return
    for each in results:
        _print(each, folder)


def _print(result: Lint, folder: Path) -> None:
    program = result.program
    print(f"{program.title} {'.'.join(map(str, program.since))} and later ({_basis(program)})")
    if result.groups:
        VisibleConsole(width=WIDTH).print(_table(result.groups))
    ignored = [each for each in result.seen if each.kind is None or each.refused]
    if ignored:
        print(f"ignored or refused: {len(ignored):,} of {counted(len(result.seen), 'file')}\n")
    for trap in result.traps:
        _print_trap(trap, folder)
    print(f"{counted(len(result.traps), 'problem') if result.traps else 'no problems'}\n")


def _basis(program: Program) -> str:
    if not program.verified:
        return "assumed: no published rules were found"
    return f"according to the rules of {' and '.join(program.verified)}"


def _table(groups: Sequence[Group]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("group", justify="right", no_wrap=True)
    for heading in ("kind", "files", "exposure", "filter", "gain", "sensor", "uses", "folder"):
        justify = "right" if heading in {"files", "exposure", "gain", "sensor"} else "left"
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    numbers = {id(group): str(number) for number, group in enumerate(groups, start=1)}
    for group in groups:
        setup = group.first.setup
        gain, celsius = setup.readout.gain, setup.temperature_c
        used = [f"{kind} {numbers[id(taken)]}" for kind, taken in group.takes.items() if taken is not None]
        table.add_row(
            numbers[id(group)],
            str(group.kind),
            str(len(group.frames)),
            f"{group.first.exposure_s:g} s",
            group.first.filter_name or "",
            "" if gain is None else f"{gain:g}",
            "" if celsius is None else f"{celsius:g} C",
            ", ".join(used),
            group.first.file.path.parent.name,
        )
    return table


def _print_trap(trap: Trap, folder: Path) -> None:
    for line in _paragraph(f"! {trap.says}.", "  "):
        print(line)
    for line in _paragraph(f"  To avoid it: {trap.remedy}.", "  "):
        print(line)
    if trap.rule is not None:
        source = "assumed" if trap.rule.source is None else str(trap.rule.source)
        for line in _paragraph(f"  Rule: {trap.rule.says} [{source}]", "  "):
            print(line)
    for path in trap.files[:_FILES_SHOWN]:
        print(f"    {visible(_relative(path, folder))}")
    if len(trap.files) > _FILES_SHOWN:
        print(f"    and {len(trap.files) - _FILES_SHOWN} more")
    print()


def _paragraph(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(visible(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _relative(path: Path, folder: Path) -> str:
    root = folder.absolute()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _json(result: Lint, folder: Path) -> dict[str, Any]:
    program = result.program
    numbers = {id(group): number for number, group in enumerate(result.groups, start=1)}
    return {
        "program": program.name,
        "since": ".".join(map(str, program.since)),
        "verified": list(program.verified),
        "groups": [
            {
                "group": numbers[id(group)],
                "kind": str(group.kind),
                "exposure_s": group.first.exposure_s,
                "filter": group.first.filter_name,
                "keywords": dict(group.first.keywords),
                "calibrated_by": {
                    str(kind): None if taken is None else numbers[id(taken)] for kind, taken in group.takes.items()
                },
                "files": [_relative(seen.file.path, folder) for seen in group.frames],
            }
            for group in result.groups
        ],
        "ignored": [_relative(seen.file.path, folder) for seen in result.seen if seen.kind is None or seen.refused],
        "traps": [
            {
                "trap": trap.name,
                "says": trap.says,
                "remedy": trap.remedy,
                "files": [_relative(path, folder) for path in trap.files],
                "rule": None if trap.rule is None else trap.rule.says,
                "source": None if trap.rule is None or trap.rule.source is None else str(trap.rule.source),
            }
            for trap in result.traps
        ],
    }


def _refuse(text: str) -> ExitCode:
    print(text, file=sys.stderr)
    return ExitCode.BAD_INPUT
