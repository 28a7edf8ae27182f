"""Options and arguments that several commands share."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def home_path(text: str) -> Path:
    """Return a path whose ~ is the home folder: shells do not expand it within quotes and after `--option=`."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text}: no user of this name has a home folder here") from error


def home_name(text: str) -> str:
    """Return a file name or pattern whose ~ is the home folder."""
    return str(home_path(text))


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", parser=home_path, help="Configuration; default: coldframe.toml of the user."
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", parser=home_path, help="Where files go, instead of the configuration's [storage] folder."
    ),
]
LightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=home_path,
        help="Shoot what the lights in this folder need, instead of the configured sets.",
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        metavar="HH:MM",
        formats=["%H:%M"],
        help="Local time by which the last frame must be in; default: sunrise, where the configuration has a [site].",
    ),
]
SimulateOption = Annotated[
    str | None,
    typer.Option(
        metavar="RIG",
        help="Simulate this rig (small, cooled-mono, cooled-osc, ccd-overscan, uncooled, or a TOML file) over real "
        "INDI; without a name the small one. Without --config the rig's own example night is shot, and without "
        "--folder it goes into ~/coldframe-simulated.",
    ),
]
HostOption = Annotated[str, typer.Option(metavar="HOST", help="Machine of the INDI server.")]
PortOption = Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="TCP port of the INDI server.")]

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="FOLDER",
        parser=home_path,
        help="Folder of masters; default: library/ in the configured storage.",
    ),
]
Lights = Annotated[list[str], typer.Argument(metavar="LIGHT", help="Files, folders or patterns.", parser=home_name)]
