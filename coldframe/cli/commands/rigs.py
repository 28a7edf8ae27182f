"""Commands for a rig: its simulation, devices, configuration, safe state, messages and camera."""

from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.options import (
    ConfigOption,
    HostOption,
    JsonOption,
    PortOption,
    UsedConfigOption,
    folder_path,
    home_path,
)


def _pattern_help(frames: str) -> str:
    return f"With --measure: pattern or subfolder of the {frames}, if their headers do not specify the kind."


def simulate(
    rig: Annotated[str, typer.Argument(metavar="RIG", help="Name of a shipped rig, or a TOML file.")] = "small",
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="Address to listen on. INDI has no passwords, so use only loopback addresses."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="TCP port to listen on.")] = 7624,
    unix: Annotated[
        str | None, typer.Option(metavar="PATH", help="Local socket to listen on as well, like indiserver's -u.")
    ] = None,
    lights: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=folder_path, help="Write a few lights from this rig to a folder, and exit."
        ),
    ] = None,
    until_stdin_closes: Annotated[
        bool,
        typer.Option(
            "--until-stdin-closes",
            help="Exit when standard input closes, for example because the parent process ended.",
        ),
    ] = False,
) -> None:
    """Serve a simulated rig (camera, flat panel, filter wheel) to any INDI client until Ctrl-C.

    Shipped rigs: small, cooled-mono, cooled-osc, ccd-overscan, uncooled, dslr, rotator. Try it with a stock client:
    indi_getprop -p 7624
    """
    from coldframe.cli.simulate import leave_lights, serve_rig

    if lights is not None:
        raise typer.Exit(leave_lights(rig, lights))
    raise typer.Exit(serve_rig(rig, host, port, unix, until_stdin_closes=until_stdin_closes))


def devices(host: HostOption = "127.0.0.1", port: PortOption = 7624, json: JsonOption = False) -> None:
    """List the devices of an INDI server, with the controls that coldframe can use and those that are missing.

    The command connects all drivers, because drivers define their controls only when connected. Afterwards, it
    disconnects those that it connected.
    """
    from coldframe.cli.devices import list_devices

    raise typer.Exit(list_devices(host, port, wants_json=json))


def init(
    config: ConfigOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7624,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Camera to use if the server has several; default: the largest cooled camera or, if there is none, "
            "the largest camera.",
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Write every setting with its meaning, allowed values and default.")
    ] = False,
) -> None:
    """Write a configuration for the devices of an INDI server.

    The file is short: it contains the devices, the settings that you must check, and sets that follow good practice.
    "coldframe explain" describes all other settings. An existing file is not overwritten.
    """
    from coldframe.cli.init import write_config

    raise typer.Exit(write_config(config, host, port, camera, full=full))


def explain(
    setting: Annotated[
        str | None,
        typer.Argument(metavar="SETTING", help="A setting such as flats.target, or a table such as flats."),
    ] = None,
) -> None:
    """Explain a configuration setting or the settings in a table, or list all tables."""
    from coldframe.cli.explain import explain_setting

    raise typer.Exit(explain_setting(setting))


def safe(
    config: ConfigOption = None,
    patience: Annotated[
        float,
        typer.Option(
            "--patience", metavar="SECONDS", min=0.0, max=86400.0, help="Maximum time to wait for the server."
        ),
    ] = 60.0,
    override: Annotated[
        bool,
        typer.Option(
            "--override", help="Make the rig safe even if a run is using it, for example one that no longer responds."
        ),
    ] = False,
) -> None:
    """Put the hardware in the safe state: exposure aborted, lamp off, cover and cooler as configured.

    The command needs only the INDI server and, with an MQTT panel, the broker. It needs neither a disk nor a running
    night. If a run is using the rig, the command asks first, or refuses if there is no terminal. Use it in systemd's
    ExecStopPost, or after a crash.
    """
    from coldframe.cli.safe import make_safe

    raise typer.Exit(make_safe(config, patience, overrides=override))


def notify(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Text of the message.")],
    config: ConfigOption = None,
    alarm: Annotated[
        bool,
        typer.Option(
            "--alarm",
            help="For systemd's OnFailure: report how the run ended, unless the run has already reported its end.",
        ),
    ] = False,
) -> None:
    """Send a message to the addresses in [notify], either as a test or as an alarm from a service that has failed."""
    from coldframe.cli.notify import send_alarm, send_text

    raise typer.Exit((send_alarm if alarm else send_text)(config, text))


def camera(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Part of the camera's name; default: all cameras.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            parser=folder_path,
            help="Folder that contains the nights; default: the one in [storage].",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", parser=home_path, help="Also write the plot to this SVG file."),
    ] = None,
    measure: Annotated[
        Path | None,
        typer.Option(
            metavar="NIGHT",
            parser=home_path,
            help="First measure the camera from the frames (compressed or not) in this folder, and save the result.",
        ),
    ] = None,
    bias: Annotated[str | None, typer.Option(metavar="PATTERN", help=_pattern_help("bias frames"))] = None,
    dark: Annotated[str | None, typer.Option(metavar="PATTERN", help=_pattern_help("darks"))] = None,
    flat: Annotated[str | None, typer.Option(metavar="PATTERN", help=_pattern_help("flats"))] = None,
    json: JsonOption = False,
    _config: UsedConfigOption = None,
) -> None:
    """Show the measured gain, read noise, full well, linearity and dark current of each camera and setting.

    coldframe measures the gain, read noise and dark current every night from the night's own frames (photon transfer),
    and the full well and linearity once for each setting, with additional flats. The command shows the latest values
    and a plot.
    """
    from coldframe.cli.camera import measure_camera, show_cameras
    from coldframe.cli.exit_codes import ExitCode
    from coldframe.config.frames import FrameKind

    patterns = {FrameKind.BIAS: bias, FrameKind.DARK: dark, FrameKind.FLAT: flat}
    kinds = {kind: pattern for kind, pattern in patterns.items() if pattern is not None}
    if kinds and measure is None:
        raise typer.BadParameter("needs --measure", param_hint="--bias, --dark or --flat")
    if json and (output or measure):
        raise typer.BadParameter("contradicts --output and --measure, which print text", param_hint="--json")
    measured = ExitCode.DONE if measure is None else measure_camera(measure, folder, kinds)
    if measured == ExitCode.BAD_INPUT:
        raise typer.Exit(measured)
    raise typer.Exit(max(measured, show_cameras(name, folder, output, wants_json=json)))
