"""Options and arguments that several commands share."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.models import OptionInfo

from coldframe.config.environment import CONFIG_VARIABLE


def home_path(text: str) -> Path:
    """Return `text` as a path with ~ expanded; shells do not expand it within quotes or after `--option=`."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text}: no user of this name has a home folder here") from error


def folder_path(text: str) -> Path:
    """Return `text` as the path of a folder, which need not exist yet; reject the path of a file."""
    path = home_path(text)
    with suppress(OSError):  # a path that cannot be examined is reported by the command that uses it
        if path.exists() and not path.is_dir():
            raise typer.BadParameter(f"{text} is a file; specify a folder")
    return path


def time_of_day(text: str) -> datetime:
    """Return `text` as a local time of day, on an arbitrary date."""
    try:
        return datetime.strptime(text, "%H:%M")  # noqa: DTZ007 - the date and the zone follow from the start of the run
    except ValueError:
        raise typer.BadParameter(f"{text} is not a time of day; write hours and minutes, such as 06:30") from None


def home_name(text: str) -> str:
    """Return `text`, a file name or pattern, with ~ expanded."""
    return str(home_path(text))


def _found_by_command(context: typer.Context, path: Path | None) -> Path | None:
    """Make the whole command use this configuration, even where it only looks up the library or the camera's names."""
    if path is not None:
        before = os.environ.get(CONFIG_VARIABLE)
        os.environ[CONFIG_VARIABLE] = str(path)
        context.call_on_close(partial(_restore, before))
    return path


def _checked_by_command(context: typer.Context, path: Path | None) -> None:
    """End the command if the user specified a configuration file that cannot be used.

    Faults in the default configuration are ignored, because the command can work without a configuration.
    """
    if path is None and not os.environ.get(CONFIG_VARIABLE):
        return
    from coldframe.config.loading import ConfigError, find_config, load_settings  # noqa: PLC0415 - slow to import

    try:
        load_settings(path or find_config())
    except ConfigError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from error
    _found_by_command(context, path)


def _restore(before: str | None) -> None:
    if before is None:
        del os.environ[CONFIG_VARIABLE]
    else:
        os.environ[CONFIG_VARIABLE] = before


def _config_option(callback: Callable[[typer.Context, Path | None], Path | None], *, is_argument: bool) -> OptionInfo:
    option: OptionInfo = typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        parser=home_path,
        callback=callback,
        expose_value=is_argument,
        help="Configuration file; default: $COLDFRAME_CONFIG, or ~/.config/coldframe/coldframe.toml.",
    )
    return option


ConfigOption = Annotated[Path | None, _config_option(_found_by_command, is_argument=True)]
UsedConfigOption = Annotated[Path | None, _config_option(_checked_by_command, is_argument=False)]
"""For commands that only look up the library or the camera's names in the configuration."""

FolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", parser=folder_path, help="Folder to store nights in, instead of the one in [storage]."
    ),
]
PlanFolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=folder_path,
        help="Folder that contains the nights and the library; default: the one in [storage].",
    ),
]
WatchFolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=folder_path,
        help="Folder in which the run stores its nights; default: the one in [storage].",
    ),
]
LightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=folder_path,
        help="Shoot the sets that the lights in this folder need, instead of the configured sets.",
    ),
]
PlanLightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=folder_path,
        help="Plan the sets that the lights in this folder need, instead of the configured sets.",
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        metavar="HH:MM",
        parser=time_of_day,
        help="Local time by which the last frame must be finished; default: sunrise, if [site] is configured.",
    ),
]
_CHOICE = "Kinds (bias, darks, flats, dark-flats), optionally with filters or exposures: flats:Ha,OIII or darks:300."
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="KIND[:NAME,...]",
        help=f"Include only these sets, plus the dark flats or the bias that flats need. May be repeated. {_CHOICE}",
    ),
]
SkipOption = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="KIND[:NAME,...]", help=f"Leave out these sets. May be repeated. {_CHOICE}"),
]
RedoOption = Annotated[
    bool,
    typer.Option(
        "--redo",
        help="Include sets even if the library has recent masters for them, or if tonight's run already has their "
        "frames. A run with this option starts a new night.",
    ),
]
_RIGS = "small, cooled-mono, cooled-osc, ccd-overscan, uncooled, dslr, rotator, or a TOML file; default: small"
SimulateOption = Annotated[
    str | None,
    typer.Option(
        metavar="RIG",
        help=f"Use a simulated rig through a real INDI connection: {_RIGS}. Without --config, coldframe shoots the "
        "rig's example night, and stores it in ~/coldframe-simulated unless --folder is given.",
    ),
]
PlanSimulateOption = Annotated[
    str | None,
    typer.Option(
        metavar="RIG",
        help=f"Plan for a simulated rig: {_RIGS}. Without --config, coldframe plans the rig's example night, with "
        "~/coldframe-simulated as its folder unless --folder is given.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the table as JSON.")]
HostOption = Annotated[str, typer.Option(metavar="HOST", help="Host of the INDI server.")]
PortOption = Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="TCP port of the INDI server.")]

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="FOLDER",
        parser=folder_path,
        help="Folder of the library; default: library/ in the configured storage folder.",
    ),
]
Lights = Annotated[
    list[str], typer.Argument(metavar="LIGHT", help="Lights: files, folders or patterns.", parser=home_name)
]


def image_of_file(text: str) -> int | Literal["mosaic"]:
    """Return the number of an HDU, or "mosaic"; see `coldframe.calibration.files.unpacking.Extension`."""
    if text == "mosaic":
        return "mosaic"
    if text.isdecimal():
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither the number of an HDU, counted from 0, nor mosaic")


ExtensionOption = Annotated[
    str | None,
    typer.Option(
        "--extension",
        metavar="N|mosaic",
        help="Image to read from files with several images: the number of its HDU, counted from 0, or mosaic to "
        "join the sections that a detector's amplifiers read out.",
    ),
]
