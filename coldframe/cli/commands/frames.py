"""Commands that read and write files: frames, masters and lights."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import (
    ExtensionOption,
    LibraryOption,
    Lights,
    UsedConfigOption,
    folder_path,
    home_name,
    home_path,
    image_of_file,
)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FITS, XISF or camera raw file.", parser=home_path)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG", parser=home_path, help="Also write the picture to this file."),
    ] = None,
    extension: ExtensionOption = None,
) -> None:
    """Show the settings, levels, noise, histogram and a stretched picture of a frame or master.

    Frames may come from any camera or program. For a master, the command also shows the uncertainty and the number of
    values per pixel.
    """
    from coldframe.cli.inspection import inspect_file

    raise typer.Exit(inspect_file(file, output, None if extension is None else image_of_file(extension)))


def calibrate(
    lights: Lights,
    library: LibraryOption = None,
    _config: UsedConfigOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            "--out",
            metavar="FOLDER",
            parser=folder_path,
            help="Folder for the results; default: calibrated/ next to each light.",
        ),
    ] = None,
    subtract: Annotated[
        Literal["dark", "scaled-dark", "bias"],
        typer.Option(
            help="dark: a dark with the light's exposure. scaled-dark: if there is none, the bias and a dark scaled to "
            "that exposure (refused if amplifier glow would leave a noticeable error). bias: the bias alone.",
        ),
    ] = "dark",
    scale_dark: Annotated[
        bool,
        typer.Option(
            "--scale-dark", help="Like --subtract scaled-dark, but scale the dark even if its glow might not scale."
        ),
    ] = False,
    flat: Annotated[bool, typer.Option("--flat/--no-flat", help="Divide by the master flat.")] = True,
    floating: Annotated[bool, typer.Option("--float", help="Write 32-bit floats instead of 16-bit integers.")] = False,
    pedestal: Annotated[
        float | None,
        typer.Option(
            metavar="ADU",
            min=0,
            max=30000,
            help="Constant added to every pixel (PEDESTAL). Default for floats: 0; for integers: enough to keep the "
            "pixels above 0.",
        ),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(
            metavar="E", min=1e-6, help="Electrons per ADU, for the photon noise; default: EGAIN in the light's header."
        ),
    ] = None,
    defects: Annotated[
        Path | None,
        typer.Option(
            metavar="MAP",
            parser=home_path,
            help="Replace the pixels in this map (see: coldframe defects) instead of the hot and unstable pixels of "
            "the master dark.",
        ),
    ] = None,
    mend: Annotated[
        bool,
        typer.Option("--mend/--no-mend", help="Replace defective pixels with values from their neighbours."),
    ] = True,
    blank: Annotated[bool, typer.Option("--blank", help="Set defective pixels to NaN instead; needs --float.")] = False,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty",
            help="Add the standard error of each pixel (extension UNCERT), and a mask of replaced pixels and pixels "
            "without light in the flat (MASK). The files are 3.5 times as large.",
        ),
    ] = False,
    diagnose: Annotated[
        bool,
        typer.Option("--diagnose/--no-diagnose", help="Check the results briefly for offsets, hot pixels and banding."),
    ] = True,
    again: Annotated[
        bool,
        typer.Option("--again", help="Calibrate lights again, and replace their earlier results."),
    ] = False,
    extension: ExtensionOption = None,
) -> None:
    """Calibrate lights with matching masters.

    Each result is (light - dark) / flat, computed with the best-matching masters from the library. Lights that have
    already been calibrated with the same masters and options are skipped. Without --again, no file is overwritten. If a
    light cannot be calibrated, coldframe prints the reason and continues with the other lights.
    """
    from coldframe.calibration.lights.files import Output
    from coldframe.calibration.lights.recipe import Subtract
    from coldframe.cli.calibrate import calibrate_lights
    from coldframe.operations.calibrating import Request

    if blank and not floating:
        raise typer.BadParameter("needs --float because integers cannot be NaN", param_hint="--blank")
    if not mend and (blank or defects):
        raise typer.BadParameter("contradicts --defects and --blank", param_hint="--no-mend")
    if scale_dark and subtract == "bias":
        raise typer.BadParameter("contradicts --subtract bias", param_hint="--scale-dark")
    way = Subtract.SCALED_DARK if scale_dark else Subtract(subtract)
    image = None if extension is None else image_of_file(extension)
    output = Output(floating, pedestal, e_per_adu, blank=blank, extension=image, uncertainty=uncertainty)
    request = Request(library, out, way, flat, output, defects, mend, scale_dark, diagnose, again)
    raise typer.Exit(calibrate_lights(lights, request))


def verify(
    nights: Annotated[
        list[Path],
        typer.Argument(
            metavar="NIGHT",
            parser=home_path,
            help="Folder of a night, or a storage folder, whose newest night is used.",
        ),
    ],
) -> None:
    """Combine the raw frames again for each master of a night, and compare the results with the masters bit by bit.

    During the night, coldframe updated its masters incrementally. As an independent check, this command reads all saved
    frames and sorts the values of each pixel. The mean, uncertainty, counts and mask must be identical to those of the
    master. To check the files in the library for damage, use "coldframe library verify".
    """
    from coldframe.cli.verify import verify_nights

    raise typer.Exit(verify_nights(nights))


def combine(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="MASTER",
            parser=home_path,
            help="File to write; with --all, the folder for the masters. Files are never overwritten.",
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILES...",
            help="Raw frames (FITS, XISF or camera raws): files, folders or patterns.",
            parser=home_name,
        ),
    ] = None,
    state: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            parser=home_path,
            help="Add the frames to those in this file, and combine them all. The file is created if it does not "
            "exist. A second --state is merged into the first. Not for flats.",
        ),
    ] = None,
    method: Annotated[
        Literal["mean", "sigma-clip", "winsorized", "median"] | None,
        typer.Option(
            help="How to combine the values of a pixel. Default: sigma-clip; median for three or four frames, "
            "because sigma-clip rejects nothing from so few."
        ),
    ] = None,
    center: Annotated[
        Literal["mean", "median"] | None,
        typer.Option(help="Centre from which sigma-clip measures deviations; default: mean."),
    ] = None,
    start: Annotated[
        Literal["trimmed", "all"] | None,
        typer.Option(
            help="Values from which sigma-clip computes its first mean and sigma: all but the extremes (trimmed, the "
            "default), or all."
        ),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(metavar="N", min=1, max=100, help="Reject values beyond this many sigma; default: 3."),
    ] = None,
    dark: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master dark flat or bias to subtract from each flat."),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master bias to subtract from darks; none by default."),
    ] = None,
    overscan: Annotated[
        Literal["none", "row", "smooth"] | None,
        typer.Option(
            help="Subtract the overscan level (BIASSEC) of each line, either as measured or smoothed, and trim the "
            "strip. Default: as for the master given with --dark or --bias; without these, smooth if the headers "
            "define an overscan.",
        ),
    ] = None,
    kind: Annotated[
        Literal["bias", "dark", "flat", "dark-flat"] | None,
        typer.Option(help="Kind of the frames, overriding their headers."),
    ] = None,
    biassec: Annotated[
        str | None,
        typer.Option(
            metavar="[X1:X2,Y1:Y2]",
            help="Overscan section, if the headers lack it (BIASSEC); counted from 1, both ends included, * for a "
            "whole axis.",
        ),
    ] = None,
    trimsec: Annotated[
        str | None,
        typer.Option(metavar="[X1:X2,Y1:Y2]", help="Image section, if the headers lack it (TRIMSEC)."),
    ] = None,
    every_set: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Sort the frames into sets, and combine each set into a master. The best-matching dark flat, dark or "
            "bias among these masters is subtracted from flats. Lights are skipped.",
        ),
    ] = False,
    reject_doubtful: Annotated[
        bool,
        typer.Option("--reject-doubtful", help="Leave out frames whose pixels differ from the others in their set."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Combine frames that do not match, a single frame, or saturated flats.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--dask",
            metavar="SCHEDULER",
            help="Scheduler of a Dask cluster that can read the same files; for example, tcp://host:8786.",
        ),
    ] = None,
    extension: ExtensionOption = None,
) -> None:
    """Combine raw frames from any camera or program into a master with uncertainty and counts.

    Frames are grouped by their headers. If they belong to several sets, the command lists the sets and refuses to
    combine them, unless --all is given. Bad files are listed and left out. Frames are judged by their pixels, as during
    a night: frames that differ from the rest are listed and, with --reject-doubtful, left out. With five or more
    frames, the result is bit-for-bit identical to the master that coldframe makes from the same frames during a night.
    With --center median or --method winsorized, values are rejected as in Siril.
    """
    from coldframe.calibration.combining.given_sections import GivenSections
    from coldframe.cli.combine import combine_files
    from coldframe.cli.combine_all import combine_all
    from coldframe.cli.exit_codes import ExitCode
    from coldframe.config.frames import FrameKind
    from coldframe.operations.combining import Choice, Request, chosen_method, option_without_effect
    from coldframe.operations.set_master import Treatment

    choice = Choice(method, center, start, sigma)
    if (ignored := option_without_effect(choice)) is not None:
        typer.echo(ignored, err=True)
        raise typer.Exit(ExitCode.BAD_INPUT)
    request = Request(
        treatment=Treatment(chosen_method(choice), overscan, force=force, reject_doubtful=reject_doubtful),
        kind=None if kind is None else FrameKind(kind),
        dark=dark,
        bias=bias,
        sections=GivenSections(biassec, trimsec),
        extension=None if extension is None else image_of_file(extension),
        scheduler=scheduler,
        states=state or [],
    )
    make = combine_all if every_set else combine_files
    raise typer.Exit(make(files or [], output, request))


def defects(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MAP", parser=home_path, help="File to write; never overwritten.")
    ],
    dark: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER",
            parser=home_path,
            help="Master dark with the longest exposure; reveals hot and unstable pixels.",
        ),
    ] = None,
    flat: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master flat; reveals pixels with too low or too high a response."
        ),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master bias; reveals pixels with a wrong bias level."),
    ] = None,
    siril_list: Annotated[
        Path | None,
        typer.Option("--list", metavar="LST", parser=home_path, help="Also write a list for Siril's cosme command."),
    ] = None,
    sigma: Annotated[
        float,
        typer.Option(
            metavar="N", min=1, max=1000, help="Limit for hot pixels and bias levels, in sigma above the neighbours."
        ),
    ] = 8.0,
    hot: Annotated[
        float | None,
        typer.Option(min=0, metavar="E/S", help="Limit for hot pixels in electrons per second, instead of --sigma."),
    ] = None,
    e_per_adu: Annotated[
        float | None,
        typer.Option(
            metavar="E", min=1e-6, help="Electrons per ADU, for --hot; default: EGAIN in the master dark's header."
        ),
    ] = None,
    cold: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", min=0.01, max=0.99, help="Limit for cold pixels: fraction of the neighbours' response."
        ),
    ] = 0.8,
) -> None:
    """Find a sensor's defective pixels, columns and rows (hot, cold, unstable and others) from its masters.

    The map is an 8-bit FITS image; good pixels are 0, and the header describes the bits. "coldframe calibrate --defects
    MAP" replaces the defective pixels with values from their neighbours.
    """
    from coldframe.calibration.defects.limits import Limits
    from coldframe.cli.defects import Masters, map_defects

    if dark is None and flat is None and bias is None:
        raise typer.BadParameter("specify at least one master", param_hint="--dark, --flat or --bias")
    limits = Limits(sigma=sigma, hot_e_per_s=hot, cold_response=cold)
    raise typer.Exit(map_defects(Masters(dark, flat, bias), output, siril_list, limits, e_per_adu))
