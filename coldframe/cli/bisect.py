"""`coldframe bisect`: find out which master introduces an artifact by comparing combinations of masters."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from coldframe.calibration.diagnosis.bisecting import LightBisection
from coldframe.calibration.diagnosis.bisection import Part
from coldframe.calibration.diagnosis.files import LightSource, Stage, Watcher, light_source
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.names import under_one_name
from coldframe.cli.bisecting.candidates import (
    Choice,
    NamedMasters,
    NoMastersError,
    library_candidates,
    named_candidates,
)
from coldframe.cli.bisecting.json_object import json_object
from coldframe.cli.bisecting.page import page_of
from coldframe.cli.bisecting.results import BisectionResult
from coldframe.cli.bisecting.text import text_of
from coldframe.cli.diagnosing.pictures import SetPictures
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.printed import Printed
from coldframe.cli.progress import progress
from coldframe.counted import counted
from coldframe.errors import ColdframeError
from coldframe.operations.library import configured_camera_names
from coldframe.operations.light_groups import fault_text, find_lights
from coldframe.operations.nights.request import NightRequest
from coldframe.operations.results import set_name

MOST_LIGHTS = 12
"""Maximum number of lights to compare; a larger set is thinned out evenly."""

_EXPOSURE_DIGITS = 3


class UnsuitableLightsError(ColdframeError):
    """The lights cannot be compared together; the message states the reason."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `coldframe bisect`.

    Attributes
    ----------
    library
        Folder of masters; by default, the configured library.
    named
        Masters that the user specified; if there are any, the library is not used.
    e_per_adu
        Electrons per ADU; None to use EGAIN or, without it, to measure them from the flats.
    extension
        Which image to read from files with several images.
    as_json
        True to print a JSON object.
    page
        HTML file to write; None to write no file.
    rig
        Rig that shoots the missing frames before the result is printed; None to shoot nothing.
    """

    library: Path | None = None
    named: NamedMasters = field(default_factory=NamedMasters)
    e_per_adu: float | None = None
    extension: Extension | None = None
    as_json: bool = False
    page: Path | None = None
    rig: NightRequest | None = None


def bisect_lights(names: Sequence[str], request: Request) -> ExitCode:
    """Calibrate the same lights with all sensible combinations of masters, compare the results, and print the verdict.

    Parameters
    ----------
    names
        Files, folders (only the images directly in them) and patterns.
    request
        The options.

    Returns
    -------
    ExitCode
        DONE if the best combination leaves no artifact, INCOMPLETE if it leaves one or if lights could not be read, and
        BAD_INPUT if nothing could be compared. If a night that was to shoot frames failed, the exit code of that night.
    """
    if request.page is not None and request.page.exists():
        print(
            f"{request.page} already exists, and files are never overwritten: choose a different name", file=sys.stderr
        )
        return ExitCode.BAD_INPUT
    try:
        return (
            _bisected(find_lights(names, Printed()), request)
            if request.rig is None
            else _shot(names, request, request.rig)
        )
    except (ColdframeError, OSError, MemoryError) as error:
        print("; ".join(str(error).splitlines()) or type(error).__name__, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _shot(names: Sequence[str], request: Request, rig: NightRequest) -> ExitCode:
    """Shoot the missing frames, and then compare all masters."""
    from coldframe.cli.bisecting.shooting import library_of, shoot_what_is_missing  # noqa: PLC0415 - it loads the rig

    paths = find_lights(names, Printed())
    request = replace(request, library=library_of(rig))
    code = shoot_what_is_missing(paths[0].parent, rig, lambda: _compared(paths, replace(request, page=None))[0])
    return _bisected(paths, request) if code in {ExitCode.DONE, ExitCode.INCOMPLETE} else code


def _bisected(paths: Sequence[Path], request: Request) -> ExitCode:
    result, pictures = _compared(paths, request)
    for path, error in result.bisected.refused:
        print(fault_text([path], error), file=sys.stderr)
    if request.page is not None:
        write_durably(request.page, [page_of(result, pictures).encode()])
    print(json_object(result) if request.as_json else text_of(result))
    if request.page is not None and not request.as_json:
        print(f"\npictures: {request.page}")
    return ExitCode.DONE if result.is_clean and not result.bisected.refused else ExitCode.INCOMPLETE


def _compared(paths: Sequence[Path], request: Request) -> tuple[BisectionResult, dict[tuple[Part, Part], SetPictures]]:
    """Compare all masters; return the result and, if a page is requested, the pictures."""
    lights, notes = _chosen_lights(_sources(paths, request.extension))
    choice = _choice(lights[0], request)
    if not choice.candidates.darks and not choice.candidates.biases and not choice.candidates.flats:
        raise NoMastersError("no dark, bias or flat matches the lights: specify masters with --dark, --bias or --flat")
    if choice.left_out:
        notes.append(f"left out: {counted(choice.left_out, 'older matching master')}; specify masters to compare them")
    pictures: dict[tuple[Part, Part], SetPictures] = {}

    def watcher_of(dark: Part, flat: Part) -> Watcher | None:
        if request.page is None:
            return None
        pictures[dark, flat] = SetPictures(lights[0].setup.mosaic)
        return pictures[dark, flat].watch

    bisection = LightBisection(
        lights,
        choice.setup,
        choice.candidates,
        choice.setup.overscan,
        request.e_per_adu,
        request.extension,
        watcher_of,
    )
    with progress(bisection.combinations * len(lights), "comparing masters") as advance:
        bisection.advance = advance
        found = bisection.run()
    result = BisectionResult(set_name(lights[0].setup), choice.setup, choice.candidates, found, tuple(notes))
    return result, pictures


def _sources(paths: Sequence[Path], extension: Extension | None) -> list[LightSource]:
    """Return the raw lights, which must belong to one set.

    Raises
    ------
    FrameFileError
        If a light cannot be read, or if it is already calibrated.
    UnsuitableLightsError
        If the lights belong to several sets.
    """
    sources = [light_source(path, extension) for path in paths]
    for light in sources:
        if light.stage is not Stage.RAW:
            raise FrameFileError(light.path, f"it is {light.stage}: specify raw lights, which are then calibrated")
    sets = {_settings(light): light for light in sources}
    if len(sets) > 1:
        names = "; ".join(set_name(light.setup) for light in sets.values())
        raise UnsuitableLightsError(f"the lights belong to {len(sets)} sets: specify the lights of one set ({names})")
    return sources


def _settings(light: LightSource) -> tuple[object, ...]:
    """Return the settings that all lights of a set share."""
    setup = light.setup
    exposure = None if setup.exposure_s is None else f"{setup.exposure_s:.{_EXPOSURE_DIGITS}g}"
    return setup.camera, setup.width, setup.height, setup.readout, exposure, setup.filter_name, setup.mosaic


def _chosen_lights(lights: Sequence[LightSource]) -> tuple[list[LightSource], list[str]]:
    """Return at most `MOST_LIGHTS` lights, spread evenly, and a note if lights are left out."""
    if len(lights) <= MOST_LIGHTS:
        return list(lights), []
    chosen = [lights[each] for each in np.linspace(0, len(lights) - 1, MOST_LIGHTS).astype(int)]
    return chosen, [f"{MOST_LIGHTS} of {len(lights)} lights were compared"]


def _choice(light: LightSource, request: Request) -> Choice:
    setup = under_one_name(light.setup, configured_camera_names())
    if request.named.by_path:
        return named_candidates(setup, request.named)
    return library_candidates(setup, request.library)
