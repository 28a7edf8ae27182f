"""The calibration of lights in files; the headers of the new files document the calibration."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.defects.files import BadPixels
from coldframe.calibration.files.cards import Card, HeaderValue
from coldframe.calibration.files.durable import new_file
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.files.headers.stamp import Stamp
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.files.keywords import other_cards, software_card
from coldframe.calibration.files.scratch import scratch_folder
from coldframe.calibration.files.unpacking import Extension
from coldframe.calibration.frames.matching import defect_map_faults
from coldframe.calibration.frames.names import under_one_name
from coldframe.calibration.frames.overscan import Overscan, corrected_header
from coldframe.calibration.frames.setup import FrameSetup, fault_of_raw_frame, require_readable, setup_of
from coldframe.calibration.lights.arithmetic import COLOUR_PERIOD, Correction, MismatchError, check_shape
from coldframe.calibration.lights.bands import Method, Photons
from coldframe.calibration.lights.caveats import temperature_caveat
from coldframe.calibration.lights.content import content_of
from coldframe.calibration.lights.mask_extension import MaskExtension
from coldframe.calibration.lights.pixels import HeldPixels, KeptRows, LightPixels, Pixels, StoredPixels
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.lights.result_file import ResultFile
from coldframe.calibration.masters.flat_scaling import cfa_period
from coldframe.calibration.masters.reading import HIGHEST_OF_FRACTIONS
from coldframe.config.frames import FrameKind

CALIBRATION = "CFCALID"
"""Keyword for the digest of a light's calibration; see `coldframe.calibration.lights.earlier`."""

_OF_THE_RAW_FILE = re.compile(r"NAXIS\d+|EXTNAME|EXTVER|EXTLEVEL|INHERIT|BLANK|DATAMIN|DATAMAX")
"""Keywords of the raw light that do not apply to the calibrated pixels or to the new file."""


@dataclass(frozen=True, slots=True)
class Output:
    """Options for the output of calibrated lights.

    Attributes
    ----------
    floating
        True for 32-bit floating-point numbers instead of 16-bit integers.
    pedestal_adu
        Level added to every pixel. If it is None, nothing is added to floating-point results; a level that keeps the
        pixels above zero is added to integers (see `pedestal_for`).
    e_per_adu
        Electrons per ADU; None to use EGAIN from the light's header. If EGAIN is missing as well, the uncertainty
        excludes photon noise.
    defects
        Defective pixels to replace with values from their neighbours; None to replace no pixels.
    blank
        True to set defective pixels to NaN instead; only for floating-point results.
    camera_names
        Names that all stand for the same camera; the defect map and the light can contain different names.
    extension
        The image to take from lights with several images.
    uncertainty
        True to write the extensions UNCERT and MASK; see `calibrate_file`.
    """

    floating: bool = False
    pedestal_adu: float | None = None
    e_per_adu: float | None = None
    defects: BadPixels | None = None
    blank: bool = False
    camera_names: tuple[str, ...] = ()
    extension: Extension | None = None
    uncertainty: bool = False


@dataclass(frozen=True, slots=True)
class CalibratedFile:
    """The result of calibrating a light.

    Attributes
    ----------
    path
        The calibrated file.
    below, above
        Number of pixels clipped at 0 and at 65,535.
    photons
        True if the uncertainty includes photon noise.
    """

    path: Path
    below: int
    above: int
    photons: bool


def light_setup(path: Path, extension: Extension | None = None) -> FrameSetup:
    """Return the setup of a light from its header; `extension` selects one of several images.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or is not a raw light.
    """
    header = read_image_header(path, extension)
    setup = setup_of(header)
    require_light(setup, path)
    fault = fault_of_raw_frame(header)
    if fault is not None:
        raise FrameFileError(path, fault)
    require_readable(setup, path)
    return setup


def require_light(setup: FrameSetup, path: Path) -> None:
    """Raise if the header of a file states a kind other than light.

    Raises
    ------
    FrameFileError
        With a message that names the kind.
    """
    if setup.kind not in {FrameKind.LIGHT, None}:
        raise FrameFileError(path, f"it is a {setup.kind} frame, not a light")
    if setup.kind is None and setup.kind_word is not None:
        raise FrameFileError(path, f"it is of type {setup.kind_word!r}, which does not mean light")


class LightLook(Protocol):
    """An examination of some rows of each light."""

    def rows(self, shape: tuple[int, ...]) -> NDArray[np.intp]:
        """Return the rows to examine, in ascending order, for lights of the given height and width."""

    def measure(self, light: Path, pixels: Pixels) -> None:
        """Examine the raw rows, after overscan subtraction, of a light whose result has been written."""


def calibrate_file(
    light: Path,
    target: Path,
    recipe: LightRecipe,
    planes: Correction,
    output: Output,
    *,
    mask: MaskExtension | None = None,
    digest: Callable[[str], str] | None = None,
    look: LightLook | None = None,
    replaces: bool = False,
) -> CalibratedFile:
    """Calibrate one light and write the result durably to `target`, in an existing folder.

    Each band of the result is written as soon as it is calibrated; see `new_file`. `mask` is the same for all lights
    with the same planes and defects, so callers with many lights pass it. `digest` takes the digest of the light's
    bytes and returns the digest of the calibration; see `coldframe.calibration.lights.earlier`. `look` examines rows of
    the light after the result has been written. An existing file is replaced only if `replaces` is True.

    The light can contain 8-, 16- or 32-bit integers or floating-point numbers, in ADU, and can be compressed. The first
    image of the new file is the calibrated light. If `output.uncertainty` is True, the extension UNCERT is its standard
    error, and an extension MASK follows if the flat has a mask (bit 0: pixel without signal in the flat) or if defects
    are replaced (bit 1: defect).

    Raises
    ------
    FrameFileError
        If the light cannot be read, or changes while it is being read; nothing is written.
    MismatchError
        If the masters or the defect map differ from the light in shape, or if the map belongs to a different camera.
    NotDurableError
        If the result could not be written to disk, or `target` exists and `replaces` is False.
    """
    stamp = Stamp.of(light)
    with scratch_folder(target.parent) as unpacked:
        image = open_image(light, unpacked, output.extension)
        header = dict(image.header)
        if recipe.overscan is not None:
            header = corrected_header(header, recipe.overscan)
        raw = _raw_pixels(image, recipe.overscan)
        pixels = raw if look is None else KeptRows(raw, look.rows(raw.shape))
        e_per_adu = output.e_per_adu or egain(header)
        method = _method(pixels, planes, header, output, e_per_adu)
        kept = {keyword: value for keyword, value in header.items() if not _OF_THE_RAW_FILE.fullmatch(keyword)}
        noise = [_noise_card(e_per_adu)] if output.uncertainty else []
        identity = [] if digest is None else [Card(CALIBRATION, "", "digest of light, masters and options")]
        cards = [*_cards(light, header, recipe, e_per_adu), *noise, *identity, *_notes(recipe, planes)]
        cards += _pixel_cards(method)
        cards += other_cards(cards, kept)
        with new_file(target, replaces=replaces) as file:
            result = ResultFile(file, pixels, method, output.pedestal_adu, cards)
            values = _values(result)
            if digest is not None:
                values[CALIBRATION] = digest(raw.content if isinstance(raw, StoredPixels) else content_of(light))
            # The light is opened several times: its header, its pixels and its digest could come from different
            # versions of the file.
            if Stamp.of(light) != stamp:
                raise FrameFileError(
                    light, "the file was changed or replaced while it was being read: calibrate it again"
                )
            result.finish(values, mask or MaskExtension(planes, output.defects))
    if look is not None and isinstance(pixels, KeptRows):
        look.measure(light, pixels.kept)
    return CalibratedFile(target, result.counts.below, result.counts.above, photons=e_per_adu is not None)


def _raw_pixels(image: ImageFile, overscan: Overscan | None) -> HeldPixels | StoredPixels:
    """Return the pixels of a raw light after subtraction of the overscan."""
    if overscan is None and StoredPixels.holds(image):
        return StoredPixels(image)
    raw = image.pixels()
    if raw.dtype.kind == "f" and raw.max() <= HIGHEST_OF_FRACTIONS:
        raise FrameFileError(
            image.path, "its values do not exceed 1, so they are not in ADU and no master matches them"
        )
    return HeldPixels(raw if overscan is None else overscan.signal(raw))


def _method(
    pixels: LightPixels,
    planes: Correction,
    header: Mapping[str, HeaderValue],
    output: Output,
    e_per_adu: float | None,
) -> Method:
    """Return how to calibrate a light, after checking that its masters and the defect map fit."""
    defects = output.defects
    if defects is not None and defects.bad.shape != planes.subtracted.shape:
        raise MismatchError(
            f"the defect map has the shape {defects.bad.shape}, but the light's masters have {planes.subtracted.shape}"
        )
    check_shape(pixels.shape, planes)
    return Method(
        planes,
        np.float32 if output.floating else np.uint16,
        defects,
        None if defects is None else _mending_period(defects, header, output),
        Photons(e_per_adu, _colour_period(header)) if output.uncertainty else None,
    )


def _colour_period(header: Mapping[str, HeaderValue]) -> int:
    """Return the distance between pixels of the same colour, for the local level of the sky."""
    try:
        return max(cfa_period(setup_of(header).mosaic), COLOUR_PERIOD)
    except ValueError:  # an unknown filter array matters only for mending
        return COLOUR_PERIOD


def _mending_period(defects: BadPixels, header: Mapping[str, HeaderValue], output: Output) -> int | None:
    """Return the distance between pixels of the same colour; None if defects become NaN."""
    setup = under_one_name(setup_of(header), output.camera_names)
    faults = defect_map_faults(setup, under_one_name(defects.setup, output.camera_names))
    if faults:
        raise MismatchError(f"the defect map {defects.path} does not belong to these pixels: {', '.join(faults)}")
    if output.blank:
        return None
    try:
        return cfa_period(setup.mosaic or defects.setup.mosaic)
    except ValueError as error:
        raise MismatchError(f"defects cannot be mended: {error}") from error


def _pixel_cards(method: Method) -> Iterator[Card]:
    """Yield the cards that document the processing of the pixels; `_values` returns the values that are zero here."""
    yield Card("PEDESTAL", 0, "[adu] added to every pixel")
    if method.kind is np.uint16:
        yield Card("CFCLIPLO", 0, "pixels clipped at 0")
        yield Card("CFCLIPHI", 0, "pixels clipped at 65535")
    if method.defects is not None:
        yield Card("CFDEFMAP", method.defects.path.name, "map or master with the defects")
        yield Card("CFDEFNUM", method.defects.places.shape[1], "number of defects")
        if method.mending_period is None:
            yield Card("CFDEFHOW", "NaN", "replacement of defects")
        else:
            yield Card("CFDEFHOW", "median of good neighbours", "of the same colour")
            yield Card("CFDEFLFT", 0, "defects without a good neighbour: zero signal")


def _values(result: ResultFile) -> dict[str, HeaderValue]:
    """Return the values of the cards that depend on all pixels."""
    counts = result.counts
    return {
        "PEDESTAL": result.pedestal_adu,
        "CFCLIPLO": counts.below,
        "CFCLIPHI": counts.above,
        "CFDEFLFT": counts.unmended,
    }


def egain(header: Mapping[str, HeaderValue]) -> float | None:
    """Return the electrons per ADU from a header; None if the header contains no valid value."""
    value = header.get("EGAIN")
    if isinstance(value, str | bool) or value is None:
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _cards(light: Path, header: dict[str, HeaderValue], recipe: LightRecipe, e_per_adu: float | None) -> list[Card]:
    """Return the cards that document the calibration; see `LightRecipe`."""
    used: list[tuple[str, HeaderValue | None, str]] = [
        ("CFDARK", _name(recipe.dark), "master dark subtracted"),
        ("CFDKSCAL", recipe.dark_scale if recipe.dark and recipe.bias else None, "factor applied to dark - bias"),
        ("CFBIAS", _name(recipe.bias), "master bias subtracted"),
        ("CFFLAT", _name(recipe.flat), "divided by this master flat"),
        ("EGAIN", e_per_adu, "[e-/adu] for the photon noise"),
    ]
    return [
        *([] if recipe.overscan is None else recipe.overscan.cards),
        Card("IMAGETYP", str(header.get("IMAGETYP", "Light Frame")), "type of frame"),
        Card("BUNIT", "adu", "unit of the pixels"),
        Card("CALSTAT", recipe.calstat, "corrected: B bias, D dark current, F flat"),
        *(Card(keyword, value, comment) for keyword, value, comment in used if value is not None),
        Card("CFRAW", light.name, "the raw light"),
        software_card()._replace(keyword="SWMODIFY", comment="software that calibrated this frame"),
    ]


def _noise_card(e_per_adu: float | None) -> Card:
    sources = "readout and masters" if e_per_adu is None else "readout, photons and masters"
    return Card("CFUNCERT", sources, "noise included in UNCERT")


def _notes(recipe: LightRecipe, planes: Correction) -> list[Card]:
    """Return cards that describe the differences between the light and its masters."""
    texts = [*recipe.caveats, temperature_caveat(recipe.dark_warmer_c), *planes.caveats]
    return [Card(f"CFNOTE{number:02d}", text) for number, text in enumerate(filter(None, texts), start=1)][:99]


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name
