"""Lights as files: read, calibrated, written with headers that say what was done."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coldframe.calibration.durable import write_durably
from coldframe.calibration.fits_cards import Card, HeaderValue
from coldframe.calibration.frame_cards import other_cards, software_card
from coldframe.calibration.frame_file import (
    FrameEncoder,
    FrameFileError,
    encode_extension,
    encode_primary,
    read_frame,
    read_header,
)
from coldframe.calibration.frame_setup import FrameSetup, setup_of
from coldframe.calibration.light import (
    CalibratedLight,
    Correction,
    calibrate,
    correction,
    dark_subtraction,
    pedestal_for,
    scaled_subtraction,
    sixteen_bits,
)
from coldframe.calibration.light_recipe import LightRecipe
from coldframe.calibration.master_file import read_master
from coldframe.config.frames import FrameKind


@dataclass(frozen=True, slots=True)
class Output:
    """What calibrated lights look like.

    Attributes
    ----------
    floating
        32-bit floats instead of 16-bit integers.
    pedestal_adu
        Added to every pixel; None chooses 0 for floats, and for integers what keeps every pixel above zero.
    e_per_adu
        Electrons for 1 ADU; None takes EGAIN of the light's header, and without that leaves the photon noise out of
        the uncertainty.
    """

    floating: bool = False
    pedestal_adu: float | None = None
    e_per_adu: float | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a light.

    Attributes
    ----------
    path
        The calibrated file.
    below, above
        Pixels that were clipped at 0 and at 65,535.
    """

    path: Path
    below: int
    above: int


def light_setup(path: Path) -> FrameSetup:
    """Return how a light was shot.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or is no raw light.
    """
    header = read_header(path)
    setup = setup_of(header)
    if setup.kind not in {FrameKind.LIGHT, None}:
        raise FrameFileError(path, f"is a {setup.kind} frame, not a light")
    if "CALSTAT" in header:
        raise FrameFileError(path, f"was calibrated before (CALSTAT {header['CALSTAT']})")
    return setup


def load_correction(recipe: LightRecipe) -> Correction:
    """Read a recipe's masters and combine them.

    Raises
    ------
    FrameFileError
        If a master cannot be read.
    MismatchError
        If the masters do not fit each other, or the dark cannot be scaled.
    """
    dark = None if recipe.dark is None else read_master(recipe.dark)
    bias = None if recipe.bias is None else read_master(recipe.bias)
    if dark is not None and bias is not None:
        subtraction = scaled_subtraction(bias, dark, recipe.dark_scale)
    else:
        only = dark or bias
        assert only is not None
        subtraction = dark_subtraction(only)
    return correction(subtraction, None if recipe.flat is None else read_master(recipe.flat))


def calibrate_file(light: Path, target: Path, recipe: LightRecipe, planes: Correction, output: Output) -> Written:
    """Calibrate one light and write it durably; `target` is a new file in a folder that exists.

    The file's first image is the calibrated light; the extension UNCERT is its standard error, MASK (1: pixel without
    signal in the flat) follows where the flat has one.

    Raises
    ------
    FrameFileError
        If the light cannot be read.
    MismatchError
        If the masters have another shape.
    NotDurableError
        If the result could not be brought onto the disk, or `target` exists.
    """
    pixels, header = read_frame(light)
    e_per_adu = output.e_per_adu or _egain(header)
    calibrated = calibrate(pixels, planes, e_per_adu)
    cards = _cards(light, header, recipe, e_per_adu)
    below = above = 0
    if output.floating:
        pedestal_adu = output.pedestal_adu or 0.0
        if pedestal_adu:
            np.add(calibrated.signal, np.float32(pedestal_adu), out=calibrated.signal)
        first = encode_primary(calibrated.signal, _sealed(cards, header, pedestal_adu))
    else:
        pedestal_adu = pedestal_for(calibrated.signal) if output.pedestal_adu is None else output.pedestal_adu
        whole, below, above = sixteen_bits(calibrated.signal, pedestal_adu)
        clipped = [
            Card("CFCLIPLO", below, "pixels clipped at 0"),
            Card("CFCLIPHI", above, "pixels clipped at 65535"),
        ]
        first = FrameEncoder().encode(whole, _sealed(cards + clipped, header, pedestal_adu))
    write_durably(target, [*first, *_extensions(calibrated, planes)])
    return Written(target, below, above)


def _extensions(light: CalibratedLight, planes: Correction) -> list[bytes | memoryview]:
    parts = [encode_extension("UNCERT", light.uncertainty, [Card("BUNIT", "adu", "unit of the pixels")])]
    if planes.masked is not None:
        parts.append(encode_extension("MASK", planes.masked.view(np.uint8), []))
    return [buffer for part in parts for buffer in part]


def _egain(header: dict[str, HeaderValue]) -> float | None:
    """Return the header's electrons per ADU, None where it says nothing sensible."""
    value = header.get("EGAIN")
    if isinstance(value, str | bool) or value is None:
        return None
    return float(value) if math.isfinite(value) and value > 0 else None


def _cards(light: Path, header: dict[str, HeaderValue], recipe: LightRecipe, e_per_adu: float | None) -> list[Card]:
    """Return what was done; see `LightRecipe`."""
    sources = "readout and masters" if e_per_adu is None else "readout, photons and masters"
    used: list[tuple[str, HeaderValue | None, str]] = [
        ("CFDARK", _name(recipe.dark), "master dark subtracted"),
        ("CFDKSCAL", recipe.dark_scale if recipe.dark and recipe.bias else None, "dark - bias times this"),
        ("CFBIAS", _name(recipe.bias), "master bias subtracted"),
        ("CFFLAT", _name(recipe.flat), "divided by this master flat"),
        ("EGAIN", e_per_adu, "[e-/adu] for the photon noise"),
    ]
    return [
        Card("IMAGETYP", str(header.get("IMAGETYP", "Light Frame")), "type of frame"),
        Card("BUNIT", "adu", "unit of the pixels"),
        Card("CALSTAT", recipe.calstat, "taken out: B bias, D dark current, F flat"),
        *(Card(keyword, value, comment) for keyword, value, comment in used if value is not None),
        Card("CFRAW", light.name, "the raw light"),
        Card("CFUNCERT", sources, "noise that UNCERT holds"),
        *(Card(f"CFNOTE{number:02d}", text) for number, text in enumerate(recipe.caveats[:99], start=1)),
        software_card()._replace(keyword="SWMODIFY", comment="software that calibrated this frame"),
    ]


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name


def _sealed(cards: list[Card], header: dict[str, HeaderValue], pedestal_adu: float) -> list[Card]:
    ours = [*cards, Card("PEDESTAL", pedestal_adu, "[adu] was added to every pixel")]
    return ours + other_cards(ours, header)
