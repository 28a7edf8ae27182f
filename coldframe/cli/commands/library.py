"""The commands `coldframe library ...`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import (
    LibraryOption,
    Lights,
    home_name,
    home_path,
)

app = typer.Typer(no_args_is_help=True, help="List, match, verify and export masters.")


@app.command("list")
def list_library(library: LibraryOption = None) -> None:
    """List all masters."""
    from coldframe.cli.library import list_masters

    raise typer.Exit(list_masters(library))


@app.command("show")
def show_in_library(
    master: Annotated[str, typer.Argument(metavar="MASTER", help="Name in the library, or a file.")],
    library: LibraryOption = None,
) -> None:
    """Show a master: settings, method, inputs."""
    from coldframe.cli.library import show_master

    raise typer.Exit(show_master(library, master))


@app.command("match")
def match_in_library(lights: Lights, library: LibraryOption = None) -> None:
    """Say which masters fit, and why others do not.

    Where none fits, the nearest is named, with what is wrong with it.
    """
    from coldframe.cli.library import match_lights

    raise typer.Exit(match_lights(library, lights))


@app.command("add")
def add_to_library(
    masters: Annotated[
        list[str], typer.Argument(metavar="MASTER", help="Files, folders or patterns.", parser=home_name)
    ],
    library: LibraryOption = None,
) -> None:
    """Take masters in, such as those that combine made.

    As hard links, or copies from another disk.
    """
    from coldframe.cli.library import add_masters

    raise typer.Exit(add_masters(library, masters))


@app.command("verify")
def verify_library(library: LibraryOption = None) -> None:
    """Check every byte of every master."""
    from coldframe.cli.library import verify_masters

    raise typer.Exit(verify_masters(library))


@app.command("rebuild")
def rebuild_library(library: LibraryOption = None) -> None:
    """Make the index anew from the files' headers."""
    from coldframe.cli.library import rebuild_index

    raise typer.Exit(rebuild_index(library))


@app.command("prune")
def prune_library(
    library: LibraryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved.")] = False,
) -> None:
    """Set aside masters that newer ones replaced.

    They are moved to superseded/; nothing is ever deleted.
    """
    from coldframe.cli.library import prune_masters

    raise typer.Exit(prune_masters(library, dry_run=dry_run))


@app.command("export")
def export_library(
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=home_path, help="Where to; existing files are left alone.")
    ],
    program: Annotated[Literal["siril", "wbpp"], typer.Option("--for", help="Whose folders and names.")] = "siril",
    library: LibraryOption = None,
) -> None:
    """Lay out masters as other programs expect them.

    There is one folder for each combination of settings.
    """
    from coldframe.cli.library import export_masters

    raise typer.Exit(export_masters(library, target, program))
