"""`coldframe camera`: print the measured figures of each camera, or measure a camera from a night's frames."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from math import sqrt
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from coldframe.calibration.camera.from_folder import measure_night
from coldframe.calibration.camera.record import CAMERAS, CameraRecord, CameraRecords, Figure, by_setting, merged
from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.monitoring.dashboard.drawing import ASCII, FAINT, GOOD, UNICODE, Canvas, Glyphs, logarithmic
from coldframe.capture.storage.night_folder import evening_of
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.config.frames import FrameKind
from coldframe.config.loading import ConfigError, find_config, load_settings

PLOT_COLUMNS, PLOT_ROWS = 60, 14


def show_cameras(name: str | None, folder: Path | None, output: Path | None, *, wants_json: bool = False) -> ExitCode:
    """Print the figures and the photon transfer curve of each camera and setting; return 1 if a record is unreadable.

    Parameters
    ----------
    name
        Part of the camera's name; None for all cameras.
    folder
        Folder of the nights; by default, the configured folder.
    output
        SVG file to which the output is also written; never overwritten.
    wants_json
        True to print the figures as JSON, without the plot.
    """
    if output is not None and output.suffix.lower() != ".svg":
        print(f"{output}: pictures are SVG files; choose a name that ends in .svg", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        storage = load_settings(find_config()).storage.folder if folder is None else folder
    except ConfigError as error:
        print(f"{error}\nOr set the folder of your nights: --folder FOLDER", file=sys.stderr)
        return ExitCode.BAD_INPUT
    records, problems = CameraRecords(storage / CAMERAS).load()
    for problem in problems:
        print(problem, file=sys.stderr)
    groups = [group for group in by_setting(records) if name is None or name.lower() in group[0].camera.lower()]
    if not groups:
        print(_nothing(storage, name, records), file=sys.stderr)
        return ExitCode.BAD_INPUT
    if wants_json:
        print(json.dumps([merged(group).model_dump(mode="json") for group in groups], indent=2))
        return ExitCode.INCOMPLETE if problems else ExitCode.DONE
    console = VisibleConsole(record=output is not None)
    glyphs = UNICODE if (console.encoding or "").lower().startswith("utf") else ASCII
    for group in groups:
        console.print(*_shown(merged(group), _nights(group), glyphs), sep="\n")
    if output is not None and (fault := _export(console, output)) is not None:
        print(fault, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if problems else ExitCode.DONE


def measure_camera(night: Path, folder: Path | None, kinds: Mapping[FrameKind, str] | None = None) -> ExitCode:
    """Measure the camera from the frames in a folder and save the record; return 1 if some frames are unusable.

    Parameters
    ----------
    night
        Folder of the frames.
    folder
        Folder of the nights, which contains the records; by default, the configured folder.
    kinds
        Patterns of the frames whose headers do not state their kind; see `measure_night`.
    """
    if not night.is_dir():
        print(f"{night} is not a folder", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        storage = load_settings(find_config()).storage.folder if folder is None else folder
    except ConfigError as error:
        print(f"{error}\nOr set the folder of your nights: --folder FOLDER", file=sys.stderr)
        return ExitCode.BAD_INPUT
    records, problems = measure_night(night, kinds=kinds)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not records:
        print(
            f"{night}: not enough frames; two or more bias frames and flats at one setting are needed", file=sys.stderr
        )
        return ExitCode.BAD_INPUT
    try:
        for record in records:
            print(CameraRecords(storage / CAMERAS).save(record))
    except NotDurableError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.INCOMPLETE if problems else ExitCode.DONE


def _nights(records: list[CameraRecord]) -> int:
    """Return the number of nights; several records from one night count once."""
    return len({evening_of(record.measured_at.astimezone()) for record in records})


def _nothing(storage: Path, name: str | None, records: list[CameraRecord]) -> str:
    if not records:
        return f"{storage / CAMERAS}: no camera has been measured yet; shoot a night with bias frames and flats"
    known = ", ".join(sorted({record.camera for record in records}))
    return f"no record of a camera named {name!r}; known cameras: {known}"


def _export(console: Console, output: Path) -> str | None:
    """Write the printed output to an SVG file; return an error message, or None if the file was written."""
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(console.export_svg(title="coldframe camera"))
    except FileExistsError:
        return f"{output} already exists, and files are never overwritten: choose a different name"
    except OSError as error:
        return f"{output}: {error.strerror}"
    return None


def _shown(record: CameraRecord, nights: int, glyphs: Glyphs) -> Iterator[RenderableType]:
    table = Table(title=_title(record), title_justify="left", show_header=False, caption_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for row in _rows(record):
        table.add_row(*row)
    word = "night" if nights == 1 else "nights"
    table.caption = f"measured on {nights} {word}, last {record.measured_at.astimezone():%Y-%m-%d %H:%M}"
    yield table
    if record.curve:
        yield Group(*_curve(record, glyphs))


def _title(record: CameraRecord) -> str:
    parts = [
        record.camera,
        None if record.gain is None else f"gain {record.gain:g}",
        None if record.offset is None else f"offset {record.offset:g}",
        f"{record.binning}x{record.binning}",
        record.readout_mode,
    ]
    return ", ".join(part for part in parts if part)


def _rows(record: CameraRecord) -> Iterator[tuple[str, str, str]]:
    below_e = record.read_noise_below_e
    if below_e is not None:
        yield "read noise", f"below {below_e:.2g}", "e- (half a step)"
    figures = [
        ("gain", record.e_per_adu, "e-/ADU"),
        *([("read noise", record.read_noise_e, "e-")] if below_e is None else []),
        ("full well", record.full_well_e, "e-"),
        ("saturation", record.saturation_adu, "ADU"),
    ]
    for title, figure, unit in figures:
        yield title, "not measured yet" if figure is None else _with_error(figure), unit if figure else ""
    if record.bias_adu is not None:
        yield "bias level", f"{record.bias_adu:.0f}", "ADU"
    if record.largest_deviation is not None:
        percent, error = 100 * record.largest_deviation, 100 * record.deviation_error
        known = error > 0 and percent > 0
        yield "linear within", _with_error(Figure(value=percent, error=error)) if known else f"{percent:.2g}", "%"
    for current in sorted(record.dark_current, key=lambda each: each.sensor_c):
        value = _with_error(Figure(value=current.e_per_s, error=current.error)) if current.e_per_s > 0 else "0"
        yield f"dark current at {current.sensor_c:.0f} C", value, f"e-/s ({current.exposure_s:g} s)"
    if record.doubling_c is not None:
        yield "dark current doubles every", f"{record.doubling_c:.1f}", "C"


def _with_error(figure: Figure) -> str:
    """Format a value and its error, rounded to the first significant digit of the error: 0.2464 ± 0.0003."""
    if figure.error <= 0:
        return f"{figure.value:.5g}"
    digits = max(0, -int(f"{figure.error:e}".split("e")[1]))
    return f"{figure.value:,.{digits}f} ± {figure.error:,.{digits}f}"


def _curve(record: CameraRecord, glyphs: Glyphs) -> Iterator[Text]:
    """Draw the photon transfer curve on logarithmic axes, with a line for the combined shot noise and read noise."""
    signals = sorted((point.signal_adu, point.noise_adu) for point in record.curve)
    lowest, highest = 1.0, signals[-1][0] * 1.3
    model = _model(record)
    # Saturated tiles have no noise, so their dots are drawn on the axis.
    bottom, top = model(lowest) / 1.5, max(model(highest), *(noise for _, noise in signals)) * 1.3
    canvas = Canvas(PLOT_COLUMNS, PLOT_ROWS, glyphs)
    for dot in range(canvas.width):
        across = dot / canvas.width
        noise = model(lowest * (highest / lowest) ** across)
        canvas.reference_dot(across, logarithmic(noise, bottom, top))
    for signal, noise in signals:
        canvas.dot(logarithmic(signal, lowest, highest), logarithmic(noise, bottom, top))
    yield Text("noise, ADU")
    for row, line in enumerate(canvas.lines(GOOD)):
        label = {0: f"{top:,.0f}", PLOT_ROWS - 1: f"{bottom:.2g}"}.get(row, "")
        yield Text(f"{label:>8} ") + line
    right = f"{highest:,.0f}"
    yield Text(" " * 9 + f"{lowest:g}" + f"signal, ADU{right:>24}".rjust(PLOT_COLUMNS - 1), style=FAINT)


def _model(record: CameraRecord) -> Callable[[float], float]:
    """Return the combined read and shot noise in ADU as a function of the signal in ADU."""
    e_per_adu = record.e_per_adu.value if record.e_per_adu else 1.0
    read_noise_adu = record.read_noise_e.value / e_per_adu if record.read_noise_e else 0.0
    return lambda signal_adu: sqrt(read_noise_adu**2 + signal_adu / e_per_adu)
