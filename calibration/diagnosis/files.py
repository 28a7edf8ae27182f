"""The diagnosis of lights in files: raw lights, and lights calibrated by any program.

Raw lights are calibrated as they are read, one at a time. Calibration by coldframe replaces the hot pixels and rounds
the values. Therefore, the raw light is read in place of the calibrated one if it is found in the folder of the
calibrated light or in the folder above. Other programs write levels in ADU or in fractions of the full range.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.diagnosis.diagnosing import diagnose, with_findings
from coldframe.calibration.diagnosis.estimating.measuring import calibrated_signal
from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters
from coldframe.calibration.diagnosis.examination import Examination, examine
from coldframe.calibration.diagnosis.findings import Diagnosis, Finding, Kind
from coldframe.calibration.diagnosis.header_evidence import stated_gain, with_header_evidence
from coldframe.calibration.diagnosis.master_files import (
    FULL_RANGE_ADU,
    MasterInUse,
    masters_in_use,
    read_masters,
)
from coldframe.calibration.diagnosis.masters.looking import LightsAtHand, look_with_lights
from coldframe.calibration.diagnosis.negative_pixels import negative_findings
from coldframe.calibration.diagnosis.untestable import (
    knowledge_of,
    with_readout_noise,
    with_reasons,
    without_untestable,
)
from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.image_file import open_image
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.setup import FrameSetup, is_combined, require_readable, setup_of
from coldframe.calibration.lights.arithmetic import MismatchError
from coldframe.calibration.lights.files import require_light
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import HIGHEST_OF_FRACTIONS

F32 = NDArray[np.float32]
Header = Mapping[str, HeaderValue]

_CALIBRATED_NAME = re.compile(r"pp_.*|.*[_-](c|cal|calibrated)", re.IGNORECASE)
"""Names that Siril (pp_light.fit), PixInsight (light_c.fits) and other programs give to calibrated lights."""

SMALLEST_SIDE = 128
"""Smallest width and height of lights, in pixels; the largest shadows have a diameter of 100 pixels."""

MOST_OF_FRACTIONS = 0.999
"""Smallest share of pixels with values of at most 1 at which the values of a light are taken to be fractions of the
full range; a few pixels may exceed 1."""

MOST_ADU = 1e8
"""Largest plausible value in a calibrated light; division by a faint flat can yield values beyond the 16-bit range."""

_LARGEST_PERIOD = 2
_DIGESTED = 16
"""Step between the rows that are compared to recognise copies of a light."""


class Stage(StrEnum):
    """The processing that a light has undergone before the diagnosis."""

    RAW = "raw"
    COLDFRAME = "calibrated by coldframe"
    OTHER = "calibrated by another program"


@dataclass(frozen=True, slots=True)
class MasterNames:
    """The masters listed in the header of a calibrated light."""

    dark: str | None
    bias: str | None
    flat: str | None
    dark_scale: float

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all listed masters."""
        return tuple(name for name in (self.dark, self.bias, self.flat) if name is not None)


@dataclass(frozen=True, slots=True)
class LightSource:
    """A light, and the file from which its pixels are read.

    Attributes
    ----------
    path
        The file that the user specified.
    source
        The file to read: `path`, or the raw light from which it was made.
    setup
        Setup of the light in `source`.
    stage
        Processing of the pixels in `source`.
    egain
        Value of the EGAIN card of `source`; None if the card is missing.
    made_with
        Masters with which `path` was calibrated; None if coldframe did not calibrate it.
    mended
        True if hot pixels were replaced in `source`.
    """

    path: Path
    source: Path
    setup: FrameSetup
    stage: Stage
    egain: HeaderValue | None
    made_with: MasterNames | None = None
    mended: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class DiagnosedSet:
    """The diagnosis of the lights of one set.

    Attributes
    ----------
    examined
        The estimates.
    diagnosis
        The findings.
    masters
        The masters with which the lights were calibrated.
    read
        Lights that were read.
    refused
        Paths of the lights that could not be read, with the errors.
    notes
        Other observations about the headers.
    """

    examined: Examination
    diagnosis: Diagnosis
    masters: tuple[MasterInUse, ...]
    read: tuple[LightSource, ...]
    refused: tuple[tuple[Path, Exception], ...]
    notes: tuple[str, ...] = ()


Watcher = Callable[[NDArray[np.uint16] | F32, F32], None]
"""A function that receives the pixels of each light, both as stored in the file and calibrated, in ADU."""


def light_source(path: Path, extension: Extension | None = None, stage: Stage | None = None) -> LightSource:
    """Find the file from which the pixels of a light are to be read, and read its properties from the header.

    Parameters
    ----------
    path
        A light.
    extension
        The image to read from files with several images.
    stage
        RAW or OTHER to override what the header and the name of the file suggest; otherwise None.

    Raises
    ------
    FrameFileError
        If the file cannot be read or is not a light, or if the colour filter array is not supported.
    """
    header = read_image_header(path, extension)
    setup = _setup_of_light(header, path)
    found = stage or _stage_of(header, path)
    if found is not Stage.COLDFRAME:
        return LightSource(path, path, setup, found, header.get("EGAIN"))
    names, mended = _names_in(header), bool(header.get("CFDEFNUM"))
    raw = _raw_beside(path, header)
    if raw is not None:
        raw_header = read_image_header(raw, extension)
        if _stage_of(raw_header, raw) is Stage.RAW:
            return LightSource(path, raw, _setup_of_light(raw_header, raw), Stage.RAW, raw_header.get("EGAIN"), names)
    return LightSource(path, path, setup, found, header.get("EGAIN"), names, mended)


def _setup_of_light(header: Header, path: Path) -> FrameSetup:
    setup = setup_of(header)
    if is_combined(header):
        raise FrameFileError(path, "it is a combination of several frames: specify individual lights")
    require_light(setup, path)
    require_readable(setup, path)
    if min(setup.width, setup.height) < SMALLEST_SIDE:
        raise FrameFileError(path, f"it is too small to be diagnosed: {setup.width} x {setup.height} pixels")
    try:
        period = cfa_period(setup.mosaic)
    except ValueError as error:
        raise FrameFileError(path, str(error)) from error
    if period > _LARGEST_PERIOD:
        raise FrameFileError(path, f"its colour filter array is {setup.mosaic}: only 2x2 arrays can be diagnosed")
    return setup


def _stage_of(header: Header, path: Path) -> Stage:
    if "CALSTAT" in header:
        return Stage.COLDFRAME if "CFRAW" in header else Stage.OTHER
    return Stage.OTHER if _CALIBRATED_NAME.fullmatch(path.name.partition(".")[0]) else Stage.RAW


def _names_in(header: Header) -> MasterNames:
    dark, bias, flat = (
        name if isinstance(name := header.get(keyword), str) else None for keyword in ("CFDARK", "CFBIAS", "CFFLAT")
    )
    scale = header.get("CFDKSCAL")
    return MasterNames(dark, bias, flat, float(scale) if isinstance(scale, int | float) and scale > 0 else 1.0)


def _raw_beside(path: Path, header: Header) -> Path | None:
    name = Path(str(header.get("CFRAW", ""))).name
    folders = (path.parent.parent, path.parent)
    return next((each / name for each in folders if name and name != path.name and (each / name).is_file()), None)


def named_recipe(light: LightSource, masters: Mapping[Path, FrameSetup]) -> LightRecipe | None:
    """Return the recipe with the masters listed in a calibrated light's header; None if a master is not available.

    Parameters
    ----------
    light
        A light that coldframe has calibrated.
    masters
        Setups of the available masters, by path.
    """
    if light.made_with is None:
        return None
    by_name = {path.name: path for path in masters}
    if not set(light.made_with.all) <= set(by_name):
        return None
    dark, bias, flat = (
        None if name is None else by_name[name]
        for name in (light.made_with.dark, light.made_with.bias, light.made_with.flat)
    )
    subtracted = dark or bias
    overscan = None if subtracted is None else masters[subtracted].overscan
    return LightRecipe(dark, bias, flat, light.made_with.dark_scale, overscan=overscan, mosaic=light.setup.mosaic)


def diagnose_set(
    lights: Sequence[LightSource],
    recipe: LightRecipe,
    *,
    e_per_adu: float | None = None,
    extension: Extension | None = None,
    missing: Mapping[Kind, str] | None = None,
    watcher: Watcher | None = None,
    advance: Callable[[], None] = lambda: None,
) -> DiagnosedSet:
    """Read and diagnose the lights of one set.

    Parameters
    ----------
    lights
        Lights of the same stage and settings.
    recipe
        The masters. Raw lights are calibrated with them; calibrated lights are assumed to have been calibrated with
        them.
    e_per_adu
        Electrons per ADU; None to use EGAIN.
    extension
        The image to read from files with several images.
    missing
        Reasons why masters are missing, by the kinds of artifacts whose tests need these masters.
    watcher
        Function called with each light; None if there is none.
    advance
        Function called after each light.

    Raises
    ------
    FrameFileError
        If a master cannot be read, or if none of the lights can be read.
    MismatchError
        If masters and lights differ in size.
    """
    first = lights[0]
    setup = first.setup
    if first.stage is Stage.RAW:
        setup = setup.without(recipe.overscan)
    period = cfa_period(first.setup.mosaic or recipe.mosaic)
    whole = read_masters(recipe, (setup.height, setup.width))
    masters, by_themselves = whole.thinned(period), whole.findings()
    del whole  # its planes take up most of the memory
    reading = LightReading(recipe, masters, extension, watcher, advance)
    signals = reading.signals(lights)
    opening = next(signals, None)
    if opening is None:
        raise reading.refused[0][1]
    known = knowledge_of(
        masters,
        calibrated=first.stage is not Stage.RAW,
        hot_replaced=None if first.stage is Stage.OTHER else first.mended,
    )
    masters = replace(masters, planes=with_readout_noise(masters.planes, opening, period))
    stated, reason = (e_per_adu, None) if e_per_adu else stated_gain([(light.path, light.egain) for light in lights])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # caused by lights without sky
        examined = examine(chain([opening], signals), setup, masters, stated, period)
    examined = without_untestable(examined, known)
    diagnosis = diagnose(examined)
    more = (*negative_findings(examined, diagnosis.findings), *findings_about_masters(examined, by_themselves))
    diagnosis = with_findings(diagnosis, more)
    in_use = masters_in_use(setup, recipe, masters)
    diagnosis = with_header_evidence(diagnosis, {each.kind: each.differences for each in in_use})
    return DiagnosedSet(
        examined,
        with_reasons(diagnosis, known, missing or {}),
        in_use,
        tuple(reading.read),
        tuple(reading.refused),
        () if reason is None else (reason,),
    )


def findings_about_masters(examined: Examination, by_themselves: Sequence[Finding]) -> Iterator[Finding]:
    """Yield the faults of the masters themselves that matter for the lights.

    Parameters
    ----------
    examined
        The examination of the lights, against which the noise and the hot pixels of the masters are judged.
    by_themselves
        Findings that follow from the pixels of the masters alone.
    """
    masters, pixels = examined.masters, examined.masters.planes.subtracted.size
    lights = LightsAtHand(examined.light.exposure_s or 0.0, examined.noise_adu, examined.sky_adu, examined.lacking)
    found = list(by_themselves)
    for master in (masters.dark, masters.flat):
        if master is not None:
            found += look_with_lights(master, masters.pattern.hot, pixels, lights)
    yield from (finding for finding in found if finding.matters)


@dataclass(slots=True, eq=False)
class LightReading:
    """Reads and calibrates the lights of one set.

    Attributes
    ----------
    recipe, extension, watcher, advance
        As for `diagnose_set`.
    masters
        The masters of the recipe.
    read, refused
        Lights that were read, and paths of the lights that could not be read, with the errors.
    """

    recipe: LightRecipe
    masters: Masters
    extension: Extension | None
    watcher: Watcher | None
    advance: Callable[[], None]
    read: list[LightSource] = field(default_factory=list)
    refused: list[tuple[Path, FrameFileError | MismatchError]] = field(default_factory=list)
    _digests: dict[bytes, Path] = field(default_factory=dict)

    def signals(self, lights: Sequence[LightSource]) -> Iterator[F32]:
        """Yield the calibrated lights, ADU: float32, shape (height, width)."""
        for light in lights:
            try:
                pixels, signal = self._calibrated(light)
                _require_contrast(pixels, light.source)
                _require_adu(signal, light.source)
                self._require_new(pixels, light.source)
            except (FrameFileError, MismatchError) as error:
                self.refused.append((light.path, error))
            else:
                self.read.append(light)
                if self.watcher is not None:
                    self.watcher(pixels, signal)
                del pixels
                yield signal
            self.advance()

    def _require_new(self, pixels: NDArray[np.uint16] | F32, path: Path) -> None:
        """Refuse a copy of an earlier light: noise that occurs twice would look like a fixed pattern of the sensor."""
        # Unless lights are copies, the noise in these rows differs.
        digest = blake2b(np.ascontiguousarray(pixels[::_DIGESTED]).data).digest()
        if (other := self._digests.setdefault(digest, path)) != path:
            raise FrameFileError(path, f"its pixels are those of {other}: each light counts only once")

    def _calibrated(self, light: LightSource) -> tuple[NDArray[np.uint16] | F32, F32]:
        """Return the pixels of a light and its calibrated signal, both in ADU."""
        with scratch_folder() as unpacked:
            image = open_image(light.source, unpacked, self.extension)
            pixels, header = image.pixels(), image.header
        planes = self.masters.planes
        if light.stage is not Stage.RAW:
            signal = in_adu(pixels) - np.float32(_pedestal_adu(header))
            _check_shape(signal, planes.subtracted)
            return pixels, signal
        if pixels.dtype.kind == "f" and pixels.max() <= HIGHEST_OF_FRACTIONS:
            raise FrameFileError(
                light.source, "its values are below 1, so it is not a raw light: use --calibrated if it was calibrated"
            )
        if self.recipe.overscan is not None:
            pixels = self.recipe.overscan.signal(pixels)
        _check_shape(pixels, planes.subtracted)
        return pixels, calibrated_signal(pixels, planes)


def in_adu(pixels: NDArray[np.uint16] | F32) -> F32:
    """Return pixels in ADU; fractions of the full range are scaled to 16 bits."""
    # In files whose values are fractions, stars can exceed the full range.
    is_fraction = pixels.dtype.kind == "f" and np.quantile(pixels[::3, ::3], MOST_OF_FRACTIONS) <= HIGHEST_OF_FRACTIONS
    scale = FULL_RANGE_ADU if is_fraction else 1
    return np.asarray(pixels * np.float32(scale), np.float32)


def _pedestal_adu(header: Header) -> float:
    """Return the level that a program added to a calibrated light; some programs state it with a negative sign."""
    value = header.get("PEDESTAL", 0)
    return abs(float(value)) if isinstance(value, int | float) else 0.0


def _require_contrast(pixels: NDArray[np.uint16] | F32, path: Path) -> None:
    sampled = pixels[::7, ::7]
    if sampled.min() == sampled.max():
        raise FrameFileError(path, f"all its pixels have the same value, {float(sampled.min()):g} ADU")


def _require_adu(signal: F32, path: Path) -> None:
    sampled = signal[::7, ::7]
    low, high = float(sampled.min()), float(sampled.max())
    if max(abs(low), abs(high)) > MOST_ADU:
        raise FrameFileError(path, f"its values, from {low:.3g} to {high:.3g}, are not in ADU")


def _check_shape(pixels: NDArray[np.generic], master: F32) -> None:
    if pixels.shape != master.shape:
        raise MismatchError(f"the light has the shape {pixels.shape}, but its masters have {master.shape}")
