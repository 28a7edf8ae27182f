"""The `coldframe library` commands."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import (
    JsonOption,
    LibraryOption,
    Lights,
    UsedConfigOption,
    folder_path,
    home_name,
)

app = typer.Typer(no_args_is_help=True, help="List, match and verify masters.")


@app.command("list")
def list_library(library: LibraryOption = None, json: JsonOption = False, _config: UsedConfigOption = None) -> None:
    """List all masters."""
    from coldframe.cli.library import list_masters

    raise typer.Exit(list_masters(library, wants_json=json))


@app.command("show")
def show_in_library(
    master: Annotated[str, typer.Argument(metavar="MASTER", help="Name of a master in the library, or a file.")],
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
) -> None:
    """Show a master's settings, method and inputs."""
    from coldframe.cli.library import show_master

    raise typer.Exit(show_master(library, master))


@app.command("match")
def match_in_library(
    lights: Lights, library: LibraryOption = None, json: JsonOption = False, _config: UsedConfigOption = None
) -> None:
    """Show which masters match, and why the rest do not.

    Lights with the same masters are shown together. If no master matches a light, the nearest master is shown with its
    differences.
    """
    from coldframe.cli.matching import match_lights

    raise typer.Exit(match_lights(library, lights, wants_json=json))


@app.command("add")
def add_to_library(
    masters: Annotated[
        list[str], typer.Argument(metavar="MASTER", help="Masters: files, folders or patterns.", parser=home_name)
    ],
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
    kind: Annotated[
        Literal["bias", "dark", "dark-flat", "flat"] | None,
        typer.Option(help="Kind of the masters, if their headers do not specify it."),
    ] = None,
    full_range: Annotated[
        float | None,
        typer.Option(
            "--range",
            metavar="ADU",
            min=1e-6,
            help="Level in ADU that the value 1 represents. Default: 65535 if no value exceeds 1, otherwise 1.",
        ),
    ] = None,
    with_bias: Annotated[
        bool | None,
        typer.Option(
            "--with-bias/--bias-subtracted",
            help="Whether darks still contain the bias. Default: determined from their level.",
        ),
    ] = None,
) -> None:
    """Add masters, such as those made by combine or by other programs.

    The library contains hard links to the files, or copies if the files are on a different disk. Masters from other
    programs that contain fractions of the full range, and flats in ADU, are converted; the converted copy and the
    output list the assumptions. Masters that cannot be used are rejected.
    """
    from coldframe.calibration.library.adopting import Stated
    from coldframe.cli.library import add_masters
    from coldframe.config.frames import FrameKind

    stated = Stated(None if kind is None else FrameKind(kind), full_range, with_bias)
    raise typer.Exit(add_masters(library, masters, stated))


@app.command("verify")
def verify_library(library: LibraryOption = None, _config: UsedConfigOption = None) -> None:
    """Check every byte of every master."""
    from coldframe.cli.library import verify_masters

    raise typer.Exit(verify_masters(library))


@app.command("rebuild")
def rebuild_library(library: LibraryOption = None, _config: UsedConfigOption = None) -> None:
    """Rebuild the index from the files' headers."""
    from coldframe.cli.library import rebuild_index

    raise typer.Exit(rebuild_index(library))


@app.command("prune")
def prune_library(
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the masters that would be moved.")] = False,
) -> None:
    """Move masters to superseded/ if newer masters have replaced them.

    Nothing is deleted.
    """
    from coldframe.cli.library import prune_masters

    raise typer.Exit(prune_masters(library, dry_run=dry_run))


@app.command("export", hidden=True)
def export_library(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=folder_path, help="Folder to write to; existing files are kept.")
    ],
    program: Annotated[
        Literal["siril", "wbpp"], typer.Option("--for", help="Program whose folders and names to use.")
    ] = "siril",
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
) -> None:
    """Export masters for other programs; this is the former name of `coldframe export`."""
    from coldframe.cli.export import Request, export_files

    code = export_files(target, Request(program, library))
    typer.echo(f"`coldframe library export` is now `coldframe export FOLDER --for {program}`", err=True)
    raise typer.Exit(code)
