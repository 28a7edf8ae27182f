"""Calibrate lights with masters from the library."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from coldframe.calibration.defects.files import BadPixels, read_map
from coldframe.calibration.defects.finding import NotJudgeableError
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.quick_look import MasterSummary, QuickLook, examined_rows
from coldframe.calibration.diagnosis.uncooled.thermometer import DarkThermometer
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.setup import FrameSetup
from coldframe.calibration.lights.arithmetic import Correction, GlowError
from coldframe.calibration.lights.caveats import temperature_caveat, temperature_cost
from coldframe.calibration.lights.earlier import Earlier, earlier_result, group_digest, light_digest
from coldframe.calibration.lights.files import CalibratedFile, Output, calibrate_file, egain, light_setup
from coldframe.calibration.lights.hot_pixels import filter_array_fault, hot_pixels
from coldframe.calibration.lights.loading import load_correction, load_subtraction
from coldframe.calibration.lights.mask_extension import MaskExtension
from coldframe.calibration.lights.recipe import LightRecipe, Subtract, recipe_for, ways_out
from coldframe.calibration.masters.reading import BandedMaster
from coldframe.calibration.memory import keep_memory_of_bands, return_memory_of_bands
from coldframe.counted import counted
from coldframe.errors import ColdframeError
from coldframe.operations.dark_check import DarkCheck, with_dark
from coldframe.operations.library import configured_camera_names, find_library, masters_of
from coldframe.operations.light_groups import FAULTS, Light, LightGroup, grouped, named
from coldframe.operations.reports import Reports

THREADS = 2
"""Number of lights calibrated at a time, so that reading and computing overlap; each light needs memory for
a few bands and for the rows of the quick look."""

CALIBRATED = "calibrated"

HotPixels = dict[tuple[Path, Path | None], BadPixels | NotJudgeableError]
"""The hot pixels of each dark, or the error that explains why they are unknown; the keys are the paths of the dark and
of the bias subtracted from it."""

_COMPRESSED = frozenset({".fz", ".gz"})


class CalibratedBeforeError(ColdframeError):
    """A light has already been calibrated with different pixels, masters or options; the message names the result."""

    def __init__(self, earlier: Path) -> None:
        super().__init__(
            f"{earlier} was made earlier with different pixels, masters or options; use --again to replace it, "
            "or --output FOLDER to keep both"
        )


@dataclass(frozen=True, slots=True)
class Request:
    """The options for calibrating lights.

    Attributes
    ----------
    library
        Folder of masters; None for the configured folder.
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
        True to replace defective pixels; False to leave them as they are.
    despite_glow
        True to scale a dark even if its amplifier glow might not grow in proportion to the exposure.
    diagnose
        True to take a quick look at the calibrated lights.
    again
        True to calibrate lights that have been calibrated before, and to replace the earlier results.
    """

    library: Path | None
    target: Path | None
    subtract: Subtract
    with_flat: bool
    output: Output
    defects: Path | None = None
    mend: bool = True
    despite_glow: bool = False
    diagnose: bool = True
    again: bool = False


@dataclass(slots=True)
class Tally:
    """The lights processed so far, by outcome, and the findings of the quick look at each group.

    Attributes
    ----------
    reports
        Receiver of the messages.
    done
        The calibrated files, by light.
    done_before
        Results of earlier calls with the same masters and options, by light.
    failed
        Number of lights that failed.
    looked
        Findings of the quick look at each group.
    """

    reports: Reports
    done: dict[Path, CalibratedFile] = field(default_factory=dict)
    done_before: dict[Path, Path] = field(default_factory=dict)
    failed: int = 0
    looked: list[list[Finding]] = field(default_factory=list)

    def report(self, light: Path, outcome: CalibratedFile | Exception) -> None:
        """Record the outcome of a light; if it failed, report the error."""
        if isinstance(outcome, CalibratedFile):
            self.done[light] = outcome
        else:
            self.refuse([light], outcome)

    def refuse(self, lights: Sequence[Path], error: Exception, way_out: str = "") -> None:
        """Count lights that failed with the same error, and report the error once."""
        self.failed += len(lights)
        self.reports.refused(lights, error, way_out)


def caveats_of(group: LightGroup, planes: Correction, defects: BadPixels | None) -> dict[str, list[Path]]:
    """Return messages about differences between lights and masters, each with the lights to which it applies."""
    found: dict[str, list[Path]] = {}
    for light in group.lights:
        for caveat in light.recipe.caveats:
            found.setdefault(caveat, []).append(light.path)
    warmer_c = [light.recipe.dark_warmer_c for light in group.lights if light.recipe.dark_warmer_c is not None]
    temperature = temperature_caveat(max(warmer_c), min(warmer_c)) if warmer_c else None
    if temperature is not None:
        mended = None if defects is None else defects.bad
        found[f"{temperature}; {temperature_cost(max(warmer_c, key=abs), planes, mended)}"] = group.paths
    return found | dict.fromkeys(planes.caveats, group.paths)


def calibrate_all(lights: Sequence[Path], request: Request, tally: Tally, advance: Callable[[], None]) -> None:
    """Calibrate lights; if one fails, report the reason and continue with the other lights.

    Parameters
    ----------
    lights
        Lights from `find_lights`.
    request
        The options for calibrating the lights.
    tally
        Receiver of the results.
    advance
        Function that is called after each light.

    Raises
    ------
    NoLibraryError
        If there is no library.
    FrameFileError
        If the defect map cannot be read.
    """
    keep_memory_of_bands()
    masters = masters_of(find_library(request.library).catalogue())
    if request.defects is not None:
        request = replace(request, output=replace(request.output, defects=read_map(request.defects)))
    request = replace(request, output=replace(request.output, camera_names=configured_camera_names()))
    found: HotPixels = {}
    for group in _groups(lights, masters, request, tally, advance):
        _calibrate_group(group, masters, request, tally, found=found, advance=advance)
    _report_totals(request, tally)


def _report_totals(request: Request, tally: Tally) -> None:
    clipped = [each for each in tally.done.values() if each.below]
    if clipped:
        tally.reports.notice(
            f"{named([each.path for each in clipped])}: {sum(each.below for each in clipped)} pixels were clipped at"
            " zero; a larger --pedestal, or --float, would preserve their values"
        )
    without_photons = sum(not each.photons for each in tally.done.values())
    if request.output.uncertainty and without_photons:
        tally.reports.notice(
            f"UNCERT excludes photon noise for {counted(without_photons, 'light')} without EGAIN (see --e-per-adu)"
        )


def _groups(
    lights: Sequence[Path],
    masters: dict[Path, FrameSetup],
    request: Request,
    tally: Tally,
    advance: Callable[[], None],
) -> list[LightGroup]:
    """Group the lights by recipe; report lights that cannot be calibrated."""

    def recipe_for_light(_: Path, setup: FrameSetup) -> LightRecipe:
        return recipe_for(setup, masters, request.subtract, with_flat=request.with_flat)

    found = grouped(lights, partial(_setup, request=request), recipe_for_light)
    for path, error in found.faults:
        tally.report(path, error)
    for reason, setup, paths in found.without_master.values():
        tally.refuse(paths, reason, _way_out(setup, masters, request))
    failed = tally.failed
    checked = _dark_check(masters, request, tally).checked(found.groups)
    for _ in range(found.failed + tally.failed - failed):
        advance()
    return checked


def _setup(light: Path, request: Request) -> FrameSetup:
    return under_one_name(light_setup(light, request.output.extension), request.output.camera_names)


def _dark_check(masters: dict[Path, FrameSetup], request: Request, tally: Tally) -> DarkCheck:
    """Return the check of the darks proposed for uncooled lights."""

    def recipe_with(setup: FrameSetup, left: Mapping[Path, FrameSetup]) -> LightRecipe:
        return recipe_for(setup, left, request.subtract, with_flat=request.with_flat)

    def refuse(paths: Sequence[Path], error: Exception, usable: Mapping[Path, FrameSetup]) -> None:
        tally.refuse(paths, error, _way_out(_setup(paths[0], request), usable, request))

    def remark(paths: Sequence[Path], text: str) -> None:
        tally.reports.notice(f"{named(paths)}: {text}")

    @cache
    def digest(recipe: LightRecipe) -> str:
        return group_digest(recipe, request.output, request.mend, request.despite_glow)

    def as_before(light: Light, darks: Mapping[Path, FrameSetup]) -> LightRecipe | None:
        if request.again:
            return None
        target = _target(light.path, request.target)
        return _recipe_as_before(
            light, target, darks, lambda dark: with_dark(light, dark, masters, recipe_with), digest
        )

    return DarkCheck(masters, DarkThermometer(request.output.extension), recipe_with, refuse, remark, as_before)


def _recipe_as_before(
    light: Light,
    target: Path,
    darks: Iterable[Path],
    recipe_with: Callable[[Path], LightRecipe],
    digest: Callable[[LightRecipe], str],
) -> LightRecipe | None:
    """Return the recipe of a light's earlier result; None if the result is not valid, or older than one of the darks.

    The dark is chosen from a sample of the lights. Therefore, if the recipe were not reused, new lights could change
    the choice of the dark for lights that are already calibrated. The age of a dark is judged by its change time,
    because linking an old file into the library updates only this time.
    """
    try:
        if any(dark.stat().st_ctime > target.stat().st_mtime for dark in darks):
            return None
        name = read_image_header(target).get("CFDARK")
        dark = next((dark for dark in darks if dark.name == name), None)
        recipe = None if dark is None else recipe_with(dark)
        if recipe is None:
            return None
        expected = partial(light_digest, digest(recipe), light.path)
        earlier = earlier_result(target, light.path, light.setup, expected)
    except FAULTS:
        return None
    return recipe if earlier is Earlier.SAME else None


def _way_out(light: FrameSetup, masters: Mapping[Path, FrameSetup], request: Request, *more: str) -> str:
    """Return, as text, the options with which a light could be calibrated after all; "" if there are none."""
    found = list(more)
    for options, recipe in ways_out(light, masters, request.subtract, with_flat=request.with_flat):
        try:
            if recipe.dark_scale != 1:
                load_subtraction(recipe, despite_glow=request.despite_glow)
        except FAULTS:
            continue
        found.append(options)
    return f"; alternatives: {', or '.join(found)}" if found else ""


@dataclass(frozen=True, slots=True)
class _Job:
    """A light to calibrate, the file for its result, and whether this file replaces an earlier result.

    `digest` turns the digest of the light's bytes into the digest of the calibration.
    """

    light: Light
    target: Path
    digest: Callable[[str], str]
    replaces: bool


def _calibrate_group(
    group: LightGroup,
    masters: Mapping[Path, FrameSetup],
    request: Request,
    tally: Tally,
    *,
    found: HotPixels,
    advance: Callable[[], None],
) -> None:
    wanted = len(group.lights)
    try:
        jobs = list(_jobs(group, request, tally))
        for _ in range(wanted - len(jobs)):
            advance()
        if not jobs:
            return
        group = LightGroup(group.recipe, [job.light for job in jobs])
        light = group.lights[0].setup.without(group.recipe.overscan)
        summary = MasterSummary.for_lights(light) if request.diagnose else None
        planes = _planes(group.recipe, request, summary, found)
        return_memory_of_bands()
        defects, unmended = _defects(group.recipe, request, found)
        output = replace(request.output, defects=defects)
        caveats = caveats_of(group, planes, defects) | dict.fromkeys(unmended, group.paths)
        planes = replace(planes, sampled=None)  # needed only for the caveats
        look = None if summary is None else QuickLook(light, summary, planes, output.e_per_adu or _egain(group, output))
    except FAULTS as error:
        more = ["--scale-dark"] if isinstance(error, GlowError) else []
        tally.refuse(group.paths, error, _way_out(group.lights[0].setup, masters, request, *more) if more else "")
        for _ in group.lights:
            advance()
        return
    tally.reports.line(_group_text(group, defects))
    for caveat, paths in caveats.items():
        tally.reports.notice(f"{named(paths)}: {caveat}")
    if not output.uncertainty:
        planes = planes.without_variances()
    return_memory_of_bands()
    mask = MaskExtension(planes, output.defects)
    calibrate = partial(calibrate_file, planes=planes, output=output, look=look, mask=mask)
    work = partial(_outcome, calibrate=calibrate)
    with ThreadPoolExecutor(THREADS, "light") as threads:
        try:
            for job, outcome in zip(jobs, threads.map(work, jobs), strict=True):
                tally.report(job.light.path, outcome)
                advance()
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise
    findings = None if look is None else look.findings()
    if findings is not None:
        tally.looked.append(findings)


def _jobs(group: LightGroup, request: Request, tally: Tally) -> Iterator[_Job]:
    """Yield a job for each light to calibrate; count lights calibrated before; report lights that fail."""
    shared = group_digest(group.recipe, request.output, request.mend, request.despite_glow)
    for light in group.lights:
        target = _target(light.path, request.target)
        digest = partial(light_digest, shared, light.path)
        try:
            earlier = earlier_result(target, light.path, light.setup, digest)
        except OSError as error:
            tally.report(light.path, error)
            continue
        if earlier is Earlier.SAME and not request.again:
            tally.done_before[light.path] = target
        elif earlier is Earlier.DIFFERENT and not request.again:
            tally.refuse([light.path], CalibratedBeforeError(target))
        else:
            replaces = earlier in {Earlier.SAME, Earlier.DIFFERENT}
            yield _Job(light, target, digest, replaces)


def _egain(group: LightGroup, output: Output) -> float | None:
    """Return the EGAIN of the first light that can be read; None if it has no EGAIN, or no light can be read."""
    for light in group.lights:
        with suppress(*FAULTS):
            return egain(read_image_header(light.path, output.extension))
    return None


def _planes(recipe: LightRecipe, request: Request, summary: MasterSummary | None, found: HotPixels) -> Correction:
    """Read the masters; in the same pass, find the hot pixels of the dark, unless they are known or not needed."""

    def search(dark: BandedMaster, bias: BandedMaster | None) -> None:
        assert recipe.dark is not None
        masters = recipe.dark, recipe.bias
        if request.output.defects is None and request.mend and masters not in found:
            try:
                found[masters] = hot_pixels(recipe.dark, dark, bias)
            except NotJudgeableError as error:
                found[masters] = error

    look = None if summary is None else summary.add
    examined = (lambda _shape: np.zeros(0, np.intp)) if summary is None else examined_rows
    rows = None if request.output.uncertainty else examined
    return load_correction(recipe, despite_glow=request.despite_glow, look=look, search=search, rows=rows)


def _defects(recipe: LightRecipe, request: Request, found: HotPixels) -> tuple[BadPixels | None, list[str]]:
    """Return the pixels to replace and, if the hot pixels of the dark cannot be replaced, the reason."""
    if request.output.defects is not None or not request.mend or recipe.dark is None:
        return request.output.defects, []
    hot = found[recipe.dark, recipe.bias]
    if isinstance(hot, NotJudgeableError):
        return None, [f"hot pixels are not replaced: {hot}"]
    fault = filter_array_fault(hot, recipe.mosaic)
    return (hot, []) if fault is None else (None, [f"hot pixels are not replaced: {fault}"])


def _group_text(group: LightGroup, defects: BadPixels | None) -> str:
    """Return the masters of a group as text, such as "3 lights: dark MasterDark.fits, flat MasterFlat.fits"."""
    recipe = group.recipe
    masters = {"bias": recipe.bias, "dark": recipe.dark, "flat": recipe.flat}
    used = ", ".join(f"{kind} {path.name}" for kind, path in masters.items() if path is not None)
    count = 0 if defects is None else np.count_nonzero(defects.bad)
    mended = f"; {count:,} defective pixels replaced in each" if count else ""
    return f"{len(group.lights)} {'light' if len(group.lights) == 1 else 'lights'}: {used}{mended}"


def _target(light: Path, folder: Path | None) -> Path:
    stem = Path(light.stem).stem if light.suffix.lower() in _COMPRESSED else light.stem
    return (folder or light.parent / CALIBRATED) / f"{stem}_calibrated.fits"


def _outcome(job: _Job, calibrate: Callable[..., CalibratedFile]) -> CalibratedFile | Exception:
    light = job.light
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        return calibrate(light.path, job.target, light.recipe, digest=job.digest, replaces=job.replaces)
    except FAULTS as error:
        return error
