"""Commands that find out why lights do not calibrate cleanly."""

from pathlib import Path
from typing import Annotated

import typer

from coldframe.cli.options import (
    ConfigOption,
    ExtensionOption,
    FolderOption,
    LibraryOption,
    Lights,
    SimulateOption,
    UsedConfigOption,
    home_path,
    image_of_file,
)


def diagnose(
    lights: Lights,
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
    dark: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master dark for the lights, instead of one from the library."
        ),
    ] = None,
    flat: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master flat for the lights, instead of one from the library."
        ),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master bias for the lights, instead of one from the library."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as a JSON object.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=home_path, help="Also write a page with pictures that show the evidence."),
    ] = None,
    calibrated: Annotated[
        bool | None,
        typer.Option(
            "--calibrated/--raw",
            help="Whether the lights are already calibrated. Default: according to their headers or names.",
        ),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            min=1e-6,
            help="Electrons per ADU; default: EGAIN in the lights' headers or, if missing, measured from the flats.",
        ),
    ] = None,
    extension: ExtensionOption = None,
) -> None:
    """Find out whether lights calibrate cleanly and, if they do not, which master is the cause.

    Specify raw lights, or lights calibrated with any program; they must not be registered or stacked. coldframe
    measures residual dust, over-correction, banding, amplifier glow, colours, gradients, offsets and temperature
    differences, and states the size, the cause and the remedy for each. A set of twelve lights shows most of them; a
    single light shows only offsets and temperature differences. Masters that you specify may differ from the lights in
    exposure, temperature, gain or filter.

    The exit code is 0 if the lights calibrate cleanly, 1 if there is a significant finding or a light could not be
    read, and 2 if the input is invalid.
    """
    from coldframe.calibration.diagnosis.files import Stage
    from coldframe.cli.diagnose import diagnose_lights
    from coldframe.operations.choosing import GivenMasters
    from coldframe.operations.diagnosing import Request

    given = GivenMasters(dark, bias, flat)
    if library is not None and given.by_kind:
        raise typer.BadParameter("contradicts --dark, --flat and --bias", param_hint="--library")
    stage = None if calibrated is None else Stage.OTHER if calibrated else Stage.RAW
    image = None if extension is None else image_of_file(extension)
    request = Request(library, given, stage, e_per_adu, image)
    raise typer.Exit(diagnose_lights(lights, request, as_json=as_json, page=html))


def bisect(
    lights: Lights,
    library: LibraryOption = None,
    dark: Annotated[
        list[Path] | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master dark to compare. May be repeated."),
    ] = None,
    flat: Annotated[
        list[Path] | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master flat to compare. May be repeated."),
    ] = None,
    bias: Annotated[
        list[Path] | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master bias to compare. May be repeated."),
    ] = None,
    dark_flat: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MASTER",
            parser=home_path,
            help="Master dark flat to subtract from the flats instead of the one that was subtracted. May be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as a JSON object.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=home_path, help="Also write a page with a picture of each combination."),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            min=1e-6,
            help="Electrons per ADU; default: EGAIN in the lights' headers or, if missing, measured from the flats.",
        ),
    ] = None,
    extension: ExtensionOption = None,
    shoot: Annotated[
        bool,
        typer.Option(
            "--shoot",
            help="Shoot new darks or flats on the rig if needed, and include their masters in the comparison.",
        ),
    ] = False,
    config: ConfigOption = None,
    simulate: SimulateOption = None,
    folder: FolderOption = None,
) -> None:
    """Find out which master introduces an artifact: calibrate the same lights with all sensible sets of masters.

    Specify up to a dozen raw lights of one set. coldframe compares the three newest matching masters of each kind in
    the library, whatever their age, or the masters that you specify. It tries each dark, darks scaled from other
    exposures, the bias alone, each flat, each flat with a different dark flat or bias subtracted, and no flat. A
    combination's score is the sum of the squared significances of all artifacts that remain in the lights. Scores that
    differ by less than 5 count as a tie. With --shoot, if none of the masters is good enough, the rig shoots new darks
    or flats, and the command repeats the comparison.

    The exit code is 0 if the best combination leaves no artifact, 1 if it leaves one or a light could not be read, and
    2 if the input is invalid.
    """
    from coldframe.cli.bisect import Request, bisect_lights
    from coldframe.cli.bisecting.candidates import NamedMasters

    named = NamedMasters(dark or (), flat or (), bias or (), dark_flat or ())
    if library is not None and named.by_path:
        raise typer.BadParameter("contradicts --dark, --flat, --bias and --dark-flat", param_hint="--library")
    image = None if extension is None else image_of_file(extension)
    rig = None
    if shoot:
        from coldframe.operations.nights.request import NightRequest

        if as_json or library is not None or named.by_path:
            text = "files the new masters in the rig's library, and prints text: omit --json, --library and the masters"
            raise typer.BadParameter(text, param_hint="--shoot")
        rig = NightRequest(config, simulate, folder)
    elif config is not None or simulate is not None or folder is not None:
        raise typer.BadParameter("specifies the rig for --shoot", param_hint="--config, --simulate or --folder")
    raise typer.Exit(bisect_lights(lights, Request(library, named, e_per_adu, image, as_json, html, rig)))
