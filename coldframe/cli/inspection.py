"""`coldframe inspect`: show the figures, the histogram and the picture of any frame or master."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.files import xisf_file
from coldframe.calibration.files.durable import NotDurableError, write_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import PLAIN_SUFFIXES
from coldframe.calibration.files.image_file import UINT16_STORAGES, ImageFile, open_image, uint16_pixels
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.setup import FrameSetup, is_single_frame, setup_of
from coldframe.calibration.masters.reading import MasterPlanes, read_master
from coldframe.calibration.measuring.bayer import BAYER_PATTERNS
from coldframe.calibration.measuring.statistics import FrameStatistics, measure
from coldframe.capture.monitoring.dashboard.drawing import ASCII, NOTE, UNICODE, Glyphs, Picture, histogram, shrink
from coldframe.capture.monitoring.progress.quantities import exposure_text, printable
from coldframe.capture.monitoring.report.contents import PixelStatistics
from coldframe.capture.monitoring.report.pixels import picture_of, summarise
from coldframe.capture.monitoring.report.png import png_bytes
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.operations.master_findings import findings_of_file, report_findings

PICTURE_WIDTH = 1600
"""Maximum width of a PNG, pixels."""

HISTOGRAM_ROWS, WIDEST_HISTOGRAM = 6, 96
PICTURE_ROWS = 24
"""Height of a picture in lines if the output is not a terminal; in a terminal, the minimum height."""


def inspect_file(path: Path, output: Path | None, extension: Extension | None = None) -> ExitCode:
    """Print the settings, figures, histogram and picture of an image; also write the picture to a file if requested.

    Parameters
    ----------
    path
        A frame or a master from any program, plain or compressed.
    output
        PNG file to write; never overwritten.
    extension
        Which image to show from a file with several images.
    """
    if output is not None and output.suffix.lower() != ".png":
        return _refuse(f"{output}: the picture is written as PNG; specify a file that ends in .png")
    if output is not None and output.exists():
        return _refuse(f"{output} already exists, and files are never overwritten: choose a different name")
    try:
        with scratch_folder() as folder:
            image = open_image(path, folder, extension)
            _show(image)
            if output is not None:
                picture = picture_of(image, PICTURE_WIDTH, _pattern(setup_of(image.header)))
                write_durably(output, [png_bytes(picture)])
                print(output)
    except (FrameFileError, NotDurableError) as error:
        return _refuse(str(error))
    return ExitCode.DONE


def _show(image: ImageFile) -> None:
    console = VisibleConsole(highlight=False, markup=False)
    glyphs = UNICODE if (console.encoding or "").lower().startswith("utf") else ASCII
    setup = setup_of(image.header)
    seen = summarise(image, 2 * console.width).statistics
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, value in (*_facts(image, setup), *_figures(image, setup, seen), *_uncertainty(image)):
        table.add_row(name, Text(printable(value)))
    console.print(printable(str(image.path)), soft_wrap=True)
    console.print(table)
    found = _findings(image)
    report_findings(found, Printed(), figures=True)
    for part in _drawings(image, setup, seen, console, glyphs):
        console.print(part)


def _facts(image: ImageFile, setup: FrameSetup) -> Iterator[tuple[str, str]]:
    """Yield the settings with which the frame was shot, according to its header."""
    kind = "frame of unknown kind" if setup.kind is None else setup.kind.value.replace("-", " ")
    frames = image.header.get("STACKCNT", image.header.get("NCOMBINE"))
    is_master = setup.kind is not None and not is_single_frame(image.header)
    unknown = "" if setup.kind is not None or setup.kind_word is None else f" ({setup.kind_word})"
    yield "kind", f"master {kind}" if is_master else f"{kind}{unknown}"
    if setup.unreadable:
        yield "unreadable", ", ".join(map(str, setup.unreadable))
    if frames is not None:
        yield "frames", f"{frames}"
    yield "camera", ", ".join(_camera(setup)) or "not named"
    if setup.exposure_s is not None:
        yield "exposure", exposure_text(setup.exposure_s)
    if setup.temperature_c is not None:
        setpoint = "" if setup.setpoint_c is None else f", setpoint {setup.setpoint_c:.1f} C"
        yield "sensor", f"{setup.temperature_c:.1f} C{setpoint}"
    if setup.filter_name is not None:
        yield "filter", setup.filter_name
    if setup.taken_at is not None:
        yield "taken", f"{setup.taken_at.astimezone():%Y-%m-%d %H:%M:%S}"
    colours = "" if setup.mosaic is None else f", {setup.mosaic}"
    if setup.origin not in {None, (0, 0)}:
        yield "position", "from column {}, row {} of the sensor".format(*setup.origin)
    yield "size", f"{image.shape[1]} x {image.shape[0]}, {_stored(image)}{colours}"


def _camera(setup: FrameSetup) -> Iterator[str]:
    readout = setup.readout
    if setup.camera is not None:
        yield setup.camera
    if readout.gain is not None:
        yield f"gain {readout.gain:g}"
    if readout.offset is not None:
        yield f"offset {readout.offset:g}"
    yield f"{readout.binning}x{readout.binning}"
    if readout.readout_mode is not None:
        yield readout.readout_mode


def _stored(image: ImageFile) -> str:
    return f"{abs(image.bits)}-bit {'floats' if image.bits < 0 else 'integers'}"


def _pattern(setup: FrameSetup) -> str | None:
    """Return the Bayer pattern of an unbinned mosaic; None for other images."""
    return setup.mosaic if setup.mosaic in BAYER_PATTERNS and setup.readout.binning == 1 else None


def _figures(image: ImageFile, setup: FrameSetup, seen: PixelStatistics) -> Iterator[tuple[str, str]]:
    """Yield levels and noise of a frame with 16-bit integers; for other images, yield only median and range."""
    if image.storage in UINT16_STORAGES:
        yield from _statistics(measure(uint16_pixels(image), cfa_pattern=_pattern(setup)).statistics)
        return
    yield "median", f"{seen.median:.6g}"
    yield "from, to", f"{seen.minimum:.6g}, {seen.maximum:.6g}"


def _statistics(found: FrameStatistics) -> Iterator[tuple[str, str]]:
    yield (
        "level",
        f"{found.level_adu:,.6g} ADU at the centre; median {found.median_adu:,.6g}, mean {found.mean_adu:,.6g}",
    )
    yield "noise", f"{found.noise_adu:.4g} ADU per pixel"
    yield "from, to", f"{found.minimum_adu:,}, {found.maximum_adu:,} ADU"
    yield "saturated", f"{100 * found.saturated_fraction:.3g} % of the central pixels, at {found.saturation_adu:,} ADU"
    if found.channels:
        yield "channels", ", ".join(f"{each.colour} {each.level_adu:,.6g}" for each in found.channels)


def _uncertainty(image: ImageFile) -> Iterator[tuple[str, str]]:
    """Yield figures from a master's extensions; nothing for a compressed file or a file without extensions."""
    if image.path.suffix.lower() not in PLAIN_SUFFIXES | {xisf_file.SUFFIX} or is_single_frame(image.header):
        return
    try:
        planes = read_master(image.path)
    except FrameFileError:
        return
    yield from _planes(planes)


def _findings(image: ImageFile) -> list[Finding]:
    """Return the findings about a single master; none for frames and compressed files."""
    if image.path.suffix.lower() not in PLAIN_SUFFIXES | {xisf_file.SUFFIX} or is_single_frame(image.header):
        return []
    return findings_of_file(image.path)


def _planes(planes: MasterPlanes) -> Iterator[tuple[str, str]]:
    if planes.counts is None:
        return
    low, median, high = (float(each) for each in np.percentile(planes.uncertainty, [1, 50, 99]))
    unit = " ADU" if planes.header.get("BUNIT") == "adu" else ""
    yield "uncertainty", f"median {median:.4g}{unit}; {low:.4g} to {high:.4g} for 98 % of the pixels"
    most, least = int(planes.counts.max()), int(planes.counts.min())
    full = float(np.mean(planes.counts == most))
    yield "values kept", f"{least} to {most} per pixel; all {most} for {100 * full:.3g} % of the pixels"
    rejected = planes.header.get("CFREJECT")
    if isinstance(rejected, float | int):
        yield (
            "rejected",
            f"{100 * rejected:.3g} % of the values, by {planes.header.get('CFMETHOD', 'an unnamed method')}",
        )
    if planes.masked is not None:
        yield "masked", f"{int(planes.masked.sum()):,} pixels without signal"


def _drawings(
    image: ImageFile, setup: FrameSetup, seen: PixelStatistics, console: Console, glyphs: Glyphs
) -> Iterator[RenderableType]:
    """Yield the histogram and the picture, as large as the terminal allows."""
    width = min(console.width - 4, WIDEST_HISTOGRAM)
    counts = np.array(seen.histogram.counts, np.int64)
    yield Text("\n".join(["", *histogram(counts, width, HISTOGRAM_ROWS, glyphs)]), NOTE)
    low, high = f"{seen.histogram.low:,.5g}", f"{seen.histogram.high:,.5g} and above"
    yield Text(low + high.rjust(max(width - len(low), len(high) + 1)))
    rows = max(console.height - 2, PICTURE_ROWS) if console.is_terminal else PICTURE_ROWS
    picture = picture_of(image, 2 * console.width, _pattern(setup))
    has_colours = not console.no_color and console.color_system in ("256", "truecolor")
    is_colourful = picture.ndim == 3  # noqa: PLR2004 - the third axis is the colour
    stretch = f"black {seen.whole.black:,.5g}, white {seen.whole.white:,.5g}"
    yield Text(f"\n{'each colour stretched separately' if is_colourful and has_colours else stretch}")
    yield ColourPicture(picture, rows) if is_colourful and has_colours else GreyPicture(_greys(picture), rows)


def _greys(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 2 else picture.mean(axis=-1).astype(np.uint8)  # noqa: PLR2004 - two axes: grey already


class GreyPicture:
    """A grey picture with a limited number of lines."""

    def __init__(self, pixels: NDArray[np.uint8], rows: int) -> None:
        self._picture, self._rows = Picture(pixels), rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw within the size given by the options."""
        yield from self._picture.__rich_console__(console, options.update(height=self._rows))


class ColourPicture:
    """A picture in colours; each character, a half block, shows two pixels.

    Parameters
    ----------
    pixels
        uint8, ``(height, width, 3)``.
    rows
        Maximum number of lines.
    """

    def __init__(self, pixels: NDArray[np.uint8], rows: int) -> None:
        self._pixels, self._rows = pixels, rows

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw within the size given by the options."""
        planes = [shrink(self._pixels[..., colour], options.max_width, 2 * self._rows) for colour in range(3)]
        pixels = np.stack(planes, axis=-1).tolist()
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
            for above, below in zip(upper, lower, strict=True):
                yield Segment("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
            yield Segment.line()


def _refuse(text: str) -> ExitCode:
    print(text, file=sys.stderr)
    return ExitCode.BAD_INPUT
