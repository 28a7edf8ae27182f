"""The command line. Each command's work lies in a module of its own, imported only when the command runs."""

import sys
from datetime import datetime
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


def _home_path(text: str) -> Path:
    """Return a path whose ~ is the home folder: shells leave it alone within quotes and behind --option=."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text}: no user of this name has a home folder here") from error


def _home_name(text: str) -> str:
    return str(_home_path(text))


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", metavar="FILE", parser=_home_path, help="Configuration; default: coldframe.toml of the user."
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", parser=_home_path, help="Where files go, instead of the configuration's [storage] folder."
    ),
]
LightsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        parser=_home_path,
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
    from coldframe.cli.plan import Wish, show_plan  # noqa: PLC0415  # heavy imports only when needed

    if watch and lights is None:
        raise typer.BadParameter("needs --lights FOLDER: the lights tell when the night is over", param_hint="--watch")
    wish = Wish(config, simulate, folder, lights, until)
    if dry_run:
        raise typer.Exit(show_plan(wish))
    from coldframe.cli.run import run_night  # noqa: PLC0415  # as above

    raise typer.Exit(run_night(wish, watch=watch, fresh=fresh, wants_dashboard=dashboard, wants_json=json))


@app.command(short_help="Show what a night would shoot, and how long it takes.")
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
    from coldframe.cli.plan import Wish, show_plan  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(show_plan(Wish(config, simulate, folder, lights, until), wants_json=json))


@app.command(short_help="Watch a night under way from another terminal.")
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
    from coldframe.cli.watch import watch_night, watch_remote  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(watch_remote(config) if mqtt else watch_night(config, folder))


@app.command(short_help="Start nights when asked over MQTT.")
def listen(config: ConfigOption = None) -> None:
    """Wait at the broker of [mqtt] for the command "run", and start "coldframe run" when it comes.

    Needs commands = true in [mqtt]. A night under way answers commands itself. Ctrl-C or SIGTERM first end a night that
    was started from here, in the safe state. If the listener is killed, the night goes on.
    """
    from coldframe.cli.listen import listen as listen_for_run  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(listen_for_run(config))


@app.command(short_help="Serve a simulated rig over INDI.")
def simulate(
    rig: Annotated[str, typer.Argument(metavar="RIG", help="Name of a shipped rig, or a TOML file.")] = "small",
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; INDI has no passwords, so keep to loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="TCP port to listen on.")] = 7624,
    unix: Annotated[
        str | None, typer.Option(metavar="PATH", help="Local socket to listen on too, as indiserver's -u.")
    ] = None,
    lights: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=_home_path, help="Write a few lights of this rig into a folder, and end."
        ),
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
    from coldframe.cli.simulate import leave_lights, serve_rig  # noqa: PLC0415  # heavy imports only when needed

    if lights is not None:
        raise typer.Exit(leave_lights(rig, lights))
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


@app.command(short_help="Make a night's morning report again.")
def report(
    night: Annotated[
        Path | None,
        typer.Argument(
            metavar="NIGHT", help="Folder or name of a night; default: the newest one in [storage].", parser=_home_path
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write report.html and report.json into a night's folder, from its journal and its masters.

    Every night ends with one: what was made, what is missing and why, pictures of the masters, where the time went. One
    file, to be read in any browser, that needs no network.
    """
    from coldframe.cli.report import report_night  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(report_night(night, config))


@app.command(short_help="Show any frame or master.")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FITS, also compressed.", parser=_home_path)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG", parser=_home_path, help="Write the picture, too."),
    ] = None,
) -> None:
    """Show how a frame or master was shot, its levels and noise, its histogram and a stretched picture.

    Frames of any camera and program; of a master also its uncertainty and how many values each pixel kept.
    """
    from coldframe.cli.inspection import inspect_file  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(inspect_file(file, output))


@app.command(short_help="Bring the hardware to the safe state.")
def safe(
    config: ConfigOption = None,
    patience: Annotated[
        float,
        typer.Option("--patience", metavar="SECONDS", min=0.0, max=86400.0, help="Longest wait for a lost server."),
    ] = 60.0,
) -> None:
    """Bring the hardware to the safe state: exposure ended, lamp out, cover and cooler as configured.

    Needs nothing but the INDI server, and the broker of an MQTT panel: no disk, no running night. For systemd's
    ExecStopPost, or after a crash.
    """
    from coldframe.cli.safe import make_safe  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(make_safe(config, patience))


@app.command(short_help="Send a message to your phone.")
def notify(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to send.")],
    config: ConfigOption = None,
    alarm: Annotated[
        bool,
        typer.Option(
            "--alarm",
            help="For systemd's OnFailure: send how the run ended, and nothing where it told of its end by itself.",
        ),
    ] = False,
) -> None:
    """Send a message to the addresses of the configuration's [notify]: to try them, or as an alarm from a service."""
    from coldframe.cli.notify import send_alarm, send_text  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit((send_alarm if alarm else send_text)(config, text))


@app.command(short_help="Show what was measured of the cameras.")
def camera(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Part of the camera's name; default: all.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=_home_path,
            help="Where the nights are; default: the configuration's [storage] folder.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=_home_path, help="Write it as an SVG picture, too."),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(
            metavar="NIGHT",
            parser=_home_path,
            help="First measure from the frames in this folder of a night, and keep that.",
        ),
    ] = None,
) -> None:
    """Show gain, read noise, full well, linearity and dark current of each camera and setting, with a plot.

    Every night measures them from its own frames (photon transfer). The newest values count.
    """
    from coldframe.cli.camera import measure_camera, show_cameras  # noqa: PLC0415  # heavy imports only when needed
    from coldframe.cli.exit_codes import ExitCode  # noqa: PLC0415

    measured = ExitCode.DONE if measure is None else measure_camera(measure, folder)
    if measured == ExitCode.BAD_INPUT:
        raise typer.Exit(measured)
    raise typer.Exit(max(measured, show_cameras(name, folder, output)))


LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="FOLDER",
        parser=_home_path,
        help="Folder of masters; default: library/ in the configured storage.",
    ),
]
Lights = Annotated[list[str], typer.Argument(metavar="LIGHT", help="Files, folders or patterns.", parser=_home_name)]


@app.command()
def calibrate(
    lights: Lights,
    library: LibraryOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=_home_path, help="Where results go; default: calibrated/ beside each light."
        ),
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
            metavar="ADU",
            min=0,
            max=30000,
            help="ADU added to every pixel (PEDESTAL); default: 0 for floats, for integers what keeps pixels above 0.",
        ),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(
            metavar="E", min=1e-6, help="Electrons for 1 ADU, for the photon noise; default: EGAIN of the light."
        ),
    ] = None,
    defects: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP",
            parser=_home_path,
            help="Mend the pixels of this map (coldframe defects) from their neighbours.",
        ),
    ] = None,
    blank: Annotated[
        bool, typer.Option("--blank", help="Make these pixels NaN instead of mending them; only with --float.")
    ] = False,
) -> None:
    """Calibrate lights with matching masters.

    Each becomes (light - dark) / flat, with the masters of the library that fit it best. The extension UNCERT of each
    result is its standard error. Nothing is overwritten; a light that cannot be calibrated is named, with the reason,
    and the rest goes on.
    """
    from coldframe.calibration.lights.files import Output  # noqa: PLC0415  # heavy imports only when needed
    from coldframe.calibration.lights.recipe import Subtract  # noqa: PLC0415
    from coldframe.cli.calibrate import Request, calibrate_lights  # noqa: PLC0415

    if blank and not (floating and defects):
        raise typer.BadParameter("needs --float, as integers know no NaN, and --defects", param_hint="--blank")
    output = Output(floating, pedestal, e_per_adu, blank=blank)
    raise typer.Exit(calibrate_lights(lights, Request(library, out, Subtract(subtract), flat, output, defects)))


library_app = typer.Typer(no_args_is_help=True, help="List, match, verify and export masters.")
app.add_typer(library_app, name="library")


@library_app.command("list")
def list_library(library: LibraryOption = None) -> None:
    """List all masters."""
    from coldframe.cli.library import list_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(list_masters(library))


@library_app.command("show")
def show_in_library(
    master: Annotated[str, typer.Argument(metavar="MASTER", help="Name in the library, or a file.")],
    library: LibraryOption = None,
) -> None:
    """Show a master: settings, method, inputs."""
    from coldframe.cli.library import show_master  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(show_master(library, master))


@library_app.command("match")
def match_in_library(lights: Lights, library: LibraryOption = None) -> None:
    """Say which masters fit, and why others do not.

    Where none fits, the nearest is named, with what is wrong with it.
    """
    from coldframe.cli.library import match_lights  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(match_lights(library, lights))


@library_app.command("add")
def add_to_library(
    masters: Annotated[
        list[str], typer.Argument(metavar="MASTER", help="Files, folders or patterns.", parser=_home_name)
    ],
    library: LibraryOption = None,
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
    target: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=_home_path, help="Where to; existing files are left alone.")
    ],
    program: Annotated[Literal["siril", "wbpp"], typer.Option("--for", help="Whose folders and names.")] = "siril",
    library: LibraryOption = None,
) -> None:
    """Lay out masters as other programs expect them.

    There is one folder for each combination of settings.
    """
    from coldframe.cli.library import export_masters  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(export_masters(library, target, program))


@app.command(short_help="Check a night's masters against its raw frames.")
def verify(
    nights: Annotated[
        list[Path],
        typer.Argument(
            metavar="NIGHT", parser=_home_path, help="Folder of a night; of a storage folder its newest night."
        ),
    ],
) -> None:
    """Combine the raw frames of every master of a night anew, and compare the masters to the bit.

    The night made them while the frames came in, by the running state; here the saved frames are sorted pixel by pixel.
    Mean, uncertainty, counts and mask must be equal. Whether masters in the library are undamaged is told by
    coldframe library verify.
    """
    from coldframe.cli.verify import verify_nights  # noqa: PLC0415  # heavy imports only when needed

    raise typer.Exit(verify_nights(nights))


@app.command(short_help="Make a master from raw frames of any program.")
def combine(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MASTER", parser=_home_path, help="File to write; never overwritten."),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILES...", help="Raw frames: files, folders, patterns.", parser=_home_name),
    ] = None,
    state: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            parser=_home_path,
            help="Add the frames to those that are in this file already, made where there is none, and combine all. A "
            "second one is merged into the first. Not for flats.",
        ),
    ] = None,
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
    sigma: Annotated[float, typer.Option(metavar="N", min=1, max=100, help="Rejected beyond so many sigma.")] = 3.0,
    dark: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=_home_path, help="Master dark flat or bias, subtracted from each flat."),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=_home_path, help="Master bias, subtracted from darks; off by default."),
    ] = None,
    overscan: Annotated[
        Literal["none", "row", "smooth"] | None,
        typer.Option(
            help="Subtract each line's overscan level (BIASSEC), as it is or smoothed along the strip, and trim; "
            "default: smooth where a header tells of an overscan, or as --dark and --bias were treated.",
        ),
    ] = None,
    kind: Annotated[
        Literal["bias", "dark", "flat", "dark-flat"] | None,
        typer.Option(help="What the frames are, whatever their headers say."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Combine what does not belong together, or one frame.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--dask", metavar="SCHEDULER", help="Let a Dask cluster do it that sees the same files: tcp://host:8786."
        ),
    ] = None,
) -> None:
    """Combine raw frames of any camera and program, compressed ones too, into a master with uncertainty and counts.

    Frames are grouped by their headers; a mixture is shown and refused. Bad files are named and left out. The rejection
    is that of the live core, to the bit; with --center median, or winsorized, it is Siril's.
    """
    from coldframe.cli.combine import Choice, combine_files  # noqa: PLC0415  # heavy imports only when needed

    choice = Choice(method, center, start, sigma)
    raise typer.Exit(
        combine_files(
            files or [],
            output,
            choice,
            dark,
            kind,
            force=force,
            scheduler=scheduler,
            bias=bias,
            overscan=overscan,
            states=state or [],
        )
    )


@app.command(short_help="Map the sensor's defects from masters.")
def defects(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MAP", parser=_home_path, help="File to write; never overwritten.")
    ],
    dark: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=_home_path, help="Master dark, the longest there is: hot and unstable pixels."
        ),
    ] = None,
    flat: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=_home_path, help="Master flat: pixels that answer too little or too much."
        ),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=_home_path, help="Master bias: pixels that are off without light or time."
        ),
    ] = None,
    siril_list: Annotated[
        Path | None,
        typer.Option(
            "--list", metavar="LST", parser=_home_path, help="Write a list for Siril's command cosme as well."
        ),
    ] = None,
    sigma: Annotated[
        float,
        typer.Option(
            metavar="N", min=1, max=1000, help="Hot, or off in the bias: further from the neighbours than this."
        ),
    ] = 8.0,
    hot: Annotated[
        float | None, typer.Option(min=0, metavar="E/S", help="Hot: so many electrons per second, instead of --sigma.")
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(metavar="E", min=1e-6, help="Electrons for 1 ADU, for --hot; default: EGAIN of the master dark."),
    ] = None,
    cold: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", min=0.01, max=0.99, help="Cold: response below this fraction of the neighbours'."
        ),
    ] = 0.8,
) -> None:
    """Find a sensor's hot, cold, unstable and otherwise bad pixels, columns and rows in its masters.

    The map is a FITS image of bytes, 0 for good pixels, its bits named in the header. "coldframe calibrate --defects
    MAP" takes these pixels from their neighbours.
    """
    from coldframe.calibration.defects.finding import Limits  # noqa: PLC0415  # heavy imports only when needed
    from coldframe.cli.defects import Masters, map_defects  # noqa: PLC0415

    if dark is None and flat is None and bias is None:
        raise typer.BadParameter("name a master to look at", param_hint="--dark, --flat or --bias")
    limits = Limits(sigma=sigma, hot_e_per_s=hot, cold_response=cold)
    raise typer.Exit(map_defects(Masters(dark, flat, bias), output, siril_list, limits, e_per_adu))


def main() -> None:
    """Run the command line; what the system refuses, and no command has told, is told here."""
    try:
        app(with_default_rig(sys.argv[1:]))
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    except MemoryError:
        told = "not enough memory for this"
    print(told, file=sys.stderr)
    sys.exit(2)


def with_default_rig(arguments: list[str]) -> list[str]:
    """Return the arguments with the small rig named behind a `--simulate` that names none."""
    given = list(arguments)
    if "--simulate" in given:
        behind = given.index("--simulate") + 1
        if behind == len(given) or given[behind].startswith("-"):
            given.insert(behind, "small")
    return given
