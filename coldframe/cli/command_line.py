"""The application: all commands, the version, and the handler for errors that no command caught."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer

from coldframe.cli.commands import diagnosis, frames, interchange, library, nights, rigs
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.terminal import visible_output
from coldframe.errors import MissingPackageError

COMMANDS: dict[Callable[..., None], str] = {
    nights.run: "Shoot the night's calibration frames.",
    nights.plan: "Show a night's plan, with times.",
    nights.watch: "Watch a running night from another terminal.",
    nights.serve: "Show a running night in a browser.",
    nights.listen: "Start nights on request over MQTT.",
    rigs.simulate: "Serve a simulated rig over INDI.",
    rigs.devices: "List an INDI server's devices and their controls.",
    rigs.init: "Write a configuration for a server's devices.",
    rigs.explain: "Explain a configuration setting.",
    nights.report: "Write a night's morning report again.",
    frames.inspect: "Show any frame or master.",
    rigs.safe: "Put the hardware in the safe state.",
    rigs.notify: "Send a message to your phone.",
    rigs.camera: "Show the measured properties of the cameras.",
    frames.calibrate: "Calibrate lights with matching masters.",
    diagnosis.diagnose: "Find out whether lights calibrate cleanly.",
    diagnosis.bisect: "Find the master that introduces an artifact.",
    frames.verify: "Check a night's masters against its raw frames.",
    frames.combine: "Make masters from any program's raw frames.",
    frames.defects: "Map the sensor's defects from masters.",
    interchange.export: "Export masters and frames for other programs.",
    interchange.lint: "Show how other programs would treat files.",
}
"""All commands except those in the group `library`, each with its summary in `coldframe --help`."""

app = typer.Typer(
    name="coldframe",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Shoot calibration frames on an INDI rig while you sleep: bias, darks, flats and dark flats at the end of the "
    "night, combined into masters. Try it without hardware: coldframe run --simulate",
    epilog="Exit codes: 0 all planned masters were made; 1 something is missing, as reported; 2 invalid input, or "
    "nothing to do; 3 aborted, with the rig in the safe state; 4 the rig is not in the safe state; 130 interrupted.",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # the callback's signature is typer's
    if wanted:
        from coldframe.version import __version__  # noqa: PLC0415  # reading the metadata takes time

        typer.echo(f"coldframe {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for _command, _summary in COMMANDS.items():
    app.command(short_help=_summary)(_command)
app.add_typer(library.app, name="library")


def main() -> None:
    """Run the command line, and report errors that no command caught."""
    if "_COLDFRAME_COMPLETE" in os.environ:
        app()  # A shell is asking for completions; they are printed unescaped, because fish expects tabs in them.
    code = ExitCode.BAD_INPUT
    with visible_output():
        try:
            app(with_default_rig(sys.argv[1:]))
        except MissingPackageError as error:
            message = str(error)
        except OSError as error:
            message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        except MemoryError:
            message = "not enough memory for this command"
        except Exception:  # noqa: BLE001 - printed here, because errors can contain text from files and devices
            message, code = traceback.format_exc().rstrip(), ExitCode.INCOMPLETE
        print(message, file=sys.stderr)
    sys.exit(code)


def with_default_rig(arguments: list[str]) -> list[str]:
    """Return the arguments, with the rig "small" inserted after a `--simulate` that names no rig."""
    given = list(arguments)
    if "--simulate" in given:
        following = given.index("--simulate") + 1
        if following == len(given) or given[following].startswith("-"):
            given.insert(following, "small")
    return given
