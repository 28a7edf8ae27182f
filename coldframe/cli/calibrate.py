"""`coldframe calibrate`: calibrate lights with masters from the library."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.defects.files import BadPixels, read_map
from coldframe.calibration.defects.finding import NotJudgeableError
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import without_packed_copies
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import Correction, GlowError, MismatchError
from coldframe.calibration.lights.caveats import temperature_caveat, temperature_cost
from coldframe.calibration.lights.files import (
    CalibratedFile,
    Output,
    calibrate_file,
    light_setup,
    load_correction,
    load_subtraction,
)
from coldframe.calibration.lights.hot_pixels import filter_array_fault, hot_pixels
from coldframe.calibration.lights.recipe import LightRecipe, NoMasterError, Subtract, recipe_for, ways_out
from coldframe.cli.console import VisibleConsole
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.library import NoLibraryError, configured_camera_names, find_library, masters_of

THREADS = 2
"""Number of lights to calibrate at once, so that reading and computing overlap. Each needs the memory of four."""

CALIBRATED = "calibrated"

_COMPRESSED = frozenset({".fz", ".gz"})
_FAULTS = (FrameFileError, NotDurableError, MismatchError, NoMasterError, OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `coldframe calibrate`.

    Attributes
    ----------
    library
        Folder of masters; None for the configured one.
    target
        Folder for results; None for a folder next to each light.
    subtract
        The kind of dark to subtract.
    with_flat
        True to divide lights by a flat.
    output
        The form of the results.
    defects
        Map of the pixels to replace; None for the hot and unstable pixels of the master dark.
    mend
        True to replace pixels; False to keep the hot pixels of the dark.
    despite_glow
        True to scale darks whose glow may not scale.
    """

    library: Path | None
    target: Path | None
    subtract: Subtract
    with_flat: bool
    output: Output
    defects: Path | None = None
    mend: bool = True
    despite_glow: bool = False


@dataclass(slots=True)
class Tally:
    """The numbers of calibrated and failed lights so far."""

    done: int = 0
    failed: int = 0
    without_photons: int = 0
    clipped: list[Path] = field(default_factory=list)
    clipped_pixels: int = 0
    folders: set[Path] = field(default_factory=set)

    def report(self, light: Path, outcome: CalibratedFile | Exception) -> None:
        """Count a light, and print its fault if there is one."""
        if not isinstance(outcome, CalibratedFile):
            self.refuse([light], outcome)
            return
        self.done += 1
        self.folders.add(outcome.path.parent)
        self.without_photons += not outcome.photons
        if outcome.below:
            self.clipped.append(outcome.path)
            self.clipped_pixels += outcome.below

    def refuse(self, lights: Sequence[Path], error: Exception, way_out: str = "") -> None:
        """Count lights that failed with the same error, and print it once."""
        self.failed += len(lights)
        text = (str(error) or type(error).__name__) + way_out
        print(text if str(lights[0]) in text else f"{_named(lights)}: {text}", file=sys.stderr)

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: 0 if all lights were calibrated, 1 if some failed, 2 if all failed."""
        if not self.done:
            return ExitCode.BAD_INPUT
        return ExitCode.INCOMPLETE if self.failed else ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _Light:
    """A light and its recipe."""

    path: Path
    setup: FrameSetup
    recipe: LightRecipe


@dataclass(slots=True)
class _Group:
    """Lights that use the same masters."""

    recipe: LightRecipe
    lights: list[_Light] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Files of the lights."""
        return [light.path for light in self.lights]

    def caveats(self, planes: Correction, defects: BadPixels | None) -> dict[str, list[Path]]:
        """Return the differences between lights and masters as text, each with the lights it applies to."""
        found: dict[str, list[Path]] = {}
        for light in self.lights:
            for caveat in light.recipe.caveats:
                found.setdefault(caveat, []).append(light.path)
        warmer_c = [light.recipe.dark_warmer_c for light in self.lights if light.recipe.dark_warmer_c is not None]
        temperature = temperature_caveat(max(warmer_c), min(warmer_c)) if warmer_c else None
        if temperature is not None:
            mended = None if defects is None else defects.bad
            found[f"{temperature}; {temperature_cost(max(warmer_c, key=abs), planes, mended)}"] = self.paths
        return found | dict.fromkeys(planes.caveats, self.paths)


def calibrate_lights(names: Sequence[str], request: Request) -> ExitCode:
    """Calibrate lights; print the fault of a light that fails, and continue with the others.

    Parameters
    ----------
    names
        Files, folders (only the FITS files directly in them) and patterns.
    request
        How to calibrate the lights.
    """
    try:
        lights, copies = without_packed_copies(find_files(names))
        masters = masters_of(find_library(request.library).catalogue())
        if request.defects is not None:
            request = replace(request, output=replace(request.output, defects=read_map(request.defects)))
        request = replace(request, output=replace(request.output, camera_names=configured_camera_names()))
    except (NothingFoundError, NoLibraryError, FrameFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    if copies:
        print(f"{len(copies)} compressed copies of other lights are left out, such as {copies[0]}", file=sys.stderr)
    tally, find_hot = Tally(), cache(hot_pixels)
    try:
        with _progress(len(lights)) as advance:
            for group in _grouped(lights, masters, request, tally, advance):
                _calibrate_group(group, masters, request, find_hot, tally, advance)
    except KeyboardInterrupt:
        print(f"interrupted; {tally.done} of {len(lights)} lights calibrated", file=sys.stderr)
        return ExitCode.INTERRUPTED
    _print_totals(tally)
    places = "".join(f", in {folder}" for folder in sorted(tally.folders))
    print(f"{tally.done} of {len(lights)} lights calibrated{places}")
    return tally.exit_code


def _print_totals(tally: Tally) -> None:
    if tally.clipped:
        print(
            f"{_named(tally.clipped)}: {tally.clipped_pixels} pixels were clipped at zero; a larger --pedestal, or"
            " --float, would keep them",
            file=sys.stderr,
        )
    if tally.without_photons:
        print(
            f"{tally.without_photons} lights have no EGAIN: their UNCERT excludes photon noise (see --e-per-adu)",
            file=sys.stderr,
        )


def _grouped(
    lights: list[Path],
    masters: dict[Path, FrameSetup],
    request: Request,
    tally: Tally,
    advance: Callable[[], None],
) -> list[_Group]:
    """Group the lights by recipe, so that each master is read once; report lights that cannot be calibrated."""
    groups: dict[LightRecipe, _Group] = {}
    refused: dict[str, tuple[NoMasterError, FrameSetup, list[Path]]] = {}
    for path in lights:
        try:
            setup = under_one_name(light_setup(path, request.output.extension), request.output.camera_names)
            recipe = recipe_for(setup, masters, request.subtract, with_flat=request.with_flat)
        except NoMasterError as error:
            refused.setdefault(str(error), (error, setup, []))[2].append(path)
            advance()
        except _FAULTS as error:
            tally.report(path, error)
            advance()
        else:
            groups.setdefault(recipe, _Group(recipe)).lights.append(_Light(path, setup, recipe))
    for reason, setup, paths in refused.values():
        tally.refuse(paths, reason, _way_out(setup, masters, request))
    return list(groups.values())


def _way_out(light: FrameSetup, masters: Mapping[Path, FrameSetup], request: Request, *more: str) -> str:
    """Return the options with which a refused light could be calibrated as text; "" if there are none."""
    found = list(more)
    for options, recipe in ways_out(light, masters, request.subtract, with_flat=request.with_flat):
        try:
            if recipe.dark_scale != 1:
                load_subtraction(recipe, despite_glow=request.despite_glow)
        except _FAULTS:
            continue
        found.append(options)
    return f"; possible instead: {', or '.join(found)}" if found else ""


def _calibrate_group(
    group: _Group,
    masters: Mapping[Path, FrameSetup],
    request: Request,
    find_hot: Callable[[Path, Path | None], BadPixels],
    tally: Tally,
    advance: Callable[[], None],
) -> None:
    try:
        defects, unmended = _defects(group.recipe, request, find_hot)
        planes = load_correction(group.recipe, despite_glow=request.despite_glow)
    except _FAULTS as error:
        more = ["--scale-dark"] if isinstance(error, GlowError) else []
        tally.refuse(group.paths, error, _way_out(group.lights[0].setup, masters, request, *more) if more else "")
        for _ in group.lights:
            advance()
        return
    print(_group_text(group, defects))
    for caveat, paths in (group.caveats(planes, defects) | dict.fromkeys(unmended, group.paths)).items():
        print(f"{_named(paths)}: {caveat}", file=sys.stderr)
    output = replace(request.output, defects=defects)
    work = partial(_outcome, planes=planes, output=output, target=request.target)
    with ThreadPoolExecutor(THREADS, "light") as threads:
        try:
            for light, outcome in zip(group.lights, threads.map(work, group.lights), strict=True):
                tally.report(light.path, outcome)
                advance()
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise


def _defects(
    recipe: LightRecipe, request: Request, find_hot: Callable[[Path, Path | None], BadPixels]
) -> tuple[BadPixels | None, list[str]]:
    """Return the pixels to replace, and the reason why those of the dark cannot be replaced."""
    if request.output.defects is not None or not request.mend or recipe.dark is None:
        return request.output.defects, []
    try:
        found = find_hot(recipe.dark, recipe.bias)
    except NotJudgeableError as error:
        return None, [f"hot pixels are not mended: {error}"]
    fault = filter_array_fault(found, recipe.mosaic)
    return (found, []) if fault is None else (None, [f"hot pixels are not mended: {fault}"])


def _group_text(group: _Group, defects: BadPixels | None) -> str:
    """Return the masters of a group as text, such as "3 lights: dark MasterDark.fits, flat MasterFlat.fits"."""
    recipe = group.recipe
    masters = {"bias": recipe.bias, "dark": recipe.dark, "flat": recipe.flat}
    used = ", ".join(f"{kind} {path.name}" for kind, path in masters.items() if path is not None)
    count = 0 if defects is None else np.count_nonzero(defects.bad)
    mended = f"; {count:,} defective pixels replaced in each" if count else ""
    return f"{len(group.lights)} {'light' if len(group.lights) == 1 else 'lights'}: {used}{mended}"


def _named(lights: Sequence[Path]) -> str:
    """Return the first file and the number of others as text."""
    others = len(lights) - 1
    return f"{lights[0]}" + (f" and {others} {'other' if others == 1 else 'others'}" if others else "")


def _outcome(light: _Light, planes: Correction, output: Output, target: Path | None) -> CalibratedFile | Exception:
    path = light.path
    stem = Path(path.stem).stem if path.suffix.lower() in _COMPRESSED else path.stem
    calibrated = (target or path.parent / CALIBRATED) / f"{stem}_calibrated.fits"
    try:
        calibrated.parent.mkdir(parents=True, exist_ok=True)
        return calibrate_file(path, calibrated, light.recipe, planes, output)
    except _FAULTS as error:
        return error


def _progress(total: int) -> AbstractContextManager[Callable[[], None]]:
    return _bar(total) if sys.stderr.isatty() else nullcontext(lambda: None)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=VisibleConsole(stderr=True), transient=True) as progress:
        task = progress.add_task("calibrating", total=total)
        yield partial(progress.advance, task)
