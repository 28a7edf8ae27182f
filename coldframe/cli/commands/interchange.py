"""Commands that prepare files for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import LibraryOption, UsedConfigOption, folder_path, home_path

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as a JSON object.")]


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=folder_path, help="Folder to write to; existing files are kept.")
    ],
    program: Annotated[
        Literal["siril", "wbpp", "dss", "app", "asiair"],
        typer.Option("--for", help="Program for which to arrange, name and convert the files."),
    ],
    raw: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="NIGHT", parser=home_path, help="Also export the raw frames of this night. May be repeated."
        ),
    ] = None,
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; show how the program would treat the export.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Export masters, and optionally raw frames, so that another program groups them correctly.

    The files are hard links where the file system supports them, and copies otherwise; nothing is overwritten. Masters
    are converted for programs that cannot read 32-bit FITS masters: to XISF for WBPP, to 16 bits for DeepSkyStacker.
    README.txt lists the settings to change in the program.

    The exit code is 1 if an existing file differs from the file to export, for example because a master has since been
    replaced, or if a master cannot be read; these files are listed.

    With --check, the exit code is 0 if there is nothing to report, 1 if there are problems or unreadable files, and 2
    if there is nothing to export; see `coldframe lint`.
    """
    from coldframe.cli.export import Request, check_export, export_files

    request = Request(program, library, tuple(raw or ()))
    if check:
        if program == "asiair":
            raise typer.BadParameter("no rules are known for ASIAIR", param_hint="--check")
        raise typer.Exit(check_export(folder, request, as_json=as_json))
    if as_json:
        raise typer.BadParameter("needs --check", param_hint="--json")
    raise typer.Exit(export_files(folder, request))


def lint(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=folder_path, help="Folder that you would load into the program.")
    ],
    program: Annotated[
        Literal["siril", "wbpp", "dss", "app"], typer.Option("--for", help="Program whose rules apply.")
    ],
    version: Annotated[
        str | None,
        typer.Option("--for-version", metavar="N.N", help="Version of the program; default: the newest known."),
    ] = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option(metavar="KEYWORD", help='WBPP: a grouping keyword that you set to "pre". May be repeated.'),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0, help="WBPP: exposure tolerance for darks, in seconds; default: 10, as in WBPP."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show in advance what a program will group, merge or ignore, and point out every problem.

    coldframe reads the headers in the folder and its subfolders according to the published rules of the program. Frames
    may come from any capture program. Nothing is changed.

    The exit code is 0 if there is nothing to report, 1 if there are problems or unreadable files, and 2 if the input is
    invalid.
    """
    from coldframe.cli.lint import Request, lint_folder

    if program != "wbpp" and (keyword or tolerance is not None):
        raise typer.BadParameter("are settings of WBPP", param_hint="--keyword and --tolerance")
    raise typer.Exit(lint_folder(folder, Request(program, version, tuple(keyword or ()), tolerance, as_json)))
