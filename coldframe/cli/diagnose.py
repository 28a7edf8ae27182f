"""`coldframe diagnose`: find out whether lights calibrate clean and, if they do not, why."""

import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.combining.finding import NothingFoundError
from coldframe.calibration.diagnosis.files import LightSource, Stage, diagnose_set, light_source
from coldframe.calibration.files.durable import NotDurableError, write_durably
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.cli.diagnosing.choosing import Chosen, GivenMasters, MasterChoice
from coldframe.cli.diagnosing.json_object import json_object
from coldframe.cli.diagnosing.page import page_of
from coldframe.cli.diagnosing.pictures import SetPictures
from coldframe.cli.diagnosing.results import SetResult, set_name
from coldframe.cli.diagnosing.text import text_of
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.library import NoLibraryError
from coldframe.cli.light_groups import FAULTS, Light, LightGroup, fault_text, find_lights, grouped, progress

_EXPOSURE_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `coldframe diagnose`.

    Attributes
    ----------
    library
        Folder of masters; None for the configured one.
    given
        Masters that the user named.
    stage
        RAW or OTHER if the user stated the processing of the lights; None to determine it.
    e_per_adu
        Electrons per ADU; None uses EGAIN.
    extension
        Which image to read from files with several images.
    as_json
        True to print a JSON object.
    page
        HTML file to write; None for none.
    """

    library: Path | None = None
    given: GivenMasters = field(default_factory=GivenMasters)
    stage: Stage | None = None
    e_per_adu: float | None = None
    extension: Extension | None = None
    as_json: bool = False
    page: Path | None = None


def diagnose_lights(names: Sequence[str], request: Request) -> ExitCode:
    """Diagnose lights and print the result.

    Parameters
    ----------
    names
        Files, folders (only the images directly in them) and patterns.
    request
        The options.

    Returns
    -------
    ExitCode
        DONE if the lights calibrate clean, INCOMPLETE if a finding matters or some lights could not be diagnosed, and
        BAD_INPUT if no light could be diagnosed.
    """
    if request.page is not None and request.page.exists():
        print(f"{request.page}: exists, and files are never overwritten: choose a different name", file=sys.stderr)
        return ExitCode.BAD_INPUT
    try:
        lights = find_lights(names)
        return _Diagnoses(request).of(lights)
    except (NothingFoundError, NoLibraryError, NotDurableError, FrameFileError) as error:
        print("; ".join(str(error).splitlines()), file=sys.stderr)
        return ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


class _Diagnoses:
    """The diagnoses of one call.

    Parameters
    ----------
    request
        The options.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._choice = MasterChoice(request.library, request.given)
        self._choice.read_given()
        self._sources: dict[Path, LightSource] = {}
        self._chosen: dict[Path, Chosen] = {}
        self._failed = 0

    def of(self, lights: Sequence[Path]) -> ExitCode:
        """Diagnose lights, print the result, and return the exit code."""
        found = grouped(lights, self._setup, self._recipe, self._key)
        self._refuse_alike(found.faults)
        for reason, _, paths in found.without_master.values():
            self._refuse(paths, reason)
        results: list[SetResult] = []
        pictures: list[SetPictures] = []
        with progress(len(lights), "diagnosing") as advance:
            for group in found.groups:
                self._diagnose(group, advance, results, pictures)
        if not results:
            return ExitCode.BAD_INPUT
        if self._request.page is not None:
            write_durably(self._request.page, [page_of(results, pictures).encode()])
        print(json_object(results) if self._request.as_json else text_of(results))
        if self._request.page is not None and not self._request.as_json:
            print(f"\npictures: {self._request.page}")
        is_clean = all(result.is_clean for result in results)
        return ExitCode.DONE if is_clean and not self._failed else ExitCode.INCOMPLETE

    def _diagnose(
        self, group: LightGroup, advance: Callable[[], None], results: list[SetResult], pictures: list[SetPictures]
    ) -> None:
        chosen = self._chosen[group.paths[0]]
        seen = None if self._request.page is None else SetPictures(group.lights[0].setup.mosaic)
        try:
            found = diagnose_set(
                [self._sources[path] for path in group.paths],
                group.recipe,
                e_per_adu=self._request.e_per_adu,
                extension=self._request.extension,
                missing=chosen.missing,
                watcher=None if seen is None else seen.watch,
                advance=advance,
            )
        except FAULTS as error:
            self._refuse(group.paths, error)
            return
        self._refuse_alike(found.refused)
        notes = (*dict.fromkeys(light.recipe.caveats for light in group.lights),)
        texts = [caveat for each in notes for caveat in each]
        name = set_name(found.read[0].setup)
        results.append(SetResult(name, found, tuple(filter(None, (chosen.note, *dict.fromkeys(texts), *found.notes)))))
        if seen is not None:
            pictures.append(seen)

    def _setup(self, path: Path) -> FrameSetup:
        source = light_source(path, self._request.extension, self._request.stage)
        self._sources[path] = source
        return under_one_name(source.setup, self._choice.camera_names)

    def _recipe(self, path: Path, _setup: FrameSetup) -> LightRecipe:
        self._chosen[path] = self._choice.choose(self._sources[path])
        return self._chosen[path].recipe

    def _key(self, light: Light) -> Hashable:
        """Return the masters, the processing and the settings, which all lights of a set share."""
        source, setup = self._sources[light.path], light.setup
        exposure = None if setup.exposure_s is None else f"{setup.exposure_s:.{_EXPOSURE_DIGITS}g}"
        size = setup.width, setup.height
        settings = setup.camera, size, setup.readout, exposure, setup.filter_name, setup.mosaic
        return light.recipe, source.stage, source.mended, settings

    def _refuse_alike(self, faults: Sequence[tuple[Path, Exception]]) -> None:
        """Report lights that cannot be diagnosed; lights with the same error share a line."""
        alike: dict[str, tuple[Exception, list[Path]]] = {}
        for path, error in faults:
            alike.setdefault(str(error), (error, []))[1].append(path)
        for error, paths in alike.values():
            self._refuse(paths, error)

    def _refuse(self, paths: Sequence[Path], error: Exception) -> None:
        """Report lights that cannot be diagnosed."""
        self._failed += len(paths)
        print(fault_text(paths, error), file=sys.stderr)
