"""Commands that prepare files for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import LibraryOption, home_path


def export(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=home_path, help="Folder to write; existing files are kept.")
    ],
    program: Annotated[
        Literal["siril", "wbpp", "dss", "app", "asiair"],
        typer.Option("--for", help="Program whose folders, names and formats to use."),
    ],
    raw: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="NIGHT", parser=home_path, help="Also export the raw frames of this night. May be repeated."
        ),
    ] = None,
    library: LibraryOption = None,
) -> None:
    """Export masters, and raw frames if you wish, in folders that another program groups rightly.

    The files are hard links where the file system allows it, otherwise copies; nothing is overwritten. Masters are
    converted where the program cannot read masters of 32-bit floats: to XISF for WBPP, to 16 bits for DeepSkyStacker.
    README.txt lists the switches to set.
    """
    from coldframe.cli.export import Request, export_files

    raise typer.Exit(export_files(folder, Request(program, library, tuple(raw or ()))))
