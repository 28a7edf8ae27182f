"""Commands on files: frames, masters and lights."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from coldframe.cli.options import (
    LibraryOption,
    Lights,
    home_name,
    home_path,
)


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FITS, also compressed.", parser=home_path)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PNG", parser=home_path, help="Write the picture, too."),
    ] = None,
) -> None:
    """Show how a frame or master was shot, its levels and noise, its histogram and a stretched picture.

    Frames of any camera and program; of a master also its uncertainty and how many values each pixel kept.
    """
    from coldframe.cli.inspection import inspect_file

    raise typer.Exit(inspect_file(file, output))


def calibrate(
    lights: Lights,
    library: LibraryOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", parser=home_path, help="Where results go; default: calibrated/ beside each light."
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
            parser=home_path,
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
    from coldframe.calibration.lights.files import Output
    from coldframe.calibration.lights.recipe import Subtract
    from coldframe.cli.calibrate import Request, calibrate_lights

    if blank and not (floating and defects):
        raise typer.BadParameter("needs --float, as integers know no NaN, and --defects", param_hint="--blank")
    output = Output(floating, pedestal, e_per_adu, blank=blank)
    raise typer.Exit(calibrate_lights(lights, Request(library, out, Subtract(subtract), flat, output, defects)))


def verify(
    nights: Annotated[
        list[Path],
        typer.Argument(
            metavar="NIGHT", parser=home_path, help="Folder of a night; of a storage folder its newest night."
        ),
    ],
) -> None:
    """Combine the raw frames of every master of a night anew, and compare the masters to the bit.

    The night made them while the frames came in, by the running state; here the saved frames are sorted pixel by pixel.
    Mean, uncertainty, counts and mask must be equal. Whether masters in the library are undamaged is told by
    coldframe library verify.
    """
    from coldframe.cli.verify import verify_nights

    raise typer.Exit(verify_nights(nights))


def combine(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="MASTER", parser=home_path, help="File to write; never overwritten."),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILES...", help="Raw frames: files, folders, patterns.", parser=home_name),
    ] = None,
    state: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            parser=home_path,
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
        typer.Option(metavar="MASTER", parser=home_path, help="Master dark flat or bias, subtracted from each flat."),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(metavar="MASTER", parser=home_path, help="Master bias, subtracted from darks; off by default."),
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
    from coldframe.cli.combine import Choice, combine_files

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


def defects(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MAP", parser=home_path, help="File to write; never overwritten.")
    ],
    dark: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master dark, the longest there is: hot and unstable pixels."
        ),
    ] = None,
    flat: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master flat: pixels that answer too little or too much."
        ),
    ] = None,
    bias: Annotated[
        Path | None,
        typer.Option(
            metavar="MASTER", parser=home_path, help="Master bias: pixels that are off without light or time."
        ),
    ] = None,
    siril_list: Annotated[
        Path | None,
        typer.Option("--list", metavar="LST", parser=home_path, help="Write a list for Siril's command cosme as well."),
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
    from coldframe.calibration.defects.finding import Limits
    from coldframe.cli.defects import Masters, map_defects

    if dark is None and flat is None and bias is None:
        raise typer.BadParameter("name a master to look at", param_hint="--dark, --flat or --bias")
    limits = Limits(sigma=sigma, hot_e_per_s=hot, cold_response=cold)
    raise typer.Exit(map_defects(Masters(dark, flat, bias), output, siril_list, limits, e_per_adu))
