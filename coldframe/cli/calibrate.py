"""`coldframe calibrate`: lights through the masters of the library."""

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
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.library import NoLibraryError, find_library

THREADS = 2
"""Lights at a time: while one waits for the disk the other computes. Each takes four times its pixels in memory."""

CALIBRATED = "calibrated"

_COMPRESSED = frozenset({".fz", ".gz"})
_FAULTS = (FrameFileError, NotDurableError, MismatchError, NoMasterError, OSError, MemoryError)


@dataclass(frozen=True, slots=True)
class Request:
    """What the command was asked for.

    Attributes
    ----------
    library
        Folder of masters, None for the configured one.
    target
        Where results go, None for a folder beside each light.
    subtract
        What is subtracted.
    with_flat
        Whether lights are divided by a flat.
    output
        What results look like.
    defects
        Map of the pixels to be mended, None to trust all.
    """

    library: Path | None
    target: Path | None
    subtract: Subtract
    with_flat: bool
    output: Output
    defects: Path | None = None


@dataclass(slots=True)
class _Tally:
    """What has become of the lights so far."""

    done: int = 0
    failed: int = 0
    without_photons: int = 0
    folders: set[Path] = field(default_factory=set)

    def tell(self, light: Path, outcome: CalibratedFile | Exception) -> None:
        if isinstance(outcome, CalibratedFile):
            self.done += 1
            self.folders.add(outcome.path.parent)
            self.without_photons += not outcome.photons
            if outcome.below:
                print(
                    f"{outcome.path}: {outcome.below} pixels were clipped at zero; a larger --pedestal or --float keeps"
                    " them",
                    file=sys.stderr,
                )
            return
        self.failed += 1
        text = str(outcome) or type(outcome).__name__
        print(text if str(light) in text else f"{light}: {text}", file=sys.stderr)

    @property
    def exit_code(self) -> ExitCode:
        if not self.done:
            return ExitCode.BAD_INPUT
        return ExitCode.INCOMPLETE if self.failed else ExitCode.DONE


@dataclass(slots=True)
class _Group:
    """Lights that share their masters."""

    recipe: LightRecipe
    lights: list[Path] = field(default_factory=list)


def calibrate_lights(names: Sequence[str], request: Request) -> ExitCode:
    """Calibrate lights; what is wrong with one is said, and the others go on.

    Parameters
    ----------
    names
        Files, folders (the FITS files right in them) and patterns.
    request
        How.
    """
    try:
        lights = find_files(names)
        catalogue = find_library(request.library).catalogue()
        if request.defects is not None:
            request = replace(request, output=replace(request.output, defects=read_map(request.defects)))
    except (NothingFoundError, NoLibraryError, FrameFileError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    tally = _Tally()
    try:
        with _progress(len(lights)) as advance:
            for group in _grouped(lights, catalogue.setups, request, tally, advance):
                _calibrate_group(group, request, tally, advance)
    except KeyboardInterrupt:
        print(f"interrupted; {tally.done} of {len(lights)} lights calibrated", file=sys.stderr)
        return ExitCode.INTERRUPTED
    if tally.without_photons:
        print(
            f"{tally.without_photons} lights do not tell EGAIN: the photon noise is not in their UNCERT (--e-per-adu)",
            file=sys.stderr,
        )
    places = "".join(f", in {folder}" for folder in sorted(tally.folders))
    print(f"{tally.done} of {len(lights)} lights calibrated{places}")
    return tally.exit_code


def _grouped(
    lights: list[Path],
    masters: dict[Path, FrameSetup],
    request: Request,
    tally: _Tally,
    advance: Callable[[], None],
) -> list[_Group]:
    """Return the lights by their recipes, so that masters are read once; those that cannot be calibrated are told."""
    groups: dict[LightRecipe, _Group] = {}
    for light in lights:
        try:
            recipe = recipe_for(light_setup(light), masters, request.subtract, with_flat=request.with_flat)
        except _FAULTS as error:
            tally.tell(light, error)
            advance()
        else:
            groups.setdefault(recipe, _Group(recipe)).lights.append(light)
    return list(groups.values())


def _calibrate_group(group: _Group, request: Request, tally: _Tally, advance: Callable[[], None]) -> None:
    print(_group_text(group))
    for caveat in group.recipe.caveats:
        print(f"{group.lights[0]}: {caveat}", file=sys.stderr)
    try:
        planes = load_correction(group.recipe)
    except _FAULTS as error:
        for light in group.lights:
            tally.tell(light, error)
            advance()
        return
    work = partial(_outcome, recipe=group.recipe, planes=planes, request=request)
    with ThreadPoolExecutor(THREADS, "light") as threads:
        try:
            for light, outcome in zip(group.lights, threads.map(work, group.lights), strict=True):
                tally.tell(light, outcome)
                advance()
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise


def _group_text(group: _Group) -> str:
    """Say with which masters the lights are calibrated: "3 lights: dark MasterDark.fits, flat MasterFlat.fits"."""
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
