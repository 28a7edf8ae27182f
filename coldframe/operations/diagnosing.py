"""The diagnosis of lights: whether they calibrate cleanly and, if they do not, why."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldframe.calibration.diagnosis.files import LightSource, Stage, Watcher, diagnose_set, light_source
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.operations.choosing import Chosen, GivenMasters, MasterChoice
from coldframe.operations.light_groups import FAULTS, Light, LightGroup, grouped
from coldframe.operations.reports import Reports
from coldframe.operations.results import SetResult, set_name

_EXPOSURE_DIGITS = 3


NewWatcher = Callable[[FrameSetup], Watcher]
"""A function that takes the setup of a set's first light and returns the watcher for the set."""


@dataclass(frozen=True, slots=True)
class Request:
    """How to diagnose lights.

    Attributes
    ----------
    library
        Folder of masters; by default, the configured library.
    given
        Masters that the user specified.
    stage
        RAW or OTHER if the user specified whether the lights are calibrated; None to determine this from the files.
    e_per_adu
        Electrons per ADU; None to use EGAIN or, without it, to measure the value from the flats.
    extension
        Which image to read from files with several images.
    """

    library: Path | None = None
    given: GivenMasters = field(default_factory=GivenMasters)
    stage: Stage | None = None
    e_per_adu: float | None = None
    extension: Extension | None = None


class Diagnoses:
    """Diagnoses the lights of one call.

    Parameters
    ----------
    request
        How to diagnose the lights.
    reports
        Receives the messages.
    new_watcher
        Function to call for each set of lights; None if only the diagnosis needs the pixels.

    Attributes
    ----------
    failed
        Number of lights that could not be diagnosed.

    Raises
    ------
    FrameFileError
        If a specified master cannot be read.
    """

    def __init__(self, request: Request, reports: Reports, new_watcher: NewWatcher | None = None) -> None:
        self._request = request
        self._reports = reports
        self._new_watcher = new_watcher
        self._choice = MasterChoice(request.library, request.given)
        self._choice.read_given()
        self._sources: dict[Path, LightSource] = {}
        self._chosen: dict[Path, Chosen] = {}
        self.failed = 0

    def of(self, lights: Sequence[Path], advance: Callable[[], None] = lambda: None) -> Iterator[SetResult]:
        """Diagnose lights and yield the result of each set; call `advance` after each light.

        Lights that cannot be diagnosed are reported and counted. The watcher created last belongs to the result
        yielded last.
        """
        found = grouped(lights, self._setup, self._recipe, self._key)
        self._refuse_alike(found.faults)
        for reason, _, paths in found.without_master.values():
            self._refuse(paths, reason)
        for group in found.groups:
            result = self._diagnosed(group, advance)
            if result is not None:
                yield result

    def _diagnosed(self, group: LightGroup, advance: Callable[[], None]) -> SetResult | None:
        chosen = self._chosen[group.paths[0]]
        try:
            found = diagnose_set(
                [self._sources[path] for path in group.paths],
                group.recipe,
                e_per_adu=self._request.e_per_adu,
                extension=self._request.extension,
                missing=chosen.missing,
                watcher=None if self._new_watcher is None else self._new_watcher(group.lights[0].setup),
                advance=advance,
            )
        except FAULTS as error:
            self._refuse(group.paths, error)
            return None
        self._refuse_alike(found.refused)
        caveats = dict.fromkeys(caveat for light in group.lights for caveat in light.recipe.caveats)
        notes = tuple(filter(None, (chosen.note, *caveats, *found.notes)))
        return SetResult(set_name(found.read[0].setup), found, notes)

    def _setup(self, path: Path) -> FrameSetup:
        source = light_source(path, self._request.extension, self._request.stage)
        self._sources[path] = source
        return under_one_name(source.setup, self._choice.camera_names)

    def _recipe(self, path: Path, _setup: FrameSetup) -> LightRecipe:
        self._chosen[path] = self._choice.choose(self._sources[path])
        return self._chosen[path].recipe

    def _key(self, light: Light) -> Hashable:
        """Return what all lights of a set share: the masters, the processing and the settings."""
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
        self.failed += len(paths)
        self._reports.refused(paths, error)
