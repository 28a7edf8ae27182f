"""The command line. Each command's work lies in a module of its own, imported only when the command runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.exit_codes import ExitCode

app = typer.Typer(
    name="coldframe",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Unattended end-of-night calibration frames for INDI rigs: bias, darks, flats and dark flats, with their "
    "masters, shot while you sleep. Try it without hardware: coldframe run --simulate",
    epilog="Exit codes: 0 all planned masters were made; 1 ended with something missing, and said what; 2 bad input, "
    "or nothing to work with; 3 aborted into the safe state; 130 interrupted.",
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration; default: coldframe.toml of the user."),
]
FolderOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Where files go, instead of the configuration's [storage] folder.")
]
HostOption = Annotated[str, typer.Option(help="Machine of the INDI server.")]
PortOption = Annotated[int, typer.Option(min=1, max=65535, help="TCP port of the INDI server.")]


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # the callback's signature is typer's
    if wanted:
        from coldframe import __version__  # noqa: PLC0415  # reading the metadata costs time

        typer.echo(f"coldframe {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(short_help="Shoot the night's calibration frames.")
def run(
    config: ConfigOption = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            metavar="RIG",
            help="Simulate this rig (small, cooled-mono, cooled-osc, ccd-overscan, uncooled, or a TOML file) over real "
            "INDI. Without --config the rig's own example night is shot.",
        ),
    ] = None,
    folder: FolderOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan with its times and touch nothing.")] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard/--no-dashboard", help="Dashboard on a terminal, or one line per event.")
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event on standard output.")] = False,
) -> None:
    """Shoot the planned bias, dark, flat and dark-flat frames, build their masters, and leave the rig safe.

    Ctrl-C ends in the safe state: exposure aborted, lamp out, cover and cooler as configured. A second Ctrl-C leaves
    out the warm-up.
    """
    from coldframe.cli.run import run_night, show_plan  # noqa: PLC0415  # heavy imports only when needed

    if dry_run:
        raise typer.Exit(show_plan(config, simulate))
    raise typer.Exit(run_night(config, simulate, folder, wants_dashboard=dashboard, wants_json=json))


@app.command(short_help="Serve a simulated rig over INDI.")
def simulate(
    rig: Annotated[str, typer.Argument(help="Name of a shipped rig, or a TOML file.")] = "small",
    host: Annotated[
        str, typer.Option(help="Address to listen on; INDI has no passwords, so keep to loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port to listen on.")] = 7624,
    unix: Annotated[
        str | None, typer.Option(metavar="PATH", help="Local socket to listen on too, as indiserver's -u.")
    ] = None,
) -> None:
    """Serve a simulated rig (camera, flat panel, filter wheel) to any INDI client until Ctrl-C.

    Shipped rigs: small, cooled-mono, cooled-osc, ccd-overscan, uncooled. With stock clients:
    indi_getprop -p 7624
    """
    from coldframe.cli.simulate import serve_rig  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(serve_rig(rig, host, port, unix))


@app.command(short_help="List what an INDI server's devices can do.")
def devices(host: HostOption = "127.0.0.1", port: PortOption = 7624) -> None:
    """List what each device of an INDI server can do for us, and what is missing.

    Connects drivers that are not connected yet, because only then do they tell.
    """
    from coldframe.cli.devices import list_devices  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(list_devices(host, port))


@app.command(short_help="Write a commented configuration.")
def init(
    config: ConfigOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7624,
) -> None:
    """Ask the INDI server what is there and write a commented configuration.

    Every setting is explained in it, and the sets are good practice. An existing file is left alone.
    """
    from coldframe.cli.init import write_config  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(write_config(config, host, port))


@app.command(short_help="Bring the hardware to the safe state.")
def safe(config: ConfigOption = None) -> None:
    """Bring the hardware to the safe state: exposure ended, lamp out, cover and cooler as configured.

    Needs nothing but the INDI server: no disk, no running night. For systemd's ExecStopPost, or after a crash.
    """
    from coldframe.cli.safe import make_safe  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(make_safe(config))


def main() -> None:
    """Run the command line."""
    app(with_default_rig(sys.argv[1:]))


def with_default_rig(arguments: list[str]) -> list[str]:
    """Return the arguments with the small rig named behind a `--simulate` that names none."""
    given = list(arguments)
    if "--simulate" in given:
        behind = given.index("--simulate") + 1
        if behind == len(given) or given[behind].startswith("-"):
            given.insert(behind, "small")
    return given


__all__ = ["ExitCode", "app", "main"]
