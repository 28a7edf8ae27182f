"""Commands around a night: plan it, shoot it, watch it, and report it."""

from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.options import (
    ConfigOption,
    FolderOption,
    LightsOption,
    SimulateOption,
    UntilOption,
    home_path,
)


def run(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    folder: FolderOption = None,
    lights: LightsOption = None,
    until: UntilOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --lights: wait for the end of the night before starting.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, whatever an unfinished run of this night has left; it stays.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan with its times and touch nothing.")] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard/--no-dashboard", help="Dashboard on a terminal, or one line per event.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event on standard output.")] = False,
) -> None:
    """Shoot the planned bias, dark, flat and dark-flat frames, build their masters, and leave the rig safe.

    Ctrl-C ends in the safe state: exposure aborted, lamp out, cover and cooler as configured. A second Ctrl-C leaves
    out the warm-up. A run that did not come to its end is gone on with by the next one of the same night: its frames
    are checked and counted, and what is missing is shot.
    """
    from coldframe.cli.plan import NightRequest, show_plan

    if watch and lights is None:
        raise typer.BadParameter("needs --lights FOLDER: the lights tell when the night is over", param_hint="--watch")
    request = NightRequest(config, simulate, folder, lights, until)
    if dry_run:
        raise typer.Exit(show_plan(request))
    from coldframe.cli.run import run_night

    raise typer.Exit(run_night(request, watch=watch, fresh=fresh, wants_dashboard=dashboard, wants_json=json))


def plan(
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    folder: FolderOption = None,
    lights: LightsOption = None,
    until: UntilOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show the sets to shoot in their order, with frames, times, and what the library has already.

    With --lights the headers of the night's lights, written by any program, tell which sets these are. Where the time
    is short, sets get fewer frames, and those that do not fit are named. Nothing is touched.
    """
    from coldframe.cli.plan import NightRequest, show_plan

    raise typer.Exit(show_plan(NightRequest(config, simulate, folder, lights, until), wants_json=json))


def watch(
    config: ConfigOption = None,
    folder: FolderOption = None,
    mqtt: Annotated[
        bool, typer.Option("--mqtt", help="Watch from another machine, through the broker of [mqtt].")
    ] = False,
) -> None:
    """Show the dashboard of the run that stores into the configured folder; where none runs, the last night.

    It may come and go at any time, and finds the next run by itself. Keys: ? tells them. The night can be steered from
    here if its configuration has allow_commands = true in [watch]; closing the dashboard changes nothing.
    """
    from coldframe.cli.watch import watch_night, watch_remote

    raise typer.Exit(watch_remote(config) if mqtt else watch_night(config, folder))


def listen(config: ConfigOption = None) -> None:
    """Wait at the broker of [mqtt] for the command "run", and start "coldframe run" when it comes.

    Needs commands = true in [mqtt]. A night under way answers commands itself. Ctrl-C or SIGTERM first end a night that
    was started from here, in the safe state. If the listener is killed, the night goes on.
    """
    from coldframe.cli.listen import listen as listen_for_run

    raise typer.Exit(listen_for_run(config))


def report(
    night: Annotated[
        Path | None,
        typer.Argument(
            metavar="NIGHT", help="Folder or name of a night; default: the newest one in [storage].", parser=home_path
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write report.html and report.json into a night's folder, from its journal and its masters.

    Every night ends with one: what was made, what is missing and why, pictures of the masters, where the time went. One
    file, to be read in any browser, that needs no network.
    """
    from coldframe.cli.report import report_night

    raise typer.Exit(report_night(night, config))
