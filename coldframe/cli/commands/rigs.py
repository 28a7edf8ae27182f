"""Commands around a rig: its devices, its configuration, its safe state, its camera."""

from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.options import (
    ConfigOption,
    HostOption,
    PortOption,
    home_path,
)


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
        typer.Option(metavar="FOLDER", parser=home_path, help="Write a few lights of this rig into a folder, and end."),
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
    from coldframe.cli.simulate import leave_lights, serve_rig

    if lights is not None:
        raise typer.Exit(leave_lights(rig, lights))
    raise typer.Exit(serve_rig(rig, host, port, unix, until_stdin_closes=until_stdin_closes))


def devices(host: HostOption = "127.0.0.1", port: PortOption = 7624) -> None:
    """List what each device of an INDI server can do for us, and what is missing.

    Connects drivers that are not connected yet, because only then do they tell.
    """
    from coldframe.cli.devices import list_devices

    raise typer.Exit(list_devices(host, port))


def init(
    config: ConfigOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7624,
) -> None:
    """Ask the INDI server what is there and write a commented configuration.

    Every setting is explained in it, and the sets are good practice. An existing file is left alone.
    """
    from coldframe.cli.init import write_config

    raise typer.Exit(write_config(config, host, port))


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
    from coldframe.cli.safe import make_safe

    raise typer.Exit(make_safe(config, patience))


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
    from coldframe.cli.notify import send_alarm, send_text

    raise typer.Exit((send_alarm if alarm else send_text)(config, text))


def camera(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Part of the camera's name; default: all.")] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=home_path,
            help="Where the nights are; default: the configuration's [storage] folder.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=home_path, help="Write it as an SVG picture, too."),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(
            metavar="NIGHT",
            parser=home_path,
            help="First measure from the frames in this folder of a night, and keep that.",
        ),
    ] = None,
) -> None:
    """Show gain, read noise, full well, linearity and dark current of each camera and setting, with a plot.

    Every night measures them from its own frames (photon transfer). The newest values count.
    """
    from coldframe.cli.camera import measure_camera, show_cameras
    from coldframe.cli.exit_codes import ExitCode

    measured = ExitCode.DONE if measure is None else measure_camera(measure, folder)
    if measured == ExitCode.BAD_INPUT:
        raise typer.Exit(measured)
    raise typer.Exit(max(measured, show_cameras(name, folder, output)))
