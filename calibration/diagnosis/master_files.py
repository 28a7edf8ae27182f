"""The masters that a diagnosis reads from files of any program, in ADU or in fractions of the full range."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coldframe.calibration.diagnosis.estimating.thinned_masters import Masters, thinned_masters, with_thin_errors
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.calibration.diagnosis.masters.looking import look_at_pixels
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.matching import settings_differences
from coldframe.calibration.frames.setup import FrameSetup, setup_of
from coldframe.calibration.lights.arithmetic import (
    Correction,
    Subtraction,
    correction,
    dark_subtraction,
    scaled_subtraction,
    with_bias,
)
from coldframe.calibration.lights.recipe import LightRecipe
from coldframe.calibration.masters.master_frame import FLAT_LEVEL
from coldframe.calibration.masters.reading import HIGHEST_OF_FRACTIONS, MasterPlanes, read_master
from coldframe.config.frames import FrameKind

FULL_RANGE_ADU = 65_535
"""Level in ADU that the value 1.0 represents in files whose values are fractions of the full range, as written by
Siril, PixInsight and Astro Pixel Processor."""

HIGHEST_RELATIVE = 2.0
"""Largest mean of a flat whose values are relative; a flat with a larger mean is assumed to be in ADU."""


@dataclass(frozen=True, slots=True)
class MasterInUse:
    """A master used in a diagnosis.

    Attributes
    ----------
    kind
        Kind of the master.
    path
        File of the master.
    differences
        Settings in which the header of the master differs from that of the lights.
    """

    kind: FrameKind
    path: Path
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class WholeMasters:
    """The masters of a recipe, with all pixels that are needed to examine the masters themselves.

    Attributes
    ----------
    planes
        The planes to subtract from the lights and to divide them by.
    dark, bias, flat
        The masters; None for masters that the recipe does not use. If dark and bias are large, only their means and
        masks have all pixels, and their other planes are thinned out.
    dark_scale
        Exposure of the lights divided by that of the dark, if the dark is scaled; otherwise 1.
    """

    planes: Correction
    dark: MasterPlanes | None = None
    bias: MasterPlanes | None = None
    flat: MasterPlanes | None = None
    dark_scale: float = 1.0

    def thinned(self, period: int) -> Masters:
        """Return the data of the masters that the estimates need.

        Parameters
        ----------
        period
            Distance between pixels of the same colour: 1 or 2.
        """
        return thinned_masters(self.planes, self.dark, self.bias, self.flat, period=period, dark_scale=self.dark_scale)

    def findings(self) -> list[Finding]:
        """Return the findings that follow from the pixels of the dark and the flat alone."""
        found = []
        if self.dark is not None:
            found += look_at_pixels(self.dark, bias=self.bias, flat=self.flat)
        if self.flat is not None:
            found += look_at_pixels(self.flat)
        return found


def read_masters(recipe: LightRecipe, shape: tuple[int, int]) -> WholeMasters:
    """Read the masters of a recipe.

    Parameters
    ----------
    recipe
        The recipe, which may lack some or all masters.
    shape
        Shape of the lights, (height, width); used if there are no masters.

    Raises
    ------
    FrameFileError
        If a master cannot be read.
    MismatchError
        If the masters differ in size.
    """
    subtraction, dark, bias = _read_subtraction(recipe)
    flat = None if recipe.flat is None else relative_flat(recipe.flat)
    if subtraction is None:
        zeros = np.zeros(shape if flat is None else flat.mean.shape, np.float32)
        subtraction = Subtraction(zeros, zeros)
    return WholeMasters(correction(subtraction, flat), dark, bias, flat, recipe.dark_scale)


def _read_subtraction(recipe: LightRecipe) -> tuple[Subtraction | None, MasterPlanes | None, MasterPlanes | None]:
    """Return the subtraction, the dark and the bias; the bias is added to a dark from which it was subtracted."""
    dark = None if recipe.dark is None else adu_master(recipe.dark)
    bias = None if recipe.bias is None else adu_master(recipe.bias)
    if dark is not None and bias is not None:
        dark = with_bias(dark, bias)
    only = dark or bias
    if only is None:
        return None, None, None
    if dark is not None and bias is not None and recipe.dark_scale != 1:
        subtraction = scaled_subtraction(bias, dark, recipe.dark_scale, despite_glow=True)
    else:
        subtraction = dark_subtraction(only)
    return (
        subtraction,
        None if dark is None else with_thin_errors(dark),
        None if bias is None else with_thin_errors(bias),
    )


def adu_master(path: Path) -> MasterPlanes:
    """Read a master bias or dark; fractions of the full range are scaled to 16 bits.

    Raises
    ------
    FrameFileError
        If the file cannot be read.
    """
    master = read_master(path)
    around_zero = "OVERSCAN" in master.header or "CALSTAT" in master.header
    if around_zero or master.mean.max() > HIGHEST_OF_FRACTIONS:
        return master
    return _scaled(master, FULL_RANGE_ADU)


def relative_flat(path: Path) -> MasterPlanes:
    """Read a master flat, and scale it to a mean of 1 if another program wrote it in ADU or fractions.

    Raises
    ------
    FrameFileError
        If the file cannot be read, or if its mean is not positive.
    """
    flat = read_master(path)
    level = float(flat.mean.mean(dtype=np.float64))
    if FLAT_LEVEL in flat.header:
        return flat
    if not level > 0:
        raise FrameFileError(path, f"it is not a flat: its mean is {level:.4g}")
    scaled = _scaled(flat, 1 / level)
    if level > HIGHEST_RELATIVE:
        scaled.header[FLAT_LEVEL] = level
    return scaled


def _scaled(master: MasterPlanes, factor: float) -> MasterPlanes:
    scale = np.float32(factor)
    return replace(
        master,
        mean=master.mean * scale,
        uncertainty=master.uncertainty * scale,
        frame_variance=master.frame_variance * scale**2,
        header=dict(master.header),
    )


def masters_in_use(light: FrameSetup, recipe: LightRecipe, masters: Masters) -> tuple[MasterInUse, ...]:
    """Return the masters of a recipe, with the settings in which they differ from the lights."""
    used = (
        (FrameKind.DARK, recipe.dark, masters.dark),
        (FrameKind.BIAS, recipe.bias, masters.bias),
        (FrameKind.FLAT, recipe.flat, masters.flat),
    )
    return tuple(
        MasterInUse(kind, path, settings_differences(light, setup_of(planes.header), kind))
        for kind, path, planes in used
        if path is not None and planes is not None
    )
