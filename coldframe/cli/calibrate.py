"""`coldframe calibrate`: calibrates lights with the masters of the library."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from coldframe.calibration.combining.finding import NothingFoundError, find_files
from coldframe.calibration.defects.files import read_map
from coldframe.calibration.files.durable import NotDurableError
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import Correction, MismatchError
from coldframe.calibration.lights.files import CalibratedFile, Output, calibrate_file, light_setup, load_correction
from coldframe.calibration.lights.recipe import LightRecipe, NoMasterError, Subtract, recipe_for
from coldframe.capture.planning.camera_names import under_one_name
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.library import NoLibraryError, configured_camera_names, find_library, masters_of

THREADS = 2
"""Lights calibrated at once: one waits for the disk while the other computes. Each needs the memory of four lights."""

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
        Map of the pixels to replace; None to replace no pixels.
    """

    library: Path | None
    target: Path | None
    subtract: Subtract
    with_flat: bool
    output: Output
    defects: Path | None = None


@dataclass(slots=True)
class Tally:
    """Counts of the calibrated and failed lights so far."""

    done: int = 0
    failed: int = 0
    without_photons: int = 0
    folders: set[Path] = field(default_factory=set)

    def report(self, light: Path, outcome: CalibratedFile | Exception) -> None:
        """Count a light, and print its fault if there is one."""
        if isinstance(outcome, CalibratedFile):
            self.done += 1
            self.folders.add(outcome.path.parent)
            self.without_photons += not outcome.photons
            if outcome.below:
                print(
                    f"{outcome.path}: {outcome.below} pixels were clipped at zero; a larger --pedestal, or --float,"
                    " would keep them",
                    file=sys.stderr,
                )
            return
        self.failed += 1
        text = str(outcome) or type(outcome).__name__
        print(text if str(light) in text else f"{light}: {text}", file=sys.stderr)

    @property
    def exit_code(self) -> ExitCode:
        """0 if all lights were calibrated, 1 if some failed, 2 if all failed."""
        if not self.done:
            return ExitCode.BAD_INPUT
        return ExitCode.INCOMPLETE if self.failed else ExitCode.DONE


@dataclass(slots=True)
class _Group:
    """Lights that share their masters."""

    recipe: LightRecipe
    lights: list[Path] = field(default_factory=list)


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
        lights = find_files(names)
        masters = masters_of(find_library(request.library).catalogue())
        if request.defects is not None:
            request = replace(request, output=replace(request.output, defects=read_map(request.defects)))
    except (NothingFoundError, NoLibraryError, FrameFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    tally = Tally()
    try:
        with _progress(len(lights)) as advance:
            for group in _grouped(lights, masters, request, tally, advance):
                _calibrate_group(group, request, tally, advance)
    except KeyboardInterrupt:
        print(f"interrupted; {tally.done} of {len(lights)} lights calibrated", file=sys.stderr)
        return ExitCode.INTERRUPTED
    if tally.without_photons:
        print(
            f"{tally.without_photons} lights have no EGAIN: their UNCERT lacks photon noise (--e-per-adu)",
            file=sys.stderr,
        )
    places = "".join(f", in {folder}" for folder in sorted(tally.folders))
    print(f"{tally.done} of {len(lights)} lights calibrated{places}")
    return tally.exit_code


def _grouped(
    lights: list[Path],
    masters: dict[Path, FrameSetup],
    request: Request,
    tally: Tally,
    advance: Callable[[], None],
) -> list[_Group]:
    """Group the lights by recipe, so that each master is read once; report lights that cannot be calibrated."""
    groups: dict[LightRecipe, _Group] = {}
    camera_names = configured_camera_names()
    for light in lights:
        try:
            setup = under_one_name(light_setup(light), camera_names)
            recipe = recipe_for(setup, masters, request.subtract, with_flat=request.with_flat)
        except _FAULTS as error:
            tally.report(light, error)
            advance()
        else:
            groups.setdefault(recipe, _Group(recipe)).lights.append(light)
    return list(groups.values())


def _calibrate_group(group: _Group, request: Request, tally: Tally, advance: Callable[[], None]) -> None:
    print(_group_text(group))
    for caveat in group.recipe.caveats:
        print(f"{group.lights[0]}: {caveat}", file=sys.stderr)
    try:
        planes = load_correction(group.recipe)
    except _FAULTS as error:
        for light in group.lights:
            tally.report(light, error)
            advance()
        return
    work = partial(_outcome, recipe=group.recipe, planes=planes, request=request)
    with ThreadPoolExecutor(THREADS, "light") as threads:
        try:
            for light, outcome in zip(group.lights, threads.map(work, group.lights), strict=True):
                tally.report(light, outcome)
                advance()
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise


def _group_text(group: _Group) -> str:
    """Return the masters of a group as text: "3 lights: dark MasterDark.fits, flat MasterFlat.fits"."""
    recipe = group.recipe
    masters = {"bias": recipe.bias, "dark": recipe.dark, "flat": recipe.flat}
    used = ", ".join(f"{kind} {path.name}" for kind, path in masters.items() if path is not None)
    return f"{len(group.lights)} {'light' if len(group.lights) == 1 else 'lights'}: {used}"


def _outcome(light: Path, recipe: LightRecipe, planes: Correction, request: Request) -> CalibratedFile | Exception:
    stem = Path(light.stem).stem if light.suffix.lower() in _COMPRESSED else light.stem
    target = (request.target or light.parent / CALIBRATED) / f"{stem}_calibrated.fits"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return calibrate_file(light, target, recipe, planes, request.output)
    except _FAULTS as error:
        return error


def _progress(total: int) -> AbstractContextManager[Callable[[], None]]:
    return _bar(total) if sys.stderr.isatty() else nullcontext(lambda: None)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("calibrating", total=total)
        yield partial(progress.advance, task)
