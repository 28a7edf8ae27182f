"""Commands that plan, shoot, watch and start nights, and report on them."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.options import (
    ConfigOption,
    FolderOption,
    LightsOption,
    OnlyOption,
    PlanFolderOption,
    PlanLightsOption,
    PlanSimulateOption,
    RedoOption,
    SimulateOption,
    SkipOption,
    UntilOption,
    WatchFolderOption,
    home_path,
)


def run(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    folder: FolderOption = None,
    lights: LightsOption = None,
    until: UntilOption = None,
    only: OnlyOption = None,
    skip: SkipOption = None,
    redo: RedoOption = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --lights: before starting, wait until all lights have been shot.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Start a new night instead of resuming an unfinished night; existing files are kept."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, with times.")] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard/--no-dashboard", help="Show a dashboard, or print one line per event.")
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per event; with --dry-run, the plan.")
    ] = False,
) -> None:
    """Shoot the planned bias, dark, flat and dark-flat frames, make their masters, and leave the rig in the safe state.

    Ctrl-C ends the night and leaves the rig in the safe state: exposure aborted, lamp off, cover and cooler as
    configured. A second Ctrl-C skips the warm-up and leaves the cooler on. If a run does not finish, the next run of
    the same night resumes it: coldframe checks and counts the frames on disk, and shoots the missing ones.
    """
    from coldframe.cli.plan import show_plan
    from coldframe.operations.nights.request import NightRequest

    if watch and lights is None:
        raise typer.BadParameter("needs --lights FOLDER, the folder to watch", param_hint="--watch")
    request = NightRequest(config, simulate, folder, lights, until, tuple(only or ()), tuple(skip or ()), redo)
    if dry_run:
        raise typer.Exit(show_plan(request, wants_json=json))
    from coldframe.cli.run import run_night

    raise typer.Exit(run_night(request, watch=watch, fresh=fresh, wants_dashboard=dashboard, wants_json=json))


def plan(
    config: ConfigOption = None,
    simulate: PlanSimulateOption = None,
    folder: PlanFolderOption = None,
    lights: PlanLightsOption = None,
    until: UntilOption = None,
    only: OnlyOption = None,
    skip: SkipOption = None,
    redo: RedoOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as one JSON object.")] = False,
) -> None:
    """List the sets to shoot, in order, with frame counts and times, and the masters that the library already has.

    With --lights, the sets are derived from the headers of the night's lights, regardless of the program that wrote
    them. If time is short, sets are given fewer frames, and the plan lists the sets that do not fit. The command does
    not access any device, and writes only an index of headers to the cache folder.
    """
    # The objects of a plan live until the command ends, so garbage collection would take 0.1 s and free nothing.
    gc.disable()
    try:
        from coldframe.cli.plan import show_plan
        from coldframe.operations.nights.request import NightRequest

        request = NightRequest(config, simulate, folder, lights, until, tuple(only or ()), tuple(skip or ()), redo)
        raise typer.Exit(show_plan(request, wants_json=json))
    finally:
        gc.freeze()  # otherwise, the collector would search all objects as soon as it is enabled
        gc.enable()


def watch(
    config: ConfigOption = None,
    folder: WatchFolderOption = None,
    mqtt: Annotated[
        bool, typer.Option("--mqtt", help="Watch from another machine, through the MQTT broker in [mqtt].")
    ] = False,
) -> None:
    """Show the dashboard of the run that uses the configured folder, or of the last night if nothing is running.

    You can open and close the dashboard at any time without affecting the night. It attaches to the next run
    automatically. Press ? for a list of keys. To pause the night, skip sets or abort from here, set
    allow_commands = true in [watch] of the run's configuration.
    """
    from coldframe.cli.watch import watch_night, watch_remote

    raise typer.Exit(watch_remote(config) if mqtt else watch_night(config, folder))


def serve(
    config: ConfigOption = None,
    folder: WatchFolderOption = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS:PORT",
            help="IP address and TCP port to listen on. By default, only browsers on this machine can open the page; "
            "with 0.0.0.0:8787, anyone on the network can.",
        ),
    ] = "127.0.0.1:8787",
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Another host name under which browsers may reach this machine, besides its IP addresses and its "
            "system host name. May be repeated.",
        ),
    ] = None,
    commands: Annotated[
        bool,
        typer.Option(
            "--commands",
            help="Let browsers with the token pause, resume, skip and abort. The first use creates the token file, "
            "~/.config/coldframe/web-token.",
        ),
    ] = False,
) -> None:
    """Show in a browser the run that uses the configured folder, or the last night if nothing is running.

    The page is designed for a phone in the dark. It loads nothing from other servers, and attaches to the next run
    automatically. It is read-only unless --commands is given and the run's configuration has allow_commands = true in
    [watch].
    """
    from coldframe.cli.serve import serve_night

    raise typer.Exit(serve_night(config, folder, listen, name or (), commands=commands))


def listen(config: ConfigOption = None) -> None:
    """Wait for the command "run" from the MQTT broker in [mqtt], and start "coldframe run" when it arrives.

    This needs commands = true in [mqtt]. A night in progress handles all other commands itself. On Ctrl-C or SIGTERM,
    the listener first ends the night that it started, and leaves the rig in the safe state. If the listener is killed,
    the night continues.
    """
    from coldframe.cli.listen import listen as listen_for_run

    raise typer.Exit(listen_for_run(config))


def report(
    night: Annotated[
        Path | None,
        typer.Argument(
            metavar="NIGHT", help="Folder or name of a night; default: the newest night in [storage].", parser=home_path
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write report.html and report.json into a night's folder, from its journal and masters.

    coldframe also writes them at the end of every night. The page shows the masters with pictures, the missing masters
    with reasons, and how the time was spent. It is a single file that opens in any browser without a network
    connection.
    """
    from coldframe.cli.report import report_night

    raise typer.Exit(report_night(night, config))
