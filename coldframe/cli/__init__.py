"""The command line. Each command's work lies in a module of its own, imported only when the command runs."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

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
            "INDI; without a name the small one. Without --config the rig's own example night is shot, and without "
            "--folder it goes into ~/coldframe-simulated.",
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
    until_stdin_closes: Annotated[
        bool,
        typer.Option("--until-stdin-closes", help="End with the program that started this one and holds its input."),
    ] = False,
) -> None:
    """Serve a simulated rig (camera, flat panel, filter wheel) to any INDI client until Ctrl-C.

    Shipped rigs: small, cooled-mono, cooled-osc, ccd-overscan, uncooled. With stock clients:
    indi_getprop -p 7624
    """
    from coldframe.cli.simulate import serve_rig  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(serve_rig(rig, host, port, unix, until_stdin_closes=until_stdin_closes))


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


LibraryOption = Annotated[
    Path | None,
    typer.Option("--library", metavar="FOLDER", help="Folder of masters; default: library/ in the configured storage."),
]
Lights = Annotated[list[str], typer.Argument(metavar="LIGHT", help="Files, folders or patterns.")]


@app.command()
def calibrate(
    lights: Lights,
    library: LibraryOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where results go; default: calibrated/ beside each light.")
    ] = None,
    subtract: Annotated[
        Literal["dark", "scaled-dark", "bias"],
        typer.Option(
            help="A dark of the light's own exposure; or, where there is none, bias and a dark scaled to it (refused "
            "where the sensor glows); or bias alone.",
        ),
    ] = "dark",
    flat: Annotated[bool, typer.Option("--flat/--no-flat", help="Divide by the master flat.")] = True,
    floating: Annotated[bool, typer.Option("--float", help="32-bit floats instead of 16-bit integers.")] = False,
    pedestal: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=30000,
            help="ADU added to every pixel (PEDESTAL); default: 0 for floats, for integers what keeps pixels above 0.",
        ),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Electrons for 1 ADU, for the photon noise; default: EGAIN of the light."),
    ] = None,
) -> None:
    """Calibrate lights with matching masters.

    Each becomes (light - dark) / flat, with the masters of the library that fit it best. The extension UNCERT of each
    result is its standard error. Nothing is overwritten; a light that cannot be calibrated is named, with the reason,
    and the rest goes on.
    """
    from coldframe.calibration.light_file import Output  # noqa: PLC0415  # heavy imports only when needed
    from coldframe.calibration.light_recipe import Subtract  # noqa: PLC0415
    from coldframe.cli.calibrate import Request, calibrate_lights  # noqa: PLC0415

    output = Output(floating, pedestal, e_per_adu)
    raise typer.Exit(calibrate_lights(lights, Request(library, out, Subtract(subtract), flat, output)))


library_app = typer.Typer(no_args_is_help=True, help="List, match, verify and export masters.")
app.add_typer(library_app, name="library")


@library_app.command("list")
def list_library(library: LibraryOption = None) -> None:
    """List all masters."""
    from coldframe.cli.library import list_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(list_masters(library))


@library_app.command("show")
def show_in_library(
    master: Annotated[str, typer.Argument(help="Name in the library, or a file.")], library: LibraryOption = None
) -> None:
    """Show a master: settings, method, inputs."""
    from coldframe.cli.library import show_master  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(show_master(library, master))


@library_app.command("match")
def match_in_library(
    lights: Annotated[list[Path], typer.Argument(metavar="LIGHT")], library: LibraryOption = None
) -> None:
    """Say which masters fit, and why others do not.

    Where none fits, the nearest is named, with what is wrong with it.
    """
    from coldframe.cli.library import match_lights  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(match_lights(library, lights))


@library_app.command("add")
def add_to_library(
    masters: Annotated[list[Path], typer.Argument(metavar="MASTER")], library: LibraryOption = None
) -> None:
    """Take masters in, such as those that combine made.

    As hard links, or copies from another disk.
    """
    from coldframe.cli.library import add_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(add_masters(library, masters))


@library_app.command("verify")
def verify_library(library: LibraryOption = None) -> None:
    """Check every byte of every master."""
    from coldframe.cli.library import verify_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(verify_masters(library))


@library_app.command("rebuild")
def rebuild_library(library: LibraryOption = None) -> None:
    """Make the index anew from the files' headers."""
    from coldframe.cli.library import rebuild_index  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(rebuild_index(library))


@library_app.command("prune")
def prune_library(
    library: LibraryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved.")] = False,
) -> None:
    """Set aside masters that newer ones replaced.

    They are moved to superseded/; nothing is ever deleted.
    """
    from coldframe.cli.library import prune_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(prune_masters(library, dry_run=dry_run))


@library_app.command("export")
def export_library(
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; existing files are left alone.")],
    program: Annotated[Literal["siril", "wbpp"], typer.Option("--for", help="Whose folders and names.")] = "siril",
    library: LibraryOption = None,
) -> None:
    """Lay out masters as other programs expect them.

    There is one folder for each combination of settings.
    """
    from coldframe.cli.library import export_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(export_masters(library, target, program))


@app.command(short_help="Make a master from raw frames of any program.")
def combine(
    files: Annotated[list[str], typer.Argument(metavar="FILES...", help="Raw frames: files, folders, patterns.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MASTER", help="File to write; never overwritten.")],
    method: Annotated[
        Literal["mean", "sigma-clip", "winsorized", "median"], typer.Option(help="How values become one.")
    ] = "sigma-clip",
    center: Annotated[Literal["mean", "median"], typer.Option(help="What sigma-clip counts deviations from.")] = "mean",
    start: Annotated[
        Literal["trimmed", "all"],
        typer.Option(
            help="First mean and sigma of sigma-clip: without the extremes, so that few frames do, or of all."
        ),
    ] = "trimmed",
    sigma: Annotated[float, typer.Option(min=1, max=100, help="Rejected beyond so many sigma.")] = 3.0,
    dark: Annotated[
        Path | None, typer.Option(metavar="MASTER", help="Master dark flat or bias, subtracted from each flat.")
    ] = None,
    kind: Annotated[
        Literal["bias", "dark", "flat", "dark-flat"] | None,
        typer.Option(help="What the frames are, whatever their headers say."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Combine what does not belong together, or one frame.")
    ] = False,
) -> None:
    """Combine raw frames of any camera and program, compressed ones too, into a master with uncertainty and counts.

    Frames are grouped by their headers; a mixture is shown and refused. Bad files are named and left out. The rejection
    is that of the live core, to the bit; with --center median, or winsorized, it is Siril's.
    """
    from coldframe.cli.combine import Choice, combine_files  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(combine_files(files, output, Choice(method, center, start, sigma), dark, kind, force=force))


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
